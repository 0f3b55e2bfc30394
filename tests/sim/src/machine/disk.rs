//! The disk of a machine.

use koi_core::record::Durable;
use koi_core::types::{NodeId, Session};

/// What is on the disk for sure, and what is only on its way there.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// How often the daemon was started.
    pub starts: u64,
    /// The identity; drawn anew when the disk was wiped.
    pub id: Option<NodeId>,
    /// The state that survives a crash.
    pub synced: Option<Durable>,
    /// The daemon's life and the number of that state.
    pub newest: (u64, u64),
    /// The run that was started last from this disk, and on which machine.
    pub last_run: Option<(Session, usize)>,
    /// Why it takes nothing.
    pub fault: Option<DiskFault>,
    /// What it has not taken: the daemon's life, the number, the state.
    pub refused: Vec<(u64, u64, Box<Durable>)>,
}

/// Why a disk takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// It is full, and says so each time. What it was given last is written when there is room again.
    Full,
    /// It hangs, and says nothing. All that it was given is written when it works again.
    Hangs,
}

impl Disk {
    /// It is full.
    pub fn is_full(&self) -> bool {
        self.fault == Some(DiskFault::Full)
    }
}
