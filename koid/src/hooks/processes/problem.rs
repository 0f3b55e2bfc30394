//! Why the end of a process that a handler has named is not seen at once.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::named::NAMES;
use super::pidfile::PIDFILE_BYTES;

/// Where a process was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By the handler, as this number.
    Word(String),
    /// By the first line of this file.
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Word(text) => write!(f, "pid={text}"),
            Place::File(path) => write!(f, "{}:1", path.display()),
        }
    }
}

/// What is wrong with one that was named. Each says where, what, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessProblem {
    #[error("{}: there is no such file; name the file that holds the service's process id, once it is written", .0.display())]
    NoFile(PathBuf),
    #[error("{}: it is a symbolic link, which koid does not follow; name the file itself", .0.display())]
    Link(PathBuf),
    #[error("{}: it is no regular file; name the file that holds the service's process id", .0.display())]
    NoRegularFile(PathBuf),
    #[error("{}: it has {bytes} bytes, and a pidfile at most {PIDFILE_BYTES}; name the file that holds the service's process id", .path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{}: it cannot be read: {why}; let koid read it, or print pid=NUMBER instead", .path.display())]
    Unreadable { path: PathBuf, why: io::Error },
    #[error(
        "{place}: looking at it hangs; mend the disk or file server it lies on, or print pid=NUMBER instead"
    )]
    Hangs { place: Place },
    /// What a file says is not shown: whoever may write there could have koid read another.
    #[error(
        "{place}: it is no process id; it should be a whole number from 2 on, the process that the service runs in"
    )]
    NoId { place: Place },
    #[error("{place}: that is koid itself; name the process that the service runs in")]
    Koid { place: Place },
    #[error(
        "{place}: that is the hook itself, which ends with it; name the process that the service runs in"
    )]
    Hook { place: Place },
    #[error("{place}: {id} is a thread; name the process that it belongs to")]
    Thread { place: Place, id: i32 },
    #[error(
        "{place}: process {id} has ended; let `status` look whether it runs, and name the one that the service runs in"
    )]
    Ended { place: Place, id: i32 },
    #[error(
        "{place}: process {id} has ended, and its parent has not taken note, so its number is still there; let `status` look at more than that"
    )]
    Zombie { place: Place, id: i32 },
    #[error(
        "{place}: process {id} ({program}) was started after the file was written, so it is another's that has the number now; remove the \
         file when the service ends, and write it when it starts"
    )]
    Stranger { place: Place, id: i32, program: String },
    #[error(
        "{place}: this kernel (before 5.3) or container does not tell of the end of processes; nothing is to be done, `status` finds out when it is due"
    )]
    NoHandles { place: Place },
    #[error(
        "{place}: it cannot be watched: {why}; raise LimitNOFILE of koid's unit if it has no open files left"
    )]
    Unwatchable { place: Place, why: io::Error },
    #[error(
        "more than {NAMES} processes are named, and the others are not watched; name those whose end matters"
    )]
    TooMany,
}
