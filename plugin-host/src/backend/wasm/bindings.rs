//! What wasmtime makes of `wit/koi-service.wit`: the traits that the host implements and the calls that a guest answers.
//!
//! The world with `exec` is taken; components of the smaller one fit it too.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "handler-exec",
    imports: { default: async },
    exports: { default: async },
});
