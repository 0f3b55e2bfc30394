//! The folder in which pulled artifacts lie: an OCI image layout. Files are named by their digests, so that whoever reads one can see
//! whether it is the one.

mod removal;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use koi_files::{Durability, Temporary, WriteOptions};

use crate::digest::Digest;
use crate::manifest::{CONFIG_BYTES, Descriptor, LAYER_BYTES, MANIFEST_BYTES, Manifest, ManifestError};

/// Says that the folder is an image layout, and of which version.
const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// koid may run as another user than the one who pulls; nothing in here is secret.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;
const STATE_MODE: u32 = 0o700;

/// Pulled artifacts. The default is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store(PathBuf);

/// An artifact, whole, each part compared with its digest.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifest as the registry has it.
    pub manifest_bytes: Vec<u8>,
    /// Its configuration.
    pub config: Vec<u8>,
    /// The component.
    pub component: Vec<u8>,
}

/// A part of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The list of the others.
    Manifest,
    /// What other tools read.
    Config,
    /// The component.
    Component,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Part::Manifest => "manifest",
            Part::Config => "configuration",
            Part::Component => "component",
        }
    }

    fn most_bytes(self) -> usize {
        match self {
            Part::Manifest => MANIFEST_BYTES,
            Part::Config => CONFIG_BYTES,
            Part::Component => LAYER_BYTES,
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an artifact cannot be read from the store, kept in it, or made of its parts.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It was not pulled, or was removed.
    #[error("it is not on this node")]
    Missing,
    /// A part cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A part is another one than its name or its manifest says.
    #[error("its {part} is not the one that is meant: it must have {expected}, and has {found}")]
    OtherBytes {
        /// Which.
        part: Part,
        /// The digest that is meant.
        expected: Digest,
        /// The digest of what is there.
        found: Digest,
    },
    /// A part is shorter or longer than its manifest says.
    #[error("its {part} must have {expected} bytes, and has {found}")]
    OtherSize {
        /// Which.
        part: Part,
        /// What the manifest says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// It is something else than a component.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritten {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Artifact {
    /// Puts an artifact together. Each part is compared with its digest and its size.
    ///
    /// # Errors
    /// A part is not the one that is meant, or it is no component.
    pub fn new(
        digest: Digest,
        manifest_bytes: Vec<u8>,
        config: Vec<u8>,
        component: Vec<u8>,
    ) -> Result<Artifact, StoreError> {
        let manifest = read_manifest(digest, &manifest_bytes)?;
        compare(Part::Config, &manifest.config, &config)?;
        compare(Part::Component, manifest.component(), &component)?;
        Ok(Artifact { digest, manifest, manifest_bytes, config, component })
    }
}

/// Reads a manifest whose digest must be this one.
fn read_manifest(digest: Digest, bytes: &[u8]) -> Result<Manifest, StoreError> {
    let found = Digest::from_bytes(bytes);
    if found != digest {
        return Err(StoreError::OtherBytes { part: Part::Manifest, expected: digest, found });
    }
    Ok(Manifest::read(bytes)?)
}

fn compare(part: Part, expected: &Descriptor, bytes: &[u8]) -> Result<(), StoreError> {
    if bytes.len() as u64 != expected.size {
        return Err(StoreError::OtherSize { part, expected: expected.size, found: bytes.len() as u64 });
    }
    let found = Digest::from_bytes(bytes);
    match found == expected.digest {
        true => Ok(()),
        false => Err(StoreError::OtherBytes { part, expected: expected.digest, found }),
    }
}

impl Store {
    /// The store in this folder, which need not be there.
    pub fn new(folder: PathBuf) -> Store {
        Store(folder)
    }

    /// The store of the node whose state lies in `state_dir` (`node.state_dir`): no guest is granted anything in there.
    pub fn in_state(state_dir: &Path) -> Store {
        Store(state_dir.join("pulled"))
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Where a part with this digest lies, if it does.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.digits())
    }

    fn blobs(&self) -> PathBuf {
        self.0.join("blobs").join("sha256")
    }

    /// The artifact whose manifest has this digest. Every part is read and compared. Blocks.
    ///
    /// # Errors
    /// It is not there, or is not what its digest says.
    pub fn read(&self, digest: Digest) -> Result<Artifact, StoreError> {
        let manifest_bytes = self.part(Part::Manifest, digest)?;
        let manifest = read_manifest(digest, &manifest_bytes)?;
        let config = self.part(Part::Config, manifest.config.digest)?;
        let component = self.part(Part::Component, manifest.component().digest)?;
        Artifact::new(digest, manifest_bytes, config, component)
    }

    fn part(&self, part: Part, digest: Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing,
            _ => StoreError::Unreadable { path: path.clone(), source },
        };
        let meta = fs::symlink_metadata(&path).map_err(unreadable)?;
        // A pipe would be waited for. What is too long is surely another file.
        if !meta.is_file() || meta.len() > part.most_bytes() as u64 {
            let source = io::Error::other("it is not a file that a pull has left");
            return Err(StoreError::Unreadable { path, source });
        }
        fs::read(&path).map_err(unreadable)
    }

    /// Keeps an artifact, its manifest last: whoever finds that finds the rest. Blocks on the disk.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn keep(&self, artifact: &Artifact) -> Result<(), StoreError> {
        let blobs = self.blobs();
        let make = |folder: &Path, mode| {
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(folder)
                .map_err(|source| StoreError::Unwritten { path: folder.to_owned(), source })
        };
        // The state folder itself is as koid would have made it.
        self.0.parent().map_or(Ok(()), |state| make(state, STATE_MODE))?;
        make(&blobs, FOLDER_MODE)?;
        write(&self.0.join(LAYOUT_FILE), LAYOUT.as_bytes())?;
        for (digest, bytes) in [
            (artifact.manifest.config.digest, &artifact.config),
            (artifact.manifest.component().digest, &artifact.component),
            (artifact.digest, &artifact.manifest_bytes),
        ] {
            write(&self.path(digest), bytes)?;
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let options = WriteOptions {
        mode: FILE_MODE,
        // Two that pull the same at once write the same.
        temporary: Temporary::Random(".pull-"),
        durability: Durability::FileAndFolder,
    };
    koi_files::replace(path, bytes, &options)
        .map_err(|error| StoreError::Unwritten { path: path.to_owned(), source: error.source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    pub(super) fn artifact(component: &[u8]) -> Artifact {
        let manifest = Manifest::new(b"{}", component, BTreeMap::new());
        let bytes = manifest.bytes().unwrap();
        Artifact::new(Digest::from_bytes(&bytes), bytes, b"{}".to_vec(), component.to_vec()).unwrap()
    }

    #[test]
    fn what_was_kept_is_read_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("pulled"));
        let artifact = artifact(b"component");
        assert!(matches!(store.read(artifact.digest), Err(StoreError::Missing)));
        store.keep(&artifact).unwrap();
        store.keep(&artifact).unwrap();
        assert_eq!(store.read(artifact.digest).unwrap(), artifact);
        let layout = fs::read_to_string(store.folder().join("oci-layout")).unwrap();
        assert_eq!(layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
    }

    #[test]
    fn whatever_was_changed_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let artifact = artifact(b"component");
        let said = || store.read(artifact.digest).unwrap_err().to_string();
        store.keep(&artifact).unwrap();
        fs::write(store.path(artifact.manifest.component().digest), "KOMPONENT").unwrap();
        assert!(said().contains("its component is not the one that is meant"), "{}", said());
        fs::write(store.path(artifact.manifest.component().digest), "comp").unwrap();
        assert!(said().contains("its component must have 9 bytes, and has 4"), "{}", said());
        fs::write(store.path(artifact.digest), "{}").unwrap();
        assert!(said().contains("its manifest is not the one that is meant"), "{}", said());
        fs::remove_file(store.path(artifact.digest)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", store.path(artifact.digest)).unwrap();
        assert!(said().contains("cannot be read"), "{}", said());
    }
}
