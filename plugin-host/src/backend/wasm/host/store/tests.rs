//! What is on disk, whatever happens to it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("plugins").join("state").join("svc")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path().with_file_name(name)
    }

    fn store(&self) -> StateStore {
        StateStore::open(self.path())
    }

    /// The names in the store's folder, sorted.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path().parent().unwrap()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn set(store: &StateStore, key: &str, value: &[u8]) -> Result<(), StoreError> {
    let (key, value) = (key.to_owned(), value.to_owned());
    store.work(move |entries| put(entries, key, value)).await.0
}

/// The value, and what was said of damage.
async fn get(store: &StateStore, key: &str) -> (Option<Vec<u8>>, Option<String>) {
    let key = key.to_owned();
    let (value, damage) = store.work(move |entries| Ok(entries.get(&key).cloned())).await;
    (value.unwrap(), damage.map(|damage| damage.to_string()))
}

#[tokio::test]
async fn what_was_set_is_there_for_whoever_opens_it_next() {
    let place = Place::new();
    assert_eq!(get(&place.store(), "a").await, (None, None));
    assert!(!place.path().exists(), "looking makes no file");
    set(&place.store(), "a", b"1").await.unwrap();
    set(&place.store(), "", &[0, 255, b'\n']).await.unwrap();
    set(&place.store(), "a", b"2").await.unwrap();
    assert_eq!(get(&place.store(), "a").await.0, Some(b"2".to_vec()));
    assert_eq!(get(&place.store(), "").await.0, Some(vec![0, 255, b'\n']));
    assert_eq!(place.files(), ["svc"], "nothing half-done is left");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.path()), mode(place.path().parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn limits_hold_and_a_refused_change_changes_nothing() {
    let place = Place::new();
    let store = place.store();
    let full = vec![7; VALUE_BYTES];
    assert!(matches!(set(&store, &"k".repeat(257), b"").await, Err(StoreError::TooLarge)));
    assert!(matches!(set(&store, "k", &vec![0; VALUE_BYTES + 1]).await, Err(StoreError::TooLarge)));
    set(&store, &"k".repeat(256), b"").await.unwrap();
    for n in 0..15 {
        set(&store, &format!("{n:02}"), &full).await.unwrap();
    }
    assert!(matches!(set(&store, "15", &full).await, Err(StoreError::QuotaExceeded)));
    assert_eq!(get(&store, "15").await, (None, None));
    set(&store, "14", b"small").await.unwrap();
    set(&store, "15", &full).await.unwrap();
    let file = fs::metadata(place.path()).unwrap().len() as usize;
    assert!(file <= FILE_BYTES);
}

#[test]
fn no_more_than_1024_keys_fit_and_the_largest_store_can_be_read_again() {
    let mut entries = Entries::new();
    let value = vec![1; TOTAL_BYTES / KEYS - 8];
    for n in 0..KEYS {
        put(&mut entries, format!("{n:08}"), value.clone()).unwrap();
    }
    assert_eq!(encode(&entries).len(), FILE_BYTES, "the bound is exact");
    assert_eq!(decode(&encode(&entries)).unwrap(), entries);
    assert!(matches!(put(&mut entries, "more".into(), Vec::new()), Err(StoreError::QuotaExceeded)));
}

#[tokio::test]
async fn a_crash_before_the_rename_leaves_the_state_before() {
    let place = Place::new();
    set(&place.store(), "epoch", b"4").await.unwrap();
    // Where a crash comes in the middle of writing: half of the next file lies beside it.
    let next = encode(&Entries::from([("epoch".to_owned(), b"5".to_vec())]));
    fs::write(place.beside("svc.new"), &next[..next.len() / 2]).unwrap();
    assert_eq!(get(&place.store(), "epoch").await, (Some(b"4".to_vec()), None));
    set(&place.store(), "epoch", b"6").await.unwrap();
    assert_eq!(get(&place.store(), "epoch").await, (Some(b"6".to_vec()), None));
    assert_eq!(place.files(), ["svc"]);
}

#[tokio::test]
async fn what_lies_where_the_next_file_is_written_is_not_written_through() {
    let place = Place::new();
    set(&place.store(), "a", b"1").await.unwrap();
    let outside = place.0.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    symlink(&outside, place.beside("svc.new")).unwrap();
    set(&place.store(), "a", b"2").await.unwrap();
    assert_eq!(fs::read_to_string(outside).unwrap(), "untouched");
    assert_eq!(get(&place.store(), "a").await.0, Some(b"2".to_vec()));
}

#[tokio::test]
async fn a_file_damaged_anywhere_is_set_aside_said_once_and_the_store_begins_empty() {
    let place = Place::new();
    let whole = encode(&Entries::from([("key".to_owned(), b"value".to_vec())]));
    fs::create_dir_all(place.path().parent().unwrap()).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).step_by(7).map(|cut| whole[..cut].to_vec()).collect();
    for at in (0..whole.len()).step_by(5) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x20;
        damaged.push(flipped);
    }
    damaged.push(vec![0; FILE_BYTES + 10]);
    damaged.push([whole.clone(), vec![0]].concat());
    for bytes in &damaged {
        fs::write(place.path(), bytes).unwrap();
        let (value, damage) = get(&place.store(), "key").await;
        assert_eq!(value, None);
        assert!(damage.unwrap().contains("begins empty; the file is kept as "));
        assert_eq!(get(&place.store(), "key").await, (None, None), "said once");
    }
    assert_eq!(place.files().len() as u32, DAMAGED_FILES, "no more are kept");
    assert_eq!(fs::read(place.beside("svc.damaged-2")).unwrap(), damaged[1]);
    set(&place.store(), "key", b"again").await.unwrap();
    assert_eq!(get(&place.store(), "key").await, (Some(b"again".to_vec()), None));
}

#[test]
fn a_file_with_a_right_checksum_and_nonsense_in_it_is_damaged_too() {
    let file = |body: &[u8]| [format!("{MAGIC}{}\n", FileHash::from_bytes(body)).as_bytes(), body].concat();
    assert!(decode(&file(&[9, 0, 0, 0, 0, 0, 0, 0, b'k'])).is_err(), "shorter than it says");
    assert!(decode(&file(&[255, 255, 255, 255, 255, 255, 255, 255])).is_err(), "lengths of nothing");
    assert!(decode(&file(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff])).is_err(), "a key that is no text");
    assert_eq!(decode(&file(&[])).unwrap(), Entries::new());
}

#[tokio::test]
async fn a_disk_that_refuses_is_an_error_and_not_damage() {
    let place = Place::new();
    fs::create_dir_all(place.path()).unwrap();
    let (result, damage) = place.store().work(|entries| Ok(entries.len())).await;
    assert!(matches!(result, Err(StoreError::Io(why)) if why.contains("svc")), "a folder cannot be read");
    assert!(damage.is_none());
    assert!(place.path().is_dir(), "and stays where it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_come_at_once_take_turns_and_lose_nothing() {
    let place = Place::new();
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            // Each opens it for itself, as calls of two loads of one service do.
            let store = place.store();
            tokio::spawn(async move { set(&store, &format!("key-{n}"), b"x").await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let (count, damage) = place.store().work(|entries| Ok(entries.len())).await;
    assert!(damage.is_none());
    assert_eq!(count.unwrap(), 40);
}
