//! Plugin files: where they lie, whether they may be trusted, and what is in them.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use koi_plugin_shell::what_else;
use nix::libc::O_NONBLOCK;

use crate::plugin::{FileHash, Kind};

/// Bytes of a plugin's file.
pub(crate) const FILE_BYTES: u64 = 256 << 20;

/// Plugin files of one folder; more are not looked at.
const FILES: usize = 1024;

/// Tells a file from another one at the same place, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn from_metadata(meta: &Metadata) -> Stamp {
        Stamp {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Of the file that lies there now; none: none does.
    pub(crate) fn at(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|meta| Stamp::from_metadata(&meta))
    }
}

/// Why a plugin's file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It isn't there.
    #[error("{} isn't there any more", .0.display())]
    Gone(PathBuf),
    /// The system does not give it to us.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, a socket or the like.
    #[error("{} is not a regular file but {what}; put the plugin itself there", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Everybody may change it.
    #[error("everybody may write to {path}, and koid runs it; chmod o-w {path}", path = .0.display())]
    WorldWritable(PathBuf),
    /// Another user than koid's may change it.
    #[error(
        "{} belongs to user {owner}, and koid runs it as user {own}; chown it to root, or to the user who runs koid",
        path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// As whom koid runs.
        own: u32,
    },
    /// It is longer than plugins may be.
    #[error("{} is larger than {} MiB, the most that a plugin may have", path.display(), most_bytes >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        most_bytes: u64,
    },
}

impl FileError {
    /// Makes an error of the system one about the file at `path`.
    pub(crate) fn from_io(path: &Path) -> impl Fn(io::Error) -> FileError + '_ {
        |source| match source.kind() {
            io::ErrorKind::NotFound => FileError::Gone(path.to_owned()),
            _ => FileError::Unreadable { path: path.to_owned(), source },
        }
    }
}

/// A plugin's file as it was read.
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: FileHash,
    pub(crate) stamp: Stamp,
}

/// The plugins of a folder are not used.
#[derive(Debug, thiserror::Error)]
#[error("no plugin of it is used: it cannot be read: {0}")]
pub(crate) struct FolderError(#[from] io::Error);

/// The kind that a file's ending says; none: it is no plugin.
pub(crate) fn kind_of(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()? {
        "so" => Some(Kind::Native),
        "wasm" => Some(Kind::Wasm),
        _ => None,
    }
}

/// The plugin files in a folder, by name; a folder that isn't there has none.
pub(crate) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    // A name that begins with a dot is a file that is still being written.
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| kind_of(path).is_some() && !is_hidden(path))
        .take(FILES)
        .collect();
    paths.sort();
    Ok(paths)
}

/// Reads a plugin's file, if it may be trusted: koid runs what is in it.
pub(crate) fn read(path: &Path) -> Result<Content, FileError> {
    let unreadable = FileError::from_io(path);
    // Opening a FIFO would wait for a writer, and opening a device may do anything.
    let found = fs::metadata(path).map_err(&unreadable)?;
    check_trust(path, &found)?;
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path).map_err(&unreadable)?;
    // Of what is open, not of what the name leads to by now.
    let meta = file.metadata().map_err(&unreadable)?;
    check_trust(path, &meta)?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or_default());
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(&unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(too_large(path));
    }
    Ok(Content { hash: FileHash::from_bytes(&bytes), bytes, stamp: Stamp::from_metadata(&meta) })
}

/// Whether a file may be run.
fn check_trust(path: &Path, meta: &Metadata) -> Result<(), FileError> {
    let owned = || path.to_owned();
    let (owner, own) = (meta.uid(), nix::unistd::geteuid().as_raw());
    if let Some(what) = what_else(meta.file_type()) {
        return Err(FileError::NotRegular { path: owned(), what });
    }
    if meta.mode() & 0o002 != 0 {
        return Err(FileError::WorldWritable(owned()));
    }
    if owner != 0 && owner != own {
        return Err(FileError::Owner { path: owned(), owner, own });
    }
    if meta.len() > FILE_BYTES { Err(too_large(path)) } else { Ok(()) }
}

fn too_large(path: &Path) -> FileError {
    FileError::TooLarge { path: path.to_owned(), most_bytes: FILE_BYTES }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal(path: &Path) -> String {
        match read(path) {
            Err(error) if !matches!(error, FileError::Gone(_)) => error.to_string(),
            other => panic!("it should be refused: {:?}", other.map(|content| content.hash)),
        }
    }

    #[test]
    fn only_files_that_others_cannot_change_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        fs::write(&path, "code").unwrap();
        assert_eq!(read(&path).ok().unwrap().hash, FileHash::from_bytes(b"code"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(refusal(&path).starts_with("everybody may write to "), "{}", refusal(&path));
        assert!(refusal(folder.path()).contains("is not a regular file"));
        let fifo = folder.path().join("b.so");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(refusal(&fifo).contains("is not a regular file"), "and nobody waits for its writer");
        assert!(matches!(read(&folder.path().join("c.so")), Err(FileError::Gone(_))));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.so");
        File::create(&path).unwrap().set_len(FILE_BYTES + 1).unwrap();
        assert!(refusal(&path).contains("is larger than 256 MiB"));
    }

    #[test]
    fn plugins_of_a_folder_come_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.so", "a.wasm", "README", ".c.wasm", "d.so.bak"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names = ["a.wasm", "b.so"].map(|name| folder.path().join(name));
        assert_eq!(in_folder(folder.path()).unwrap(), names);
        assert!(in_folder(&folder.path().join("none")).unwrap().is_empty());
        assert!(in_folder(&folder.path().join("README")).unwrap_err().to_string().contains("cannot be read"));
    }
}
