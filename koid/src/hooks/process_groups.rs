//! The process groups of hooks: no hook outlives its daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use koi_child::group::NotedGroup;
use koi_core::io::RunId;
use minicbor::{Decode, Encode};
use nix::sys::signal::Signal;

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
    pub(crate) fn end(self, group: NotedGroup) {
        group.signal(match self {
            GroupKind::Plain => Signal::SIGKILL,
            GroupKind::Broker => Signal::SIGTERM,
        });
    }
}

/// By the hook's number and the group's: the group, and how it is ended. Some leaders are reaped by others than this process, and all of them before it is told that
/// the group is gone.
type Groups = BTreeMap<(RunId, i32), (NotedGroup, GroupKind)>;

/// The process groups of the hooks that run. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessGroups(Arc<Mutex<Groups>>);

impl ProcessGroups {
    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hook has started a group.
    pub(super) fn began(&self, run: RunId, group: NotedGroup, kind: GroupKind) {
        self.lock().insert((run, group.id()), (group, kind));
    }

    /// It is gone.
    pub(super) fn gone(&self, run: RunId, group: i32) {
        self.lock().remove(&(run, group));
    }

    /// The groups of a hook, which are forgotten.
    pub(super) fn take(&self, run: RunId) -> Vec<(NotedGroup, GroupKind)> {
        let mut groups = self.lock();
        let taken = groups.range((run, i32::MIN)..=(run, i32::MAX));
        let taken = taken.map(|(_, group)| *group).collect();
        groups.retain(|(of, _), _| *of != run);
        taken
    }

    /// Ends every hook that still runs.
    pub(crate) fn end_all(&self) {
        for (group, kind) in std::mem::take(&mut *self.lock()).into_values() {
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
