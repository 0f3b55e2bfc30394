//! The process groups of hooks: no hook outlives its daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use koi_core::io::RunId;
use minicbor::{Decode, Encode};

use crate::os::sys;

/// How a group is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum GroupKind {
    /// By SIGKILL.
    #[n(0)]
    Plain,
    /// By SIGTERM: it ends all that it has started before itself, and would leave that behind were it killed.
    #[n(1)]
    Broker,
}

impl GroupKind {
    /// Ends the group of this kind, and waits for nothing.
    pub(crate) fn end(self, group: i32) {
        match self {
            GroupKind::Plain => sys::kill_group(group),
            GroupKind::Broker => sys::end_group(group),
        }
    }
}

/// The process groups of the hooks that run. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessGroups(Arc<Mutex<BTreeMap<(RunId, i32), GroupKind>>>);

impl ProcessGroups {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(RunId, i32), GroupKind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hook has started a group.
    pub(super) fn began(&self, run: RunId, group: i32, kind: GroupKind) {
        self.lock().insert((run, group), kind);
    }

    /// It is gone.
    pub(super) fn gone(&self, run: RunId, group: i32) {
        self.lock().remove(&(run, group));
    }

    /// The groups of a hook, which are forgotten.
    pub(super) fn take(&self, run: RunId) -> Vec<(i32, GroupKind)> {
        let mut groups = self.lock();
        let taken = groups.range((run, i32::MIN)..=(run, i32::MAX));
        let taken = taken.map(|((_, group), kind)| (*group, *kind)).collect();
        groups.retain(|(of, _), _| *of != run);
        taken
    }

    /// Ends every hook that still runs.
    pub(crate) fn end_all(&self) {
        for ((_, group), kind) in std::mem::take(&mut *self.lock()) {
            kind.end(group);
        }
    }
}

/// Ends every hook that still runs when it is dropped: however the daemon ends, none outlives it.
#[derive(Debug)]
pub(crate) struct KillOnDrop(pub(crate) ProcessGroups);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.end_all();
    }
}
