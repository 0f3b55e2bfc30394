//! What survives a restart: the state folder.

pub(crate) mod envelope;
pub(crate) mod identity;
pub(crate) mod store;
pub(crate) mod writer;
