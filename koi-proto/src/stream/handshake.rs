//! How a sealed stream begins.

use std::io;
use std::time::Duration;

use snow::{Builder, HandshakeState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::error::{HandshakeError, StreamError};
use super::sealed::{LENGTH_BYTES, SealedStream, TAG_BYTES};
use crate::header::{HEADER_BYTES, Header};
use crate::key::{Key, Keyring};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

const EPHEMERAL_BYTES: usize = 32;

/// Bytes that an initiator sends at once, before it waits for anything.
pub const OPENING_BYTES: usize = HEADER_BYTES + LENGTH_BYTES + EPHEMERAL_BYTES + TAG_BYTES;

/// Bytes of the longest handshake message that is read: a stranger can make us hold no more. An ephemeral key and a
/// tag are 48.
const HANDSHAKE_BYTES: u16 = 256;

/// What the initiator says last. The first message alone proves nothing: it may be an old one played again.
const CONFIRMATION: &[u8] = b"koi";

/// Makes a sealed stream of a connection to another node, sealed with the keyring's sealing key. `timeout` bounds the
/// whole handshake.
///
/// # Errors
/// See [`StreamError`]. The connection is closed then.
pub async fn connect<S>(
    connection: S,
    cluster_id: u32,
    keyring: &Keyring,
    timeout: Duration,
) -> Result<SealedStream<S>, StreamError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = initiate(connection, cluster_id, &keyring.sealing);
    tokio::time::timeout(timeout, handshake).await.unwrap_or(Err(StreamError::TimedOut(timeout)))
}

/// Makes a sealed stream of a connection that came in. Any key of the keyring will do. `timeout` bounds the whole
/// handshake. When it returns, the other side has proved that it has the key.
///
/// # Errors
/// See [`StreamError`]. The other side is told in one byte why it is refused, and the connection is closed.
pub async fn accept<S>(
    connection: S,
    cluster_id: u32,
    keyring: &Keyring,
    timeout: Duration,
) -> Result<SealedStream<S>, StreamError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = respond(connection, cluster_id, keyring);
    tokio::time::timeout(timeout, handshake).await.unwrap_or(Err(StreamError::TimedOut(timeout)))
}

async fn initiate<S>(mut connection: S, cluster_id: u32, key: &Key) -> Result<SealedStream<S>, StreamError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let header = Header { cluster_id, key_id: key.id() }.to_bytes();
    let mut noise = builder(&header, &key.for_streams(), Builder::build_initiator)?;
    let mut opening = header.to_vec();
    opening.extend(next_frame(&mut noise)?);
    connection.write_all(&opening).await?;
    connection.flush().await?;

    match connection.read_u8().await? {
        ACCEPTED => {}
        word => return Err(handshake_error(word).map_or(StreamError::NotKoi, StreamError::Refused)),
    }
    let answer = read_frame(&mut connection).await?;
    open(&mut noise, &answer)?;

    let mut stream = SealedStream::new(connection, noise.into_transport_mode()?);
    stream.write_all(CONFIRMATION).await?;
    stream.flush().await?;
    Ok(stream)
}

async fn respond<S>(
    mut connection: S,
    cluster_id: u32,
    keyring: &Keyring,
) -> Result<SealedStream<S>, StreamError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut header = [0; HEADER_BYTES];
    connection.read_exact(&mut header).await?;
    let judged = judge(&header, cluster_id, keyring);
    if matches!(judged, Err(StreamError::NotKoi)) {
        return Err(StreamError::NotKoi);
    }
    // Read before refusing: closing a connection with unread data in it takes the refusal back on its way.
    let first = read_frame(&mut connection).await?;
    let mut noise = match judged.and_then(|key| begin(&header, key, &first)) {
        Ok(noise) => noise,
        Err(e) => {
            refuse(&mut connection, &e).await;
            return Err(e);
        }
    };
    let mut answer = vec![ACCEPTED];
    answer.extend(next_frame(&mut noise)?);
    connection.write_all(&answer).await?;
    connection.flush().await?;

    let mut stream = SealedStream::new(connection, noise.into_transport_mode()?);
    let mut confirmation = [0; CONFIRMATION.len()];
    stream.read_exact(&mut confirmation).await.map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => StreamError::Forged,
        _ => StreamError::Io(e),
    })?;
    if confirmation != CONFIRMATION {
        return Err(StreamError::Forged);
    }
    Ok(stream)
}

