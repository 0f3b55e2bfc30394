//! Who this node is, in a file of its own beside the state: its id, how often it was started, and on which machine it ran last. A damaged
//! state so leaves the node what it is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use koi_core::types::{NodeId, Session};
use minicbor::{Decode, Encode};

use crate::storage::envelope::{self, EnvelopeError};

/// The file's name in the state folder.
pub(crate) const FILE: &str = "identity";
const MAGIC: &[u8; 8] = b"koi-idty";
const FORMAT: u32 = 1;

/// The file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredIdentity {
    /// Drawn at the first start.
    #[n(0)]
    pub(crate) id: NodeId,
    /// How often the daemon was started.
    #[n(1)]
    pub(crate) starts: u64,
    /// The last run; none: it was before this file was there, or the folder was restored.
    #[n(2)]
    pub(crate) last: Option<RecordedRun>,
}

/// A run of the daemon, and where it was.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordedRun {
    /// Which.
    #[n(0)]
    pub(crate) session: Session,
    /// Where.
    #[n(1)]
    pub(crate) place: RunLocation,
}

/// What tells this state folder on this machine from a copy.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RunLocation {
    /// The device and the inode of the lock file.
    #[n(0)]
    pub(crate) lock: (u64, u64),
    /// Drawn by the kernel at each boot; empty: it does not say.
    #[n(1)]
    pub(crate) boot_id: String,
    /// The machine's own number; empty: it has none, or it may not be read.
    #[n(2)]
    pub(crate) hardware_id: String,
}

/// What this run may say of the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PreviousRun {
    /// That run was on this machine: when its guardian has gone nothing of it runs any more.
    pub(crate) follows: Option<Session>,
    /// The kernel was started anew since: nothing that the state speaks of runs.
    pub(crate) rebooted: bool,
}

impl RunLocation {
    /// This machine, with this lock file.
    pub(crate) fn here(lock: &fs::File) -> io::Result<RunLocation> {
        let metadata = lock.metadata()?;
        let line =
            |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        Ok(RunLocation {
            lock: (metadata.dev(), metadata.ino()),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            hardware_id: line("/sys/class/dmi/id/product_uuid"),
        })
    }

    /// What a run here knows of one that was `there`.
    fn after(&self, there: &RecordedRun) -> PreviousRun {
        let known = |a: &str, b: &str| !a.is_empty() && a == b;
        if known(&self.boot_id, &there.place.boot_id) {
            let same = self.lock == there.place.lock;
            return PreviousRun { follows: same.then_some(there.session), rebooted: false };
        }
        let same = known(&self.hardware_id, &there.place.hardware_id);
        let rebooted = !self.boot_id.is_empty() && !there.place.boot_id.is_empty();
        PreviousRun { follows: (same && rebooted).then_some(there.session), rebooted }
    }
}

impl StoredIdentity {
    /// What the run that begins `here` knows of the last one.
    pub(crate) fn before(&self, here: &RunLocation) -> PreviousRun {
        self.last.as_ref().map(|last| here.after(last)).unwrap_or_default()
    }

    /// Reads the file; none: there is none.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Result<StoredIdentity, EnvelopeError>>> {
        envelope::read(&folder.join(FILE), MAGIC, FORMAT)
    }

    /// Replaces the file; on return it is there to stay.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        envelope::write(folder, FILE, &envelope::render(self, MAGIC, FORMAT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(inode: u64, boot: &str, hardware: &str) -> RunLocation {
        RunLocation { lock: (1, inode), boot_id: boot.to_owned(), hardware_id: hardware.to_owned() }
    }

    fn run(place: RunLocation) -> RecordedRun {
        RecordedRun { session: Session { count: 9, random: 99 }, place }
    }

    #[test]
    fn only_the_same_machine_follows_its_run() {
        let session = Session { count: 9, random: 99 };
        let there = run(place(7, "boot-1", "hw-1"));
        let after = |here: RunLocation| here.after(&there);
        assert_eq!(
            after(place(7, "boot-1", "hw-1")),
            PreviousRun { follows: Some(session), rebooted: false }
        );
        assert_eq!(after(place(8, "boot-1", "hw-1")), PreviousRun::default(), "a copy of the folder");
        assert_eq!(after(place(7, "boot-2", "hw-1")), PreviousRun { follows: Some(session), rebooted: true });
        let elsewhere = PreviousRun { follows: None, rebooted: true };
        assert_eq!(after(place(7, "boot-2", "hw-2")), elsewhere, "a copy of the machine");
        assert_eq!(after(place(7, "boot-2", "")), elsewhere, "a machine that has no number");
    }
}
