//! Who leads: how a cluster begins, who is elected, and who the electors are.

use std::collections::BTreeMap;

use crate::elector::election::Ballot;
use crate::types::{NodeId, Term};

mod campaign;
mod electors;
mod founding;
mod voting;

/// What a vote means for the leader's side.
#[derive(Clone, Debug)]
pub(crate) enum VoteOutcome {
    /// Nothing yet.
    Nothing,
    /// A quorum has voted for this node.
    Won { term: Term, votes: BTreeMap<NodeId, Ballot> },
    /// The own vote for a term that this leader claims again (R11).
    OwnReclaim { term: Term, ballot: Ballot },
    /// Another's vote for it.
    Reclaim { from: NodeId, term: Term, ballot: Ballot },
}
