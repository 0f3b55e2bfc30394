//! WebAssembly components as handlers.
//!
//! `load` makes code of a component: compiled (in a process of its own) or out of the cache, and asked what it is. `run` runs its
//! hooks, each in a fresh instance on threads of their own, until it returns or its time is over. `capabilities` is what a guest
//! may use of the node.

mod bindings;
pub(crate) mod capabilities;
mod engine;
pub(crate) mod load;
pub(crate) mod run;

pub(crate) use load::compile::process as compile_process;
