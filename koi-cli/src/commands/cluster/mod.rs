//! Commands that ask a daemon.

pub(crate) mod attr;
pub(crate) mod chronicle;
pub(crate) mod drill;
pub(crate) mod electors;
pub(crate) mod events;
pub(crate) mod fence;
pub(crate) mod operate;
pub(crate) mod promote;
pub(crate) mod promotion;
pub(crate) mod show;
mod signals;
pub(crate) mod wait;
pub(crate) mod watch;
