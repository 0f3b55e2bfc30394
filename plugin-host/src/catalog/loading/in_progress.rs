//! The files of which code is being made now: people who wait for a component to be compiled can see it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::plugin::Kind;

/// What is being loaded. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadsInProgress(Arc<Mutex<Vec<LoadInProgress>>>);

#[derive(Debug)]
struct LoadInProgress {
    path: PathBuf,
    kind: Kind,
    since: Instant,
}

/// One load. Dropped, it is over, however it ended.
pub(crate) struct InProgressGuard<'u> {
    in_progress: &'u LoadsInProgress,
    since: Instant,
}

impl LoadsInProgress {
    /// The file at `path` is being loaded until the guard is dropped.
    pub(crate) fn begin(&self, path: &Path, kind: Kind) -> InProgressGuard<'_> {
        let since = Instant::now();
        self.entries().push(LoadInProgress { path: path.to_owned(), kind, since });
        InProgressGuard { in_progress: self, since }
    }

    /// For how long the file at `path` has been being loaded; none: it is not.
    pub(crate) fn time_of(&self, path: &Path) -> Option<Duration> {
        self.entries().iter().find(|entry| entry.path == path).map(|entry| entry.since.elapsed())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(PathBuf, Kind)> {
        self.entries().iter().map(|entry| (entry.path.clone(), entry.kind)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<LoadInProgress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InProgressGuard<'_> {
    fn drop(&mut self) {
        let mut entries = self.in_progress.entries();
        // Should two have begun at the same instant, either may be removed now: the other guard removes the other one.
        if let Some(at) = entries.iter().position(|entry| entry.since == self.since) {
            entries.swap_remove(at);
        }
    }
}
