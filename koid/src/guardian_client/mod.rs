//! koid's side of the guardian (rule R8).

pub(crate) mod client;
pub(crate) mod protocol;
