//! Plugins: the list of them, and all that is known of one.

pub(crate) mod detail;
pub(crate) mod list;
pub(crate) mod signature;
pub(crate) mod statistics;
