//! Compiled code on disk. It is run without a further look, so it is taken only from where nobody but koid can write, and only
//! if it is what was written.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use koi_files::{Durability, Temporary, WriteError, WriteOptions};
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use crate::backend::wasm::engine;
use crate::backend::wasm::load::sealed::{SealedCode, UnsealedCode};
use crate::plugin::FileHash;

/// Entries kept; of more, those that were not used for the longest go.
const ENTRIES: usize = 256;

/// An entry that was not used for so long goes.
const UNUSED: Duration = Duration::from_secs(90 * 24 * 3600);

/// A half-written file of a koid that died.
const LEFT_OVER: Duration = Duration::from_secs(3600);

/// How often it is looked whether another process is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

const ENDING: &str = ".cwasm";
const TEMPORARY: &str = ".tmp-";

/// Several processes may put the same entry in at the same time. [`Cache::prune`] removes what was left over.
const ENTRY: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Random(TEMPORARY), durability: Durability::File };

/// Why the cache is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// Its folder cannot be made.
    #[error("the cache of compiled code {} cannot be made: {source}", dir.display())]
    Unmade { dir: PathBuf, source: io::Error },
    /// Its folder cannot be looked at.
    #[error("the cache of compiled code {} cannot be looked at: {source}", dir.display())]
    Unreadable { dir: PathBuf, source: io::Error },
    /// Something else lies there.
    #[error("the cache of compiled code {} is not a folder; remove it", .0.display())]
    NotAFolder(PathBuf),
    /// Others can write there.
    #[error("the cache of compiled code {} is not used, for it {reason}; remove it, koid makes it anew", dir.display())]
    Distrusted { dir: PathBuf, reason: TrustError },
}

/// Why a file or folder is not to be trusted. It ends a sentence that begins with its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// Another user owns it.
    #[error("belongs to user {owner} and not to {own}, as whom koid runs")]
    Owner { owner: u32, own: u32 },
    /// Its mode lets others write.
    #[error("is writable by others (mode {0:04o})")]
    Mode(u32),
}

/// A folder of compiled code that can be trusted.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

/// What an entry was compiled from, and for which engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CacheKey(String);

impl CacheKey {
    /// For a component and an engine, which is told by [`compatibility`](crate::backend::wasm::engine::compatibility).
    pub(crate) fn new(component: FileHash, compatibility: &str) -> CacheKey {
        CacheKey(format!("{component}-{}-{compatibility}-", env!("CARGO_PKG_VERSION")))
    }

    /// For the runtime of a component that was [parted](super::parts). Of those `koi plugins dev` knows the names by their beginning.
    pub(crate) fn of_runtime(runtime: FileHash, compatibility: &str) -> CacheKey {
        CacheKey(format!("runtime-{}", CacheKey::new(runtime, compatibility).0))
    }
}

/// The right to make the code for one key. Dropped, somebody else has it.
#[derive(Debug)]
pub(crate) struct CacheClaim {
    path: PathBuf,
    _lock: File,
}

impl Drop for CacheClaim {
    fn drop(&mut self) {
        // Whoever waits for this very file finds the code; whoever comes later makes a file of its own.
        remove(&self.path);
    }
}

