//! What can go wrong with a request.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::api::{ApiError, ErrorCode};
use crate::stream::StreamError;

/// No answer, or not the one that was hoped for. The text is [`ClientError::message`], then [`ClientError::hint`].
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there. Nothing was asked.
    NoDaemon {
        /// Where.
        endpoint: String,
        /// Why.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The socket is not for this user. Nothing was asked.
    PermissionDenied {
        /// Where.
        endpoint: String,
    },
    /// The two sides could not agree on a sealed connection. Nothing was asked.
    Unsealed {
        /// Where.
        endpoint: String,
        /// Why.
        source: StreamError,
    },
    /// The daemon says no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        error: ApiError,
    },
    /// There was no whole answer in time. A command may have taken effect, and if it was begun by now it may do yet; it is not begun any more.
    TimedOut {
        /// Where.
        endpoint: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The connection broke before the answer was whole. A command may have taken effect.
    Broken {
        /// Where.
        endpoint: String,
        /// How.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer is not what this version expects.
    BadAnswer(String),
    /// The request cannot be written as one. Nothing was asked.
    BadRequest(String),
}

impl ClientError {
    /// What went wrong, as the API would say it.
    pub fn code(&self) -> ErrorCode {
        match self {
            ClientError::NoDaemon { .. } => ErrorCode::NoDaemon,
            ClientError::PermissionDenied { .. } => ErrorCode::PermissionDenied,
            ClientError::Unsealed { .. } => ErrorCode::Unsealed,
            ClientError::Refused { error, .. } => error.code.clone(),
            ClientError::TimedOut { .. } => ErrorCode::Timeout,
            ClientError::Broken { .. } => ErrorCode::Broken,
            ClientError::BadAnswer(_) => ErrorCode::BadAnswer,
            ClientError::BadRequest(_) => ErrorCode::BadRequest,
        }
    }

    /// What went wrong, a sentence for people without its full stop.
    pub fn message(&self) -> String {
        match self {
            ClientError::NoDaemon { endpoint, source, .. } => {
                format!("cannot reach koid at {endpoint}: {source}")
            }
            ClientError::PermissionDenied { endpoint } => format!(
                "no permission to use {endpoint}: be root or in the group koi (`usermod -aG koi USER`, then log in again)"
            ),
            ClientError::Unsealed { endpoint, source: StreamError::Refused(refusal) } => {
                format!("no sealed connection to {endpoint}: the other side refuses: {}", refusal.message())
            }
            ClientError::Unsealed { endpoint, source } => {
                format!("no sealed connection to {endpoint}: {source}")
            }
            ClientError::Refused { error, .. } => error.message.clone(),
            ClientError::TimedOut { endpoint, timeout } => {
                format!("no answer from {endpoint} within {} ms", timeout.as_millis())
            }
            ClientError::Broken { endpoint, source } => {
                format!("the connection to {endpoint} broke: {source}")
            }
            ClientError::BadAnswer(why) => format!("the answer is not understood: {why}"),
            ClientError::BadRequest(why) => format!("not a request: {why}"),
        }
    }

    /// What to do about it; may be empty.
    pub fn hint(&self) -> &str {
        match self {
            ClientError::NoDaemon { hint, .. } => hint,
            ClientError::Unsealed { source: StreamError::Refused(refusal), .. } => refusal.hint(),
            ClientError::Refused { error, .. } => &error.hint,
            ClientError::TimedOut { .. } => "`-t` allows more",
            ClientError::Broken { .. } => "look at koid's log there",
            ClientError::BadAnswer(_) => "are the versions of koi and koid too far apart?",
            ClientError::PermissionDenied { .. }
            | ClientError::Unsealed { .. }
            | ClientError::BadRequest(_) => "",
        }
    }

    /// What `koi` exits with: 1 failed or refused, 2 wrong usage, 4 no answer or no leader, 5 refused
    /// because it would not be safe.
    pub fn exit_code(&self) -> u8 {
        match self {
            ClientError::Refused { status, error } => refused(*status, &error.code),
            ClientError::NoDaemon { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Broken { .. }
            | ClientError::Unsealed { source: StreamError::Io(_), .. } => 4,
            ClientError::BadRequest(_) => 2,
            ClientError::PermissionDenied { .. }
            | ClientError::Unsealed { .. }
            | ClientError::BadAnswer(_) => 1,
        }
    }
}

/// By the error's code; by the status where a newer daemon has a code that this version does not know.
fn refused(status: u16, code: &ErrorCode) -> u8 {
    match code {
        ErrorCode::Unsafe => 5,
        ErrorCode::BadRequest => 2,
        ErrorCode::NoLeader | ErrorCode::Timeout | ErrorCode::Busy => 4,
        ErrorCode::NotFound | ErrorCode::Refused | ErrorCode::Internal => 1,
        // The rest are no daemon's of this version.
        _ => match status {
            400 => 2,
            503 | 504 => 4,
            _ => 1,
        },
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        match self.hint() {
            "" => Ok(()),
            hint => write!(f, "; {hint}"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ClientError::NoDaemon { source, .. } => Some(source),
            ClientError::Unsealed { source, .. } => Some(source),
            ClientError::Broken { source, .. } => Some(source.as_ref()),
            ClientError::PermissionDenied { .. }
            | ClientError::Refused { .. }
            | ClientError::TimedOut { .. }
            | ClientError::BadAnswer(_)
            | ClientError::BadRequest(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_exit_code() {
        let refused = |code: ErrorCode| {
            let status = code.http_status();
            ClientError::Refused { status, error: ApiError { code, ..ApiError::default() } }.exit_code()
        };
        assert_eq!(refused(ErrorCode::BadRequest), 2);
        assert_eq!(refused(ErrorCode::NotFound), 1);
        assert_eq!(refused(ErrorCode::Refused), 1);
        assert_eq!(refused(ErrorCode::Unsafe), 5);
        assert_eq!(refused(ErrorCode::NoLeader), 4);
        assert_eq!(refused(ErrorCode::Timeout), 4);
        assert_eq!(refused(ErrorCode::Busy), 4);
        assert_eq!(refused(ErrorCode::Internal), 1);
        let newer = ApiError { code: "a-newer-word".into(), ..ApiError::default() };
        assert_eq!(ClientError::Refused { status: 504, error: newer }.exit_code(), 4);
    }
}
