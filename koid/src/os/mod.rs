//! What only the operating system can do.

pub(crate) mod fence;
pub(crate) mod restarts;
pub(crate) mod sys;
