#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs clang for WebAssembly, a C library for it, make and wasm-component-ld:
#   Debian:   apt install make clang-19 lld-19 libclang-rt-19-dev-wasm32 wasi-libc; wasm-component-ld comes with Rust (rustup)
#   anywhere: wasi-sdk has all of them; WASI_SDK_PATH says where it lies
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"
rm -f "$out" "$out.minisig" # A build that fails must not leave an old one behind, nor one that succeeds an old signature.

missing() {
    echo "build.sh: $1" >&2
    exit 3
}

command -v make >/dev/null || missing "make is not there: apt install make"
if [ -n "${WASI_SDK_PATH:-}" ]; then
    set -- CC="$WASI_SDK_PATH/bin/clang" COMPONENT_LD="$WASI_SDK_PATH/bin/wasm-component-ld" \
        SYSROOT="$WASI_SDK_PATH/share/wasi-sysroot"
else
    for name in clang-19 clang; do clang=$(command -v $name) && break; done || missing "clang is not there: apt install clang-19"
    [ -e /usr/lib/wasm32-wasi/libc.a ] || missing "the C library is not there: apt install wasi-libc libclang-rt-19-dev-wasm32"
    linker=$(command -v wasm-component-ld) || {
        host=$(rustc -vV 2>/dev/null | sed -n 's/^host: //p')
        linker=$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$host/bin/wasm-component-ld
    }
    [ -x "$linker" ] || missing "wasm-component-ld is not there: it comes with Rust (https://rustup.rs) and with wasi-sdk"
    set -- CC="$clang" COMPONENT_LD="$linker"
fi
make --silent OUT="$out" "$@"
