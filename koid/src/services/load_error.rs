//! What is wrong with services and plugins, for whoever has asked for a reload.

use std::collections::BTreeSet;
use std::fmt;

use super::retained::{GOES_ON, RetainReason};

/// A service that cannot run as its folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceLoadError {
    /// Its name.
    pub(crate) service: String,
    pub(crate) why: ServiceLoadErrorReason,
}

/// Why it cannot. Shown, it is the rest of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceLoadErrorReason {
    /// It could not be started, and why.
    CannotRun(String),
    /// It goes on as it was.
    Retained(RetainReason),
}

impl fmt::Display for ServiceLoadErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceLoadErrorReason::CannotRun(why) => write!(f, "cannot run: {why}"),
            ServiceLoadErrorReason::Retained(why) => write!(f, "{GOES_ON}: {why}"),
        }
    }
}

/// A plugin's file that cannot be used, or was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginLoadError {
    /// What is wrong with it. It names the file.
    pub(crate) why: String,
    /// The services that cannot run for want of it. None, if an earlier version of it is in force.
    pub(crate) blocks: BTreeSet<String>,
}