impl Cache {
    /// Opens the folder; makes it where it isn't there.
    pub(crate) fn open(dir: &Path) -> Result<Cache, CacheError> {
        let owned = || dir.to_owned();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| CacheError::Unmade { dir: owned(), source })?;
        let meta =
            fs::symlink_metadata(dir).map_err(|source| CacheError::Unreadable { dir: owned(), source })?;
        if !meta.is_dir() {
            return Err(CacheError::NotAFolder(owned()));
        }
        match distrust(&meta) {
            Some(reason) => Err(CacheError::Distrusted { dir: owned(), reason }),
            None => Ok(Cache { dir: owned() }),
        }
    }

    /// The code for `key`, if there is a whole entry. One that is damaged or not to be trusted is removed.
    pub(crate) fn find(&self, key: &CacheKey) -> Option<SealedCode> {
        let names = self.names().ok()?;
        let mut found = names.into_iter().filter_map(|name| Some((digest_in(&name, key)?, name)));
        found.find_map(|(digest, name)| {
            let path = self.dir.join(name);
            match read(&path, &digest) {
                Ok(Some(code)) => Some(code),
                Ok(None) | Err(_) => {
                    tracing::warn!("{}: damaged, or writable by others; it is compiled anew", path.display());
                    // If it cannot be removed it is passed over again at the next load.
                    let _ = fs::remove_file(path);
                    None
                }
            }
        })
    }

    /// Keeps `compiled` for `key`.
    pub(crate) fn put(&self, key: &CacheKey, compiled: &[u8]) -> Result<PathBuf, WriteError> {
        let path = self.dir.join(format!("{}{}{ENDING}", key.0, hex(&Sha256::digest(compiled))));
        // An author's code is wanted now, and what the disk has lost is made anew: its name says what it was.
        let durability = if engine::is_quick() { Durability::Unsynced } else { ENTRY.durability };
        koi_files::replace(&path, compiled, &WriteOptions { durability, ..ENTRY })?;
        self.prune();
        Ok(path)
    }

    /// Waits until nobody else makes the code for `key`: koid and `koi check` often want the same at once. Nothing where that takes longer
    /// than `patience`, or the folder gives no locks: then it is made twice, and no harm done.
    pub(crate) fn claim(&self, key: &CacheKey, patience: Duration) -> Option<CacheClaim> {
        let path = self.dir.join(format!("{TEMPORARY}{}", key.0));
        let until = Instant::now() + patience;
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).ok()?;
        loop {
            match file.try_lock() {
                Ok(()) => return Some(CacheClaim { path, _lock: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOOK_INTERVAL),
                Err(_) => return None,
            }
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.dir)?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// Removes what nobody has used for long. Code that runs stays in memory without its file.
    fn prune(&self) {
        let now = SystemTime::now();
        let mut entries: Vec<(Duration, PathBuf)> = Vec::new();
        for name in self.names().unwrap_or_default() {
            let path = self.dir.join(&name);
            let Ok(used) = fs::symlink_metadata(&path).and_then(|meta| meta.modified()) else { continue };
            let unused = now.duration_since(used).unwrap_or_default();
            let too_long = if name.starts_with(TEMPORARY) { LEFT_OVER } else { UNUSED };
            if unused > too_long {
                remove(&path);
            } else if name.ends_with(ENDING) {
                entries.push((unused, path));
            }
        }
        entries.sort();
        entries.iter().skip(ENTRIES).for_each(|(_, path)| remove(path));
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!("{} stays: {error}", path.display());
    }
}

/// Why a file or folder is not to be trusted, if it isn't.
fn distrust(meta: &Metadata) -> Option<TrustError> {
    let own = geteuid().as_raw();
    if meta.uid() != own {
        return Some(TrustError::Owner { owner: meta.uid(), own });
    }
    let mode = meta.mode() & 0o7777;
    (mode & 0o022 != 0).then_some(TrustError::Mode(mode))
}

/// The digest in an entry's name, if it is one of `key`.
fn digest_in(name: &str, key: &CacheKey) -> Option<String> {
    Some(name.strip_prefix(&key.0)?.strip_suffix(ENDING)?.to_owned())
}

