//! The public keys that a node trusts.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use minisign_verify::{Error as MinisignError, PublicKey, Signature};

/// Where the number of a key lies in what the base64 of a key and of a signature says: behind two letters for the algorithm.
const ID: std::ops::Range<usize> = 2..10;

/// What secret keys begin with, where public ones have a number: the algorithms of one with a password, and of one without.
const SECRET_KEYS: [&str; 2] = ["RWRTY0Iy", "RWQAAEIy"];

/// A public key as minisign writes it: `RWQ…`.
#[derive(Clone)]
pub struct TrustedKey {
    text: String,
    id: KeyId,
    key: PublicKey,
}

/// The number of a key. Shown, it is as minisign shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

/// A text is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is something else. Only the beginning of the text: the rest may be secret.
    #[error(
        "`{0}` is not a public key of minisign: that is the second line of the .pub file, and begins with RW"
    )]
    NoKey(String),
    /// It is a secret key.
    #[error(
        "this is not a public key of minisign, but a secret one, which only its owner may have: the public key is the second line \
         of the .pub file"
    )]
    Secret,
}

/// All keys that a node trusts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustedKeys(Vec<TrustedKey>);

impl TrustedKey {
    /// Whether it has made this signature of these bytes.
    pub(super) fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), MinisignError> {
        self.key.verify(bytes, signature, false)
    }
}

impl FromStr for TrustedKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<TrustedKey, KeyError> {
        let wrong = || match SECRET_KEYS.iter().any(|beginning| text.starts_with(beginning)) {
            true => KeyError::Secret,
            false => KeyError::NoKey(text.chars().take(8).collect()),
        };
        let key = PublicKey::from_base64(text).map_err(|_| wrong())?;
        let id = KeyId::of_base64(text).ok_or_else(wrong)?;
        Ok(TrustedKey { text: text.to_owned(), id, key })
    }
}

/// As it stands in the configuration.
impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for TrustedKey {
    fn eq(&self, other: &TrustedKey) -> bool {
        self.text == other.text
    }
}

impl KeyId {
    /// Of the key that has made the signature in this text.
    pub(super) fn of_signature(text: &str) -> Option<KeyId> {
        KeyId::of_base64(text.lines().nth(1)?.trim())
    }

    fn of_base64(text: &str) -> Option<KeyId> {
        let bytes = Base64::decode_vec(text).ok()?;
        Some(KeyId(bytes.get(ID)?.try_into().ok()?))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TrustedKeys {
    /// These.
    pub fn new(keys: Vec<TrustedKey>) -> TrustedKeys {
        TrustedKeys(keys)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &TrustedKey> {
        self.0.iter()
    }

    /// The one that has made a signature.
    pub(super) fn with_id(&self, id: KeyId) -> Option<&TrustedKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_anything_else_is_named_by_its_beginning() {
        let key: TrustedKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse().unwrap();
        assert_eq!(key.id.to_string(), "E7620F1842B4E81F");
        for wrong in ["", "RWQ", "RWRTY0IyabcdefghijklmnopSECRET", "untrusted comment: minisign public key"] {
            let why = wrong.parse::<TrustedKey>().unwrap_err().to_string();
            assert!(why.contains("is not a public key") && !why.contains("SECRET"), "{why}");
        }
        for password in [None, Some("x".to_owned())] {
            let pair = match &password {
                None => minisign::KeyPair::generate_unencrypted_keypair(),
                Some(_) => minisign::KeyPair::generate_encrypted_keypair(password.clone()),
            };
            let text = pair.unwrap().sk.to_box(None).unwrap().to_string();
            let secret = text.lines().nth(1).unwrap().parse::<TrustedKey>();
            assert_eq!(secret, Err(KeyError::Secret), "with a password: {}", password.is_some());
        }
    }
}
