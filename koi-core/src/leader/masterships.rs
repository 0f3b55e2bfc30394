//! The masterships of late, group by group, and which of them came to nothing. What follows from that is in `node::leading::flapping`.

use std::collections::{BTreeMap, VecDeque};

use crate::group::GroupName;
use crate::limits;
use crate::patience::{Patience, RECENT};
use crate::record::{GroupRecord, Record};
use crate::types::{Epoch, NodeId, Time};

/// The masterships of late of all groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histories {
    groups: BTreeMap<GroupName, Masterships>,
    /// Those of a group that has had none.
    none: Masterships,
}

impl Histories {
    /// Those that a node finds in its record at its start are none of its business.
    pub(crate) fn found(record: &Record) -> Histories {
        let found = |(name, group): (&GroupName, &GroupRecord)| (name.clone(), Masterships::found(group));
        Histories { groups: record.groups().map(found).collect(), none: Masterships::default() }
    }

    /// Those of a group.
    pub(crate) fn of(&self, group: &GroupName) -> &Masterships {
        self.groups.get(group).unwrap_or(&self.none)
    }

    /// The same, to change it.
    pub(crate) fn of_mut(&mut self, group: &GroupName) -> &mut Masterships {
        self.groups.entry(group.clone()).or_default()
    }

    /// The groups that have had any, or of which the record says something.
    pub(crate) fn names(&self) -> impl Iterator<Item = &GroupName> {
        self.groups.keys()
    }
}

/// The masterships of late of one group.
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
    fn found(record: &GroupRecord) -> Masterships {
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
