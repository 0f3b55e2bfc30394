#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Node.js 20 or newer and npm; the rest is what package.json says.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"
rm -f "$out" # A build that fails must not leave an old one behind, to be checked or installed by mistake.

missing() {
    echo "build.sh: $1" >&2
    exit 3
}

command -v node >/dev/null || missing "node is not there: apt install nodejs npm"
PATH=$PWD/node_modules/.bin:$PATH
if ! command -v componentize-qjs >/dev/null; then
    # Who builds many handlers at once brings tools along, and wants nothing installed in passing.
    [ -z "${KOI_TOOLS:-}" ] || missing "componentize-qjs is not there: npm install"
    command -v npm >/dev/null || missing "npm is not there: apt install npm"
    npm install --no-audit --no-fund
fi
# --sync: calls of koi:service are plain calls. Not --stub-wasi: it would save no grant, and silence what the engine says when it traps.
componentize-qjs --wit wit --world handler --js handler.js --sync --output "$out"
