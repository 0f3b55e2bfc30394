//! What can go wrong with a request.

use std::io;
use std::time::Duration;

use crate::api::{ApiError, codes};
use crate::stream::StreamError;

/// No answer, or not the one that was hoped for. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there. Nothing was asked.
    #[error("cannot reach koid at {endpoint}: {source}; {hint}")]
    NoDaemon {
        /// Where.
        endpoint: String,
        /// Why.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The socket is not for this user. Nothing was asked.
    #[error(
        "no permission to use {endpoint}: be root or in the group koi (`usermod -aG koi USER`, then log in again)"
    )]
    PermissionDenied {
        /// Where.
        endpoint: String,
    },
    /// The two sides could not agree on a sealed connection. Nothing was asked.
    #[error("no sealed connection to {endpoint}: {source}")]
    Unsealed {
        /// Where.
        endpoint: String,
        /// Why.
        source: StreamError,
    },
    /// The daemon says no.
    #[error("{}", sentence(.error))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        error: ApiError,
    },
    /// There was no whole answer in time. A command may have taken effect, and if it was begun by now it may do yet; it is not begun any more.
    #[error("no answer from {endpoint} within {} ms; `-t` allows more", .timeout.as_millis())]
    TimedOut {
        /// Where.
        endpoint: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The connection broke before the answer was whole. A command may have taken effect.
    #[error("the connection to {endpoint} broke: {source}; look at koid's log there")]
    Broken {
        /// Where.
        endpoint: String,
        /// How.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what this version expects.
    #[error("the answer is not understood: {0}; are the versions of koi and koid too far apart?")]
    BadAnswer(String),
    /// The request cannot be written as one. Nothing was asked.
    #[error("not a request: {0}")]
    BadRequest(String),
}

impl ClientError {
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
fn refused(status: u16, code: &str) -> u8 {
    match code {
        codes::UNSAFE => 5,
        codes::BAD_REQUEST => 2,
        codes::NO_LEADER | codes::TIMEOUT | codes::BUSY => 4,
        codes::NOT_FOUND | codes::REFUSED | codes::INTERNAL => 1,
        _ => match status {
            400 => 2,
            503 | 504 => 4,
            _ => 1,
        },
    }
}

fn sentence(error: &ApiError) -> String {
    match error.hint.as_str() {
        "" => error.message.clone(),
        hint => format!("{}; {hint}", error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_interfaces_md() {
        let refused = |code: &str| {
            let error = ApiError { code: code.into(), ..ApiError::default() };
            ClientError::Refused { status: codes::http_status(code), error }.exit_code()
        };
        assert_eq!(refused(codes::BAD_REQUEST), 2);
        assert_eq!(refused(codes::NOT_FOUND), 1);
        assert_eq!(refused(codes::REFUSED), 1);
        assert_eq!(refused(codes::UNSAFE), 5);
        assert_eq!(refused(codes::NO_LEADER), 4);
        assert_eq!(refused(codes::TIMEOUT), 4);
        assert_eq!(refused(codes::BUSY), 4);
        assert_eq!(refused(codes::INTERNAL), 1);
        let newer = ApiError { code: "a-newer-word".into(), ..ApiError::default() };
        assert_eq!(ClientError::Refused { status: 504, error: newer }.exit_code(), 4);
    }
}
