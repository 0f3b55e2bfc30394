//! What a leader remembers for the places of one group (R15): since when nodes are ready, where its master moves for a preference, and which
//! mastership had to end for its place.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{Epoch, NodeId, Session, Time};

/// The same. It is the leader's alone: the next one counts anew, and a move that was under way is decided about again.
#[derive(Clone, Debug, Default)]
pub(crate) struct PreferenceMoves {
    /// Runs that could be master, and since when.
    ready: BTreeMap<(NodeId, Session), Time>,
    moving_to: Option<NodeId>,
    displaced: Option<Epoch>,
}

impl PreferenceMoves {
    /// These runs could be master now; whoever could not begins anew.
    pub(crate) fn note_ready(&mut self, ready: impl Iterator<Item = (NodeId, Session)>, now: Time) {
        let since = |run: (NodeId, Session)| (run, self.ready.get(&run).copied().unwrap_or(now));
        self.ready = ready.map(since).collect();
    }

    /// Whether any run is.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When this run will have been ready for so long; none: it is not ready.
    pub(crate) fn ready_for(&self, run: (NodeId, Session), patience: Duration) -> Option<Time> {
        self.ready.get(&run).map(|since| *since + patience)
    }

    /// The node to which the master moves because it is preferred.
    pub(crate) fn moving_to(&self) -> Option<NodeId> {
        self.moving_to
    }

    /// The master moves there.
    pub(crate) fn move_to(&mut self, node: NodeId) {
        self.moving_to = Some(node);
    }

    /// The move is over, or came to nothing.
    pub(crate) fn stay(&mut self) {
        self.moving_to = None;
    }

    /// This mastership had to end for its place, and for nothing that its node did.
    pub(crate) fn displace(&mut self, epoch: Epoch) {
        self.displaced = Some(epoch);
    }

    /// Whether it had to.
    pub(crate) fn is_displaced(&self, epoch: Epoch) -> bool {
        self.displaced == Some(epoch)
    }
}
