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
    fn of(meta: &Metadata) -> Stamp {
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
        fs::metadata(path).ok().map(|meta| Stamp::of(&meta))
    }
}

/// A plugin's file as it was read.
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: FileHash,
    pub(crate) stamp: Stamp,
}

/// Why a file is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// It isn't there.
    Gone,
    /// Anything else, a sentence that names it.
    Refused(String),
}

/// The kind that a file's ending says; none: it is no plugin.
pub(crate) fn kind_of(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()? {
        "so" => Some(Kind::Native),
        "wasm" => Some(Kind::Wasm),
        _ => None,
    }
}

/// The plugin files in a folder, by name; a folder that isn't there has none.
///
/// # Errors
/// A sentence that says why the folder cannot be read.
pub(crate) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("no plugin of it is used: it cannot be read: {error}")),
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
pub(crate) fn read(path: &Path) -> Result<Content, NotTaken> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NotTaken::Gone,
        _ => NotTaken::Refused(format!("{} cannot be read: {error}", path.display())),
    };
    // Opening a FIFO would wait for a writer, and opening a device may do anything.
    let found = fs::metadata(path).map_err(unreadable)?;
    distrust(path, &found).map_or(Ok(()), |why| Err(NotTaken::Refused(why)))?;
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path).map_err(unreadable)?;
    // Of what is open, not of what the name leads to by now.
    let meta = file.metadata().map_err(unreadable)?;
    distrust(path, &meta).map_or(Ok(()), |why| Err(NotTaken::Refused(why)))?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or_default());
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(NotTaken::Refused(too_large(path)));
    }
    Ok(Content { hash: FileHash::of(&bytes), bytes, stamp: Stamp::of(&meta) })
}

/// Why a file must not be run, a sentence.
fn distrust(path: &Path, meta: &Metadata) -> Option<String> {
    let shown = path.display();
    let own = nix::unistd::geteuid().as_raw();
    if let Some(what) = what_else(meta.file_type()) {
        return Some(format!("{shown} is not a regular file but {what}; put the plugin itself there"));
    }
    if meta.mode() & 0o002 != 0 {
        return Some(format!("everybody may write to {shown}, and koid runs it; chmod o-w {shown}"));
    }
    if meta.uid() != 0 && meta.uid() != own {
        let owner = meta.uid();
        return Some(format!(
            "{shown} belongs to user {owner}, and koid runs it as user {own}; chown it to root, or to the user who runs koid"
        ));
    }
    (meta.len() > FILE_BYTES).then(|| too_large(path))
}

fn too_large(path: &Path) -> String {
    format!("{} is larger than {} MiB, the most that a plugin may have", path.display(), FILE_BYTES >> 20)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal(path: &Path) -> String {
        match read(path) {
            Err(NotTaken::Refused(why)) => why,
            other => panic!("it should be refused: {:?}", other.map(|content| content.hash)),
        }
    }

    #[test]
    fn only_files_that_others_cannot_change_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        fs::write(&path, "code").unwrap();
        assert_eq!(read(&path).ok().unwrap().hash, FileHash::of(b"code"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(refusal(&path).starts_with("everybody may write to "), "{}", refusal(&path));
        assert!(refusal(folder.path()).contains("is not a regular file"));
        let fifo = folder.path().join("b.so");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(refusal(&fifo).contains("is not a regular file"), "and nobody waits for its writer");
        assert_eq!(read(&folder.path().join("c.so")).err(), Some(NotTaken::Gone));
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
        assert_eq!(in_folder(folder.path()), Ok(names.into()));
        assert_eq!(in_folder(&folder.path().join("none")), Ok(Vec::new()));
        assert!(in_folder(&folder.path().join("README")).unwrap_err().contains("cannot be read"));
    }
}