/// The code in the file, if that is ours and what its name says; notes that it was used. What is compared is the copy that is run: the
/// file may be changed in between.
fn read(path: &Path, digest: &str) -> io::Result<Option<SealedCode>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || distrust(&meta).is_some() {
        return Ok(None);
    }
    let (mut code, mut hasher) = (UnsealedCode::new()?, Sha256::new());
    let mut chunk = vec![0; 128 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            n => {
                hasher.update(&chunk[..n]);
                code.write_all(&chunk[..n])?;
            }
        }
    }
    if hex(&hasher.finalize()) != digest {
        return Ok(None);
    }
    if let Err(error) = file.set_modified(SystemTime::now()) {
        tracing::debug!("{}: that it was used cannot be noted: {error}", path.display());
    }
    code.seal().map(Some)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache, CacheKey) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("plugins/compiled")).unwrap();
        (dir, cache, CacheKey::new(FileHash::from_bytes(b"component"), "7"))
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_was_put_is_found_for_the_same_component_and_engine_only() {
        let (_dir, cache, key) = cache();
        let path = cache.put(&key, b"code").unwrap();
        assert_eq!(cache.find(&key).unwrap().size_bytes, 4);
        assert!(path.exists());
        assert!(
            cache.find(&CacheKey::new(FileHash::from_bytes(b"component"), "8")).is_none(),
            "another engine"
        );
        assert!(
            cache.find(&CacheKey::new(FileHash::from_bytes(b"changed"), "7")).is_none(),
            "another component"
        );
    }

    #[test]
    fn an_entry_that_is_damaged_writable_by_others_or_a_link_is_not_taken_and_removed() {
        let (dir, cache, key) = cache();
        let harms: [&dyn Fn(&Path); 4] = [
            &|path| fs::write(path, b"cod").unwrap(),
            &|path| fs::write(path, b"c0de").unwrap(),
            &|path| chmod(path, 0o666),
            &|path| {
                fs::rename(path, dir.path().join("elsewhere")).unwrap();
                std::os::unix::fs::symlink(dir.path().join("elsewhere"), path).unwrap();
            },
        ];
        for harm in harms {
            let path = cache.put(&key, b"code").unwrap();
            harm(&path);
            assert!(cache.find(&key).is_none());
            assert!(fs::symlink_metadata(&path).is_err(), "it is removed");
        }
    }

    #[test]
    fn two_who_want_the_same_code_make_it_one_after_the_other() {
        let (_dir, cache, key) = cache();
        let first = cache.claim(&key, Duration::ZERO).unwrap();
        assert!(cache.claim(&key, Duration::ZERO).is_none(), "it is being made");
        let other = CacheKey::new(FileHash::from_bytes(b"another"), "7");
        assert!(cache.claim(&other, Duration::ZERO).is_some(), "another one is nobody's");
        let second = thread::scope(|scope| {
            let waits = scope.spawn(|| cache.claim(&key, Duration::from_secs(60)));
            drop(first);
            waits.join().unwrap()
        });
        drop(second.expect("the first one is done"));
        assert_eq!(cache.names().unwrap(), Vec::<String>::new(), "nothing is left of it");
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let (_dir, cache, _) = cache();
        assert_eq!(fs::metadata(&cache.dir).unwrap().permissions().mode() & 0o777, 0o700);
        chmod(&cache.dir, 0o770);
        let refused = Cache::open(&cache.dir).unwrap_err().to_string();
        assert!(refused.contains("is writable by others (mode 0770); remove it"), "{refused}");
    }

    #[test]
    fn what_was_not_used_for_long_and_what_is_too_much_goes() {
        let (_dir, cache, key) = cache();
        let age = |path: &Path, age: Duration| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let used_last = cache.put(&key, b"code").unwrap();
        age(&used_last, UNUSED + Duration::from_secs(60));
        let half_written = cache.dir.join(".tmp-abc");
        fs::write(&half_written, b"co").unwrap();
        age(&half_written, LEFT_OVER + Duration::from_secs(60));
        for n in 0..ENTRIES + 3 {
            let other = CacheKey::new(FileHash::from_bytes(&n.to_le_bytes()), "7");
            age(&cache.put(&other, b"code").unwrap(), Duration::from_secs(3600 - n as u64));
        }
        cache.put(&key, b"newer code").unwrap();
        assert!(!used_last.exists() && !half_written.exists());
        assert_eq!(cache.names().unwrap().len(), ENTRIES);
    }
}
