//! Whether a program is still the one that was there when its service was loaded. An upgrade changes programs too: it is only said.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::backend::wasm::grants::Grants;

/// The programs of a service as they were last seen.
#[derive(Debug, Default)]
pub(crate) struct ProgramWatch(Mutex<HashMap<PathBuf, Option<Stamp>>>);

/// What tells one file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    /// Where the path leads, all links followed.
    real: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// A program is another one than before. Shown, it is a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProgramChange {
    /// A link leads elsewhere.
    #[error("the program {} leads to {} now, and led to {} before", path.display(), now.display(), before.display())]
    Moved { path: PathBuf, now: PathBuf, before: PathBuf },
    /// There is another file.
    #[error("the program {} was replaced or changed since it was last looked at", path.display())]
    Changed { path: PathBuf },
}

impl ProgramWatch {
    /// Notes what is there now. Blocks.
    pub(crate) fn new(grants: &Grants) -> ProgramWatch {
        let paths = grants.programs().iter().map(|program| program.path().to_owned());
        ProgramWatch(Mutex::new(paths.map(|path| (path.clone(), stamp(&path))).collect()))
    }

    /// What has become of the program at `path` since it was noted or last asked for; none: nothing. Blocks.
    pub(crate) fn change(&self, path: &Path) -> Option<ProgramChange> {
        // One that is gone is not run.
        let now = stamp(path)?;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(path.to_owned(), Some(now.clone()))??;
        if before.real != now.real {
            return Some(ProgramChange::Moved { path: path.to_owned(), now: now.real, before: before.real });
        }
        (before != now).then(|| ProgramChange::Changed { path: path.to_owned() })
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let real = fs::canonicalize(path).ok()?;
    let found = fs::metadata(&real).ok()?;
    Some(Stamp {
        real,
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
    })
}
