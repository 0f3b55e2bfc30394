//! Directories that a guest may read or change, and those that it never may.

pub(crate) mod directory;
pub(crate) mod protected;
