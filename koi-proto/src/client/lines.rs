//! An answer that comes line by line, perhaps without end.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinSet;
use tokio_util::codec::{Decoder, LinesCodec, LinesCodecError};

use super::error::ClientError;

/// Bytes of the longest line that is taken.
pub const LINE_BYTES: usize = 64 * 1024;

/// The lines of an answer. Dropping it closes the connection.
#[derive(Debug)]
pub struct Lines {
    endpoint: String,
    body: Incoming,
    /// What came and is not yet a whole line.
    received: BytesMut,
    codec: LinesCodec,
    ended: bool,
    _driver: JoinSet<()>,
}

impl Lines {
    pub(super) fn new(endpoint: String, body: Incoming, driver: JoinSet<()>) -> Lines {
        Lines { endpoint, body, received: BytesMut::new(), codec: codec(), ended: false, _driver: driver }
    }

    /// The next line, without its end; `None` when the answer is over. Empty lines, which a daemon may send as signs of
    /// life, are left out. Waits as long as it takes; may be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// [`ClientError::Broken`] or [`ClientError::BadAnswer`]; there are no more lines then.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            match self.decode() {
                Ok(Some(line)) if line.is_empty() => continue,
                Ok(Some(line)) => return Ok(Some(line)),
                Ok(None) if self.ended => return Ok(None),
                Ok(None) => {}
                Err(e) => return Err(self.fail(bad_answer(&e))),
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.received.extend_from_slice(&data);
                    }
                }
                Some(Err(e)) => {
                    let endpoint = self.endpoint.clone();
                    return Err(self.fail(ClientError::Broken { endpoint, source: e.into() }));
                }
                None => self.ended = true,
            }
        }
    }

    /// A line that has come; at the end what is left.
    fn decode(&mut self) -> Result<Option<String>, LinesCodecError> {
        match self.ended {
            true => self.codec.decode_eof(&mut self.received),
            false => self.codec.decode(&mut self.received),
        }
    }

    /// There are no more lines.
    fn fail(&mut self, error: ClientError) -> ClientError {
        self.ended = true;
        self.received.clear();
        // The codec keeps a position in what was received.
        self.codec = codec();
        error
    }
}

fn codec() -> LinesCodec {
    LinesCodec::new_with_max_length(LINE_BYTES)
}

fn bad_answer(error: &LinesCodecError) -> ClientError {
    ClientError::BadAnswer(match error {
        LinesCodecError::MaxLineLengthExceeded => format!("a line is longer than {LINE_BYTES} bytes"),
        // Nothing is read here: it can only be what the bytes are.
        LinesCodecError::Io(_) => "a line is not UTF-8".to_owned(),
    })
}
