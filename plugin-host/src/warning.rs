//! What people should know about their services.

use std::fmt;
use std::path::{Path, PathBuf};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, and perhaps not as meant.
    Warning,
    /// Something does not work.
    Error,
}

/// Something about a file or folder, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The same for the same thing at each look, so that it is said once.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub path: PathBuf,
    /// A sentence.
    pub message: String,
}

impl Warning {
    /// `topic` tells apart what can be said of the same path.
    pub(crate) fn new(severity: Severity, topic: &str, path: &Path, message: impl Into<String>) -> Warning {
        let key = format!("{topic}:{}", path.display());
        Warning { key, severity, path: path.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}
