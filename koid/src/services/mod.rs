//! The folders of services, one for each group: what lies in them, who handles it, and what changes.

pub(crate) mod discovery;
pub(crate) mod load_error;
pub(crate) mod plugins;
pub(crate) mod protected;
pub(crate) mod retained;
pub(crate) mod scan;
pub(crate) mod scan_requests;
pub(crate) mod scan_results;
pub(crate) mod settling;
pub(crate) mod teardown_manifest;
pub(crate) mod watch;
