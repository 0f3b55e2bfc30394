//! What guests keep from call to call: a small key-value store on disk, one file per service.
//!
//! The file is written anew at each change: beside the old one, flushed, then renamed over it, and the folder flushed. So after a crash
//! there is the state before or the state after a change, never one between. A SHA-256 in its header tells damage that the
//! disk did later. The form is koi's own, because values are bytes, which JSON could only hold in some disguise:
//!
//! ```text
//! koi-state 1 <SHA-256 of all that follows the line, in hexadecimal>\n
//! then for each key, sorted: u32 length of the key, u32 length of the value (little-endian), key, value
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use koi_files::{Durability, Temporary, WriteOptions, set_aside, sync_folder};
use koi_plugin_api::{CallLog, LogLevel};
use koi_plugin_shell::open_regular;
use tokio::sync::Mutex as AsyncMutex;

use crate::backend::wasm::protocol::{HostAnswer, StoreError};
use crate::plugin::FileHash;

/// Bytes of a key.
const KEY_BYTES: usize = 256;

/// Bytes of a value.
const VALUE_BYTES: usize = 64 * 1024;

/// Keys of a service.
const KEYS: usize = 1024;

/// Bytes of all keys and values of a service.
const TOTAL_BYTES: usize = 1024 * 1024;

/// The beginning of a file of this form.
const MAGIC: &str = "koi-state 1 ";

/// Before each key.
const LENGTHS_BYTES: usize = 8;

/// No file is longer.
const FILE_BYTES: usize = MAGIC.len() + 65 + TOTAL_BYTES + KEYS * LENGTHS_BYTES;

/// Damaged files that are kept for people to look at; the last one is overwritten from then on.
const DAMAGED_FILES: u32 = 9;

/// Names of services have no dot, so that the temporary file is no other service's. Those that write a file take turns.
const LASTING: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::FileAndFolder };

type Entries = BTreeMap<String, Vec<u8>>;

/// What became of a file that is not as koi wrote it.
#[derive(Debug, thiserror::Error)]
#[error("the state of this service is damaged ({found}) and begins empty; the file is kept as {}", aside.display())]
struct DamagedFileError {
    found: DamageError,
    aside: PathBuf,
}

/// How a file shows that it is not as koi wrote it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum DamageError {
    #[error("it is longer than koi writes")]
    TooLong,
    #[error("it does not begin as koi writes it")]
    Magic,
    #[error("it ends in the first line")]
    HeaderCut,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("a key is not text")]
    Key,
    #[error("it ends in the middle of an entry")]
    EntryCut,
}

/// One service's store. Clones, and all that are opened for the same path, take turns.
#[derive(Clone, Debug)]
pub(crate) struct StateStore {
    path: Arc<Path>,
    /// Held over each look and each change. Waiting for it holds no thread, so that a dead disk costs one and not one per call.
    turn: Arc<AsyncMutex<()>>,
}

/// The locks of the stores that are open, by the path of the file.
static TURNS: LazyLock<Mutex<HashMap<PathBuf, Weak<AsyncMutex<()>>>>> = LazyLock::new(Mutex::default);

impl StateStore {
    /// The store in the file at `path`, which need not be there. Does not touch the disk.
    pub(crate) fn open(path: PathBuf) -> StateStore {
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.get(&path).and_then(Weak::upgrade).unwrap_or_else(|| {
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = Arc::default();
            turns.insert(path.clone(), Arc::downgrade(&turn));
            turn
        });
        StateStore { path: path.into(), turn }
    }

    /// The value of `key`, if it has one.
    pub(crate) async fn get(&self, key: String, log: &dyn CallLog) -> HostAnswer {
        self.with(log, move |entries| Ok(HostAnswer::Value(entries.get(&key).cloned()))).await
    }

    /// Stores a value.
    pub(crate) async fn set(&self, key: String, value: Vec<u8>, log: &dyn CallLog) -> HostAnswer {
        self.with(log, move |entries| put(entries, key, value).map(|()| HostAnswer::Stored)).await
    }

    /// Removes a key and its value.
    pub(crate) async fn delete(&self, key: String, log: &dyn CallLog) -> HostAnswer {
        self.with(log, move |entries| {
            entries.remove(&key);
            Ok(HostAnswer::Stored)
        })
        .await
    }

    /// All keys.
    pub(crate) async fn keys(&self, log: &dyn CallLog) -> HostAnswer {
        self.with(log, |entries| Ok(HostAnswer::Keys(entries.keys().cloned().collect()))).await
    }

