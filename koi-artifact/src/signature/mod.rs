//! Who vouches for a plugin's file: ed25519 signatures in minisign's format.
//!
//! A signature is a text: beside a file `X` it lies in `X.minisig`, and an artifact has it as an annotation. Its trusted comment, which is
//! signed too, says which plugin the file is, and which version: so nobody can pass an old file, or another plugin, for this one.
//!
//! What a signature says is known in two steps. [`Signature::of_file`] compares it with the bytes before anything of them runs.
//! [`Signature::of_plugin`] compares its comment with what the plugin says of itself.

mod belonging;
mod comment;
mod keys;

use std::path::{Path, PathBuf};

use minisign_verify::Error as MinisignError;

pub use belonging::{ForeignSignatureError, belongs, untrusted_comment};
pub use comment::{CommentError, SignedAs};
pub use keys::{KeyError, KeyId, TrustedKey, TrustedKeys};

/// What the name of a signature's file ends in.
pub const ENDING: &str = ".minisig";

/// Bytes of a signature: two lines of comment and two of base64.
pub const SIGNATURE_BYTES: usize = 16 * 1024;

/// Where the signature of the file at `path` lies.
pub fn path_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ENDING);
    PathBuf::from(name)
}

/// What is known of a file's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    None,
    /// It is by a key that this node does not trust: nothing is known of it.
    Untrusted(KeyId),
    /// It is not that of this file or this plugin.
    Wrong(SignatureError),
    /// The file is what this key's owner has signed.
    Good {
        /// The key, as it stands in the configuration.
        key: String,
        /// As what it was signed.
        signed: SignedAs,
    },
}

/// Why a signature is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It cannot be read from its file, and why.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is not in minisign's format.
    #[error("it is not in minisign's format")]
    Format,
    /// It is of the kind that older versions of minisign made.
    #[error("it is of the kind that minisign made before 0.10; sign the file again")]
    Legacy,
    /// The file is another one than was signed, or the comment was changed.
    #[error("this file, or the signature's comment, is not what {0} has signed")]
    Mismatch(String),
    /// The comment does not say what was signed.
    #[error(transparent)]
    Comment(#[from] CommentError),
    /// It was made for another plugin or another version.
    #[error("it was signed as {signed}, and calls itself {found}")]
    OtherPlugin {
        /// As what.
        signed: SignedAs,
        /// What the file says of itself.
        found: SignedAs,
    },
}

/// A file without a good signature is refused, because signatures are required.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequiredError {
    /// There is none.
    #[error("it is not signed, and plugins.require_signature says that it must be")]
    Unsigned,
    /// By a stranger.
    #[error(
        "it is signed by the key {0}, which is not one of plugins.trusted_keys, and plugins.require_signature says that it must be"
    )]
    Untrusted(KeyId),
    /// Wrong.
    #[error("its signature is wrong: {0}")]
    Wrong(SignatureError),
}

impl Signature {
    /// Compares the text of a signature with the file that it goes with.
    pub fn of_file(bytes: &[u8], text: &str, trusted: &TrustedKeys) -> Signature {
        let Some(id) = KeyId::of_signature(text) else { return Signature::Wrong(SignatureError::Format) };
        let Ok(signature) = minisign_verify::Signature::decode(text) else {
            return Signature::Wrong(SignatureError::Format);
        };
        let Some(key) = trusted.with_id(id) else { return Signature::Untrusted(id) };
        match key.verify(bytes, &signature) {
            Ok(()) => {}
            Err(MinisignError::UnsupportedLegacyMode) => return Signature::Wrong(SignatureError::Legacy),
            Err(_) => return Signature::Wrong(SignatureError::Mismatch(key.to_string())),
        }
        match signature.trusted_comment().parse() {
            Ok(signed) => Signature::Good { key: key.to_string(), signed },
            Err(error) => Signature::Wrong(SignatureError::Comment(error)),
        }
    }

    /// The same, once the plugin has said what it is.
    #[must_use]
    pub fn of_plugin(self, found: &SignedAs) -> Signature {
        match self {
            Signature::Good { signed, .. } if signed != *found => {
                Signature::Wrong(SignatureError::OtherPlugin { signed, found: found.clone() })
            }
            other => other,
        }
    }

