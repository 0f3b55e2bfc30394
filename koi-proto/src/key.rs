//! The cluster's secret: 32 bytes that every node has, and the keys derived from it.
//!
//! The secret itself seals nothing. Each protocol has a key of its own, derived by keyed BLAKE2s (RFC 7693) with a
//! label, so that no key ever serves two ciphers; the key id that travels in clear text is derived in the same way and
//! says nothing about the secret.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// What group and others may not do with a key file: the most that is allowed is 0640.
const FORBIDDEN_MODE: u32 = 0o026;

/// Argon2id with the least memory that OWASP's password storage recommendations name: 19 MiB, two passes, one lane.
/// Every node of a cluster must derive the same key, so these numbers are part of the protocol.
const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
const ARGON2_PASSES: u32 = 2;
const ARGON2_LANES: u32 = 1;

/// A secret that all nodes of a cluster share. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Key {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: KeyId,
}

/// Which key: the first bytes of a keyed hash, fit to be shown and sent in clear text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; 8]);

/// No key could be had. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such file.
    #[error("key file {path}: no such file; `koi keygen` makes one, and every node needs the same")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there, but cannot be read.
    #[error("key file {path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Group or others have rights that they should not have.
    #[error(
        "key file {path}: its mode {mode:04o} lets others read or change the secret; `chmod 0600 {path}` (or 0640)"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is neither 64 hexadecimal digits nor 32 bytes.
    #[error(
        "key file {path}: a key is 64 hexadecimal digits or 32 raw bytes, and this is neither ({found}); \
         `koi keygen` makes one"
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What was found in its place; never a part of the content.
        found: &'static str,
    },
    /// An empty password.
    #[error(
        "the cluster's password is empty; set `cluster.password`, or better a key file made by `koi keygen`"
    )]
    EmptyPassword,
    /// The password could not be turned into a key.
    #[error("cannot derive a key from the cluster's password: {0}")]
    Derivation(String),
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
}

