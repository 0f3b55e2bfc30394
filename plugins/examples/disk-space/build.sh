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
if ! command -v componentize-py >/dev/null || ! command -v wasm-tools >/dev/null; then
    [ -z "${KOI_TOOLS:-}" ] || missing "componentize-py or wasm-tools is not there: pip install -r requirements.txt"
    python3 -c 'import ensurepip' 2>/dev/null || missing "Python with venv is not there: apt install python3-venv"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
fi
wit=wit
[ -d $wit ] || wit=../../../wit
rm -f "$out" "$out.minisig" # A build that fails must not leave an old one behind, nor one that succeeds an old signature.
# Python finds the library as the package `koi`: beside app.py, or in the repository.
rm -rf target/library
mkdir -p target/library
[ -d src/koi ] || cp -R ../../../plugin-api/sdk/python target/library/koi
# Without its own backtrace the tool says in a few lines what is wrong with app.py.
RUST_BACKTRACE=0 componentize-py --quiet -d $wit -w handler-exec componentize -p src -p target/library app -o target/app.wasm

# Python's library asks for all of WASI. What needs no grant stays: print, the clocks, random numbers, files (as far as granted).
# Sockets would have to be granted, used or not, so these interfaces are replaced by functions that trap.
no_sockets='.*'
rm -rf target/wit
wasm-tools component wit target/app.wasm --out-dir target/wit >/dev/null
imports=$(sed -nE "s#^ *import (wasi:sockets/($no_sockets)@.*)#export \1#p" target/wit/component.wit)
echo "package root:component; world no-sockets { $imports }" >target/wit/component.wit
wasm-tools component embed target/wit --world no-sockets --dummy -o target/no-sockets.core.wasm
wasm-tools component new target/no-sockets.core.wasm -o target/no-sockets.wasm
wasm-tools compose --quiet target/app.wasm -d target/no-sockets.wasm -o "$out"
