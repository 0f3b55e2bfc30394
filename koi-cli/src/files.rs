//! Files that koi writes: whole or not at all, and never over another by accident.

use std::fmt::Display;
use std::fs::create_dir_all;
use std::io;
use std::path::Path;

use koi_files::{Durability, Temporary, WriteError, WriteOptions, WriteStep};

use crate::error::CommandError;

/// What to do about a file that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Existing {
    /// Leave it, and fail with this hint.
    Keep(&'static str),
    /// Replace it.
    Replace,
}

/// Writes `content` to `path` with at most the permissions `mode`, and makes the folders above it.
pub(crate) fn write(path: &Path, content: &str, mode: u32, existing: Existing) -> Result<(), CommandError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: &dyn Display, kind| {
        CommandError::local(format!("cannot write {}: {e}", path.display()), hint(kind))
    };
    create_dir_all(folder).map_err(|e| failed(&e, e.kind()))?;
    let options = WriteOptions { mode, temporary: Temporary::Random(".koi-"), durability: Durability::File };
    let written = match existing {
        Existing::Replace => koi_files::replace(path, content.as_bytes(), &options),
        Existing::Keep(_) => koi_files::create(path, content.as_bytes(), &options),
    };
    written.map_err(|e| match existing {
        Existing::Keep(hint) if was_there(&e) => {
            CommandError::local(format!("{} exists already", path.display()), hint)
        }
        Existing::Keep(_) | Existing::Replace => failed(&e, e.source.kind()),
    })
}

fn was_there(error: &WriteError) -> bool {
    error.step == WriteStep::Rename && error.source.kind() == io::ErrorKind::AlreadyExists
}

fn hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => "name another file, or run it as root",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_is_there_is_kept_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/cluster.key");
        write(&path, "one", 0o600, Existing::Keep("")).unwrap();

        let again = write(&path, "two", 0o600, Existing::Keep("do not"));
        assert!(matches!(again, Err(CommandError::Reported { code: 1, .. })), "{again:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");

        write(&path, "three", 0o600, Existing::Replace).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "nothing is left behind");
    }
}
