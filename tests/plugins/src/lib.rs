//! Handlers of all kinds in clusters of real daemons, and what a hook of each costs.
//!
//! `guests` makes components of WebAssembly text, `examples` finds what
//! `plugins/examples/build` has built and `world` what they look after, and `peace` sees that nobody but the culprit suffers.
//! `redis` runs servers, and `ledger` keeps what they said to clients; `netns` is a network of nodes and clients that see an
//! address move.

#![forbid(unsafe_code)]

pub mod examples;
pub mod ledger;
pub mod netns;
pub mod peace;
pub mod plugins;
pub mod redis;
pub mod world;

/// The kit's other half runs hooks by a program of its own crate's tests; nobody here does, and cargo names it only there.
macro_rules! env {
    ("CARGO_BIN_EXE_koi-plugin-helper") => {
        "koi-plugin-helper"
    };
}
#[path = "../../../plugin-host/tests/guests/mod.rs"]
#[allow(clippy::unwrap_used, clippy::new_without_default, missing_docs, reason = "it is part of tests")]
pub mod guests;
