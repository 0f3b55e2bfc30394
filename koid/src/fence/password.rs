//! The password of a fence: in a file that nobody else may read, and in nothing that people see.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use koi_files::trust::{self, TrustError};

/// Bytes of a password.
const BYTES: u64 = 1024;

/// A password. It is shown to nobody.
#[derive(Clone)]
pub(super) struct Password(String);

/// Why it cannot be used. Nothing of it is repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// It cannot be read.
    #[error("the password file {} cannot be read: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// Others may read it.
    #[error("the password file {path} may be read by others than its owner: `chmod 600 {path}`", path = .0.display())]
    Exposed(PathBuf),
    /// Others may change it.
    #[error("the password file is not koid's alone: {0}")]
    Untrusted(TrustError),
    /// It is no line of text.
    #[error("the password file {} must have one line of text, of at most {BYTES} bytes", .0.display())]
    NoLine(PathBuf),
}

impl Password {
    /// Reads it. May block.
    ///
    /// # Errors
    /// It cannot be read, others may read or change it, or it is no line of text.
    pub(super) fn read(path: &Path) -> Result<Password, PasswordError> {
        let unreadable = |error| PasswordError::Unreadable { path: path.to_owned(), error };
        let file = koi_config::open_file(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if let Some(untrusted) = trust::check_metadata(path, &found) {
            return Err(PasswordError::Untrusted(untrusted));
        }
        if trust::is_open_to_others(&found) {
            return Err(PasswordError::Exposed(path.to_owned()));
        }
        let mut text = String::new();
        file.take(BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        let line = text.trim_end_matches(['\n', '\r']);
        let good = !line.is_empty() && !line.contains(['\n', '\r', '\0']) && text.len() as u64 <= BYTES;
        match good {
            true => Ok(Password(line.to_owned())),
            false => Err(PasswordError::NoLine(path.to_owned())),
        }
    }

    /// For the standard input of an agent, and nothing else.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// The text, with the password taken out. `is_cut`: something stood before it, and it may begin in the middle of the password.
    pub(super) fn redacted(&self, text: &str, is_cut: bool) -> String {
        // A character that was cut is none any more.
        let text = if is_cut { text.trim_start_matches('\u{fffd}') } else { text };
        let ends = self.0.char_indices().skip(1).map(|(at, _)| &self.0[at..]);
        let rest = ends.filter(|_| is_cut).find_map(|end| text.strip_prefix(end));
        rest.unwrap_or(text).replace(&self.0, "…")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_read_from_a_file_that_only_its_owner_may_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.password");
        let with = |text: &str, mode| {
            write(&path, text).expect("it is written");
            set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
            Password::read(&path).map(|password| password.secret().to_owned()).map_err(|e| e.to_string())
        };
        assert_eq!(with("geheim\n", 0o600), Ok("geheim".to_owned()));
        assert!(with("geheim\n", 0o640).is_err_and(|e| e.contains("chmod 600") && !e.contains("geheim")));
        assert!(with("one\ntwo\n", 0o600).is_err_and(|e| e.contains("one line") && !e.contains("two")));
        assert!(with("", 0o600).is_err());
        let missing = Password::read(&folder.path().join("none")).map(|_| ()).map_err(|e| e.to_string());
        assert!(missing.is_err_and(|e| e.contains("cannot be read")));
    }
}
