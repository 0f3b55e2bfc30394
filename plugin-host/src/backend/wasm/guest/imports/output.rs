//! A guest's standard output and standard error: lines in the call's log.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::body::Bytes;
use koi_plugin_api::{CallLog, LineCutter, LogLevel};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes that a guest may write at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// One of the two streams. Clones share the line that is under way; it is handed over when the last of them goes.
#[derive(Clone)]
pub(crate) struct LogStream(Arc<Shared>);

struct Shared {
    log: Arc<dyn CallLog>,
    level: LogLevel,
    cutter: Mutex<LineCutter>,
}

impl Shared {
    fn cutter(&self) -> MutexGuard<'_, LineCutter> {
        // At worst a piece of a line is lost.
        self.cutter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let (log, level) = (self.log.clone(), self.level);
        self.cutter().finish(|line| log.line(level, line));
    }
}

impl LogStream {
    /// Standard output is said at [`LogLevel::Info`], standard error at [`LogLevel::Warn`].
    pub(crate) fn new(log: Arc<dyn CallLog>, level: LogLevel) -> LogStream {
        LogStream(Arc::new(Shared { log, level, cutter: Mutex::default() }))
    }

    fn take(&self, bytes: &[u8]) {
        self.0.cutter().push(bytes, |line| self.0.log.line(self.0.level, line));
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK_BYTES)
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(CHUNK_BYTES);
        self.take(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
