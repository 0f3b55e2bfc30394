//! The files of which code is being made now: people who wait for a component to be compiled can see it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::load::Loader;
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

/// Takes one entry out again, however the load ends.
struct InProgressGuard<'u> {
    in_progress: &'u LoadsInProgress,
    since: Instant,
}

impl LoadsInProgress {
    /// A loader that is seen here while it works.
    pub(crate) fn watch(&self, loader: &Loader) -> Loader {
        let (in_progress, loader) = (self.clone(), loader.clone());
        Arc::new(move |source| {
            let since = Instant::now();
            in_progress.entries().push(LoadInProgress {
                path: source.path.to_owned(),
                kind: source.kind,
                since,
            });
            let _over = InProgressGuard { in_progress: &in_progress, since };
            loader(source)
        })
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
        // No two began at the very same time; if they did, either goes now and the other next.
        if let Some(at) = entries.iter().position(|entry| entry.since == self.since) {
            entries.swap_remove(at);
        }
    }
}
