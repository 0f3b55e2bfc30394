//! The sealed stream: a TCP connection inside Noise (`NNpsk0`, noiseprotocol.org), keyed by the cluster's secret. The
//! API from afar runs in it.
//!
//! Handshake: the initiator sends the header of [`crate::seal`] in clear text and the first Noise message. The responder
//! picks the key that the header names, and answers with one byte, zero or why it refuses, and the second Noise
//! message. The initiator confirms in the third. The header is the Noise prologue, so nobody can change it unnoticed.
//! Both have the cluster's key, then, and keys for this one connection, which stay secret even if the cluster's key
//! becomes known later.
//!
//! Afterwards each direction is a row of frames: two bytes of length, big-endian, and a Noise message of that length.
//! An empty message is the end of the direction. A connection that ends without it was cut off, and is an error.

mod handshake;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use snow::TransportState;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

pub use handshake::{accept, connect};

use crate::header::{HEADER_BYTES, NoHeader};
use crate::key::KeyId;

const LENGTH_BYTES: usize = 2;
const TAG_BYTES: usize = 16;
const EPHEMERAL_BYTES: usize = 32;

/// Bytes that an initiator sends at once, before it waits for anything.
pub const OPENING_BYTES: usize = HEADER_BYTES + LENGTH_BYTES + EPHEMERAL_BYTES + TAG_BYTES;

/// Bytes of text that are sealed into one frame: enough to make the seal cheap, little enough to hold in memory for
/// every connection.
const TEXT_BYTES: usize = 16 * 1024;
const _: () = assert!(TEXT_BYTES + TAG_BYTES <= u16::MAX as usize);

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
    Refused(Refusal),
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

impl From<NoHeader> for StreamError {
    fn from(e: NoHeader) -> StreamError {
        match e {
            NoHeader::NotKoi => StreamError::NotKoi,
            NoHeader::Version(v) => StreamError::Version(v),
        }
    }
}

/// Why a responder refuses. The text ends in what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It speaks another version of the protocol.
    Version,
    /// It is of another cluster.
    OtherCluster,
    /// It does not have the key that was used.
    UnknownKey,
    /// The seal did not fit.
    Forged,
}

impl Refusal {
    /// What is wrong, a sentence without its full stop.
    pub fn message(self) -> &'static str {
        match self {
            Refusal::Version => "it speaks another version of the protocol",
            Refusal::OtherCluster => "it is of another cluster",
            Refusal::UnknownKey => "it does not know the key used here",
            Refusal::Forged => "the seal did not fit",
        }
    }

    /// What to look at.
    pub fn hint(self) -> &'static str {
        match self {
            Refusal::Version => "the versions of koi are too far apart",
            Refusal::OtherCluster => "compare `cluster.id` here and there",
            Refusal::UnknownKey => "compare `cluster.key_file` or the password here and there",
            Refusal::Forged => "something on the way changes the data",
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message(), self.hint())
    }
}

/// A sealed connection. What is written may stay here until it is flushed; shutting down sends the end mark.
///
/// Errors in reading: `UnexpectedEof` if the connection was cut off, `InvalidData` if what came is forged or damaged.
/// Either is final.
pub struct SealedStream<S = TcpStream> {
    inner: S,
    noise: Box<TransportState>,
    reading: Reading,
    writing: Writing,
}

/// What came and has not been read yet.
struct Reading {
    /// The frame that is coming, its length included; grows to the size that it needs.
    frame: Vec<u8>,
    filled: usize,
    /// The text of the last frame, and how much of it has been handed out.
    text: Vec<u8>,
    taken: usize,
    state: ReadState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadState {
    Open,
    Ended,
    Broken(io::ErrorKind),
}

/// What was written and has not gone out yet: at most one frame, and the end mark.
struct Writing {
    sealed: Vec<u8>,
    sent: usize,
    ended: bool,
}

impl<S> SealedStream<S> {
    fn new(inner: S, noise: TransportState) -> SealedStream<S> {
        SealedStream {
            inner,
            noise: Box::new(noise),
            reading: Reading {
                frame: vec![0; LENGTH_BYTES],
                filled: 0,
                text: Vec::new(),
                taken: 0,
                state: ReadState::Open,
            },
            writing: Writing { sealed: Vec::new(), sent: 0, ended: false },
        }
    }

