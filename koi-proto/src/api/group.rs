//! Groups: sets of services that are promoted together, each with a master of its own.

use std::fmt;
use std::str::FromStr;

use koi_core::group::{GroupName, NotAGroupName};
use serde::{Deserialize, Serialize};

use super::attribute::AttributesState;
use super::status::{NodeAction, NodeState};
use super::waiting::Waiting;

/// The name of a group. It is `main` where none is said: an older koid knows no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Group(String);

impl Group {
    /// Whether it is `main`, the services folder.
    pub fn is_main(&self) -> bool {
        self.0 == GroupName::MAIN.as_str()
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Group {
    fn default() -> Group {
        Group::from(&GroupName::MAIN)
    }
}

impl From<&GroupName> for Group {
    fn from(name: &GroupName) -> Group {
        Group(name.to_string())
    }
}

impl FromStr for Group {
    type Err = NotAGroupName;

    fn from_str(text: &str) -> Result<Group, NotAGroupName> {
        text.parse::<GroupName>().map(|name| Group::from(&name))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// For which group a command is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// The group; none: `main`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Where no group is named: refuse it if there are several, instead of taking `main`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sole_group: bool,
}

impl Scope {
    /// What a person says who names this group, or none.
    pub fn named(group: Option<&Group>) -> Scope {
        Scope { group: group.cloned(), sole_group: group.is_none() }
    }

    /// Where a command is asked for. A koid that knows no groups has no such path for any but `main`, and so does nothing.
    pub fn path(&self, verb: &str) -> String {
        match self.group.as_ref().filter(|group| !group.is_main()) {
            Some(group) => format!("/v1/groups/{group}/{verb}"),
            None => format!("/v1/{verb}"),
        }
    }
}

/// A group, as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupStatus {
    /// Its name.
    pub name: Group,
    /// The master's name.
    pub master: Option<String>,
    /// The name of the node that is wanted as master and is not yet.
    pub target: Option<String>,
    /// The number of its newest mastership; zero: it has had none, as far as is known.
    pub epoch: u64,
    /// No master is chosen until an operator says so.
    pub manual: bool,
    /// What it waits for before the next step. Of `main` it is what the cluster waits for.
    pub waiting: Vec<Waiting>,
    /// The name of the node that would be master next; none: nobody could.
    pub takeover: Option<String>,
    /// What its attributes say; none: it has none, or an older koid does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<AttributesState>,
}

/// A group on one of the nodes that run it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupOnNode {
    /// Its name.
    pub name: Group,
    /// How the node is as far as the group goes.
    pub state: NodeState,
    /// An operator has stopped it there.
    pub stopped: bool,
    /// What the node is doing with its services; none: it did not say.
    pub action: Option<NodeAction>,
    /// Why it has failed there, or what it waits for.
    pub message: String,
    /// Milliseconds until it tries again by itself after a failure; none: it does not.
    pub recovers_in_ms: Option<u64>,
    /// Milliseconds that the node's lease on its mastership lasts; none: it has none, or did not say.
    pub lease_ms: Option<u64>,
    /// The mastership that the node holds.
    pub epoch: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::super::{Event, OnNode, Promote, ServiceStatus, Status};
    use super::*;

    #[test]
    fn what_an_older_koid_says_is_of_main() {
        let event: Event = serde_json::from_str(r#"{"node":"a"}"#).unwrap();
        let service: ServiceStatus = serde_json::from_str(r#"{"name":"vip"}"#).unwrap();
        assert!(event.group.is_main() && service.group.is_main());
        let status: Status = serde_json::from_str(r#"{"cluster":{},"nodes":[{}]}"#).unwrap();
        assert!(status.groups.is_empty() && status.nodes[0].groups.is_empty());
    }

    #[test]
    fn what_an_older_client_asks_for_is_for_main_and_nothing_is_added_to_it() {
        let json = r#"{"node":"b","dry_run":false}"#;
        let promote: Promote = serde_json::from_str(json).unwrap();
        assert_eq!(promote.scope, Scope::default());
        assert_eq!(serde_json::to_string(&promote).unwrap(), json);
        assert_eq!(promote.scope.path("promote"), "/v1/promote");
    }

    #[test]
    fn a_command_for_another_group_has_a_path_that_no_older_koid_has() {
        let web: Group = "web".parse().unwrap();
        let stop = OnNode { node: None, scope: Scope::named(Some(&web)) };
        assert_eq!(serde_json::to_value(&stop).unwrap(), serde_json::json!({ "node": null, "group": "web" }));
        assert_eq!(stop.scope.path("stop"), "/v1/groups/web/stop");
        assert_eq!(Scope::named(Some(&Group::default())).path("stop"), "/v1/stop");
        assert!(Scope::named(None).sole_group);
        assert!("a b".parse::<Group>().is_err());
    }
}
