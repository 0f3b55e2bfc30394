//! What is to happen, in the order of time.

use std::cmp::Ordering;

use koi_core::fence::{FenceId, FenceOutcome};
use koi_core::group::GroupName;
use koi_core::io::{Input, RunId};
use koi_core::message::Message;
use koi_core::record::Durable;
use koi_core::types::Epoch;

/// Something that is to happen at one instant.
pub(super) enum Happening {
    Deliver {
        to: usize,
        message: Box<Message>,
    },
    Synced {
        machine: usize,
        life: u64,
        number: u64,
        durable: Box<Durable>,
    },
    HookOver {
        machine: usize,
        life: u64,
        run: RunId,
        aborted: bool,
    },
    Wake {
        machine: usize,
        life: u64,
    },
    Boot {
        machine: usize,
    },
    /// A signal or an operator's word. It ends with the run of the daemon that it was for, also when that one hangs and never hears it.
    Tell {
        machine: usize,
        life: u64,
        input: Box<Input>,
    },
    /// A trap has sprung.
    Sprung {
        machine: usize,
        power: bool,
    },
    /// The guardian has taken a group down.
    GuardianPart {
        machine: usize,
        power: u64,
        group: GroupName,
        word: Box<Message>,
    },
    /// The guardian has taken everything down.
    GuardianDone {
        machine: usize,
        power: u64,
        last: Box<Message>,
    },
    /// A device turns a machine off for another.
    FenceStrikes {
        by: usize,
        id: FenceId,
        target: usize,
    },
    /// A device is done.
    FenceOver {
        by: usize,
        life: u64,
        id: FenceId,
        outcome: FenceOutcome,
    },
    /// What is promoted writes an attribute.
    Writes {
        machine: usize,
        life: u64,
        group: GroupName,
        epoch: Epoch,
    },
    /// The guardian finds that the daemon hangs past the lease.
    GuardianChecks {
        machine: usize,
        life: u64,
    },
}

impl Happening {
    /// The machine whose daemon must run for this.
    pub(super) fn machine(&self) -> Option<usize> {
        match self {
            Happening::Deliver { to: machine, .. }
            | Happening::Synced { machine, .. }
            | Happening::HookOver { machine, .. }
            | Happening::Wake { machine, .. }
            | Happening::Writes { machine, .. }
            | Happening::Tell { machine, .. } => Some(*machine),
            Happening::Sprung { .. }
            | Happening::Boot { .. }
            | Happening::GuardianPart { .. }
            | Happening::GuardianDone { .. }
            | Happening::FenceStrikes { .. }
            | Happening::FenceOver { .. }
            | Happening::GuardianChecks { .. } => None,
        }
    }
}

/// A happening in the queue: the first comes first, and of one instant what was said first.
pub(super) struct Due {
    pub(super) at: u64,
    pub(super) number: u64,
    pub(super) what: Happening,
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}
