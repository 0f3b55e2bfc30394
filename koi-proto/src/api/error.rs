//! What is answered when a request fails.

use serde::{Deserialize, Serialize};

use super::word::words;

/// What went wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ApiError,
}

/// What went wrong, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiError {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// How koid begins to say that it has no such command.
const NO_COMMAND: &str = "there is no POST ";

impl ApiError {
    /// That there is no such command: an older koid answers so to one of a newer version.
    pub fn no_command(path: &str) -> ApiError {
        ApiError { code: ErrorCode::NotFound, message: format!("{NO_COMMAND}{path}"), hint: String::new() }
    }

    /// Whether it says so.
    pub fn is_unknown_command(&self) -> bool {
        self.code == ErrorCode::NotFound && self.message.starts_with(NO_COMMAND)
    }
}

words! {
    /// What went wrong, for programs. The daemon answers the first eight; the others are said by the command itself.
    pub enum ErrorCode {
        /// The request is not understood (HTTP status 400, exit code 2).
        BadRequest = "bad-request",
        /// No such path, node or group (404, exit 1).
        NotFound = "not-found",
        /// The state of things does not allow it (409, exit 1).
        Refused = "refused",
        /// It would risk two masters (409, exit 5).
        Unsafe = "unsafe",
        /// No leader is known or reachable (503, exit 4).
        NoLeader = "no-leader",
        /// There was no time left: the message says whether it was begun, and so may yet take effect, or was not (504, exit 4).
        Timeout = "timeout",
        /// As many are served as are at once; nothing was done (503, exit 4).
        Busy = "busy",
        /// Something broke inside (500, exit 1).
        Internal = "internal",
        /// Nobody listens where the daemon should (exit 4).
        NoDaemon = "no-daemon",
        /// The socket is not for this user (exit 1).
        PermissionDenied = "permission-denied",
        /// No sealed connection came about (exit 1, or 4 where the network failed).
        Unsealed = "unsealed",
        /// The connection broke before the answer was whole (exit 4).
        Broken = "broken",
        /// The answer is not what this version expects (exit 1).
        BadAnswer = "bad-answer",
        /// Nothing answered for as long as `koi wait` waited (exit 4).
        NoAnswer = "no-answer",
        /// What `koi wait` waited for did not come (exit 3).
        NotReached = "not-reached",
        /// The configuration cannot be used (exit 1).
        Configuration = "configuration",
        /// Something on this machine failed (exit 1).
        Failed = "failed",
    }
}

impl ErrorCode {
    /// The HTTP status that the daemon answers with.
    pub fn http_status(&self) -> u16 {
        match self {
            ErrorCode::BadRequest => 400,
            ErrorCode::NotFound => 404,
            ErrorCode::Refused | ErrorCode::Unsafe => 409,
            ErrorCode::NoLeader | ErrorCode::Busy => 503,
            ErrorCode::Timeout => 504,
            ErrorCode::Internal
            | ErrorCode::NoDaemon
            | ErrorCode::PermissionDenied
            | ErrorCode::Unsealed
            | ErrorCode::Broken
            | ErrorCode::BadAnswer
            | ErrorCode::NoAnswer
            | ErrorCode::NotReached
            | ErrorCode::Configuration
            | ErrorCode::Failed
            | ErrorCode::Unknown(_) => 500,
        }
    }
}
