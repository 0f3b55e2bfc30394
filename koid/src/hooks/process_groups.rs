//! The process groups of hooks: no hook outlives its daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use koi_core::io::RunId;

use crate::os::sys;

/// The process groups of the hooks that run. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessGroups(Arc<Mutex<BTreeMap<RunId, i32>>>);

impl ProcessGroups {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills every hook that still runs.
    pub(crate) fn kill_all(&self) {
        for (_, group) in std::mem::take(&mut *self.lock()) {
            sys::kill_group(group);
        }
    }
}

/// Kills every hook that still runs when it is dropped: however the daemon ends, none outlives it.
#[derive(Debug)]
pub(crate) struct KillOnDrop(pub(crate) ProcessGroups);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill_all();
    }
}
