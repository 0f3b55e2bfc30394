//! Directories of the node that a guest may read or change.

use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::host::Host;

/// A granted directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    /// As it is written, and as the guest sees it.
    path: PathBuf,
    /// Where that leads, all links followed, when the service was loaded.
    real: PathBuf,
}

impl Directory {
    /// One to read. Blocks.
    pub(super) fn to_read(text: &str) -> Result<Directory, String> {
        let path = PathBuf::from(text);
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            return Err("write an absolute path without `..`".into());
        }
        let real = fs::canonicalize(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                "there is no such directory; create it or correct the line".to_owned()
            }
            _ => format!("it cannot be looked at: {error}"),
        })?;
        match real.is_dir() {
            true => Ok(Directory { path, real }),
            false => Err("not a directory; grant the directory that it lies in".into()),
        }
    }

    /// One that was granted before: what has become of it is looked at when it is used. Blocks.
    pub(super) fn again(text: &str) -> Directory {
        let path = PathBuf::from(text);
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        Directory { path, real }
    }

    /// One to change. Blocks.
    pub(super) fn to_write(text: &str, host: &Host) -> Result<Directory, String> {
        let directory = Directory::to_read(text)?;
        if directory.real == Path::new("/") {
            return Err(
                "the whole node cannot be granted for writing; name the directory that is needed".into()
            );
        }
        // The plugins' folder lies in koid's state folder. Compiled code is in there, which koid runs without a further look.
        let own = host.dir.parent().unwrap_or(&host.dir);
        let own = fs::canonicalize(own).unwrap_or_else(|_| own.to_owned());
        if directory.real.starts_with(&own) || own.starts_with(&directory.real) {
            return Err(format!(
                "koid's own state lies there ({}); grant a directory that it is not in",
                own.display()
            ));
        }
        Ok(directory)
    }

    /// What the guest calls it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `directory` is in it, by either of its names.
    pub(super) fn holds(&self, directory: &Path) -> bool {
        let climbs = directory.components().any(|part| part == Component::ParentDir);
        !climbs && (directory.starts_with(&self.path) || directory.starts_with(&self.real))
    }

    /// Where to find it now. Blocks.
    ///
    /// # Errors
    /// When it is gone, or leads elsewhere than at load: whoever can change a link on the way must not choose what is granted.
    pub(crate) fn real(&self) -> Result<&Path, String> {
        let path = self.path.display();
        let now = fs::canonicalize(&self.path)
            .map_err(|error| format!("the granted directory {path} cannot be opened any more: {error}"))?;
        match now == self.real {
            true => Ok(&self.real),
            false => Err(format!(
                "the granted directory {path} now leads to {} and no longer to {}; if that is meant, run `koi reconfigure`",
                now.display(),
                self.real.display()
            )),
        }
    }
}

/// The path, and where it leads if that is elsewhere.
impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.real == self.path {
            true => Ok(()),
            false => write!(f, " ({})", self.real.display()),
        }
    }
}
