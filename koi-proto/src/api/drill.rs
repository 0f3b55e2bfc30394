//! Drills: faults that are brought about on purpose, and what is written down of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::group::Group;
use super::word::words;

/// koid kills itself so long after it has answered [`DrillAction::Crash`]: the answer is on its way by then.
pub const CRASH_AFTER: Duration = Duration::from_millis(100);

/// `POST /v1/drill`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drill {
    /// Name or UUID; none: the node that is asked.
    pub node: Option<String>,
    /// What is to be done there.
    pub action: DrillAction,
    /// For `begin` and `end`: what is written into the node's events, at most 1000 characters.
    pub message: String,
    /// For `begin` and `end`: the group that it is about.
    #[serde(skip_serializing_if = "Group::is_main")]
    pub group: Group,
    /// For `end`: it did not go as it should.
    pub amiss: bool,
    /// For `fail-status`: which service.
    pub service: Option<String>,
}

words! {
    /// What is done for a drill.
    pub enum DrillAction {
        /// An event says that it begins.
        Begin = "begin",
        /// An event says what came of it. No status is counted as failed any more.
        End = "end",
        /// The service's next statuses are counted as failed, as many as its `[policy]` takes for a failure.
        FailStatus = "fail-status",
        /// koid kills itself with SIGKILL, [`CRASH_AFTER`] the answer. Refused where nothing is known that starts it again.
        Crash = "crash",
    }
}
