//! What a guest may use of the node, and what every guest may call.

mod exec;
pub(crate) mod grants;
pub(crate) mod host_functions;
pub(crate) mod output;
pub(crate) mod state;
mod state_interface;
pub(crate) mod wasi;
