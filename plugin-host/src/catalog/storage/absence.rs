//! For how long something has been missing, in time that koid runs: a clock that jumps and a machine that is off count for nothing.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use koi_files::{Durability, Temporary, WriteOptions};

/// How long what nobody needs is kept.
const KEPT: Duration = Duration::from_secs(KEPT_DAYS * 24 * 3600);
pub(super) const KEPT_DAYS: u64 = 30;

/// A power cut may cost an hour of the account.
const ACCOUNT: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::Unsynced };

/// How something that is missing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is missed from now on.
    Begins,
    /// It is kept, or what is to be known of it cannot be written down, and so does not count.
    GoesOn,
    /// It has been missed for longer than it is kept.
    IsOver,
}

/// It is missing at this look; `passed` is the time since the last one. `account` is the file that says for how long. Blocks.
pub(super) fn miss(account: &Path, passed: Duration) -> Absence {
    let missed = fs::read_to_string(account).ok().and_then(|text| text.trim().parse().ok());
    match missed.map(Duration::from_secs) {
        None => write(account, Duration::ZERO).map_or(Absence::GoesOn, |()| Absence::Begins),
        Some(missed) if missed + passed > KEPT => Absence::IsOver,
        Some(missed) => {
            // What cannot be written down does not count.
            let _ = write(account, missed + passed);
            Absence::GoesOn
        }
    }
}

/// It is there: an account that stays is removed the next time.
pub(super) fn end(account: &Path) {
    let _ = fs::remove_file(account);
}

fn write(account: &Path, missed: Duration) -> io::Result<()> {
    let folder = account.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let text = format!("{}\n", missed.as_secs());
    koi_files::replace(account, text.as_bytes(), &ACCOUNT).map_err(|error| error.source)
}

/// The names of the files in a folder; none: there is no such folder.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