impl Key {
    /// The key with these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Key {
        let bytes = Zeroizing::new(bytes);
        let hash = derive(&bytes, b"koi 1 key id");
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        Key { bytes, id: KeyId(id) }
    }

    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Key, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut()).map_err(KeyError::Random)?;
        Ok(Key::new(*bytes))
    }

    /// Reads a key file: 64 hexadecimal digits and a newline, as `koi keygen` writes it, or exactly 32 raw bytes. At
    /// most its owner may write it, and its group read it (mode 0640).
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Unreadable`], [`KeyError::TooOpen`] or [`KeyError::NotAKey`].
    pub fn read_file(path: &Path) -> Result<Key, KeyError> {
        let unreadable = |source| KeyError::Unreadable { path: path.into(), source };
        let file = open(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => KeyError::Missing { path: path.into() },
            _ => unreadable(e),
        })?;
        // Of the open file, not of the path: nobody can swap the one for the other in between.
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
        if mode & FORBIDDEN_MODE != 0 {
            return Err(KeyError::TooOpen { path: path.into(), mode });
        }
        // One byte more than the longest key file (digits, carriage return, newline), to see that it is too long.
        let mut content = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES + 3));
        file.take(2 * KEY_BYTES as u64 + 3).read_to_end(&mut content).map_err(unreadable)?;
        parse(&content).map_err(|found| KeyError::NotAKey { path: path.into(), found })
    }

    /// Derives the key of a cluster from its classic password: Argon2id (RFC 9106), 19 MiB, 2 passes, 1 lane, salted
    /// with a label and the cluster's id, so that every node derives the same and two clusters with one password do
    /// not. Takes some ten milliseconds. A password can be guessed by who records a datagram: a key file is better.
    ///
    /// # Errors
    /// [`KeyError::EmptyPassword`] or [`KeyError::Derivation`].
    pub fn from_password(password: &str, cluster_id: u32) -> Result<Key, KeyError> {
        if password.is_empty() {
            return Err(KeyError::EmptyPassword);
        }
        let failed = |e: argon2::Error| KeyError::Derivation(e.to_string());
        let params =
            Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(KEY_BYTES)).map_err(failed)?;
        let mut salt = b"koi 1 cluster password ".to_vec();
        salt.extend_from_slice(&cluster_id.to_be_bytes());
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &salt, bytes.as_mut())
            .map_err(failed)?;
        Ok(Key::new(*bytes))
    }

    /// The 64 hexadecimal digits that a key file holds, without a newline.
    pub fn to_hex(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        for byte in self.bytes.iter() {
            text.push(DIGITS[usize::from(byte >> 4)] as char);
            text.push(DIGITS[usize::from(byte & 15)] as char);
        }
        text
    }

    /// Which key this is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key that seals datagrams.
    pub(crate) fn for_datagrams(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        derive(&self.bytes, b"koi 1 datagrams")
    }

    /// The pre-shared key of sealed streams.
    pub(crate) fn for_streams(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        derive(&self.bytes, b"koi 1 streams")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The key that seals, and those that are accepted besides it while keys are being rotated: first every node accepts
/// the new key, then every node seals with it, then the old one is dropped.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// Seals what this node sends; it is accepted too.
    pub sealing: Key,
    /// Accepted besides it.
    pub accepted: Vec<Key>,
}

impl Keyring {
    /// One key for everything.
    pub fn single(key: Key) -> Keyring {
        Keyring { sealing: key, accepted: Vec::new() }
    }

    /// Every key that is accepted, the sealing one first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.sealing).chain(&self.accepted)
    }

    /// The key with this id.
    pub fn get(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id == id)
    }
}

/// Keyed BLAKE2s: a key for the purpose that `label` names.
fn derive(secret: &[u8; KEY_BYTES], label: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mac = Blake2sMac256::new(secret.into()).chain_update(label);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Opens a file, and nothing else: a FIFO would hold up whoever opens it.
fn open(path: &Path) -> io::Result<File> {
    let must_be_file = |found: Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}", kind_of(&found)))),
    };
    must_be_file(path.metadata()?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    must_be_file(file.metadata()?)?;
    Ok(file)
}

fn kind_of(found: &Metadata) -> &'static str {
    match found.file_type() {
        kind if kind.is_dir() => "a folder, and no file",
        kind if kind.is_fifo() => "a FIFO (a named pipe), and no file",
        kind if kind.is_socket() => "a socket, and no file",
        _ => "a device, and no file",
    }
}

/// A key file's content.
fn parse(content: &[u8]) -> Result<Key, &'static str> {
    if let Ok(raw) = <[u8; KEY_BYTES]>::try_from(content) {
        return Ok(Key::new(*Zeroizing::new(raw)));
    }
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    let digits = line.strip_suffix(b"\r").unwrap_or(line);
    match digits.len() {
        0 => return Err("it is empty"),
        n if n < 2 * KEY_BYTES => return Err("it is too short"),
        n if n > 2 * KEY_BYTES => return Err("it is too long"),
        _ => {}
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| (c as char).to_digit(16).ok_or("a character in it is not a hexadecimal digit");
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Ok(Key::new(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_generated_key_reads_back_from_its_file() {
        let key = Key::generate().unwrap();
        for text in
            [format!("{}\n", *key.to_hex()), key.to_hex().to_uppercase(), format!("{}\r\n", *key.to_hex())]
        {
            let (_dir, path) = file(text.as_bytes(), 0o640);
            assert_eq!(*Key::read_file(&path).unwrap().to_hex(), *key.to_hex());
        }
        let (_dir, path) = file(key.bytes.as_ref(), 0o600);
        assert_eq!(*Key::read_file(&path).unwrap().to_hex(), *key.to_hex());
    }

    #[test]
    fn two_generated_keys_differ_in_all_that_is_derived() {
        let (a, b) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert_ne!(a.id(), b.id());
        assert_ne!(*a.for_datagrams(), *b.for_datagrams());
        assert_ne!(*a.for_datagrams(), *a.for_streams());
        assert_ne!(*a.for_datagrams(), *a.bytes);
    }

    #[test]
    fn a_missing_file_says_how_to_make_one() {
        let error = Key::read_file(Path::new("/nonexistent/cluster.key")).unwrap_err();
        assert!(matches!(error, KeyError::Missing { .. }));
        assert!(error.to_string().contains("koi keygen"), "{error}");
    }

    #[test]
    fn a_folder_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(Key::read_file(dir.path()), Err(KeyError::Unreadable { .. })));
    }

    #[test]
    fn a_file_open_to_others_says_which_chmod_mends_it() {
        for mode in [0o644, 0o660, 0o602, 0o666] {
            let (_dir, path) = file(&[7; 32], mode);
            let error = Key::read_file(&path).unwrap_err();
            assert!(matches!(error, KeyError::TooOpen { mode: m, .. } if m == mode), "{error}");
            assert!(error.to_string().contains(&format!("chmod 0600 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_shown() {
        let hex = "0f".repeat(32);
        let contents: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"\n", "empty"),
            (b"secretsecret\n", "too short"),
            (&hex.as_bytes()[1..], "too short"),
            (&[hex.as_bytes(), b"00\n"].concat(), "too long"),
            (&[&hex.as_bytes()[..63], b"g\n"].concat(), "not a hexadecimal digit"),
        ];
        for (content, why) in contents {
            let (_dir, path) = file(content, 0o600);
            let text = Key::read_file(&path).unwrap_err().to_string();
            assert!(text.contains(why), "{text}");
            assert!(!text.contains("secretsecret"), "{text}");
        }
    }

    #[test]
    fn a_password_gives_the_same_key_on_every_node_of_one_cluster_only() {
        let here = Key::from_password("secret", 13).unwrap();
        assert_eq!(*here.to_hex(), *Key::from_password("secret", 13).unwrap().to_hex());
        assert_ne!(here.id(), Key::from_password("secret", 14).unwrap().id());
        assert_ne!(here.id(), Key::from_password("Secret", 13).unwrap().id());
        assert!(matches!(Key::from_password("", 13), Err(KeyError::EmptyPassword)));
    }

    #[test]
    fn debug_shows_the_id_only() {
        let key = Key::new([0xab; 32]);
        let shown = format!("{key:?} {:?}", Keyring::single(key.clone()));
        assert!(shown.contains(&key.id().to_string()));
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn a_keyring_finds_every_accepted_key_by_its_id() {
        let (new, old, other) = (Key::new([1; 32]), Key::new([2; 32]), Key::new([3; 32]));
        let ring = Keyring { sealing: new.clone(), accepted: vec![old.clone()] };
        assert_eq!(ring.get(new.id()).map(Key::id), Some(new.id()));
        assert_eq!(ring.get(old.id()).map(Key::id), Some(old.id()));
        assert!(ring.get(other.id()).is_none());
    }
}
