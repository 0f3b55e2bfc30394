//! Writes of attributes that the services of this node have begun under their masterships (R16). They are made one after the other, and each is answered
//! when it counts.

use std::collections::{BTreeMap, VecDeque};

use crate::attributes::{AttributeChange, WriteNumber};
use crate::group::GroupName;
use crate::io::CommandId;
use crate::limits;
use crate::types::{Epoch, Time};

/// A write that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct PendingWrite {
    pub(crate) id: CommandId,
    /// The mastership under which it was begun.
    pub(crate) epoch: Epoch,
    pub(crate) change: AttributeChange,
    /// Its number, and when the leader was told last; none: it was not told yet.
    pub(crate) told: Option<(WriteNumber, Time)>,
}

#[derive(Clone, Debug, Default)]
struct GroupWrites {
    /// The number of the last one.
    last: WriteNumber,
    pending: VecDeque<PendingWrite>,
}

/// All that are not answered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    of: BTreeMap<GroupName, GroupWrites>,
}

impl Writes {
    /// One more; false: as many wait as may.
    pub(crate) fn push(
        &mut self,
        group: &GroupName,
        id: CommandId,
        epoch: Epoch,
        change: AttributeChange,
    ) -> bool {
        let pending = &mut self.of.entry(group.clone()).or_default().pending;
        let fits = pending.len() < limits::ATTRIBUTE_WRITES;
        if fits {
            pending.push_back(PendingWrite { id, epoch, change, told: None });
        }
        fits
    }

    /// The groups of which some wait.
    pub(crate) fn groups(&self) -> Vec<GroupName> {
        let waiting = self.of.iter().filter(|(_, of)| !of.pending.is_empty());
        waiting.map(|(group, _)| group.clone()).collect()
    }

    /// The write that is made now.
    pub(crate) fn first(&self, group: &GroupName) -> Option<&PendingWrite> {
        self.of.get(group)?.pending.front()
    }

    /// The leader is told the first write now: its number.
    pub(crate) fn tell(&mut self, group: &GroupName, now: Time) -> Option<(WriteNumber, AttributeChange)> {
        let GroupWrites { last, pending } = self.of.get_mut(group)?;
        let first = pending.front_mut()?;
        let number = match first.told {
            Some((number, _)) => number,
            None if last.epoch == first.epoch => WriteNumber { n: last.n + 1, ..*last },
            None => WriteNumber { epoch: first.epoch, n: 1 },
        };
        (*last, first.told) = (number, Some((number, now)));
        Some((number, first.change.clone()))
    }

    /// The first write has come to its end.
    pub(crate) fn pop(&mut self, group: &GroupName) -> Option<PendingWrite> {
        self.of.get_mut(group)?.pending.pop_front()
    }

    /// The group whose first write has this number.
    pub(crate) fn group_of(&self, number: WriteNumber) -> Option<GroupName> {
        let is_it = |of: &GroupWrites| {
            of.pending.front().and_then(|first| first.told).is_some_and(|(told, _)| told == number)
        };
        self.of.iter().find(|(_, of)| is_it(of)).map(|(group, _)| group.clone())
    }

    /// How much is kept for later.
    pub(crate) fn backlog(&self) -> usize {
        self.of.values().map(|of| of.pending.len()).sum()
    }
}
