//! Small files that are replaced whole and never half believed: a magic word, a format version and a checksum stand before the contents. A
//! file is written beside, synced, renamed over, and the folder synced.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use blake2::{Blake2s256, Digest};
use koi_files::{Durability, Temporary, WriteOptions};

/// The folder is locked, so there is one writer. What was reported as saved must be there after a power cut.
const LASTING: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::FileAndFolder };

const CHECKSUM_BYTES: usize = 32;
/// Bytes before the contents.
pub(crate) const HEADER_BYTES: usize = 8 + 4 + CHECKSUM_BYTES;
/// Far more than a record of the greatest size has; a larger file is not ours.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvelopeError {
    /// Nothing is wrong with it.
    #[error("a newer koid has written it, in format {0}")]
    Newer(u32),
    #[error("it is larger than any such file can be")]
    TooLarge,
    #[error("it is cut off within its header")]
    CutOff,
    #[error("it does not begin as such a file does")]
    WrongMagic,
    #[error("its checksum is wrong: it is cut off, or bits have changed")]
    WrongChecksum,
    #[error("it cannot be understood: {0}")]
    Malformed(#[from] minicbor::decode::Error),
}

/// The contents of a file; none: there is none.
pub(crate) fn read<T>(
    path: &Path,
    magic: &[u8; 8],
    format: u32,
) -> io::Result<Option<Result<T, EnvelopeError>>>
where
    T: for<'b> minicbor::Decode<'b, ()>,
{
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(parse(&bytes, magic, format))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // A disk that cannot be read now may be readable later: that is no reason to forget who we are.
        Err(error) => Err(error),
    }
}

/// The contents of these bytes.
pub(crate) fn parse<T>(bytes: &[u8], magic: &[u8; 8], newest: u32) -> Result<T, EnvelopeError>
where
    T: for<'b> minicbor::Decode<'b, ()>,
{
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(EnvelopeError::TooLarge);
    }
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(EnvelopeError::CutOff);
    };
    let (word, rest) = header.split_at(magic.len());
    let (format, checksum) = rest.split_at(4);
    if word != magic {
        return Err(EnvelopeError::WrongMagic);
    }
    let format = u32::from_be_bytes([format[0], format[1], format[2], format[3]]);
    if format > newest {
        return Err(EnvelopeError::Newer(format));
    }
    if checksum != checksum_of(format, body).as_slice() {
        return Err(EnvelopeError::WrongChecksum);
    }
    Ok(minicbor::decode(body)?)
}

fn checksum_of(format: u32, body: &[u8]) -> Vec<u8> {
    Blake2s256::new().chain_update(format.to_be_bytes()).chain_update(body).finalize().to_vec()
}

/// The bytes of a file with these contents.
pub(crate) fn render<T: minicbor::Encode<()>>(contents: &T, magic: &[u8; 8], format: u32) -> Vec<u8> {
    let body = minicbor::to_vec(contents).expect("writing to memory does not fail");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&format.to_be_bytes());
    bytes.extend_from_slice(&checksum_of(format, &body));
    bytes.extend_from_slice(&body);
    bytes
}

/// Replaces the file: after a crash at any point the old one or the new one is there, whole.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    Ok(koi_files::replace(&folder.join(name), bytes, &LASTING)?)
}
