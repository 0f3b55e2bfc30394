//! What lies in a store, and how an artifact is removed from it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Part, Store};
use crate::digest::Digest;
use crate::manifest::Manifest;

/// A part that was written so lately may belong to a pull that is under way.
const YOUNG: Duration = Duration::from_secs(3600);

impl Store {
    /// Every artifact whose manifest lies here, whether its parts do or not. A store that is not there has none. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn artifacts(&self) -> io::Result<BTreeMap<Digest, Manifest>> {
        let entries = match fs::read_dir(self.blobs()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let name = entry?.file_name();
            let digest = name.to_str().and_then(|digits| format!("sha256:{digits}").parse::<Digest>().ok());
            // What is longer than a manifest, or is none, is a part of another.
            let Some(digest) = digest else { continue };
            let Ok(bytes) = self.part(Part::Manifest, digest) else { continue };
            if let Ok(manifest) = super::read_manifest(digest, &bytes) {
                found.insert(digest, manifest);
            }
        }
        Ok(found)
    }

    /// When the artifact was pulled last, by the wall clock; none: it is not there.
    pub fn pulled_at(&self, digest: Digest) -> Option<SystemTime> {
        fs::metadata(self.path(digest)).and_then(|meta| meta.modified()).ok()
    }

    /// Removes an artifact: its manifest first, then those parts that no other artifact here has. What was written within the last hour
    /// stays, for a pull may be under way. Blocks.
    ///
    /// # Errors
    /// Something of it cannot be removed, or nobody knows what the others have.
    pub fn remove(&self, digest: Digest) -> io::Result<()> {
        let mut all = self.artifacts()?;
        let Some(manifest) = all.remove(&digest) else { return Ok(()) };
        fs::remove_file(self.path(digest))?;
        let parts = |manifest: &Manifest| [manifest.config.digest, manifest.component().digest];
        let is_shared = |part: &Digest| all.values().any(|other| parts(other).contains(part));
        for part in parts(&manifest).into_iter().filter(|part| !is_shared(part)) {
            let path = self.path(part);
            if !is_young(&path) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }
}

/// Whether it was written lately, or, by a clock that was set back, yet to be.
fn is_young(path: &Path) -> bool {
    let written = fs::metadata(path).and_then(|meta| meta.modified());
    written.is_ok_and(|written| written.elapsed().map_or(true, |age| age < YOUNG))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::artifact;
    use super::*;

    /// Makes the files of a store look as old as they would be.
    fn age(store: &Store) {
        let before = SystemTime::now() - 2 * YOUNG;
        for entry in fs::read_dir(store.blobs()).unwrap().flatten() {
            fs::File::options().write(true).open(entry.path()).unwrap().set_modified(before).unwrap();
        }
    }

    #[test]
    fn what_is_removed_goes_but_for_what_others_have_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("pulled"));
        assert!(store.artifacts().unwrap().is_empty(), "there is no store yet");
        let (one, other) = (artifact(b"one"), artifact(b"other"));
        store.keep(&one).unwrap();
        store.keep(&other).unwrap();
        assert_eq!(store.artifacts().unwrap().keys().count(), 2);
        age(&store);
        store.remove(one.digest).unwrap();
        assert!(!store.path(one.digest).exists() && !store.path(one.manifest.component().digest).exists());
        assert_eq!(store.read(other.digest).unwrap(), other, "both have the same configuration");
        store.remove(one.digest).unwrap();
    }

    #[test]
    fn a_part_that_a_pull_has_just_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("pulled"));
        let one = artifact(b"one");
        store.keep(&one).unwrap();
        store.remove(one.digest).unwrap();
        assert!(
            store.artifacts().unwrap().is_empty() && store.path(one.manifest.component().digest).exists()
        );
    }
}
