//! Runs the hooks that the core asks for.

pub(crate) mod details;
pub(crate) mod executor;
pub(crate) mod repeated_lines;
