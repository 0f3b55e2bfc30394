//! What must survive a restart: who this node is (see [`super::identity`]), and the core's durable state. Each in a file of its own, replaced
//! whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use koi_core::record::Durable;
use koi_core::types::{NodeId, Session};

use super::envelope::{self, EnvelopeError};
use super::error::StoreError;
use super::folder::{create_folder, lock, sound};
use super::identity::{FILE, PreviousRun, RecordedRun, RunLocation, StoredIdentity};
use super::state_file::{FORMAT, MAGIC, StateFiles, StoredState, write};
use crate::os::sys;

/// What was found at the start. The count of starts is already on disk.
#[derive(Debug)]
pub(crate) struct OpenedState {
    /// The node's identity.
    pub(crate) id: NodeId,
    /// This run.
    pub(crate) session: Session,
    /// The core's state.
    pub(crate) durable: Option<Durable>,
    /// Where a damaged state was set aside, and what was wrong with it.
    pub(crate) damaged: Option<(PathBuf, EnvelopeError)>,
    /// What is known of the run before.
    pub(crate) before: PreviousRun,
    /// The state is older than the identity: it was restored from a backup, and counts as none.
    pub(crate) restored: bool,
}

/// The state folder, locked for this process.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    kept: StoredState,
    /// This run.
    run: Option<RecordedRun>,
    /// Held while it is open.
    _lock: File,
}

impl Store {
    /// Locks the folder, reads what is there, counts this start, and puts that on disk.
    pub(crate) fn open(folder: &Path) -> Result<(Store, OpenedState), StoreError> {
        create_folder(folder)?;
        let lock = lock(folder)?;
        let here = RunLocation::here(&lock)
            .map_err(|source| StoreError::Lock { path: folder.join("lock"), source })?;
        let (kept, mut damaged) =
            sound(folder, "state", envelope::read::<StoredState>(&folder.join("state"), MAGIC, FORMAT))?;
        let (identity, spoilt) = sound(folder, FILE, StoredIdentity::read(folder))?;
        damaged = damaged.or(spoilt);
        let found = StateFiles { kept, identity };
        let (mut kept, before, restored) = found.combine(&here);
        kept.starts += 1;
        let session = Session { count: kept.starts, random: sys::random_u64() };
        let opened =
            OpenedState { id: kept.id, session, durable: kept.durable.clone(), damaged, before, restored };
        let store = Store {
            folder: folder.to_owned(),
            kept,
            run: Some(RecordedRun { session, place: here }),
            _lock: lock,
        };
        store.write_all()?;
        Ok((store, opened))
    }

    /// Writes both files, the state first. A state with fewer starts than the identity was then restored from a backup.
    fn write_all(&self) -> Result<(), StoreError> {
        let failed = |name: &str| {
            let path = self.folder.join(name);
            move |source| StoreError::Write { path, source }
        };
        write(&self.folder, &self.kept).map_err(failed("state"))?;
        let identity = StoredIdentity { id: self.kept.id, starts: self.kept.starts, last: self.run.clone() };
        identity.write(&self.folder).map_err(failed(FILE))
    }

    /// Raises the count of this node's runs to `beyond`, and forgets what may not hold any more of a state that was restored. koid is executed
    /// anew after this.
    pub(crate) fn count_up(&mut self, beyond: u64) -> Result<(), StoreError> {
        self.kept.starts = self.kept.starts.max(beyond);
        self.kept.durable = self.kept.durable.take().map(|durable| durable.after_restore());
        self.write_all()
    }

    /// The file, for people.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Puts the core's state on disk; on return it is there to stay.
    pub(crate) fn save(&mut self, durable: &Durable) -> io::Result<()> {
        self.kept.durable = Some(durable.clone());
        write(&self.folder, &self.kept)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
