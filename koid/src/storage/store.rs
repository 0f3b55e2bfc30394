//! What must survive a restart: who this node is (see [`crate::storage::identity`]), and the core's durable state. Each in a file of its own, replaced
//! whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use koi_core::record::Durable;
use koi_core::types::{NodeId, Session};
use minicbor::{Decode, Encode};

use crate::os::sys;
use crate::storage::envelope::{self, Unusable};
use crate::storage::identity::{Before, FILE, Identity, Place, Run};

const MAGIC: &[u8; 8] = b"koistate";
const FORMAT: u32 = 1;
/// Damaged files that are kept for an operator to look at; the last name is used again after that.
const MAX_DAMAGED: u32 = 20;

/// The contents of the file `state`. Id and starts are those of the file `identity`, which a koid from before R13 does not know.
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
    /// What is known of the run before.
    pub(crate) before: Before,
    /// The state is older than the identity: it was restored from a backup, and counts as none.
    pub(crate) restored: bool,
}

/// The state folder, locked for this process.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    kept: Kept,
    /// This run.
    run: Option<Run>,
    /// Held while it is open.
    _lock: File,
}

impl Store {
    /// Locks the folder, reads what is there, counts this start, and puts that on disk.
    pub(crate) fn open(folder: &Path) -> Result<(Store, Opened), StoreError> {
        create_folder(folder)?;
        let lock = lock(folder)?;
        let here =
            Place::here(&lock).map_err(|source| StoreError::Lock { path: folder.join("lock"), source })?;
        let (kept, mut damaged) =
            sound(folder, "state", envelope::read::<Kept>(&folder.join("state"), MAGIC, FORMAT))?;
        let (identity, spoilt) = sound(folder, FILE, Identity::read(folder))?;
        damaged = damaged.or(spoilt);
        let found = Found { kept, identity };
        let (mut kept, before, restored) = found.combine(&here);
        kept.starts += 1;
        let session = Session { count: kept.starts, random: sys::random_u64() };
        let opened =
            Opened { id: kept.id, session, durable: kept.durable.clone(), damaged, before, restored };
        let store =
            Store { folder: folder.to_owned(), kept, run: Some(Run { session, place: here }), _lock: lock };
        store.write_all()?;
        Ok((store, opened))
    }

    /// Both files. The state first: one that is older than the identity was restored.
    fn write_all(&self) -> Result<(), StoreError> {
        let failed = |name: &str| {
            let path = self.folder.join(name);
            move |source| StoreError::Write { path, source }
        };
        write(&self.folder, &self.kept).map_err(failed("state"))?;
        let identity = Identity { id: self.kept.id, starts: self.kept.starts, last: self.run.clone() };
        identity.write(&self.folder).map_err(failed(FILE))
    }

