//! The stream itself: frames read and written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use snow::TransportState;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

pub(super) const LENGTH_BYTES: usize = 2;
pub(super) const TAG_BYTES: usize = 16;

/// Bytes of text that are sealed into one frame: enough to make the seal cheap, little enough to hold in memory for
/// every connection.
const TEXT_BYTES: usize = 16 * 1024;
const _: () = assert!(TEXT_BYTES + TAG_BYTES <= u16::MAX as usize);

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
    pub(super) fn new(inner: S, noise: TransportState) -> SealedStream<S> {
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
