//! Files that koi writes: whole or not at all, and never over another by accident.

use std::fs::{Permissions, create_dir_all};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    let failed =
        |e: io::Error| CommandError::local(format!("cannot write {}: {e}", path.display()), hint(&e));
    create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new()
        .prefix(".koi-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(content.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match existing {
        Existing::Replace => file.persist(path).map(drop).map_err(|e| failed(e.error)),
        Existing::Keep(hint) => file.persist_noclobber(path).map(drop).map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => {
                CommandError::local(format!("{} exists already", path.display()), hint)
            }
            _ => failed(e.error),
        }),
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "name another file, or run it as root",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
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
