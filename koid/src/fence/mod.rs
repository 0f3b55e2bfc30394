//! Turning other nodes off (R12): what the core orders is done by an agent or a command of the configuration.

pub(crate) mod device;
pub(crate) mod executor;
mod password;
pub(crate) mod trial;
