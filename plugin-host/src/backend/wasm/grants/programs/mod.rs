//! Programs that a guest may run.

pub(crate) mod launchers;
pub(crate) mod program;
