//! Files that are set aside, so that they can be looked at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file could not be set aside. It is where it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot rename {} to {}: {source}", from.display(), to.display())]
pub struct SetAsideError {
    /// The file.
    pub from: PathBuf,
    /// The name that it was to get.
    pub to: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// Renames the file at `path` to `<name>.<label>-<n>` in its folder, and returns the new path. `n` is the first number from 1 on that is
/// free. No more than `limit` files are kept, which is 1 at least: when all of them are there, the file replaces the last one. Nothing is synced.
///
/// # Errors
/// The file cannot be renamed; there may be none.
pub fn set_aside(path: &Path, label: &str, limit: u32) -> Result<PathBuf, SetAsideError> {
    let numbered = |n: u32| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{label}-{n}"));
        path.with_file_name(name)
    };
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    let to = (1..limit).map(numbered).find(is_free).unwrap_or_else(|| numbered(limit));
    match fs::rename(path, &to) {
        Ok(()) => Ok(to),
        Err(source) => Err(SetAsideError { from: path.to_owned(), to, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_are_kept_and_the_last_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (n, expected) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
            fs::write(at("state"), n.to_string()).unwrap();
            let aside = set_aside(&at("state"), "damaged", 3).unwrap();
            assert_eq!(aside, at(&format!("state.damaged-{expected}")));
            assert_eq!(fs::read_to_string(aside).unwrap(), n.to_string());
            assert!(!at("state").exists());
        }
        assert_eq!(fs::read_to_string(at("state.damaged-1")).unwrap(), "1");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = set_aside(&folder.path().join("state"), "damaged", 3).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
        assert_eq!(error.to, folder.path().join("state.damaged-1"));
    }
}
