//! Runs the hooks that the core asks for.

pub(crate) mod attributes;
pub(crate) mod call;
pub(crate) mod call_log;
pub(crate) mod context;
pub(crate) mod details;
pub(crate) mod drilled;
pub(crate) mod executor;
pub(crate) mod handlers;
mod hidden_token;
pub(crate) mod identity;
pub(crate) mod process_groups;
pub(crate) mod processes;
pub(crate) mod repeated_lines;
pub(crate) mod statistics;
