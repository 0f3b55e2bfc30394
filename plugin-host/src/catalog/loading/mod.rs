//! From a plugin's file to its code.

pub(crate) mod in_progress;
pub(crate) mod load_pool;
pub(crate) mod loaded_plugin;
