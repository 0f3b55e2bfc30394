#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Node.js 20 or newer and npm; the rest is what package.json says.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"

missing() {
    echo "build.sh: $1" >&2
    exit 3
}

command -v node >/dev/null || missing "node is not there: apt install nodejs npm"
PATH=$PWD/node_modules/.bin:$PATH
if ! command -v componentize-js >/dev/null; then
    [ -z "${KOI_TOOLS:-}" ] || missing "componentize-js is not there: npm install"
    command -v npm >/dev/null || missing "npm is not there: apt install npm"
    npm install --no-audit --no-fund
fi
wit=wit
[ -d $wit ] || wit=../../../wit
# The library lies beside the handler, or in the repository.
mkdir -p target
cp handler.js target/
if [ -d koi ]; then cp -R koi target/; else rm -rf target/koi && cp -R ../../../plugin-api/sdk/js target/koi; fi
rm -f "$out" "$out.minisig" # A build that fails must not leave an old one behind, nor one that succeeds an old signature.
# fetch-event is for answering requests; http, for making them, stays.
componentize-js target/handler.js --wit $wit --world-name handler --disable fetch-event --out "$out"
