//! What wasmtime makes of `wit/koi-service.wit` and of the version before it, `wit/0.1/koi-service.wit`: the traits that the host
//! implements and the calls that a guest answers.
//!
//! Of each the world with `exec` is taken; components of the smaller one fit it too.

#![allow(missing_docs, unreachable_pub, clippy::all)]

/// `koi:service@0.2`.
pub(crate) mod v0_2 {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "handler-exec",
        imports: { default: async },
        exports: { default: async },
    });
}

/// `koi:service@0.1`.
pub(crate) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../wit/0.1",
        world: "handler-exec",
        imports: { default: async },
        exports: { default: async },
    });
}
