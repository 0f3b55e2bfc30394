//! What people and systemd are told.

pub(crate) mod events;
pub(crate) mod log;
pub(crate) mod log_line;
pub(crate) mod log_outputs;
pub(crate) mod say;
pub(crate) mod systemd;
pub(crate) mod throttle;
pub(crate) mod waiting;
