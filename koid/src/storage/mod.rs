//! What survives a restart: the state folder.

pub(crate) mod envelope;
pub(crate) mod error;
pub(crate) mod folder;
pub(crate) mod identity;
pub(crate) mod state_file;
pub(crate) mod store;
pub(crate) mod writer;
