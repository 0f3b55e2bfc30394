//! The two ends of a helper's socket: what is waited for at each.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};

/// A socket of which only the reading is waited for. Otherwise its owner would be woken each time that the other end has read something.
pub(crate) struct ReadHalf(AsyncFd<UnixStream>);

impl ReadHalf {
    /// Of a socket that does not block.
    pub(crate) fn new(socket: UnixStream) -> io::Result<ReadHalf> {
        // SAFETY: the AsyncFd owns the socket, whose descriptor stays the same and open until both are dropped.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(ReadHalf(socket))
    }

    /// Reads as soon as there is something. Blocks the thread until then, and with it whatever else it runs.
    pub(crate) fn read_blocking(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.0.get_ref();
        loop {
            let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                done => done?,
            };
            match socket.read(into) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                read => return read,
            }
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut readable = ready!(self.0.poll_read_ready(context))?;
            let into = buffer.initialize_unfilled();
            let room = into.len();
            let Ok(read) = readable.try_io(|socket| socket.get_ref().read(into)) else { continue };
            let read = read?;
            if read < room {
                // There was no more: the next read waits, instead of asking once more.
                readable.clear_ready();
            }
            buffer.advance(read);
            return Poll::Ready(Ok(()));
        }
    }
}

/// Writes a part of `bytes` to a socket that does not block, as soon as there is room. May be dropped and begun again at any time.
pub(crate) async fn write(socket: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match { socket }.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => room(socket).await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

async fn room(socket: &UnixStream) -> io::Result<()> {
    // SAFETY: as above.
    let socket = unsafe { AsyncFd::register_with_interest(socket.try_clone()?, Interest::WRITABLE) }?;
    socket.writable().await?.retain_ready();
    Ok(())
}
