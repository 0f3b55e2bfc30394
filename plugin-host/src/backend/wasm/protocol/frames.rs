//! How messages travel: each in a frame, out of a stream in whatever pieces.

use std::io;

use minicbor::{Decode, Encode};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::backend::helper::ReplyError;
use crate::backend::helper::socket::ReadHalf;

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;
const SMALL_CHUNK_BYTES: usize = 4096;
/// Bytes of the length before each message.
const LENGTH_BYTES: usize = 4;

/// A message in its frame.
pub(crate) fn encode<M: Encode<()>>(message: &M) -> Vec<u8> {
    let mut frame = vec![0; LENGTH_BYTES];
    // Writing into memory cannot fail.
    let _ = minicbor::encode(message, &mut frame);
    let length = u32::try_from(frame.len() - LENGTH_BYTES).unwrap_or(u32::MAX);
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    frame
}

/// The first whole message of `bytes`, and how many bytes it took; none: it has not all come yet.
pub(crate) fn decode<M: for<'b> Decode<'b, ()>>(
    bytes: &[u8],
    most_bytes: usize,
) -> Result<Option<(M, usize)>, ReplyError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > most_bytes {
        return Err(ReplyError::Garbled);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let mut decoder = minicbor::Decoder::new(body);
    let message = decoder.decode().map_err(|_| ReplyError::Garbled)?;
    if decoder.position() != length {
        return Err(ReplyError::Garbled);
    }
    Ok(Some((message, LENGTH_BYTES + length)))
}

/// Messages out of a stream.
pub(crate) struct FrameReader<R> {
    from: R,
    most_bytes: usize,
    read: Vec<u8>,
}

impl<R> FrameReader<R> {
    /// No message may have more than `most_bytes`.
    pub(crate) fn new(from: R, most_bytes: usize) -> FrameReader<R> {
        FrameReader { from, most_bytes, read: Vec::new() }
    }

    /// Between two calls nothing is kept in memory.
    pub(crate) fn shrink(&mut self) {
        self.read.shrink_to_fit();
    }

    fn take<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Option<M>, ReplyError> {
        let Some((message, length)) = decode(&self.read, self.most_bytes)? else { return Ok(None) };
        self.read.drain(..length);
        Ok(Some(message))
    }
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// The next message. May be dropped and begun again at any time.
    pub(crate) async fn next<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<M, ReplyError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            self.read.reserve(CHUNK_BYTES);
            if self.from.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return Err(ReplyError::Closed);
            }
        }
    }
}

impl FrameReader<ReadHalf> {
    /// The next message, for a thread that has nothing else to run until it comes. It is woken for it sooner than by way of a runtime.
    pub(crate) fn next_alone<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<M, ReplyError> {
        let mut chunk = [0; SMALL_CHUNK_BYTES];
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            match self.from.read_blocking(&mut chunk) {
                Ok(0) | Err(_) => return Err(ReplyError::Closed),
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

impl<R: io::Read> FrameReader<R> {
    /// The next message. Blocks.
    ///
    /// # Errors
    /// The outer error is the stream's: it has a time limit.
    pub(crate) fn next_blocking<M: for<'b> Decode<'b, ()>>(&mut self) -> io::Result<Result<M, ReplyError>> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            match self.take() {
                Ok(Some(message)) => return Ok(Ok(message)),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
            match self.from.read(&mut chunk) {
                Ok(0) => return Ok(Err(ReplyError::Closed)),
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wasm::confine::Layers;
    use crate::backend::wasm::protocol::{
        GUEST_FRAME_BYTES, GuestMessage, GuestQuestion, HookEnding, ProcessName, ProgramRequest,
    };

    fn some() -> Vec<GuestMessage> {
        let run = ProgramRequest {
            program: "/bin/true".into(),
            args: vec!["a".into()],
            env: vec![("A".into(), "b".into())],
            timeout_ms: Some(7),
        };
        let status = HookEnding::Status {
            observed: 2,
            message: "replays".into(),
            score: Some(-3),
            details: vec![("lag".into(), "1".into())],
            processes: vec![ProcessName::Id(4711), ProcessName::File("/run/db.pid".into())],
        };
        vec![
            GuestMessage::Ready(Layers { user: true, network: false, landlock: 7, seccomp: true }),
            GuestMessage::Stale,
            GuestMessage::Line(2, "said".into()),
            GuestMessage::Question(GuestQuestion::Set("key".into(), vec![0; 300])),
            GuestMessage::Question(GuestQuestion::Run(run)),
            GuestMessage::Input(vec![1, 2, 3]),
            GuestMessage::LookUp(7, "db.example".into()),
            GuestMessage::Ended(status, 17 << 16),
        ]
    }

    #[test]
    fn messages_come_through_in_whatever_pieces() {
        let stream: Vec<u8> = some().iter().flat_map(encode).collect();
        for piece_bytes in [1, 3, 1000] {
            let mut reader = FrameReader::new(io::empty(), GUEST_FRAME_BYTES);
            let mut taken = Vec::new();
            for piece in stream.chunks(piece_bytes) {
                reader.read.extend_from_slice(piece);
                while let Some(message) = reader.take::<GuestMessage>().unwrap() {
                    taken.push(message);
                }
            }
            assert_eq!(taken, some());
        }
    }

    #[test]
    fn whatever_a_helper_writes_is_a_message_or_garbled() {
        let frames: Vec<Vec<u8>> = some().iter().map(encode).collect();
        for frame in &frames {
            for place in 0..frame.len() {
                for change in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                    let mut changed = frame.clone();
                    changed[place] ^= change;
                    // It answers, and takes no more than was there.
                    if let Ok(Some((_, taken))) = decode::<GuestMessage>(&changed, GUEST_FRAME_BYTES) {
                        assert!(taken <= changed.len());
                    }
                }
            }
        }
        let too_long = [0xff_u8; 64];
        assert_eq!(decode::<GuestMessage>(&too_long, GUEST_FRAME_BYTES), Err(ReplyError::Garbled));
    }
}
