//! Why no sealed stream comes about.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::header::HeaderError;
use crate::key::KeyId;

/// No sealed stream came about. The connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Something else came to this port, or something else answers there.
    #[error("the other side does not speak koi's protocol: is this the port of a koid?")]
    NotKoi,
    /// Another version of the protocol.
    #[error("protocol version {0}, not {version}: the versions of koi are too far apart", version = crate::PROTOCOL_VERSION)]
    Version(u8),
    /// The initiator is of another cluster.
    #[error("cluster id {0} is not ours: `cluster.id` differs")]
    OtherCluster(u32),
    /// The initiator uses a key that this node does not have.
    #[error(
        "the other side uses the key {0}, which this node does not have: `cluster.key_file` or the password differs"
    )]
    UnknownKey(KeyId),
    /// The other side says that it wants none of this. Its word is not authenticated: take it as a hint.
    #[error("the other side refuses: {0}")]
    Refused(HandshakeError),
    /// Made or changed by someone without the key.
    #[error("forged or damaged: the seal does not fit")]
    Forged,
    /// The other side did not finish the handshake within the caller's time.
    #[error("no sealed connection within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The Noise library refuses to work. A fault of this program or of the system.
    #[error("cannot seal a stream: {0}")]
    Noise(#[from] snow::Error),
}

impl StreamError {
    /// A word for counters. It never changes.
    pub fn kind(&self) -> &'static str {
        match self {
            StreamError::NotKoi => "not-koi",
            StreamError::Version(_) => "version",
            StreamError::OtherCluster(_) => "other-cluster",
            StreamError::UnknownKey(_) => "unknown-key",
            StreamError::Refused(_) => "refused",
            StreamError::Forged => "forged",
            StreamError::TimedOut(_) => "timed-out",
            StreamError::Io(_) => "broken",
            StreamError::Noise(_) => "noise",
        }
    }
}

impl From<HeaderError> for StreamError {
    fn from(e: HeaderError) -> StreamError {
        match e {
            HeaderError::NotKoi => StreamError::NotKoi,
            HeaderError::Version(v) => StreamError::Version(v),
        }
    }
}

/// Why a responder refuses. The text ends in what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// It speaks another version of the protocol.
    Version,
    /// It is of another cluster.
    OtherCluster,
    /// It does not have the key that was used.
    UnknownKey,
    /// The seal did not fit.
    Forged,
}

impl HandshakeError {
    /// What is wrong, a sentence without its full stop.
    pub fn message(self) -> &'static str {
        match self {
            HandshakeError::Version => "it speaks another version of the protocol",
            HandshakeError::OtherCluster => "it is of another cluster",
            HandshakeError::UnknownKey => "it does not know the key used here",
            HandshakeError::Forged => "the seal did not fit",
        }
    }

    /// What to look at.
    pub fn hint(self) -> &'static str {
        match self {
            HandshakeError::Version => "the versions of koi are too far apart",
            HandshakeError::OtherCluster => "compare `cluster.id` here and there",
            HandshakeError::UnknownKey => "compare `cluster.key_file` or the password here and there",
            HandshakeError::Forged => "something on the way changes the data",
        }
    }
}

impl std::error::Error for HandshakeError {}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message(), self.hint())
    }
}
