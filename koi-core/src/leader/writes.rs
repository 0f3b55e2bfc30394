//! Writes of attributes that a leader has not made yet (R16): of each group the newest of its master, and those of operators.

use std::collections::{BTreeMap, VecDeque};

use crate::attributes::{AttributeChange, WriteNumber};
use crate::group::GroupName;
use crate::io::CommandId;
use crate::types::{NodeId, Session};

/// A master's.
#[derive(Clone, Debug)]
pub(crate) struct MasterWrite {
    pub(crate) writer: (NodeId, Session),
    pub(crate) number: WriteNumber,
    pub(crate) change: AttributeChange,
}

/// An operator's, and the command that is answered when it counts.
#[derive(Clone, Debug)]
pub(crate) struct OperatorWrite {
    pub(crate) id: CommandId,
    pub(crate) group: GroupName,
    pub(crate) change: AttributeChange,
}

/// All that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteQueue {
    by_masters: BTreeMap<GroupName, MasterWrite>,
    by_operators: VecDeque<OperatorWrite>,
}

impl WriteQueue {
    /// A master writes: it says nothing more before this one counts, or it has given it up.
    pub(crate) fn note(&mut self, group: GroupName, write: MasterWrite) {
        self.by_masters.insert(group, write);
    }

    /// An operator writes.
    pub(crate) fn push(&mut self, write: OperatorWrite) {
        self.by_operators.push_back(write);
    }

    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_masters.is_empty() && self.by_operators.is_empty()
    }

    /// Everything that waits, in the order in which it is made.
    pub(crate) fn take(&mut self) -> WriteQueue {
        std::mem::take(self)
    }

    pub(crate) fn into_parts(self) -> (BTreeMap<GroupName, MasterWrite>, VecDeque<OperatorWrite>) {
        (self.by_masters, self.by_operators)
    }

    /// How many commands wait.
    pub(crate) fn commands(&self) -> impl Iterator<Item = CommandId> {
        self.by_operators.iter().map(|write| write.id)
    }

    /// How much is kept for later.
    pub(crate) fn backlog(&self) -> usize {
        self.by_masters.len() + self.by_operators.len()
    }
}
