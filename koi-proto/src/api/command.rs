//! Commands of operators, and their answer.

use serde::{Deserialize, Serialize};

use super::group::Scope;

/// `POST /v1/promote`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Promote {
    /// Name or UUID.
    pub node: String,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Of which group.
    #[serde(flatten)]
    pub scope: Scope,
}

/// `POST /v1/fence`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fence {
    /// Name or UUID.
    pub node: String,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// A command for one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnNode {
    /// Name or UUID; none: the node that is asked.
    pub node: Option<String>,
    /// Of which group, for `start`, `stop` and `recover`.
    #[serde(flatten)]
    pub scope: Scope,
}

/// `POST /v1/reconfigure`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reconfigure {
    /// Name or UUID; none: the node that is asked.
    pub node: Option<String>,
    /// How long the answer may wait for plugins to be loaded; none: as long as most clients wait for any answer. What takes longer goes
    /// on after the answer.
    pub wait_ms: Option<u64>,
}

/// `POST /v1/maintenance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Maintenance {
    /// On or off.
    pub on: bool,
}

/// A command that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// What was done, or would be, a sentence for people.
    pub message: String,
    /// What was done one by one, or would be.
    pub steps: Vec<String>,
    /// What is to be known besides, a sentence each: what did not come along, and why.
    pub notes: Vec<String>,
    /// Something that was meant did not come along: the notes say what.
    pub refused: bool,
    /// Something is still being done: the notes say what.
    pub pending: bool,
}
