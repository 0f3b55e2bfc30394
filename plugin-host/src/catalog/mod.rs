//! The plugins that are known, and the handlers that services have of them.
//!
//! `sources` knows where plugins come from and whose signatures count; `files` reads a plugin's file, `blobs` keeps a copy of it,
//! `load_pool` loads several at a time, and `loaded_plugin` is what comes of one. `open` makes a service's handler of it, and `handler_snapshot` is what it takes to make that handler again.
//! `departed` removes what services have left that are gone. `grants_section` is what an operator may grant it.

pub(crate) mod blobs;
mod departed;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod grants_section;
pub(crate) mod handler_snapshot;
mod in_progress;
pub(crate) mod load_pool;
pub(crate) mod loaded_plugin;
pub(crate) mod open;
pub(crate) mod registry;
pub(crate) mod sources;
