//! What stands in clear text before everything that koi seals, datagram or stream.
//!
//! | bytes | |
//! |---|---|
//! | 0–2 | `koi` |
//! | 3 | [`PROTOCOL_VERSION`] |
//! | 4–7 | cluster id, big-endian |
//! | 8–15 | id of the key that seals |

use crate::key::KeyId;

/// The version of the protocol. It changes only when an older node could not understand a newer one any more; new
/// fields of messages do not change it.
pub const PROTOCOL_VERSION: u8 = 1;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 16;

const MAGIC: &[u8; 3] = b"koi";

/// The clear text before sealed text. It is authenticated with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cluster_id: u32,
    pub(crate) key_id: KeyId,
}

/// The bytes are no header that this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Something else came to this port.
    NotKoi,
    /// Another version of the protocol.
    Version(u8),
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..3].copy_from_slice(MAGIC);
        bytes[3] = PROTOCOL_VERSION;
        bytes[4..8].copy_from_slice(&self.cluster_id.to_be_bytes());
        bytes[8..].copy_from_slice(&self.key_id.0);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Header, HeaderError> {
        let [k, o, i, version, c0, c1, c2, c3, id @ ..] = *bytes;
        if [k, o, i] != *MAGIC {
            return Err(HeaderError::NotKoi);
        }
        if version != PROTOCOL_VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(Header { cluster_id: u32::from_be_bytes([c0, c1, c2, c3]), key_id: KeyId(id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_tells_strangers_and_other_versions_apart() {
        let header = Header { cluster_id: 0xdead_beef, key_id: KeyId([1, 2, 3, 4, 5, 6, 7, 8]) };
        let bytes = header.to_bytes();
        assert_eq!(Header::from_bytes(&bytes), Ok(header));

        let mut newer = bytes;
        newer[3] += 1;
        assert_eq!(Header::from_bytes(&newer), Err(HeaderError::Version(PROTOCOL_VERSION + 1)));
        assert_eq!(Header::from_bytes(b"GET / HTTP/1.1\r\n"), Err(HeaderError::NotKoi));
    }
}
