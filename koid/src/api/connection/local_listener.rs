//! The API's socket on this machine: its file, its rights, and that nobody else answers there.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::os::sys;

const SOCKET_MODE: u32 = 0o660;
const FOLDER_MODE: u32 = 0o755;

/// The socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("another koid answers on {path}: end it, or give this one its own node.socket")]
    InUse { path: PathBuf },
    #[error("{path} is there and is no socket: remove it, or set another node.socket")]
    NoSocket { path: PathBuf },
    #[error(
        "cannot open the API's socket {path}: {source}; set node.socket to a place that koid may write to"
    )]
    Io { path: PathBuf, source: io::Error },
}

/// The API's socket on this machine; its file goes when this does.
#[derive(Debug)]
pub(crate) struct LocalListener {
    listener: StdUnixListener,
    path: PathBuf,
    /// Device and inode of its file.
    file: (u64, u64),
}

/// What is done about something that lies in the socket's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// It is replaced.
    Take,
    /// It stays, and that is an error.
    Free,
}

impl LocalListener {
    /// Opens the socket for root and the group `koi`. A socket on which nobody answers is replaced.
    pub(crate) fn open(path: &Path) -> Result<LocalListener, ListenError> {
        LocalListener::open_in(path, Placement::Take)
    }

    fn open_in(path: &Path, place: Placement) -> Result<LocalListener, ListenError> {
        refuse_if_taken(path)?;
        let failed = |source| ListenError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).map_err(failed)?;
        }
        let (listener, file) = put(path, place).map_err(failed)?;
        Ok(LocalListener { listener, path: path.to_owned(), file })
    }

    /// Another one in the place of one whose file has gone; never in that of another daemon's.
    pub(in crate::api) fn reopen(&self) -> Result<LocalListener, ListenError> {
        let gone = std::fs::symlink_metadata(&self.path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        LocalListener::open_in(&self.path, if gone { Placement::Free } else { Placement::Take })
    }

    /// Whether its file is where it was made.
    pub(in crate::api) fn is_in_place(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.file)
    }

    /// Where it is looked for.
    pub(in crate::api) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens; must be called in a runtime.
    pub(in crate::api) fn listen(&self) -> io::Result<UnixListener> {
        UnixListener::from_std(self.listener.try_clone()?)
    }
}

fn identity(file: &std::fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        // What lies there by now may be another daemon's.
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn refuse_if_taken(path: &Path) -> Result<(), ListenError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(ListenError::NoSocket { path: path.to_owned() }),
        Ok(_) if StdUnixStream::connect(path).is_ok() => Err(ListenError::InUse { path: path.to_owned() }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Made beside, given its rights, and only then put in its place: nobody connects in between, and nobody finds nothing.
fn put(path: &Path, place: Placement) -> io::Result<(StdUnixListener, (u64, u64))> {
    let beside = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let listener = StdUnixListener::bind(&beside)?;
    let placed = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(SOCKET_MODE))
        .and_then(|()| sys::give_to_group(&beside).or_else(not_root))
        .and_then(|_| std::fs::symlink_metadata(&beside))
        .and_then(|made| {
            match place {
                Placement::Take => std::fs::rename(&beside, path)?,
                // A link replaces nothing.
                Placement::Free => std::fs::hard_link(&beside, path)?,
            }
            Ok(identity(&made))
        });
    if place == Placement::Free || placed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    let file = placed?;
    listener.set_nonblocking(true)?;
    Ok((listener, file))
}

/// Without root's rights, in tests and demonstrations, the socket is the user's own.
fn not_root(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::PermissionDenied { Ok(false) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/koid.sock");
        let _first = LocalListener::open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        assert!(matches!(LocalListener::open(&path), Err(ListenError::InUse { .. })));
        // A daemon that was killed leaves its socket behind.
        let stale = folder.path().join("run/stale.sock");
        drop(StdUnixListener::bind(&stale).unwrap());
        assert!(stale.exists());
        let second = LocalListener::open(&stale).unwrap();
        drop(second);
        assert!(!stale.exists(), "the file goes with its daemon");
    }

    #[tokio::test]
    async fn a_socket_whose_file_or_folder_was_removed_is_put_back_and_steals_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/koid.sock");
        let first = LocalListener::open(&path).unwrap();
        assert!(first.is_in_place());
        std::fs::remove_dir_all(folder.path().join("run")).unwrap();
        assert!(!first.is_in_place());
        let again = first.reopen().unwrap();
        assert!(again.is_in_place() && StdUnixStream::connect(&path).is_ok());
        drop(first);
        assert!(path.exists(), "who goes takes nobody else's file along");

        // Meanwhile another daemon is where it was.
        std::fs::remove_file(&path).unwrap();
        let other = LocalListener::open(&path).unwrap();
        assert!(matches!(again.reopen(), Err(ListenError::InUse { .. })));
        drop(again);
        assert!(other.is_in_place() && StdUnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_in_the_sockets_place_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("koid.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(LocalListener::open(&path), Err(ListenError::NoSocket { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
