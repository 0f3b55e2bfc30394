//! What must survive a restart, in one file: who this node is, how often it was started, and the core's durable state.
//!
//! `state` is replaced whole: written beside, synced, renamed over, the folder synced. It begins with a magic word, a
//! format version and a checksum, so that a damaged file is told from a good one and never half believed.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use blake2::{Blake2s256, Digest};
use koi_core::record::Durable;
use koi_core::types::{NodeId, Session};
use minicbor::{Decode, Encode};

use crate::sys;

const MAGIC: &[u8; 8] = b"koistate";
const FORMAT: u32 = 1;
const CHECKSUM_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 4 + CHECKSUM_BYTES;
/// Far more than a record of the greatest size has; a larger file is not ours.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Damaged files that are kept for an operator to look at; the last name is used again after that.
const MAX_DAMAGED: u32 = 20;

/// The file's contents after its header.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Kept {
    /// Drawn at the first start.
    #[n(0)]
    pub(crate) id: NodeId,
    /// How often the daemon was started.
    #[n(1)]
    pub(crate) starts: u64,
    /// The core's state; none: it has not asked for anything to be kept yet.
    #[n(2)]
    pub(crate) durable: Option<Durable>,
}

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

/// What was found at the start. The count of starts is already on disk.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The node's identity.
    pub(crate) id: NodeId,
    /// This run.
    pub(crate) session: Session,
    /// The core's state.
    pub(crate) durable: Option<Durable>,
    /// Where a damaged state was set aside, and what was wrong with it.
    pub(crate) damaged: Option<(PathBuf, String)>,
}

/// The state folder, locked for this process.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    kept: Kept,
    /// Held while it is open.
    _lock: File,
}

impl Store {
    /// Locks the folder, reads what is there, counts this start, and puts that on disk.
    pub(crate) fn open(folder: &Path) -> Result<(Store, Opened), StoreError> {
        create_folder(folder)?;
        let lock = lock(folder)?;
        let path = folder.join("state");
        let (kept, damaged) = match read(&path)? {
            Found::Nothing => (None, None),
            Found::State(kept) => (Some(*kept), None),
            Found::Damaged(why) => (None, Some((set_aside(&path)?, why))),
        };
        let mut kept = kept.unwrap_or_else(|| Kept { id: draw_id(), starts: 0, durable: None });
        kept.starts += 1;
        let session = Session { count: kept.starts, random: sys::random_u64() };
        let opened = Opened { id: kept.id, session, durable: kept.durable.clone(), damaged };
        let store = Store { folder: folder.to_owned(), kept, _lock: lock };
        write(&store.folder, &store.kept).map_err(|source| StoreError::Write { path, source })?;
        Ok((store, opened))
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

fn create_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| StoreError::Folder { path: folder.to_owned(), source })
}

fn lock(folder: &Path) -> Result<File, StoreError> {
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

fn draw_id() -> NodeId {
    // A version 4 UUID.
    let bits = (u128::from(sys::random_u64()) << 64) | u128::from(sys::random_u64());
    NodeId(bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62))
}

enum Found {
    Nothing,
    State(Box<Kept>),
    Damaged(String),
}

fn read(path: &Path) -> Result<Found, StoreError> {
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match opened {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        // A disk that cannot be read now may be readable later: that is no reason to forget who we are.
        Err(source) => return Err(StoreError::Read { path: path.to_owned(), source }),
    }
    match parse(&bytes) {
        Ok(kept) => Ok(Found::State(Box::new(kept))),
        Err(Unusable::Newer(found)) => Err(StoreError::Newer { path: path.to_owned(), found }),
        Err(Unusable::Damaged(why)) => Ok(Found::Damaged(why)),
    }
}

enum Unusable {
    Newer(u32),
    Damaged(String),
}

fn parse(bytes: &[u8]) -> Result<Kept, Unusable> {
    let damaged = |why: &str| Err(Unusable::Damaged(why.to_owned()));
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return damaged("it is larger than any state can be");
    }
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return damaged("it is cut off within its header");
    };
    let (magic, rest) = header.split_at(MAGIC.len());
    let (format, checksum) = rest.split_at(4);
    if magic != MAGIC {
        return damaged("it does not begin as a state file does");
    }
    let format = u32::from_be_bytes([format[0], format[1], format[2], format[3]]);
    if format > FORMAT {
        return Err(Unusable::Newer(format));
    }
    if checksum != checksum_of(format, body).as_slice() {
        return damaged("its checksum is wrong: it is cut off, or bits have changed");
    }
    minicbor::decode(body).or_else(|e| damaged(&format!("it cannot be understood: {e}")))
}

