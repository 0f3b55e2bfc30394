//! A message into a sealed datagram and back. One that does not fit goes in [`crate::parts`].
//!
//! | bytes | |
//! |---|---|
//! | 0–15 | header in clear text (magic, protocol version, cluster id, key id), authenticated |
//! | 16–39 | random nonce |
//! | 40– | the message in CBOR, sealed with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) |
//! | last 16 | tag |
//!
//! The nonce is 192 bits, so that random ones may be drawn for ever without two being the same.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use koi_core::message::Message;
use zeroize::Zeroizing;

use crate::header::{HEADER_BYTES, Header, HeaderError};
use crate::key::{KEY_BYTES, KeyId, Keyring};
use crate::parts::{Opened, Part};

/// Bytes of the largest datagram: what passes every link of today without being fragmented.
pub const DATAGRAM_BYTES: usize = 1200;

/// The major type of a tagged value in CBOR (RFC 8949 §3.1).
const TAGGED: u8 = 6;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const TEXT_AT: usize = HEADER_BYTES + NONCE_BYTES;

/// Bytes that sealing adds to a message.
pub const SEAL_BYTES: usize = TEXT_AT + TAG_BYTES;

/// Seals and opens the datagrams of one cluster.
pub struct Sealer {
    cluster_id: u32,
    /// The sealing key first, then the others that are accepted.
    keys: Vec<(KeyId, Zeroizing<[u8; KEY_BYTES]>)>,
    header: Header,
}

/// A message was not sealed. A fault of its maker or of the system, never of what came from outside.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The message does not fit a datagram.
    #[error("a message of {bytes} bytes, sealed, does not fit a datagram of {DATAGRAM_BYTES}")]
    TooLong {
        /// Of the datagram that it would be.
        bytes: usize,
    },
    /// The message has no encoding.
    #[error("a message cannot be encoded: {0}")]
    Encoding(String),
    /// The system has no random numbers for a nonce.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
}

/// A datagram was refused. Nothing of its content has been used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Something else came to this port.
    #[error("not a datagram of koi")]
    NotKoi,
    /// Another version of the protocol.
    #[error("protocol version {0}, not {version}: the nodes' versions of koi are too far apart", version = crate::PROTOCOL_VERSION)]
    Version(u8),
    /// Another cluster uses the same port or multicast group; or `cluster.id` differs by mistake.
    #[error("cluster id {0} is not ours: another cluster on this port, or `cluster.id` differs")]
    OtherCluster(u32),
    /// Sealed with a key that this node does not have.
    #[error(
        "sealed with the key {0}, which this node does not have: `cluster.key_file` or the password differs"
    )]
    UnknownKey(KeyId),
    /// Not made, or changed on its way, by someone without the key.
    #[error("forged or damaged: the seal does not fit")]
    Forged,
    /// Rightly sealed, and not a message that this version knows.
    #[error("a message that this version of koi does not understand: {0}")]
    Malformed(String),
    /// Longer than a datagram may be.
    #[error("longer than {DATAGRAM_BYTES} bytes")]
    TooLong,
}

impl OpenError {
    /// Every word that [`OpenError::kind`] can say.
    pub const KINDS: [&'static str; 7] =
        ["not-koi", "version", "other-cluster", "unknown-key", "forged", "malformed", "too-long"];

    /// A word for counters. It never changes.
    pub fn kind(&self) -> &'static str {
        match self {
            OpenError::NotKoi => "not-koi",
            OpenError::Version(_) => "version",
            OpenError::OtherCluster(_) => "other-cluster",
            OpenError::UnknownKey(_) => "unknown-key",
            OpenError::Forged => "forged",
            OpenError::Malformed(_) => "malformed",
            OpenError::TooLong => "too-long",
        }
    }
}

impl From<HeaderError> for OpenError {
    fn from(e: HeaderError) -> OpenError {
        match e {
            HeaderError::NotKoi => OpenError::NotKoi,
            HeaderError::Version(v) => OpenError::Version(v),
        }
    }
}