    /// Counts this node's runs on from `beyond`, and forgets what a backup says that may be undone by now: koid begins again after this.
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

/// The two files, as far as they are sound.
struct Found {
    kept: Option<Kept>,
    identity: Option<Identity>,
}

impl Found {
    /// Who this node is, what it knows of its last run, and whether its state is an old one. The identity says who it is; a state of another
    /// identity, or of fewer starts than the identity has counted, is as good as none.
    fn combine(self, here: &Place) -> (Kept, Before, bool) {
        let before = self.identity.as_ref().map(|identity| identity.before(here)).unwrap_or_default();
        let fresh = || Kept { id: draw_id(), starts: 0, durable: None };
        let mut kept = match (self.kept, &self.identity) {
            (Some(kept), None) => kept,
            (None, None) => fresh(),
            (Some(kept), Some(identity)) if kept.id == identity.id && kept.starts >= identity.starts => kept,
            (Some(kept), Some(identity)) => {
                let durable = kept.durable.map(|durable| durable.after_restore());
                return (Kept { id: identity.id, starts: identity.starts, durable }, before, true);
            }
            (None, Some(identity)) => Kept { id: identity.id, starts: identity.starts, durable: None },
        };
        if let Some(durable) = kept.durable.as_mut().filter(|_| before.rebooted) {
            // Nothing of it is promoted any more.
            durable.held = None;
        }
        (kept, before, false)
    }
}

/// What was read, and where it was set aside if it was damaged.
type Sound<T> = (Option<T>, Option<(PathBuf, String)>);

fn sound<T>(
    folder: &Path,
    name: &str,
    read: io::Result<Option<Result<T, Unusable>>>,
) -> Result<Sound<T>, StoreError> {
    let path = folder.join(name);
    match read.map_err(|source| StoreError::Read { path: path.clone(), source })? {
        None => Ok((None, None)),
        Some(Ok(contents)) => Ok((Some(contents), None)),
        Some(Err(Unusable::Newer(found))) => Err(StoreError::Newer { path, found }),
        Some(Err(Unusable::Damaged(why))) => Ok((None, Some((set_aside(&path)?, why)))),
    }
}

fn render(kept: &Kept) -> Vec<u8> {
    envelope::render(kept, MAGIC, FORMAT)
}

fn write(folder: &Path, kept: &Kept) -> io::Result<()> {
    envelope::write(folder, "state", &render(kept))
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = |n: u32| path.with_file_name(format!("{file}.damaged-{n}"));
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
            let _ = fs::remove_file(folder.path().join(FILE));
            let (_store, opened) = Store::open(folder.path()).unwrap();
            let (aside, why) = opened.damaged.expect("the damage is noticed");
            assert_eq!(aside, folder.path().join(format!("state.damaged-{}", n + 1)), "{why}");
            assert_eq!(&fs::read(&aside).unwrap(), bytes);
            assert_ne!(opened.id, NodeId(5), "without the identity's file it is another node");
            assert_eq!((opened.session.count, opened.durable), (1, None));
        }
    }

    #[test]
    fn a_damaged_state_leaves_the_node_its_id_and_its_count() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, first) = Store::open(folder.path()).unwrap();
        store.save(&durable(7)).unwrap();
        drop(store);
        fs::write(folder.path().join("state"), b"koistate, or not").unwrap();
        let (store, second) = Store::open(folder.path()).unwrap();
        assert!(second.damaged.is_some());
        assert_eq!((second.id, second.session.count, second.durable), (first.id, 2, None));
        assert_eq!(second.before.follows, Some(first.session), "it is the same machine");
        drop(store);
        fs::write(folder.path().join(FILE), b"spoilt").unwrap();
        let (_store, third) = Store::open(folder.path()).unwrap();
        assert_eq!((third.id, third.session.count), (first.id, 3), "the state knows it too");
    }

    #[test]
    fn a_state_from_before_the_identity_had_a_file_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let old = Kept { id: NodeId(5), starts: 3, durable: Some(durable(4)) };
        fs::write(folder.path().join("state"), render(&old)).unwrap();
        let (_store, opened) = Store::open(folder.path()).unwrap();
        assert_eq!((opened.id, opened.session.count, opened.durable), (NodeId(5), 4, Some(durable(4))));
        assert_eq!(opened.before, Before::default(), "nobody knows where it ran");
        assert!(folder.path().join(FILE).exists());
    }

    #[test]
    fn an_old_state_beside_a_newer_identity_is_no_state() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        store.save(&Durable { held: Some(koi_core::types::Epoch(3)), ..durable(4) }).unwrap();
        let backup = fs::read(folder.path().join("state")).unwrap();
        drop(store);
        drop(Store::open(folder.path()).unwrap());
        fs::write(folder.path().join("state"), backup).unwrap();
        let (_store, opened) = Store::open(folder.path()).unwrap();
        assert!(opened.restored);
        let durable = opened.durable.expect("what may still be promoted is remembered");
        assert_eq!(durable.term, Term(0), "what it has voted since is unknown");
        assert_eq!(durable.held, Some(koi_core::types::Epoch(3)));
    }

    #[test]
    fn counting_up_goes_on_from_where_others_know_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, first) = Store::open(folder.path()).unwrap();
        store.save(&durable(9)).unwrap();
        store.count_up(41).unwrap();
        drop(store);
        let (_store, second) = Store::open(folder.path()).unwrap();
        assert_eq!((second.id, second.session.count), (first.id, 42));
        assert_eq!(second.durable.map(|d| d.term), Some(Term(0)));
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
