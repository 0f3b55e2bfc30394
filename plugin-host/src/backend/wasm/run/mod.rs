//! One call of a guest: its instance, its limits, its time, its result.

pub(crate) mod convert;
pub(crate) mod deadline;
pub(crate) mod guest;
pub(crate) mod handler;
pub(crate) mod limits;
pub(crate) mod runtime;
pub(crate) mod trap;
