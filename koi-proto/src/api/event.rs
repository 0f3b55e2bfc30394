//! What happens on a node.

use serde::{Deserialize, Serialize};

use super::group::Group;
use super::status::ServiceState;
use super::word::words;

/// Something that happened on the asked node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Grows by one with each event of this run of the daemon.
    pub number: u64,
    /// Milliseconds since 1970, by the wall clock.
    pub at_ms: u64,
    /// The node that says so.
    pub node: String,
    /// What kind: `leader-elected`, `hook-finished`, ….
    pub kind: String,
    /// A sentence for people. It names the service, if there is one.
    pub message: String,
    /// How grave it is.
    pub level: EventLevel,
    /// The group that it is about; `main` where it is about none.
    pub group: Group,
    /// The service it is about.
    pub service: Option<String>,
    /// The state that the service is in from now on; none: the event is no change of it, or an older koid does not say.
    pub state: Option<ServiceState>,
}

words! {
    /// How grave an event is.
    pub enum EventLevel {
        /// Nothing is amiss.
        Info = "info",
        /// Somebody should look at it.
        Warning = "warning",
        /// Something failed.
        Error = "error",
    }
}
