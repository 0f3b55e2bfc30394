#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Python 3.10 or newer; the rest is what requirements.txt says.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"

missing() {
    echo "build.sh: $1" >&2
    exit 3
}

PATH=$PWD/.venv/bin:$PATH
if ! command -v componentize-py >/dev/null; then
    [ -z "${KOI_TOOLS:-}" ] || missing "componentize-py is not there: pip install -r requirements.txt"
    python3 -c 'import ensurepip' 2>/dev/null || missing "Python with venv is not there: apt install python3-venv"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
fi
wit=wit
[ -d $wit ] || wit=../../../wit
componentize-py -d $wit -w handler-exec componentize --stub-wasi -p src app -o "$out"
