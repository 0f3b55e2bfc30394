//! Files that are written whole or not at all.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, PersistError};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions<'a> {
    /// The file's mode, like `0o600`. The umask takes bits from it.
    pub mode: u32,
    /// The name of the temporary file.
    pub temporary: Temporary<'a>,
    /// What is synced.
    pub durability: Durability,
}

/// How the temporary file is named, and with that who removes one that was left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporary<'a> {
    /// The file's name and `.new`. For a file that has one writer at a time: a second one would rename what the first has half written.
    /// The next write removes what was left over, so there is never more than one.
    Fixed,
    /// This prefix and six random characters. For a file that may have several writers at once. Nothing here removes what was left over:
    /// whoever owns the folder removes old files with this prefix.
    Random(&'a str),
}

/// What a power cut leaves of a file that was written before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The old file, the new one, or a damaged one: nothing is synced. For files whose readers check them, or that nobody needs after a
    /// power cut.
    Unsynced,
    /// The old file or the new one, whole: the contents are synced before the rename.
    File,
    /// The new file: the contents are synced before the rename, and the folder after it.
    FileAndFolder,
}

/// A step of writing a file, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteStep {
    /// The temporary file is made.
    Create,
    /// The contents are written to the temporary file.
    Write,
    /// The temporary file is synced.
    SyncFile,
    /// The temporary file is renamed to the path.
    Rename,
    /// The folder is synced. If this fails, the new file is in its place already, and a power cut may bring the old one back.
    SyncFolder,
}

/// A file could not be written. Shown, it is the system's error. A path follows if it is not the one that the caller has named.
#[derive(Debug, thiserror::Error)]
#[error("{source}{}", self.other_path())]
pub struct WriteError {
    /// The step that failed.
    pub step: WriteStep,
    /// What the step worked on: the temporary file, for [`WriteStep::Rename`] the path, for [`WriteStep::SyncFolder`] the folder.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

impl WriteError {
    fn other_path(&self) -> String {
        match self.step {
            WriteStep::Rename => String::new(),
            WriteStep::Create | WriteStep::Write | WriteStep::SyncFile | WriteStep::SyncFolder => {
                format!(" at path {:?}", self.path)
            }
        }
    }
}

/// The system's error alone, for callers that name the file themselves.
impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> io::Error {
        error.source
    }
}

/// Writes `contents` to a file at `path`, in place of what is there.
///
/// # Errors
/// A step failed. [`WriteError::step`] says which.
pub fn replace(path: &Path, contents: &[u8], options: &WriteOptions<'_>) -> Result<(), WriteError> {
    write(path, contents, options, |temporary| temporary.persist(path))
}

/// Writes `contents` to a file at `path`, if nothing is there. Two that do so at once do not replace each other's file.
///
/// # Errors
/// A step failed. If something was there, the step is [`WriteStep::Rename`], and the error's kind is [`io::ErrorKind::AlreadyExists`].
pub fn create(path: &Path, contents: &[u8], options: &WriteOptions<'_>) -> Result<(), WriteError> {
    write(path, contents, options, |temporary| temporary.persist_noclobber(path))
}

/// Syncs a folder: the names in it are on disk when this returns.
///
/// # Errors
/// The folder cannot be opened for reading, or cannot be synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write(
    path: &Path,
    contents: &[u8],
    options: &WriteOptions<'_>,
    rename: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> Result<(), WriteError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It is removed when it is dropped, unless it was renamed.
    let mut temporary = create_temporary(folder, path.file_name().unwrap_or_default(), options)?;
    let failed = |step, path: &Path, source| WriteError { step, path: path.to_owned(), source };
    // Through the file itself: tempfile would put a text of its own in the place of the system's error.
    let written = temporary.as_file_mut().write_all(contents);
    written.map_err(|source| failed(WriteStep::Write, temporary.path(), source))?;
    if options.durability != Durability::Unsynced {
        let synced = temporary.as_file().sync_all();
        synced.map_err(|source| failed(WriteStep::SyncFile, temporary.path(), source))?;
    }
    rename(temporary).map_err(|error| failed(WriteStep::Rename, path, error.error))?;
    if options.durability == Durability::FileAndFolder {
        sync_folder(folder).map_err(|source| failed(WriteStep::SyncFolder, folder, source))?;
    }
    Ok(())
}

fn create_temporary(
    folder: &Path,
    name: &OsStr,
    options: &WriteOptions<'_>,
) -> Result<NamedTempFile, WriteError> {
    let mut fixed = name.to_owned();
    fixed.push(".new");
    let mut builder = Builder::new();
    match options.temporary {
        Temporary::Fixed => builder.prefix(&fixed).rand_bytes(0),
        Temporary::Random(prefix) => builder.prefix(prefix),
    };
    let mut tried = folder.to_owned();
    let created = builder.make_in(folder, |path| {
        tried = path.to_owned();
        match open_new(path, options.mode) {
            // Removed only if it is there: most writes are spared a system call.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && options.temporary == Temporary::Fixed =>
            {
                remove_file(path)?;
                open_new(path, options.mode)
            }
            opened => opened,
        }
    });
    created.map_err(|source| WriteError { step: WriteStep::Create, path: tried, source })
}