/// The key that an initiator's header asks for.
fn judge<'k>(
    header: &[u8; HEADER_BYTES],
    cluster_id: u32,
    keyring: &'k Keyring,
) -> Result<&'k Key, StreamError> {
    let asked = Header::from_bytes(header)?;
    if asked.cluster_id != cluster_id {
        return Err(StreamError::OtherCluster(asked.cluster_id));
    }
    keyring.get(asked.key_id).ok_or(StreamError::UnknownKey(asked.key_id))
}

/// A responder that has read the initiator's first message.
fn begin(header: &[u8; HEADER_BYTES], key: &Key, first: &[u8]) -> Result<HandshakeState, StreamError> {
    let mut noise = builder(header, &key.for_streams(), Builder::build_responder)?;
    open(&mut noise, first)?;
    Ok(noise)
}

fn builder<'k>(
    header: &'k [u8],
    psk: &'k [u8; crate::key::KEY_BYTES],
    build: impl FnOnce(Builder<'k>) -> Result<HandshakeState, snow::Error>,
) -> Result<HandshakeState, StreamError> {
    let builder = Builder::new(PATTERN.parse()?).psk(0, psk)?.prologue(header)?;
    Ok(build(builder)?)
}

/// The next handshake message, with its length before it.
fn next_frame(noise: &mut HandshakeState) -> Result<Vec<u8>, StreamError> {
    let mut message = [0; HANDSHAKE_BYTES as usize];
    let length = noise.write_message(&[], &mut message)?;
    let prefix = u16::try_from(length).map_err(|_| snow::Error::Input)?;
    Ok([&prefix.to_be_bytes(), &message[..length]].concat())
}

async fn read_frame<S: AsyncRead + Unpin>(connection: &mut S) -> Result<Vec<u8>, StreamError> {
    let length = usize::from(connection.read_u16().await?);
    if !(TAG_BYTES..=usize::from(HANDSHAKE_BYTES)).contains(&length) {
        return Err(StreamError::Forged);
    }
    let mut frame = vec![0; length];
    connection.read_exact(&mut frame).await?;
    Ok(frame)
}

fn open(noise: &mut HandshakeState, message: &[u8]) -> Result<(), StreamError> {
    let mut payload = [0; HANDSHAKE_BYTES as usize];
    noise.read_message(message, &mut payload).map_err(|_| StreamError::Forged)?;
    Ok(())
}

/// The responder's byte when it goes on.
const ACCEPTED: u8 = 0;

/// The responder's other bytes.
const HANDSHAKE_ERRORS: [(u8, HandshakeError); 4] = [
    (1, HandshakeError::Version),
    (2, HandshakeError::OtherCluster),
    (3, HandshakeError::UnknownKey),
    (4, HandshakeError::Forged),
];

fn handshake_error(byte: u8) -> Option<HandshakeError> {
    HANDSHAKE_ERRORS.iter().find(|(b, _)| *b == byte).map(|(_, refusal)| *refusal)
}

/// Tells the initiator why. It is a courtesy: whether it arrives does not matter.
async fn refuse<S: AsyncWrite + Unpin>(connection: &mut S, why: &StreamError) {
    let refusal = match why {
        StreamError::Version(_) => HandshakeError::Version,
        StreamError::OtherCluster(_) => HandshakeError::OtherCluster,
        StreamError::UnknownKey(_) => HandshakeError::UnknownKey,
        StreamError::Forged => HandshakeError::Forged,
        StreamError::NotKoi
        | StreamError::Refused(_)
        | StreamError::TimedOut(_)
        | StreamError::Io(_)
        | StreamError::Noise(_) => return,
    };
    if let Some((byte, _)) = HANDSHAKE_ERRORS.iter().find(|(_, r)| *r == refusal) {
        let _ = connection.write_all(&[*byte]).await;
        let _ = connection.shutdown().await;
    }
}