    /// Whether the file may be used where signatures are required.
    ///
    /// # Errors
    /// Why not.
    pub fn require(&self) -> Result<(), RequiredError> {
        match self {
            Signature::Good { .. } => Ok(()),
            Signature::None => Err(RequiredError::Unsigned),
            Signature::Untrusted(key) => Err(RequiredError::Untrusted(*key)),
            Signature::Wrong(error) => Err(RequiredError::Wrong(error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    const FILE: &[u8] = b"a component";

    fn redis() -> SignedAs {
        SignedAs { name: "redis".into(), version: "0.2.0".into() }
    }

    fn sign(key: &KeyPair, comment: &str) -> String {
        minisign::sign(None, &key.sk, Cursor::new(FILE), Some(comment), None).unwrap().into_string()
    }

    fn trusted(key: &KeyPair) -> TrustedKeys {
        TrustedKeys::new(vec![key.pk.to_base64().parse().unwrap()])
    }

    #[test]
    fn a_file_that_its_author_has_signed_is_known_as_what_it_is() {
        let key = KeyPair::generate_unencrypted_keypair().unwrap();
        let good = Signature::of_file(FILE, &sign(&key, &redis().comment().unwrap()), &trusted(&key));
        let expected = Signature::Good { key: key.pk.to_base64(), signed: redis() };
        assert_eq!(good, expected);
        assert_eq!(good.clone().of_plugin(&redis()), expected);
        good.require().unwrap();
    }

    #[test]
    fn an_old_file_or_another_plugin_is_not_passed_for_this_one() {
        let key = KeyPair::generate_unencrypted_keypair().unwrap();
        let good = Signature::of_file(FILE, &sign(&key, &redis().comment().unwrap()), &trusted(&key));
        for (name, version) in [("redis", "0.1.0"), ("rediss", "0.2.0")] {
            let found = SignedAs { name: name.into(), version: version.into() };
            let why = good.clone().of_plugin(&found).require().unwrap_err().to_string();
            assert!(
                why.contains("it was signed as redis 0.2.0") && why.contains(&format!("{name} {version}")),
                "{why}"
            );
        }
    }

    #[test]
    fn a_changed_file_or_comment_is_wrong_and_a_strangers_signature_says_nothing() {
        let (key, other) = (
            KeyPair::generate_unencrypted_keypair().unwrap(),
            KeyPair::generate_unencrypted_keypair().unwrap(),
        );
        let text = sign(&key, &redis().comment().unwrap());
        let why = |signature: Signature| signature.require().unwrap_err().to_string();
        let said = why(Signature::of_file(b"a Component", &text, &trusted(&key)));
        assert!(said.contains("is not what") && said.contains(&key.pk.to_base64()), "{said}");
        let forged = text.replace("0.2.0", "0.3.0");
        assert!(matches!(
            Signature::of_file(FILE, &forged, &trusted(&key)),
            Signature::Wrong(SignatureError::Mismatch(_))
        ));
        let stranger = Signature::of_file(FILE, &text, &trusted(&other));
        assert!(matches!(stranger, Signature::Untrusted(_)), "{stranger:?}");
        assert!(why(stranger).contains("plugins.trusted_keys"));
        assert!(why(Signature::None).contains("it is not signed"));
    }

    #[test]
    fn what_is_no_signature_is_wrong() {
        let key = KeyPair::generate_unencrypted_keypair().unwrap();
        for text in [
            "",
            "one\ntwo\nthree\nfour\n",
            "untrusted comment: x\nRUQ=\ntrusted comment: y\nzz\n",
            "ü\nü\nü\nü",
        ] {
            let found = Signature::of_file(FILE, text, &trusted(&key));
            assert_eq!(found, Signature::Wrong(SignatureError::Format), "{text:?}");
        }
        let no_plugin = Signature::of_file(FILE, &sign(&key, "timestamp:1 file:x"), &trusted(&key));
        let Signature::Wrong(SignatureError::Comment(error)) = no_plugin else { panic!("{no_plugin:?}") };
        assert!(error.to_string().contains("koi plugins sign"), "{error}");
    }
}
