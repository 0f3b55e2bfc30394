//! The process groups of hooks: no hook outlives its daemon.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use koi_core::io::RunId;

use crate::os::sys;

/// The process groups of the hooks that run. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessGroups(Arc<Mutex<BTreeSet<(RunId, i32)>>>);

impl ProcessGroups {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<(RunId, i32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hook has started a group.
    pub(super) fn began(&self, run: RunId, group: i32) {
        self.lock().insert((run, group));
    }

    /// It is gone.
    pub(super) fn gone(&self, run: RunId, group: i32) {
        self.lock().remove(&(run, group));
    }

    /// The groups of a hook, which are forgotten.
    pub(super) fn take(&self, run: RunId) -> Vec<i32> {
        let mut groups = self.lock();
        let taken: Vec<i32> =
            groups.range((run, i32::MIN)..=(run, i32::MAX)).map(|(_, group)| *group).collect();
        groups.retain(|(of, _)| *of != run);
        taken
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