fn checksum_of(format: u32, body: &[u8]) -> Vec<u8> {
    Blake2s256::new().chain_update(format.to_be_bytes()).chain_update(body).finalize().to_vec()
}

fn render(kept: &Kept) -> Vec<u8> {
    let body = minicbor::to_vec(kept).expect("writing to memory does not fail");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_be_bytes());
    bytes.extend_from_slice(&checksum_of(FORMAT, &body));
    bytes.extend_from_slice(&body);
    bytes
}

/// Replaces the file: after a crash at any point the old one or the new one is there, whole.
fn write(folder: &Path, kept: &Kept) -> io::Result<()> {
    let temporary = folder.join("state.new");
    let written = write_synced(&temporary, &render(kept))
        .and_then(|()| fs::rename(&temporary, folder.join("state")))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // It may be what fills the disk.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = |n: u32| path.with_file_name(format!("state.damaged-{n}"));
    let free = (1..MAX_DAMAGED).map(name).find(|p| !p.exists()).unwrap_or_else(|| name(MAX_DAMAGED));
    fs::rename(path, &free).map_err(|source| StoreError::Write { path: free.clone(), source })?;
    Ok(free)
}

#[cfg(test)]
mod tests {
    use koi_core::types::Term;

    use super::*;

    fn durable(term: u64) -> Durable {
        Durable { term: Term(term), ..Durable::default() }
    }

    #[test]
    fn a_first_start_draws_an_id_and_later_starts_keep_it_and_count() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("deep/state");
        let (mut store, first) = Store::open(&dir).unwrap();
        assert_eq!((first.session.count, first.durable, first.damaged), (1, None, None));
        store.save(&durable(7)).unwrap();
        drop(store);

        let (_store, second) = Store::open(&dir).unwrap();
        assert_eq!(second.id, first.id);
        assert_eq!(second.session.count, 2);
        assert_ne!(second.session.random, first.session.random);
        assert_eq!(second.durable, Some(durable(7)));
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&dir).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn two_daemons_never_share_a_folder_and_the_error_names_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let _held = Store::open(folder.path()).unwrap();
        let message = Store::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
    }

    #[test]
    fn damage_of_any_kind_is_set_aside_and_said() {
        let whole = render(&Kept { id: NodeId(5), starts: 3, durable: Some(durable(1)) });
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let kinds =
            [flipped, whole[..whole.len() - 1].to_vec(), whole[..10].to_vec(), b"hello".repeat(20), vec![]];
        let folder = tempfile::tempdir().unwrap();
        for (n, bytes) in kinds.iter().enumerate() {
            fs::write(folder.path().join("state"), bytes).unwrap();
            let (_store, opened) = Store::open(folder.path()).unwrap();
            let (aside, why) = opened.damaged.expect("the damage is noticed");
            assert_eq!(aside, folder.path().join(format!("state.damaged-{}", n + 1)), "{why}");
            assert_eq!(&fs::read(&aside).unwrap(), bytes);
            assert_ne!(opened.id, NodeId(5));
            assert_eq!((opened.session.count, opened.durable), (1, None));
        }
    }

    #[test]
    fn a_state_of_a_newer_koid_is_refused_and_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = render(&Kept { id: NodeId(5), starts: 3, durable: None });
        bytes[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&(FORMAT + 1).to_be_bytes());
        fs::write(folder.path().join("state"), &bytes).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found, .. } if found == FORMAT + 1), "{error}");
        assert_eq!(fs::read(folder.path().join("state")).unwrap(), bytes);
    }

    #[test]
    fn a_crash_between_writing_and_renaming_leaves_the_old_state() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, first) = Store::open(folder.path()).unwrap();
        store.save(&durable(4)).unwrap();
        drop(store);
        // What a crash leaves behind: half a new file that was never renamed.
        fs::write(folder.path().join("state.new"), b"koist").unwrap();
        let (_store, second) = Store::open(folder.path()).unwrap();
        assert_eq!((second.id, second.durable), (first.id, Some(durable(4))));
        assert!(second.damaged.is_none());
    }

    #[test]
    fn a_drawn_id_is_a_version_4_uuid() {
        let text = draw_id().to_string();
        assert_eq!(&text[14..15], "4", "{text}");
        assert!("89ab".contains(&text[19..20]), "{text}");
    }
}
