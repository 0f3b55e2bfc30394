//! Who votes, and how that is changed.

use serde::{Deserialize, Serialize};

use super::word::words;

/// `GET /v1/electors`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Electors {
    /// The members, and the nodes that are configured to vote and are none, by name.
    pub electors: Vec<Elector>,
    /// How many of them must agree; zero: quorum is off.
    pub quorum: u16,
}

/// An elector, or a node that could become one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Elector {
    /// Its name; its UUID, if nobody has heard it.
    pub name: String,
    /// Its UUID.
    pub id: String,
    /// Its part in the membership.
    pub membership: Membership,
    /// It is heard from now.
    pub there: bool,
}

/// `POST /v1/electors`: one of `add`, `remove`, or `replace` with `by`. Nodes are called by name or UUID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ElectorsChange {
    /// This node, which answers and is no elector, becomes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<String>,
    /// This elector is none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<String>,
    /// This elector gives its place to `by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<String>,
    /// The node that takes the place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// `POST /v1/bootstrap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bootstrap {
    /// Only say with which electors.
    pub dry_run: bool,
    /// Only with electors of these names, as the steps of a dry run named them. Empty: with whichever are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub electors: Vec<String>,
}

words! {
    /// A node's part in the membership (R13).
    pub enum Membership {
        /// It votes.
        Member = "member",
        /// It is to become a member, and votes already.
        Joining = "joining",
        /// It is to be a member no more, and votes until then.
        Leaving = "leaving",
        /// It is configured to vote, and does not.
        Outside = "outside",
        /// It votes by the configuration: the record has no members yet.
        Configured = "configured",
    }
}
