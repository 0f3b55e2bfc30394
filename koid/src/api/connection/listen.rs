//! Where the API listens.

use std::io;
use std::net::{IpAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use koi_proto::stream;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::admission::Entrance;
use super::reopening::ReopeningListener;
use super::serve::Visit;
use super::stream::Line;
use crate::api::{Api, Caller};
use crate::os::sys;
use crate::reporting::throttle::Throttle;

/// For so long a machine at the other end may be silent before it counts as gone.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// How often the same complaint about the same address is made.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// A pause after a failed accept: it is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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
enum Place {
    /// It is replaced.
    Take,
    /// It stays, and that is an error.
    Free,
}

impl LocalListener {
    /// Opens the socket for root and the group `koi`. A socket on which nobody answers is replaced.
    pub(crate) fn open(path: &Path) -> Result<LocalListener, ListenError> {
        LocalListener::open_in(path, Place::Take)
    }

    fn open_in(path: &Path, place: Place) -> Result<LocalListener, ListenError> {
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
        LocalListener::open_in(&self.path, if gone { Place::Free } else { Place::Take })
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
fn put(path: &Path, place: Place) -> io::Result<(StdUnixListener, (u64, u64))> {
    let beside = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let listener = StdUnixListener::bind(&beside)?;
    let placed = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(SOCKET_MODE))
        .and_then(|()| sys::give_to_group(&beside).or_else(not_root))
        .and_then(|_| std::fs::symlink_metadata(&beside))
        .and_then(|made| {
            match place {
                Place::Take => std::fs::rename(&beside, path)?,
                // A link replaces nothing.
                Place::Free => std::fs::hard_link(&beside, path)?,
            }
            Ok(identity(&made))
        });
    if place == Place::Free || placed.is_err() {
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

/// Serves the socket until the runtime ends. Root is always let in: who mends a machine must not be locked out by whoever
/// else may use the socket.
pub(crate) async fn serve_local(api: Api, local: LocalListener) -> io::Result<()> {
    let mut listener = ReopeningListener::new(local)?;
    let (root, others) = (Arc::new(Entrance::for_one()), Arc::new(Entrance::for_many()));
    loop {
        match listener.accept().await {
            Ok(stream) => {
                let uid = uid_of(&stream);
                let entrance = if uid == 0 { root.clone() } else { others.clone() };
                let (visit, dismissed) = Visit::begin(api.clone(), entrance, Caller::Local { uid });
                tokio::spawn(async move {
                    let line = Line::new(stream);
                    let is_there = line.is_there();
                    visit.last(dismissed, visit.clone().serve(line, is_there)).await;
                });
            }
            Err(error) => pause(&error).await,
        }
    }
}

fn uid_of(stream: &UnixStream) -> u32 {
    // Without credentials it is nobody.
    stream.peer_cred().map_or(65_534, |c| c.uid())
}

async fn pause(error: &io::Error) {
    tracing::debug!("accepting an API connection failed: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Serves the sealed port, on all its addresses, until the runtime ends.
pub(crate) async fn serve_sealed(api: Api, listeners: Vec<StdTcpListener>) -> io::Result<()> {
    let entrance = Arc::new(Entrance::for_many());
    let complaints = Arc::new(std::sync::Mutex::new(Throttle::new(COMPLAIN_EVERY)));
    let mut all = JoinSet::new();
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        all.spawn(serve_address(api.clone(), listener, entrance.clone(), complaints.clone()));
    }
    all.join_all().await;
    Ok(())
}

async fn serve_address(
    api: Api,
    listener: TcpListener,
    entrance: Arc<Entrance>,
    complaints: Arc<Complaints>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (api, complaints) = (api.clone(), complaints.clone());
                let (visit, dismissed) = Visit::begin(api.clone(), entrance.clone(), Caller::Remote(from));
                tokio::spawn(async move {
                    let work = async {
                        if let Err(error) = serve_one(api, stream, visit.clone()).await {
                            complain(&complaints, from.ip(), &error);
                        }
                    };
                    visit.last(dismissed, work).await;
                });
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn serve_one(api: Api, stream: TcpStream, visit: Arc<Visit>) -> Result<(), stream::StreamError> {
    stream.set_nodelay(true)?;
    notice_the_dead(&stream)?;
    let current = api.shared.get();
    visit.serve_sealed(Line::new(stream), (current.config.cluster.id, &current.keyring)).await
}

/// A machine that has lost its power closes no connection: the kernel asks whether it is there.
fn notice_the_dead(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(DEAD_AFTER / 2).with_interval(DEAD_AFTER / 6).with_retries(3),
    )?;
    socket.set_tcp_user_timeout(Some(DEAD_AFTER))
}

type Complaints = std::sync::Mutex<Throttle<IpAddr>>;

fn complain(complaints: &Complaints, from: IpAddr, error: &stream::StreamError) {
    let mut complaints = complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(unsaid) = complaints.allow(error.kind(), from, sys::now()) {
        tracing::warn!("an API connection from {from} was refused: {error}{unsaid}");
    }
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