/// Opens a file that is not there yet: whatever is there, a link too, is an error.
fn open_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use koi_testkit::{SmallDisk, skip};

    use super::*;

    const LASTING: WriteOptions<'static> =
        WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::FileAndFolder };
    const SHARED: WriteOptions<'static> =
        WriteOptions { mode: 0o500, temporary: Temporary::Random(".tmp-"), durability: Durability::File };
    const FLEETING: WriteOptions<'static> = WriteOptions { durability: Durability::Unsynced, ..LASTING };

    /// The names in a folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_whole_and_has_the_mode_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        for options in [LASTING, SHARED, FLEETING] {
            koi_testkit::write_with_mode(&path, "what was there before, and longer", 0o666);
            let before = fs::metadata(&path).unwrap().ino();
            let mut open = File::open(&path).unwrap();
            replace(&path, b"new", &options).unwrap();
            assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), options.mode));
            assert_ne!(fs::metadata(&path).unwrap().ino(), before, "it is another file");
            let read = io::read_to_string(&mut open).unwrap();
            assert!(read.starts_with("what was there"), "who has opened the old one keeps it");
            assert_eq!(names(folder.path()), ["state"]);
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced_by_one_that_is_to_be_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for options in [LASTING, SHARED] {
            create(&path, b"one", &options).unwrap();
            let error = create(&path, b"two", &options).unwrap_err();
            assert_eq!((error.step, &error.path), (WriteStep::Rename, &path));
            assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"one");
            assert_eq!(names(folder.path()), ["key"]);
            fs::remove_file(&path).unwrap();
        }
        symlink("nowhere", &path).unwrap();
        create(&path, b"two", &LASTING).unwrap_err();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink(), "a link that leads nowhere counts too");
    }

    #[test]
    fn a_temporary_file_that_was_left_over_is_neither_kept_nor_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        koi_testkit::write_with_mode(
            &folder.path().join("state.new"),
            "half of something, and longer",
            0o644,
        );
        replace(&path, b"new", &LASTING).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
        assert_eq!(names(folder.path()), ["state"]);
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "untouched").unwrap();
        symlink(at("precious"), at("state.new")).unwrap();
        symlink(at("precious"), at("state")).unwrap();
        replace(&at("state"), b"new", &LASTING).unwrap();
        assert_eq!(fs::read(at("precious")).unwrap(), b"untouched");
        assert!(fs::symlink_metadata(at("state")).unwrap().is_file());
    }

    #[test]
    fn what_failed_is_said_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("folder");
        fs::create_dir_all(taken.join("full")).unwrap();
        for options in [LASTING, SHARED] {
            let error = replace(&taken, b"new", &options).unwrap_err();
            assert_eq!((error.step, &error.path), (WriteStep::Rename, &taken));
            assert_eq!(error.to_string(), "Is a directory (os error 21)");
            assert_eq!(names(folder.path()), ["folder"]);
        }
        let nowhere = folder.path().join("gone/state");
        let error = replace(&nowhere, b"new", &LASTING).unwrap_err();
        let beside = folder.path().join("gone/state.new");
        assert_eq!((error.step, &error.path), (WriteStep::Create, &beside));
        let text = format!("No such file or directory (os error 2) at path {beside:?}");
        assert_eq!(error.to_string(), text);
        assert_eq!(io::Error::from(error).raw_os_error(), Some(2), "it is the system's own error");
    }

    #[test]
    fn a_full_disk_keeps_what_was_there_and_is_not_filled_by_what_failed() {
        let folder = tempfile::tempdir().unwrap();
        let Some(_disk) = SmallDisk::mount(folder.path(), "64k") else {
            skip("a tmpfs cannot be mounted here (root is needed): a full disk was not tried");
            return;
        };
        let path = folder.path().join("state");
        for options in [LASTING, SHARED, FLEETING] {
            replace(&path, b"old", &options).unwrap();
            let error = replace(&path, &vec![7; 128 << 10], &options).unwrap_err();
            assert_eq!((error.step, error.source.kind()), (WriteStep::Write, io::ErrorKind::StorageFull));
            assert_eq!(
                (fs::read(&path).unwrap(), names(folder.path())),
                (b"old".to_vec(), vec!["state".to_owned()])
            );
            replace(&path, &vec![7; 32 << 10], &options).unwrap();
        }
    }

    #[test]
    fn several_that_write_at_once_do_not_mix_what_they_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entry");
        std::thread::scope(|scope| {
            for n in 0..8_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        replace(path, &vec![n; 10_000], &SHARED).unwrap();
                    }
                });
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 10_000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(names(folder.path()), ["entry"]);
    }
}
