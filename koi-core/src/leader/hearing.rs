//! When each node last heard the leader, by its own word.

use std::collections::BTreeMap;

use crate::types::{NodeId, Session, Time};

/// What the leader knows of who hears it. Bounded by the peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearing {
    nodes: BTreeMap<NodeId, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    session: Session,
    /// When the newest heartbeat was sent that it says it has heard; at first, when it was noticed.
    at: Time,
}

impl Hearing {
    /// A node has heard what was sent at that instant.
    pub(crate) fn note(&mut self, node: NodeId, session: Session, at: Time) {
        let known = self.nodes.entry(node).or_insert(Heard { session, at });
        let newest = if known.session == session { known.at.max(at) } else { at };
        *known = Heard { session, at: newest };
    }

    /// Only these runs are there; each has been for as long as it is known.
    pub(crate) fn keep(&mut self, there: BTreeMap<NodeId, Session>, now: Time) {
        self.nodes.retain(|id, heard| there.get(id) == Some(&heard.session));
        for (id, session) in there {
            self.nodes.entry(id).or_insert(Heard { session, at: now });
        }
    }

    /// Nobody is there.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Since when a node has heard nothing newer.
    pub(crate) fn since(&self, node: NodeId) -> Option<Time> {
        self.nodes.get(&node).map(|heard| heard.at)
    }
}
