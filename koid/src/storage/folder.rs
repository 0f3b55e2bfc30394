//! The state folder: made, locked, and with damaged files set aside.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use koi_files::set_aside;

use super::envelope::EnvelopeError;
use super::error::StoreError;

/// Damaged files that are kept for an operator to look at; the last name is used again after that.
const MAX_DAMAGED: u32 = 20;

pub(super) fn create_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| StoreError::Folder { path: folder.to_owned(), source })
}

pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let failed = |source| StoreError::Lock { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = (&file).take(32).read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
            return Err(StoreError::InUse { path: folder.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // For the message above only: a full disk must not keep the daemon from starting here.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// What was read, and where it was set aside if it was damaged.
pub(super) type Sound<T> = (Option<T>, Option<(PathBuf, EnvelopeError)>);

pub(super) fn sound<T>(
    folder: &Path,
    name: &str,
    read: io::Result<Option<Result<T, EnvelopeError>>>,
) -> Result<Sound<T>, StoreError> {
    let path = folder.join(name);
    match read.map_err(|source| StoreError::Read { path: path.clone(), source })? {
        None => Ok((None, None)),
        Some(Ok(contents)) => Ok((Some(contents), None)),
        Some(Err(EnvelopeError::Newer(found))) => Err(StoreError::Newer { path, found }),
        Some(Err(why)) => {
            let aside = set_aside(&path, "damaged", MAX_DAMAGED)
                .map_err(|error| StoreError::Write { path: error.to, source: error.source })?;
            Ok((None, Some((aside, why))))
        }
    }
}
