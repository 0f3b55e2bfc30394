//! Directories of the node that a guest may read or change.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::wasm::grants::directories::protected;
use crate::backend::wasm::grants::error::DirectoryError;
use crate::backend::wasm::grants::paths;
use crate::host::Host;

/// A granted directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Directory {
    /// As it is written, and as the guest sees it.
    #[serde(with = "paths")]
    path: PathBuf,
    /// Where that leads, all links followed, when the service was loaded.
    #[serde(with = "paths")]
    real: PathBuf,
}

impl Directory {
    /// One to read. Blocks.
    pub(in crate::backend::wasm::grants) fn to_read(
        text: &str,
        host: &Host,
    ) -> Result<Directory, DirectoryError> {
        let directory = Directory::find(text)?;
        protected::check(&directory.real, false, host)?;
        Ok(directory)
    }

    fn find(text: &str) -> Result<Directory, DirectoryError> {
        let path = PathBuf::from(text);
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            return Err(DirectoryError::NotAbsolute);
        }
        let real = fs::canonicalize(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => DirectoryError::Missing,
            _ => DirectoryError::Unreadable(error),
        })?;
        match real.is_dir() {
            true => Ok(Directory { path, real }),
            false => Err(DirectoryError::NotADirectory),
        }
    }

    /// One that was granted before: what has become of it is looked at when it is used. Blocks.
    pub(in crate::backend::wasm::grants) fn again(text: &str) -> Directory {
        let path = PathBuf::from(text);
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        Directory { path, real }
    }

    /// One to change. Blocks.
    pub(in crate::backend::wasm::grants) fn to_write(
        text: &str,
        host: &Host,
    ) -> Result<Directory, DirectoryError> {
        let directory = Directory::find(text)?;
        if directory.real == Path::new("/") {
            return Err(DirectoryError::WholeNode);
        }
        protected::check(&directory.real, true, host)?;
        Ok(directory)
    }

    /// What the guest calls it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `directory` is in it, by either of its names.
    pub(in crate::backend::wasm::grants) fn holds(&self, directory: &Path) -> bool {
        let climbs = directory.components().any(|part| part == Component::ParentDir);
        !climbs && (directory.starts_with(&self.path) || directory.starts_with(&self.real))
    }

    /// Where a file in it is: this directory, links followed, and the way from there. None: it is not in it.
    pub(in crate::backend::wasm::grants) fn way_to(&self, file: &Path) -> Option<(&Path, PathBuf)> {
        let way = file.strip_prefix(&self.path).or_else(|_| file.strip_prefix(&self.real)).ok()?;
        let are_names = way.components().all(|part| matches!(part, Component::Normal(_)));
        // A path that ends in a slash names no file.
        let is_file = way.file_name().is_some() && !file.as_os_str().as_bytes().ends_with(b"/");
        (are_names && is_file).then(|| (&*self.real, way.components().collect()))
    }

    /// Where to find it now. Blocks.
    ///
    /// # Errors
    /// When it is gone, or leads elsewhere than at load: whoever can change a link on the way must not choose what is granted.
    pub(crate) fn real(&self) -> Result<&Path, DirectoryError> {
        let path = || self.path.clone();
        let now = fs::canonicalize(path()).map_err(|source| DirectoryError::Gone { path: path(), source })?;
        match now == self.real {
            true => Ok(&self.real),
            false => Err(DirectoryError::Moved { path: path(), now, before: self.real.clone() }),
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
