//! What a handler answers to `status`.

use std::fmt;

/// What `status` saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The state observed.
    pub observed: Observed,
    /// One line for people; may be empty.
    pub message: String,
    /// Preference among standbys, higher is better; none: no opinion.
    pub score: Option<i64>,
    /// Free-form keys and values for people. Nothing is decided by them.
    pub details: Vec<(String, String)>,
    /// The processes that the service runs in; empty: nothing is said of them.
    pub processes: Vec<NamedProcess>,
}

/// A process that a service runs in, as its handler names it. Nothing of it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedProcess {
    /// By its id, in decimal digits.
    Id(String),
    /// By a file whose first line is the id. A relative path is relative to the service's folder.
    File(String),
    /// By such a file below a folder, on a way there without links: who names it may read that folder, and nothing else.
    FileWithin {
        /// The folder, absolute, with no link in it.
        folder: String,
        /// The file, relative to it; nothing but names.
        path: String,
    },
}

/// As a script prints it: `pid=4711`, `pidfile=/run/db.pid`.
impl fmt::Display for NamedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedProcess::Id(id) => write!(f, "pid={id}"),
            NamedProcess::File(path) => write!(f, "pidfile={path}"),
            NamedProcess::FileWithin { folder, path } => write!(f, "pidfile={folder}/{path}"),
        }
    }
}

impl NamedProcess {
    /// Of one service so many are watched. More are said to be too many.
    pub const MOST: usize = 8;
}

impl From<Observed> for StatusReport {
    /// The state alone.
    fn from(observed: Observed) -> StatusReport {
        StatusReport {
            observed,
            message: String::new(),
            score: None,
            details: Vec::new(),
            processes: Vec::new(),
        }
    }
}

/// The states that `status` tells apart, with the exit codes of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// 0: healthy, in whatever state it should be.
    Healthy,
    /// 90: healthy, and promoted.
    Promoted,
    /// 91: healthy, and standby.
    Standby,
    /// 92: stopped.
    Stopped,
    /// 93: running, but not promotable now.
    Live,
}
