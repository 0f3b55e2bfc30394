//! The services folder: what lies in it, who handles it, and what changes.

pub(crate) mod plugins;
pub(crate) mod settling;
pub(crate) mod teardown_manifest;
pub(crate) mod watch;
