//! An answer that comes line by line, perhaps without end.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinSet;

use super::error::ClientError;

/// Bytes of the longest line that is taken.
pub const LINE_BYTES: usize = 64 * 1024;

/// The lines of an answer. Dropping it closes the connection.
#[derive(Debug)]
pub struct Lines {
    endpoint: String,
    body: Incoming,
    came: BytesMut,
    /// How much of `came` is known to hold no end of a line.
    searched: usize,
    ended: bool,
    _driver: JoinSet<()>,
}

impl Lines {
    pub(super) fn new(endpoint: String, body: Incoming, driver: JoinSet<()>) -> Lines {
        Lines { endpoint, body, came: BytesMut::new(), searched: 0, ended: false, _driver: driver }
    }

    /// The next line, without its end; `None` when the answer is over. Empty lines, which a daemon may send as signs of
    /// life, are left out. Waits as long as it takes; may be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// [`ClientError::Broken`] or [`ClientError::BadAnswer`]; there are no more lines then.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            while let Some(line) = self.take_line()? {
                if !line.is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.came.extend_from_slice(&data);
                    }
                }
                Some(Err(e)) => {
                    self.fail();
                    return Err(ClientError::Broken { endpoint: self.endpoint.clone(), source: e.into() });
                }
                None => self.ended = true,
            }
        }
    }

    /// A line that has come, or at the end what is left.
    fn take_line(&mut self) -> Result<Option<String>, ClientError> {
        let end = self.came[self.searched..].iter().position(|b| *b == b'\n').map(|n| self.searched + n);
        let length = end.unwrap_or(self.came.len());
        if length > LINE_BYTES {
            self.fail();
            return Err(ClientError::BadAnswer(format!("a line is longer than {LINE_BYTES} bytes")));
        }
        self.searched = if end.is_some() { 0 } else { length };
        let line = match end {
            Some(n) => {
                let line = self.came.split_to(n + 1).freeze();
                line.slice(..n)
            }
            None if self.ended && length > 0 => {
                self.searched = 0;
                self.came.split().freeze()
            }
            None => return Ok(None),
        };
        self.text(line).map(Some)
    }

    fn text(&mut self, line: Bytes) -> Result<String, ClientError> {
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        String::from_utf8(line.to_vec()).map_err(|_| {
            self.fail();
            ClientError::BadAnswer("a line is not UTF-8".into())
        })
    }

    fn fail(&mut self) {
        self.ended = true;
        self.came.clear();
        self.searched = 0;
    }
}
