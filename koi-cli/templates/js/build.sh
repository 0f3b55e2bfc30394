#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Node.js 20 or newer and npm; the rest is what package.json says.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"
rm -f "$out" "$out.minisig" # A build that fails must not leave an old one behind, nor one that succeeds an old signature.

missing() {
    echo "build.sh: $1" >&2
    exit 3
}

command -v node >/dev/null || missing "node is not there: apt install nodejs npm"
PATH=$PWD/node_modules/.bin:$PATH
@IF http@
tool=componentize-js
@ELSE@
tool=componentize-qjs
@END@
if ! command -v $tool >/dev/null; then
    # Who builds many handlers at once brings tools along, and wants nothing installed in passing.
    [ -z "${KOI_TOOLS:-}" ] || missing "$tool is not there: npm install"
    command -v npm >/dev/null || missing "npm is not there: apt install npm"
    npm install --no-audit --no-fund
fi
mkdir -p target
# The world of this handler: koi's, and what it takes of WASI.
{
@IF exec@
    echo 'package local:guest; world guest { include koi:service/handler-exec@0.2.0;'
@ELSE@
    echo 'package local:guest; world guest { include koi:service/handler@0.2.0;'
@END@
@IF tcp@
    echo 'import wasi:sockets/instance-network@0.2.0; import wasi:sockets/tcp-create-socket@0.2.0;'
    echo 'import wasi:clocks/monotonic-clock@0.2.0;'
@END@
    echo '}'
    sed 's/^\(package koi:service@.*\);$/\1 {/' wit/koi-service.wit
    echo '}'
@IF tcp@
    cat wit/wasi/io.wit wit/wasi/tcp.wit
@END@
} >target/guest.wit
@IF http@
# This engine has fetch. fetch-event is for answering requests; http, for making them, stays.
componentize-js handler.js --wit target/guest.wit --world-name guest --disable fetch-event --out "$out"
@ELSE@
# --sync: calls of koi:service are plain calls. Not --stub-wasi: it would save no grant, and silence what the engine says when it traps.
componentize-qjs --wit target/guest.wit --world guest --js handler.js --sync --output "$out"
@END@