impl Sealer {
    /// For the cluster `cluster_id`, with its keys.
    pub fn new(cluster_id: u32, keyring: &Keyring) -> Sealer {
        Sealer {
            cluster_id,
            keys: keyring.keys().map(|key| (key.id(), key.for_datagrams())).collect(),
            header: Header { cluster_id, key_id: keyring.sealing.id() },
        }
    }

    /// Makes a datagram of a message. The same message twice gives two different datagrams.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal(&self, message: &Message) -> Result<Vec<u8>, SealError> {
        self.seal_text(|datagram| minicbor::encode(message, datagram).map_err(encoding))
    }

    /// Makes the datagrams of a message: one, or its parts if it does not fit one.
    ///
    /// # Errors
    /// See [`SealError`]. It is too long for [`PARTS`](crate::parts::PARTS) datagrams.
    pub fn seal_whole(&self, message: &Message) -> Result<Vec<Vec<u8>>, SealError> {
        match self.seal(message) {
            Ok(datagram) => Ok(vec![datagram]),
            Err(SealError::TooLong { bytes }) => {
                let text = minicbor::to_vec(message).map_err(encoding)?;
                let parts = Part::of(message, &text).ok_or(SealError::TooLong { bytes })?;
                let seal = |part: &Part| {
                    self.seal_text(|datagram| minicbor::encode(part, datagram).map_err(encoding))
                };
                parts.iter().map(seal).collect()
            }
            Err(error) => Err(error),
        }
    }

    fn seal_text(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), SealError>,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(SealError::Random)?;
        let header = self.header.to_bytes();
        let mut datagram = Vec::with_capacity(DATAGRAM_BYTES);
        datagram.extend_from_slice(&header);
        datagram.extend_from_slice(&nonce);
        write(&mut datagram)?;
        let bytes = datagram.len() + TAG_BYTES;
        if bytes > DATAGRAM_BYTES {
            return Err(SealError::TooLong { bytes });
        }
        let (_, key) = &self.keys[0];
        let tag = XChaCha20Poly1305::new((&**key).into())
            .encrypt_inout_detached(&XNonce::from(nonce), &header, InOutBuf::from(&mut datagram[TEXT_AT..]))
            .map_err(|_| SealError::TooLong { bytes })?;
        datagram.extend_from_slice(&tag);
        Ok(datagram)
    }

    /// Gets a message, or a part of one, out of a datagram. Whether it is new is for [`crate::replay`] to say.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, datagram: &[u8]) -> Result<Opened, OpenError> {
        if datagram.len() > DATAGRAM_BYTES {
            return Err(OpenError::TooLong);
        }
        let (header, rest) = datagram.split_first_chunk::<HEADER_BYTES>().ok_or(OpenError::NotKoi)?;
        let Header { cluster_id, key_id } = Header::from_bytes(header)?;
        if cluster_id != self.cluster_id {
            return Err(OpenError::OtherCluster(cluster_id));
        }
        let (_, key) = self.keys.iter().find(|(id, _)| *id == key_id).ok_or(OpenError::UnknownKey(key_id))?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Forged)?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(OpenError::Forged)?;
        let mut text = sealed.to_vec();
        XChaCha20Poly1305::new((&**key).into())
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                header,
                InOutBuf::from(text.as_mut_slice()),
                &Tag::from(*tag),
            )
            .map_err(|_| OpenError::Forged)?;
        let is_part = text.first().is_some_and(|byte| byte >> 5 == TAGGED);
        Ok(match is_part {
            true => Opened::Part(decode(&text)?),
            false => Opened::Message(Box::new(decode(&text)?)),
        })
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("header", &self.header).finish_non_exhaustive()
    }
}

fn encoding(error: impl std::fmt::Display) -> SealError {
    SealError::Encoding(error.to_string())
}

/// Reads the whole text.
pub(crate) fn decode<'t, T: minicbor::Decode<'t, ()>>(text: &'t [u8]) -> Result<T, OpenError> {
    let mut decoder = minicbor::Decoder::new(text);
    let message: T = decoder.decode().map_err(|e| OpenError::Malformed(e.to_string()))?;
    match text.len() - decoder.position() {
        0 => Ok(message),
        n => Err(OpenError::Malformed(format!("{n} bytes follow the message"))),
    }
}
