//! Who else runs a group: what the leader tells its runners of one another. Nothing is decided from it; hooks are told.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

use crate::group::GroupName;
use crate::types::{NodeId, NodeState, Term, address};

/// A node that runs a group, as the leader knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct RosterEntry {
    /// Which.
    #[n(0)]
    pub node: NodeId,
    /// Its name, at most [`crate::limits::NAME_BYTES`].
    #[n(1)]
    pub name: String,
    /// How it is; [`NodeState::Disconnected`]: it is not heard, or its daemon has ended.
    #[n(2)]
    pub state: NodeState,
    /// It could be made master now.
    #[n(3)]
    pub promotable: bool,
    /// Its preference among candidates, by its services' own word; none: they have said nothing.
    #[n(4)]
    pub score: Option<i64>,
    /// Where it is reached, by its own word; none: unknown.
    #[n(5)]
    #[cbor(default, with = "address")]
    pub address: Option<IpAddr>,
}

impl RosterEntry {
    /// The same node when it is not heard any more.
    pub(crate) fn disconnected(&self) -> RosterEntry {
        RosterEntry { state: NodeState::Disconnected, promotable: false, score: None, ..self.clone() }
    }
}

/// What a runner is told of one of its groups: a part of a picture of all of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RosterPart {
    /// The leader's term.
    #[n(0)]
    pub term: Term,
    /// Of which picture this is a part. A runner that has the whole of it says so in its reports. Never 0.
    #[n(1)]
    pub picture: u32,
    /// The number of this part, from 0.
    #[n(2)]
    pub part: u16,
    /// How many parts the picture has: one for each group.
    #[n(3)]
    pub parts: u16,
    /// The group.
    #[n(4)]
    pub group: GroupName,
    /// Its nodes, the one that is told among them; at most [`crate::limits::NODES`].
    #[n(5)]
    pub nodes: Vec<RosterEntry>,
}
