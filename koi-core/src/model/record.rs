//! The one small replicated record (rule R4), and what an elector must find again after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::types::{Epoch, NodeId, Session, Term, Version, span};

/// What the cluster agrees on. Only a leader changes it; a change counts when a quorum has it on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// Which version this is.
    #[n(0)]
    pub version: Version,
    /// Who is master.
    #[n(1)]
    pub master: Option<MasterEntry>,
    /// The node that an operator wants as master and that is not yet.
    #[n(2)]
    pub target: Option<NodeId>,
    /// No master is chosen until an operator says `promote` or `elect`.
    #[n(3)]
    pub manual: bool,
    /// No hook runs anywhere, nobody is elected or demoted.
    #[n(4)]
    pub maintenance: bool,
    /// Runners that an operator has stopped; at most [`crate::limits::STOPPED`].
    #[n(5)]
    pub stopped: BTreeSet<NodeId>,
    /// The newest epoch ever given.
    #[n(6)]
    pub last_epoch: Epoch,
    /// The electors, by id (R13); at most [`crate::limits::MEMBERS`]. In force before the record counts. Empty: quorum is off, or the
    /// record is from before R13.
    #[n(7)]
    #[cbor(default)]
    pub members: BTreeSet<NodeId>,
    /// The change of the members that is under way. While it stands every quorum is one of the members before and of those after.
    #[n(8)]
    pub change: Option<MemberChange>,
    /// The newest epoch under which all critical services were promoted by their hooks, as the master has told; none: none is known. A leader from before this
    /// field drops it, and it is known again with the next mastership.
    #[n(9)]
    pub promoted: Option<Epoch>,
    /// The mastership before this one; while there is none, the last. Dropped as [`Record::promoted`] is.
    #[n(10)]
    pub previous: Option<PastMastership>,
}

/// A mastership that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PastMastership {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its number.
    #[n(1)]
    pub epoch: Epoch,
}

/// One elector more, one less, or one in another's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MemberChange {
    /// Becomes a member.
    #[n(0)]
    pub add: Option<NodeId>,
    /// Is none any more.
    #[n(1)]
    pub remove: Option<NodeId>,
}

impl Record {
    /// The mastership ends, and is the previous one now.
    pub fn end_mastership(&mut self) {
        if let Some(MasterEntry { node, epoch, .. }) = self.master.take() {
            self.previous = Some(PastMastership { node, epoch });
        }
    }

    /// The members when the change that is under way has ended.
    pub fn members_after(&self) -> BTreeSet<NodeId> {
        let MemberChange { add, remove } = self.change.unwrap_or_default();
        self.members.iter().copied().filter(|id| Some(*id) != remove).chain(add).collect()
    }

    /// Whether `node` is a member, before or after the change that is under way. Meaningless while there are no members.
    pub fn has_member(&self, node: NodeId) -> bool {
        self.members.contains(&node) || self.change.is_some_and(|change| change.add == Some(node))
    }

    /// Whether this record replaces `other`: the newer version does, but no record without members replaces one that has some (R13).
    pub fn supersedes(&self, other: &Record) -> bool {
        let loses_members = self.members.is_empty() && !other.members.is_empty();
        self.version > other.version && !loses_members
    }
}

/// A mastership: a session of a node, not the node, holds it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MasterEntry {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// The run of its daemon.
    #[n(1)]
    pub session: Session,
    /// The fencing token.
    #[n(2)]
    pub epoch: Epoch,
    /// `M+g` under which it was given: how long after the last basis it may still be promoted.
    #[n(3)]
    #[cbor(with = "span")]
    pub hold: Duration,
    /// The node may be acting on a version with maintenance on, and so may stay promoted without a lease (R6).
    #[n(4)]
    pub in_maintenance: bool,
    /// The node could not stop what it had promoted (R7).
    #[n(5)]
    pub unclean: bool,
    /// The node's name, for scripts and people.
    #[n(6)]
    pub name: String,
}

/// What a node has on disk. Written whole; read at the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Durable {
    /// The newest term that this elector has taken part in.
    #[n(0)]
    pub term: Term,
    /// Whom it voted for in that term.
    #[n(1)]
    pub vote: Option<(NodeId, Session)>,
    /// The newest record that it has taken; the leader may not count it yet.
    #[n(2)]
    pub record: Record,
    /// The newest record that counts, as far as this node knows: the one that it acts on.
    #[n(3)]
    pub applied: Record,
    /// The longest leader lease that it has promised: how long an unknown promise may still hold after a restart.
    #[n(4)]
    #[cbor(with = "span")]
    pub promised_lease: Duration,
    /// Where this elector's knowledge comes from (R10).
    #[n(5)]
    pub origin: StateOrigin,
    /// Set before anything is promoted, cleared when nothing is any more. Found at a start, it means that the last run
    /// did not end cleanly and that something may still be promoted (R8).
    #[n(6)]
    pub held: Option<Epoch>,
    /// The newest term whose leader it has followed. Whoever is no member measures leaders by it (R13).
    #[n(7)]
    #[cbor(default)]
    pub followed: Term,
    /// The names of electors as it heard them last, for people: at most [`crate::limits::NODES`].
    #[n(8)]
    #[cbor(default)]
    pub names: BTreeMap<NodeId, String>,
    /// Another machine has this node's id, and is older: this one takes part in nothing.
    #[n(9)]
    pub mute: Option<Session>,
}

/// What an elector's state on disk is worth (R10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum StateOrigin {
    /// Nothing on disk: it neither votes nor leads.
    #[default]
    #[n(0)]
    Empty,
    /// Begins a new cluster with the members in its record, and has taken no record from a leader yet.
    #[n(1)]
    Founder,
    /// Has taken a record from a leader.
    #[n(2)]
    Member,
}

impl Durable {
    /// What is left of a state that was restored from a backup: it may have voted and acknowledged since, and begins as an elector without
    /// state (R10). What it was may still be promoted.
    pub fn after_restore(&self) -> Durable {
        Durable { held: self.held, names: self.names.clone(), ..Durable::default() }
    }
}
