//! Reasons of the end of a mastership, of a target, of a leadership.

use crate::group::GroupName;
use crate::types::{NodeState, Term};

/// Why a node is not to be master, or not an operator's target, any longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It is not heard from.
    NotThere,
    /// Its daemon is stopping.
    Stopping,
    /// An operator has stopped its services.
    StoppedByHand,
    /// It has failed.
    Failed {
        /// What its report says.
        reason: String,
    },
    /// Another node was chosen by an operator.
    OtherTarget {
        /// The target.
        node: String,
    },
    /// An operator has demoted it.
    DemotedByHand,
    /// It is promoted nowhere, and says that it cannot promote anything.
    CannotPromote {
        /// What its report says.
        why: String,
    },
    /// Its services cannot be promoted.
    NotPromotable {
        /// Its state.
        state: NodeState,
    },
    /// It is to be fenced, for what it could not stop of another group.
    ToBeFenced,
    /// The record names it no more.
    Released,
    /// Another node is preferred to it, and has been ready for long enough (R15).
    Preferred {
        /// The other.
        node: String,
    },
    /// Its preference is 0: it is never made master (R15).
    NeverHere,
    /// The group that this one goes together with is not, or does not stay, where it is (R15).
    GoesTogether {
        /// That group.
        with: GroupName,
    },
}

impl DropReason {
    /// It is about where the group's master is to be (R15), and its node has done nothing.
    pub(crate) fn is_of_place(&self) -> bool {
        matches!(self, DropReason::Preferred { .. } | DropReason::NeverHere | DropReason::GoesTogether { .. })
    }
}

/// Why a leader leads no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepDownReason {
    /// No quorum acknowledges its heartbeats (R3).
    NoQuorum,
    /// Another node leads in the same term or a later one.
    OtherLeader {
        /// The other.
        node: String,
        /// Its term.
        term: Term,
    },
    /// It does not vote any longer, by its configuration or by the record (R13).
    NoElector,
    /// Its leader lease was changed, and electors have promised the old one.
    LeaseChanged,
    /// Nobody has sent the attributes that the newest record of its voters names (R16).
    AttributesMissing,
    /// Another machine has its id.
    IdNotUnique,
    /// Its daemon is stopping (R11).
    Stopping,
    /// It could not stop what it had promoted: another leader fences it (R12).
    ToBeFenced,
}

/// Why a node is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceCause {
    /// It could not stop what it had promoted (R7).
    Unclean,
    /// It was master, and went silent in maintenance mode (R6).
    LostInMaintenance,
    /// An operator wants it.
    ByHand,
}
