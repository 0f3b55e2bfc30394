#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Python 3.10 or newer; the rest is what requirements.txt says.
# With the word `bindings` it writes the modules that app.py imports to target/bindings instead, for an editor to look into.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"

missing() {
    echo "build.sh: $1" >&2
    exit 3
}

PATH=$PWD/.venv/bin:$PATH
if ! command -v componentize-py >/dev/null || ! command -v wasm-tools >/dev/null; then
    # Who builds many handlers at once brings tools along, and wants nothing installed in passing.
    [ -z "${KOI_TOOLS:-}" ] || missing "componentize-py or wasm-tools is not there: pip install -r requirements.txt"
    python3 -c 'import ensurepip' 2>/dev/null || missing "Python with venv is not there: apt install python3-venv"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
fi
mkdir -p target
# The world of this handler: koi's, and what it takes of WASI besides what Python's library does.
{
@IF exec@
    echo 'package local:guest; world guest { include koi:service/handler-exec@0.2.0;'
@ELSE@
    echo 'package local:guest; world guest { include koi:service/handler@0.2.0;'
@END@
@IF http@
    echo 'import wasi:http/outgoing-handler@0.2.0;'
@END@
    echo '}'
    sed 's/^\(package koi:service@.*\);$/\1 {/' wit/koi-service.wit
    echo '}'
@IF http@
    cat wit/wasi/io.wit wit/wasi/http.wit
@END@
} >target/guest.wit
if [ "${1:-}" = bindings ]; then
    rm -rf target/bindings
    exec componentize-py -d target/guest.wit -w guest bindings target/bindings
fi
rm -f "$out" "$out.minisig" # A build that fails must not leave an old one behind, nor one that succeeds an old signature.
# Without its own backtrace the tool says in a few lines what is wrong with app.py.
RUST_BACKTRACE=0 componentize-py --quiet -d target/guest.wit -w guest componentize -p src app -o target/app.wasm

# Python's library asks for all of WASI. What needs no grant stays: print, the clocks, random numbers, files (as far as granted).
# Sockets would have to be granted, used or not, so these interfaces are replaced by functions that trap. README.md
# says what to change to have them.
@IF tcp@
no_sockets='udp.*|ip-name-lookup' # TCP stays.
@ELSE@
no_sockets='.*'
@END@
rm -rf target/wit
wasm-tools component wit target/app.wasm --out-dir target/wit >/dev/null
imports=$(sed -nE "s#^ *import (wasi:sockets/($no_sockets)@.*)#export \1#p" target/wit/component.wit)
[ -n "$imports" ] || { cp target/app.wasm "$out"; exit; } # All sockets are wanted.
echo "package root:component; world no-sockets { $imports }" >target/wit/component.wit
wasm-tools component embed target/wit --world no-sockets --dummy -o target/no-sockets.core.wasm
wasm-tools component new target/no-sockets.core.wasm -o target/no-sockets.wasm
wasm-tools compose --quiet target/app.wasm -d target/no-sockets.wasm -o "$out"
