//! What a component may import, and what koid or the machine does for it.

mod attributes;
mod exec;
pub(super) mod host_functions;
pub(super) mod http;
mod names;
mod older;
pub(super) mod output;
mod state;
pub(super) mod tls;
pub(super) mod wasi;
