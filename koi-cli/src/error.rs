//! How a command ends when it does not end well.

use std::io;

use koi_proto::api::{ApiError, ErrorCode};

/// The exit codes, as `koi --help` lists them.
pub(crate) mod exit {
    /// Done, well.
    pub(crate) const WELL: u8 = 0;
    /// Failed or refused.
    pub(crate) const FAILED: u8 = 1;
    /// Wrong usage.
    pub(crate) const USAGE: u8 = 2;
    /// Degraded or no master.
    pub(crate) const DEGRADED: u8 = 3;
    /// No answer in time.
    pub(crate) const NO_ANSWER: u8 = 4;
    /// It would not be safe.
    pub(crate) const UNSAFE: u8 = 5;
}

/// Why a command did not get its work done.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// To be said, with the exit code that goes with it.
    Reported {
        /// One of [`exit`], or what the API's client says.
        code: u8,
        /// What to say.
        error: ApiError,
    },
    /// Nobody reads our output any more (`koi events | head -1`): nothing is wrong, and nobody is left to tell.
    OutputClosed,
}

impl CommandError {
    /// Something on this machine failed (exit 1).
    pub(crate) fn local(message: impl Into<String>, hint: impl Into<String>) -> CommandError {
        CommandError::new(exit::FAILED, ErrorCode::Failed, message, hint)
    }

    /// The command cannot mean anything (exit 2).
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> CommandError {
        CommandError::new(exit::USAGE, ErrorCode::BadRequest, message, hint)
    }

    pub(crate) fn new(
        exit_code: u8,
        code: ErrorCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> CommandError {
        let error = ApiError { code, message: message.into(), hint: hint.into() };
        CommandError::Reported { code: exit_code, error }
    }

    /// Whether asking again may end better: the daemon may be starting, the leader being elected.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            CommandError::Reported { code, .. } => *code == exit::NO_ANSWER,
            CommandError::OutputClosed => false,
        }
    }

    /// What is said.
    pub(crate) fn message(&self) -> &str {
        match self {
            CommandError::Reported { error, .. } => &error.message,
            CommandError::OutputClosed => "nobody reads our output",
        }
    }

    /// A failed write to standard output.
    pub(crate) fn from_output(error: &io::Error) -> CommandError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CommandError::OutputClosed,
            _ => CommandError::local(format!("cannot write to standard output: {error}"), ""),
        }
    }
}