    /// The connection underneath, to ask for addresses and the like.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for SealedStream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedStream").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Reading {
    /// Hands out what is left of the last frame; false: nothing is.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let n = buf.remaining().min(self.text.len() - self.taken);
        buf.put_slice(&self.text[self.taken..self.taken + n]);
        self.taken += n;
        n > 0
    }

    /// Reads on until the frame is whole.
    fn poll_frame<S: AsyncRead + Unpin>(
        &mut self,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.filled == LENGTH_BYTES && self.frame.len() == LENGTH_BYTES {
                let length = usize::from(u16::from_be_bytes([self.frame[0], self.frame[1]]));
                if length < TAG_BYTES {
                    return Poll::Ready(Err(forged()));
                }
                self.frame.resize(LENGTH_BYTES + length, 0);
            }
            if self.filled == self.frame.len() {
                return Poll::Ready(Ok(()));
            }
            let mut rest = ReadBuf::new(&mut self.frame[self.filled..]);
            ready!(Pin::new(&mut *inner).poll_read(cx, &mut rest))?;
            match rest.filled().len() {
                0 => return Poll::Ready(Err(cut_off())),
                n => self.filled += n,
            }
        }
    }

    /// Opens the frame that is whole, and makes room for the next.
    fn open(&mut self, noise: &mut TransportState) -> io::Result<()> {
        let sealed = &self.frame[LENGTH_BYTES..];
        self.text.resize(sealed.len(), 0);
        self.taken = 0;
        let length = noise.read_message(sealed, &mut self.text).map_err(|_| {
            self.text.clear();
            forged()
        })?;
        self.text.truncate(length);
        if length == 0 {
            self.state = ReadState::Ended;
        }
        self.filled = 0;
        self.frame.truncate(LENGTH_BYTES);
        Ok(())
    }
}

impl Writing {
    /// Seals the next frame. The one before must have gone out.
    fn seal(&mut self, noise: &mut TransportState, text: &[u8]) -> io::Result<()> {
        self.sealed.resize(LENGTH_BYTES + text.len() + TAG_BYTES, 0);
        self.sent = 0;
        let length = noise.write_message(text, &mut self.sealed[LENGTH_BYTES..]).map_err(|e| {
            self.sealed.clear();
            io::Error::other(format!("cannot seal: {e}"))
        })?;
        let prefix = u16::try_from(length).map_err(|_| io::Error::other("a frame is too long"))?;
        self.sealed[..LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
        self.sealed.truncate(LENGTH_BYTES + length);
        Ok(())
    }

    /// Writes on until everything sealed has gone out.
    fn poll_out<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.sealed.len() {
            match ready!(Pin::new(&mut *inner).poll_write(cx, &self.sealed[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        self.sealed.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SealedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let SealedStream { inner, noise, reading, .. } = self.get_mut();
        if buf.remaining() == 0 || reading.hand_out(buf) {
            return Poll::Ready(Ok(()));
        }
        match reading.state {
            ReadState::Open => {}
            ReadState::Ended => return Poll::Ready(Ok(())),
            ReadState::Broken(kind) => return Poll::Ready(Err(kind.into())),
        }
        let got = ready!(reading.poll_frame(inner, cx)).and_then(|()| reading.open(noise));
        if let Err(e) = &got {
            reading.state = ReadState::Broken(e.kind());
        } else {
            reading.hand_out(buf);
        }
        Poll::Ready(got)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SealedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let SealedStream { inner, noise, writing, .. } = self.get_mut();
        if writing.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // An empty frame would be the end mark.
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(writing.poll_out(inner, cx))?;
        let text = &buf[..buf.len().min(TEXT_BYTES)];
        writing.seal(noise, text)?;
        // The text is taken, whether or not all of it goes out now: the rest goes with the next write or flush.
        match writing.poll_out(inner, cx) {
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(text.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let SealedStream { inner, writing, .. } = self.get_mut();
        ready!(writing.poll_out(inner, cx))?;
        Pin::new(inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let SealedStream { inner, noise, writing, .. } = self.get_mut();
        ready!(writing.poll_out(inner, cx))?;
        if !writing.ended {
            writing.ended = true;
            writing.seal(noise, &[])?;
            ready!(writing.poll_out(inner, cx))?;
        }
        Pin::new(inner).poll_shutdown(cx)
    }
}

fn forged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "forged or damaged: the seal does not fit")
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was cut off before its end mark")
}