    /// Does `work` with what is stored, on a thread that may block. What it has changed is on disk when this returns. Of a damaged
    /// file the log is told.
    async fn with(
        &self,
        log: &dyn CallLog,
        work: impl FnOnce(&mut Entries) -> Result<HostAnswer, StoreError> + Send + 'static,
    ) -> HostAnswer {
        let (result, damage) = self.work(work).await;
        if let Some(damage) = damage {
            log.line(LogLevel::Error, &damage.to_string());
        }
        result.unwrap_or_else(HostAnswer::StoreRefused)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Entries) -> Result<T, StoreError> + Send + 'static,
    ) -> (Result<T, StoreError>, Option<DamagedFileError>) {
        let turn = self.turn.clone().lock_owned().await;
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Kept until the disk is done, even when the call is not waiting any more.
            let _turn = turn;
            work_on(&path, work)
        });
        done.await.unwrap_or_else(|error| (Err(StoreError::Io(error.to_string())), None))
    }
}

fn work_on<T>(
    path: &Path,
    work: impl FnOnce(&mut Entries) -> Result<T, StoreError>,
) -> (Result<T, StoreError>, Option<DamagedFileError>) {
    let (before, damage) = match load(path) {
        Ok(loaded) => loaded,
        Err(error) => return (Err(StoreError::Io(format!("{}: {error}", path.display()))), None),
    };
    let mut entries = before.clone();
    let result = work(&mut entries).and_then(|value| {
        if entries != before {
            save(path, &entries).map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
        }
        Ok(value)
    });
    (result, damage)
}

/// What is stored. A file that is not as it was written is set aside, and said so; the store is empty then.
fn load(path: &Path) -> io::Result<(Entries, Option<DamagedFileError>)> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Entries::new(), None)),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    match decode(&bytes) {
        Ok(entries) => Ok((entries, None)),
        Err(found) => {
            let aside = set_aside(path, "damaged", DAMAGED_FILES).map_err(|error| error.source)?;
            Ok((Entries::new(), Some(DamagedFileError { found, aside })))
        }
    }
}

fn save(path: &Path, entries: &Entries) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        sync_folder(folder.parent().unwrap_or(folder))?;
    }
    Ok(koi_files::replace(path, &encode(entries), &LASTING)?)
}

fn encode(entries: &Entries) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in entries {
        // Both lengths are bounded far below 4 GiB when they are stored.
        body.extend_from_slice(&(key.len() as u32).to_le_bytes());
        body.extend_from_slice(&(value.len() as u32).to_le_bytes());
        body.extend_from_slice(key.as_bytes());
        body.extend_from_slice(value);
    }
    let mut file = format!("{MAGIC}{}\n", FileHash::from_bytes(&body)).into_bytes();
    file.append(&mut body);
    file
}

fn decode(file: &[u8]) -> Result<Entries, DamageError> {
    if file.len() > FILE_BYTES {
        return Err(DamageError::TooLong);
    }
    let rest = file.strip_prefix(MAGIC.as_bytes()).ok_or(DamageError::Magic)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(DamageError::HeaderCut)?;
    let (hash, mut body) = (&rest[..end], &rest[end + 1..]);
    if hash != FileHash::from_bytes(body).to_string().as_bytes() {
        return Err(DamageError::Checksum);
    }
    let mut entries = Entries::new();
    while !body.is_empty() {
        let (key, value) = (take_length(&mut body)?, take_length(&mut body)?);
        let key = String::from_utf8(take(&mut body, key)?.to_vec()).map_err(|_| DamageError::Key)?;
        entries.insert(key, take(&mut body, value)?.to_vec());
    }
    Ok(entries)
}

fn take_length(body: &mut &[u8]) -> Result<usize, DamageError> {
    let bytes = take(body, 4)?;
    Ok(bytes.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

fn take<'b>(body: &mut &'b [u8], count: usize) -> Result<&'b [u8], DamageError> {
    let (taken, rest) = body.split_at_checked(count).ok_or(DamageError::EntryCut)?;
    *body = rest;
    Ok(taken)
}

/// Puts a value in, if there is room for it.
fn put(entries: &mut Entries, key: String, value: Vec<u8>) -> Result<(), StoreError> {
    if key.len() > KEY_BYTES || value.len() > VALUE_BYTES {
        return Err(StoreError::TooLarge);
    }
    entries.insert(key, value);
    let total: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    match entries.len() > KEYS || total > TOTAL_BYTES {
        true => Err(StoreError::QuotaExceeded),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
