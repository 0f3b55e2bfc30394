//! Attributes of groups (R16), as this node acts on them: who reads them, and who may write them.

pub(crate) mod board;
pub(crate) mod call;
pub(crate) mod live_calls;
pub(crate) mod store;
