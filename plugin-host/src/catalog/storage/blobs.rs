//! Copies of plugin files as they were taken, named by their hash: whatever happens to the files, these stay.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_files::{Durability, Temporary, WriteOptions};
use koi_plugin_shell::read_regular;

use crate::host::Host;
use crate::plugin::FileHash;

/// Files that are younger are not removed: `koid --check` may just have put them there.
const YOUNG: Duration = Duration::from_secs(3600);

/// Why a copy of a plugin's file cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Their folder cannot be made.
    #[error("the folder {} for plugins that are in use cannot be made: {source}", folder.display())]
    FolderUnmade {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Their folder cannot be looked at.
    #[error("the folder {} cannot be looked at: {source}", folder.display())]
    FolderUnreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can write to their folder.
    #[error(
        "the folder {folder} can be written to by others than the user who runs koid; make it theirs, and chmod 700 {folder}",
        folder = .0.display()
    )]
    FolderShared(PathBuf),
    /// The copy cannot be written.
    #[error("it cannot be copied to {}: {source}", folder.display())]
    Unwritten {
        /// Where it was to lie.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy cannot be read.
    #[error("its copy {} cannot be read: {source}", copy.display())]
    Unreadable {
        /// The copy.
        copy: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy is not what its name says.
    #[error("its copy {} was changed by somebody", .0.display())]
    Changed(PathBuf),
}

/// Keeps a copy; says where.
pub(crate) fn keep(host: &Host, hash: FileHash, bytes: &[u8]) -> Result<PathBuf, CopyError> {
    let folder = host.pinned_dir();
    private_folder(&folder)?;
    let path = folder.join(hash.to_string());
    if read_regular(&path).is_ok_and(|there| there == bytes) {
        return Ok(path);
    }
    let options = WriteOptions {
        mode: 0o500,
        // `koid --check` may write the same copy at the same time. `prune` removes what was left over: nobody uses such a name.
        temporary: Temporary::Random(&format!(".{hash}.")),
        // A copy that a power cut left empty differs in its bytes, and is written again.
        durability: Durability::Unsynced,
    };
    match koi_files::replace(&path, bytes, &options) {
        Ok(()) => Ok(path),
        Err(error) => Err(CopyError::Unwritten { folder, source: error.source }),
    }
}

/// What is in a copy; its hash is its name, or it is none.
pub(crate) fn read(host: &Host, hash: &str) -> Result<(Vec<u8>, FileHash), CopyError> {
    let path = host.pinned_dir().join(hash);
    let bytes = match read_regular(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(CopyError::Unreadable { copy: path, source }),
    };
    let found = FileHash::from_bytes(&bytes);
    match found.to_string() == hash {
        true => Ok((bytes, found)),
        false => Err(CopyError::Changed(path)),
    }
}

/// Removes the copies that nobody uses any more.
pub(crate) fn prune(host: &Host, used: &BTreeSet<String>) {
    let Ok(files) = fs::read_dir(host.pinned_dir()) else { return };
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let age = file.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if !used.contains(&name) && age.is_some_and(|age| age > YOUNG) {
            // One that stays is tried again the next time.
            let _ = fs::remove_file(file.path());
        }
    }
}

/// Makes a folder that only this user can write to, or sees that it is one.
fn private_folder(folder: &Path) -> Result<(), CopyError> {
    let owned = || folder.to_owned();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| CopyError::FolderUnmade { folder: owned(), source })?;
    let meta =
        fs::metadata(folder).map_err(|source| CopyError::FolderUnreadable { folder: owned(), source })?;
    match meta.uid() == nix::unistd::geteuid().as_raw() && meta.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(CopyError::FolderShared(owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    use super::*;

    fn host(folder: &tempfile::TempDir) -> Host {
        Host {
            program: "/bin/false".into(),
            dir: folder.path().join("plugins"),
            protected: Vec::new(),
            resolver: Default::default(),
            stand_in: None,
        }
    }

    #[test]
    fn a_copy_is_found_by_its_hash_and_mended_if_it_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (host, hash) = (host(&folder), FileHash::from_bytes(b"code"));
        let path = keep(&host, hash, b"code").unwrap();
        assert_eq!(path, host.pinned_dir().join(hash.to_string()));
        assert_eq!(fs::metadata(host.pinned_dir()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(read(&host, &hash.to_string()).unwrap(), (b"code".to_vec(), hash));
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        fs::write(&path, "co").unwrap();
        assert!(read(&host, &hash.to_string()).unwrap_err().to_string().contains("was changed by somebody"));
        keep(&host, hash, b"code").unwrap();
        assert!(read(&host, &hash.to_string()).is_ok());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(&folder);
        fs::create_dir_all(host.pinned_dir()).unwrap();
        fs::set_permissions(host.pinned_dir(), Permissions::from_mode(0o777)).unwrap();
        let why = keep(&host, FileHash::from_bytes(b""), b"").unwrap_err().to_string();
        assert!(why.contains("can be written to by others"), "{why}");
    }

    #[test]
    fn old_copies_that_nobody_uses_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(&folder);
        let paths = ["used", "unused", "young"].map(|text| {
            let path = keep(&host, FileHash::from_bytes(text.as_bytes()), text.as_bytes()).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            let age = if text == "young" { Duration::ZERO } else { YOUNG * 2 };
            File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
            path
        });
        prune(&host, &BTreeSet::from([FileHash::from_bytes(b"used").to_string()]));
        assert_eq!(paths.map(|path| path.exists()), [true, false, true]);
    }
}
