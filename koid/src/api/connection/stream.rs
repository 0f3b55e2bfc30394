//! The socket of one connection, shared between who reads and writes it and who asks whether its other end is there.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};

use crate::os::sys;

/// How long a write may make no progress: a client that does not read keeps its slot.
const STALL: Duration = Duration::from_secs(10);

/// A socket that several may hold.
pub(in crate::api) trait RawSocket: AsFd + Send + Sync + Unpin + 'static {
    /// As tokio's.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// As tokio's.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// As tokio's.
    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// As tokio's.
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize>;
}

macro_rules! socket {
    ($($stream:ty),*) => {$(
        impl RawSocket for $stream {
            fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_read_ready(context)
            }

            fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_write_ready(context)
            }

            fn try_receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.try_read(buffer)
            }

            fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
                self.try_write(bytes)
            }
        }
    )*};
}

socket!(TcpStream, UnixStream);

/// One connection.
pub(in crate::api) struct Connection<S> {
    socket: Arc<S>,
    /// Bytes that have come.
    heard: Arc<AtomicUsize>,
    /// How long a write may make no progress.
    patience: Duration,
    /// Runs while something waits to go out.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S: RawSocket> Connection<S> {
    pub(in crate::api) fn new(socket: S) -> Connection<S> {
        Connection { socket: Arc::new(socket), heard: Arc::default(), patience: STALL, stall: None }
    }

    /// How many bytes have come, as they come.
    pub(in crate::api) fn heard(&self) -> Arc<AtomicUsize> {
        self.heard.clone()
    }

    /// Says at any time whether the other end is there: it has neither closed the connection nor said that nothing more comes.
    pub(in crate::api) fn is_connected(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let socket = Arc::downgrade(&self.socket);
        Arc::new(move || socket.upgrade().is_some_and(|socket| !sys::is_hung_up(socket.as_fd())))
    }
}

impl<S: RawSocket> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        loop {
            ready!(line.socket.poll_readable(context))?;
            match line.socket.try_receive(buffer.initialize_unfilled()) {
                Ok(n) => {
                    buffer.advance(n);
                    line.heard.fetch_add(n, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl<S: RawSocket> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        loop {
            match line.socket.poll_writable(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return line.poll_stall(context),
            }
            match line.socket.try_send(bytes) {
                Ok(n) => {
                    line.stall = None;
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.socket).shutdown(std::net::Shutdown::Write))
    }
}

impl<S> Connection<S> {
    /// Waits for room, but not for ever.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(stall.as_mut().poll(context));
        self.stall = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not read")))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn whoever_has_closed_is_not_there_though_more_is_to_be_read() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut line = Connection::new(server);
        let is_connected = line.is_connected();
        client.write_all(b"hello").await.unwrap();
        assert!(is_connected());
        drop(client);
        assert!(!is_connected(), "the word lies there still, its giver has gone");
        let mut said = [0; 5];
        line.read_exact(&mut said).await.unwrap();
        assert_eq!((&said, line.heard().load(Ordering::Relaxed)), (b"hello", 5));
        drop(line);
        assert!(!is_connected());
    }

    #[tokio::test]
    async fn whoever_does_not_read_is_given_up() {
        let (_client, server) = UnixStream::pair().unwrap();
        let mut line = Connection::new(server);
        line.patience = Duration::from_millis(20);
        let error = line.write_all(&vec![0; 16 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
