//! The fence of another node (rule R12): what the record says of it, what is to be done, and what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::types::{Epoch, NodeId, Session, Term, span};

/// A node is to be turned off. It stands in the record before anything is done, and until that is over.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FenceIntent {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// The newest run of it that the leader knew. The word of its fence counts for no later one.
    #[n(1)]
    pub session: Session,
    /// The masterships that are over once the node is off; at most [`crate::limits::GROUPS`]. No other one is.
    #[n(2)]
    pub epochs: BTreeSet<Epoch>,
    /// How long it may take. A later leader waits for as long before it takes it for over.
    #[n(3)]
    #[cbor(with = "span")]
    pub limit: Duration,
    /// The term of the leader that began it. In no other term its success counts.
    #[n(4)]
    pub term: Term,
    /// Grows with each fence of that term.
    #[n(5)]
    pub number: u64,
    /// What the node is called: the configuration says by it how to turn it off. Of another name nothing is freed.
    #[n(6)]
    pub name: String,
}

impl FenceIntent {
    /// What it is called.
    pub fn id(&self) -> FenceId {
        FenceId { term: self.term, number: self.number }
    }
}

/// Names a fence; unique in a cluster with quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FenceId {
    /// The term of the leader that began it.
    pub term: Term,
    /// Its number in that term.
    pub number: u64,
}

/// A node is to be turned off now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceRun {
    /// Names it.
    pub id: FenceId,
    /// The node's name: the configuration says by it how to turn it off.
    pub name: String,
    /// After this it has failed.
    pub limit: Duration,
}

/// What came of a fence. Nothing of it runs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceOutcome {
    /// The node was turned off, and was seen to be off after that.
    Off,
    /// Nobody knows whether it is off; why, in a sentence.
    Failed(String),
}
