//! Why one entry of a list cannot be granted: a directory, a program, a variable or a user.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::address::{AddressError, AuthorityError};

/// Why one entry of a list cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Of `read` or `write`.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Of `tcp` or `udp`.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Of `http`.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Of `exec`.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Of `env` or `exec-env`.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Of `user`.
    #[error(transparent)]
    User(#[from] UserError),
}

/// Why a directory cannot be granted, or not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A relative path, or one that climbs.
    #[error("write an absolute path without `..`")]
    NotAbsolute,
    /// Nothing is there.
    #[error("there is no such directory; create it or correct the line")]
    Missing,
    /// The system does not let us look.
    #[error("it cannot be looked at: {0}")]
    Unreadable(io::Error),
    /// A file or the like.
    #[error("not a directory; grant the directory that it lies in")]
    NotADirectory,
    /// `/`, for writing.
    #[error("the whole node cannot be granted for writing; name the directory that is needed")]
    WholeNode,
    /// For writing, and something of koi's own is in it or holds it.
    #[error(
        "{what} ({}) would be writable, and with it a handler could give itself everything; grant a directory that it is not in",
        path.display()
    )]
    Protected { what: &'static str, path: PathBuf },
    /// A secret of koi's is in it.
    #[error("{what} ({}) would be readable; grant a directory that it is not in", path.display())]
    Secret { what: &'static str, path: PathBuf },
    /// It was there when the service was loaded.
    #[error("the granted directory {} cannot be opened any more: {source}", path.display())]
    Gone { path: PathBuf, source: io::Error },
    /// A link on the way was changed since the service was loaded.
    #[error(
        "the granted directory {} now leads to {} and no longer to {}; if that is meant, run `koi reconfigure`",
        path.display(), now.display(), before.display()
    )]
    Moved { path: PathBuf, now: PathBuf, before: PathBuf },
    /// The sandbox does not take it.
    #[error("the granted directory {} cannot be opened: {error}", path.display())]
    Unopened { path: PathBuf, error: wasmtime::Error },
}

/// Why nothing can run as a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The machine has none of this name.
    #[error("there is no user {0} on this machine; make one or correct the line")]
    Missing(String),
    /// The system does not say who that is.
    #[error("who {name} is cannot be found out: {source}")]
    Unreadable { name: String, source: Errno },
    /// It is root, for a helper.
    #[error("a handler that breaks out of its sandbox would be root; name the user that owns what it needs")]
    Root,
    /// koid cannot become somebody else.
    #[error("only root can run something as {0}: run koid as root, or take out `user`")]
    NotRoot(String),
}

/// Why a program cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// No word at all.
    #[error("it names no program; write an absolute path and arguments")]
    Empty,
    /// A relative path.
    #[error("`{}` is not an absolute path; write where the program lies", .0.display())]
    NotAbsolute(PathBuf),
    /// `**` with words behind it.
    #[error("`**` means any further arguments and so is the last word; write `*` for one")]
    OpenEndNotLast,
    /// Nothing is there.
    #[error("there is no {}; install it or correct the line", .0.display())]
    Missing(PathBuf),
    /// The system does not let us look.
    #[error("{} cannot be looked at: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A folder, or a file that is not executable.
    #[error("{} is not a program", .0.display())]
    NotAProgram(PathBuf),
    /// A table without a command line.
    #[error("`run` must be the command line: write {{ run = \"/PATH/TO/PROGRAM ARGUMENTS\" }}")]
    Run,
    /// A user that is none.
    #[error("`user` must be the name of a user, in double quotes")]
    User,
    /// Neither true nor false.
    #[error("`keep` must be true or false, without quotes")]
    Keep,
    /// A table with something else in it.
    #[error("`{0}` is not known here; there are `run`, `user` and `keep`")]
    UnknownKey(String),
    /// Of `user`.
    #[error(transparent)]
    RunAs(#[from] UserError),
}

/// Why a variable cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum VariableError {
    /// It cannot be a name.
    #[error("not the name of an environment variable; write it like \"LANG\"")]
    NotAName,
    /// It would lead a program astray.
    #[error("a guest must not set it: with it any program can be made to run other code; take it out")]
    Unsafe,
}
