#!/bin/sh
# Builds handler.wasm, or the file that is named. Needs Rust with the target wasm32-wasip2 (rustup target add wasm32-wasip2); or, on
# Debian, rustc-web and rust-web-src beside a Rust of rustup, whose linker makes the component.
set -eu
case "${1:-handler.wasm}" in /*) out=$1 ;; *) out=$PWD/${1:-handler.wasm} ;; esac
cd "$(dirname "$0")"
rm -f "$out" "$out.minisig" # A build that fails must not leave an old one behind, nor one that succeeds an old signature.

command -v cargo >/dev/null || { echo "build.sh: cargo is not there: install Rust, https://rustup.rs" >&2; exit 3; }
sysroot=$(rustc --print sysroot)
library=$(ls -d /usr/src/rustc-*/library 2>/dev/null | tail -n 1)
if [ -d "$sysroot/lib/rustlib/wasm32-wasip2" ]; then
    echo "build.sh: with the target wasm32-wasip2" >&2
    set -- --target wasm32-wasip2
elif [ -n "$library" ] && [ -e /usr/share/doc/rustc-web ]; then
    echo "build.sh: with Debian's rustc-web, for want of the target wasm32-wasip2 (rustup target add wasm32-wasip2): std::fs and std::net do not work in it, koi_sdk::tcp and koi_sdk::http do" >&2
    [ -d target/wasm32-unknown-unknown ] || echo "build.sh: the first time takes a minute or two" >&2
    # Debian's compiler goes with Debian's library source; the standard library is built along, which only nightly may by default.
    bin=$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
    export RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc __CARGO_TESTS_ONLY_SRC_ROOT="$library"
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$bin/wasm-component-ld"
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-Clink-arg=--wasm-ld-path=$bin/gcc-ld/wasm-ld"
    set -- --target wasm32-unknown-unknown -Z build-std=std,panic_abort
else
    echo "build.sh: rustup target add wasm32-wasip2 (or on Debian: apt install rustc-web rust-web-src)" >&2
    exit 3
fi
# Cargo says what it has built, and where.
built=$(cargo build --quiet --release "$@" --message-format=json-render-diagnostics |
    sed -n 's/.*"filenames":\["\([^"]*\.wasm\)".*/\1/p' | tail -n 1)
[ -n "$built" ] || exit 1
cp "$built" "$out"
