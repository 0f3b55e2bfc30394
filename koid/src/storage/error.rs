//! What may be wrong with the state folder, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::state_file::FORMAT;

/// Why the state cannot be used. Nothing was changed but where it says so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot create the state folder {path}: {source}; create it, or set node.state_dir")]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "another koid (pid {pid}) uses the state folder {path}; end it, or give this one its own node.state_dir"
    )]
    InUse { path: PathBuf, pid: String },
    #[error("cannot lock {path}: {source}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}; {hint}", hint = write_hint(source))]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{path} has format {found}, and this koid knows format {FORMAT} only: it was written by a newer koid. Start that \
         one; nothing was touched"
    )]
    Newer { path: PathBuf, found: u32 },
}

/// What to do about a failed write.
pub(crate) fn write_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "the file system is full: make room on it",
        io::ErrorKind::QuotaExceeded => "the quota is used up: make room, or raise it",
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is mounted read-only: look at the disk, and remount it"
        }
        io::ErrorKind::PermissionDenied => "koid needs to write there: run it as root, or set node.state_dir",
        _ => "look at the disk and the kernel's log",
    }
}
