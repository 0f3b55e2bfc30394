//! The masterships of late, and which of them came to nothing. What follows from that is in `node::leading::flapping`.

use std::collections::{BTreeMap, VecDeque};

use crate::limits;
use crate::patience::{Patience, RECENT};
use crate::record::Record;
use crate::types::{Epoch, NodeId, Time};

/// The masterships of late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masterships {
    /// When each began that no operator asked for; at most [`limits::MASTERSHIPS`].
    begun: VecDeque<Time>,
    current: Option<Current>,
    /// Masterships that this leader gave and under which not everything was ever promoted, by node: a daemon that dies of its promotion does
    /// not remember them. Bounded by the nodes that have reported.
    blamed: BTreeMap<NodeId, Patience>,
    /// Whom an operator wanted, when last looked.
    target: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub(crate) epoch: Epoch,
    pub(crate) node: NodeId,
    /// Everything was promoted under it once, or this node cannot know.
    pub(crate) rose: bool,
    /// An operator wants it to end, or its node is going away in order.
    pub(crate) bidden: bool,
}

/// How the mastership has moved of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flapping {
    pub(crate) masterships: u32,
    pub(crate) since: Time,
}

impl Masterships {
    /// Those that a node finds in its record at its start are none of its business.
    pub(crate) fn found(record: &Record) -> Masterships {
        let current = record.master.as_ref().map(|m| Current {
            epoch: m.epoch,
            node: m.node,
            rose: true,
            bidden: true,
        });
        Masterships { current, target: record.target, ..Masterships::default() }
    }

    /// The mastership that this node saw last.
    pub(crate) fn current(&self) -> Option<Current> {
        self.current
    }

    /// The same mastership, as it is now.
    pub(crate) fn note_current(&mut self, current: Current) {
        self.current = Some(current);
    }

    /// Whom an operator wants.
    pub(crate) fn note_target(&mut self, target: Option<NodeId>) {
        self.target = target;
    }

    /// The mastership is over; `leads`: this node leads and knows whose fault it was, if it came to nothing.
    pub(crate) fn end(&mut self, leads: bool, now: Time) {
        if let Some(old) = self.current.take().filter(|old| leads && !old.rose && !old.bidden) {
            self.blame(old.node, now);
        }
    }

    /// How many masterships this leader gave to a node of late under which not everything was ever promoted, and when the last ended.
    pub(crate) fn in_vain(&self, node: NodeId, now: Time) -> Option<(u32, Time)> {
        let patience = self.blamed.get(&node)?;
        Some((patience.lately(now), patience.last(now)?))
    }

    /// How many began of late that no operator asked for, and when the first of them did.
    pub(crate) fn lately(&self, now: Time) -> Flapping {
        let lately = || self.begun.iter().filter(|at| now.since(**at) < RECENT);
        let masterships = u32::try_from(lately().count()).unwrap_or(u32::MAX);
        Flapping { masterships, since: lately().next().copied().unwrap_or(now) }
    }

    /// A mastership has begun.
    pub(crate) fn begin(&mut self, current: Current, now: Time) {
        if self.target != Some(current.node) {
            if self.begun.len() >= limits::MASTERSHIPS {
                self.begun.pop_front();
            }
            self.begun.push_back(now);
        }
        self.current = Some(current);
    }

    fn blame(&mut self, node: NodeId, now: Time) {
        self.blamed.retain(|_, patience| patience.lately(now) > 0);
        if self.blamed.len() < limits::NODES {
            self.blamed.entry(node).or_insert_with(Patience::of_masterships).count(now);
        }
    }
}
