//! Whether a signature goes with a plugin's file, as far as that is known without a key. An author sees a mistake so before nodes do.

use super::{SignatureError, SignedAs};
use crate::Digest;

/// What the digest of the signed file stands behind in an untrusted comment.
const DIGEST: &str = " of a file with ";

/// A signature was made for something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignSignatureError {
    /// It cannot be read, or does not say what was signed.
    #[error(transparent)]
    Unclear(#[from] SignatureError),
    /// It is of another plugin, or of another version.
    #[error("it is of {signed}, and the file is {found}")]
    OtherPlugin {
        /// As what the signed file was signed.
        signed: SignedAs,
        /// What the file says of itself.
        found: SignedAs,
    },
    /// It is of another file that says the same of itself.
    #[error("it is of another file that calls itself {0} too")]
    OtherFile(SignedAs),
}

/// The untrusted comment that `koi plugins sign` writes. Nobody vouches for it: it only helps to see which file was signed.
pub fn untrusted_comment(signed: &SignedAs, bytes: &[u8]) -> String {
    format!("signature of {signed}, by koi plugins sign,{DIGEST}{}", Digest::from_bytes(bytes))
}

/// Compares what a signature says of itself with a file and what that calls itself. Whether the signature is good takes its key:
/// [`Signature::of_file`](super::Signature::of_file).
///
/// # Errors
/// It was made for something else, or cannot be read.
pub fn belongs(bytes: &[u8], text: &str, found: &SignedAs) -> Result<(), ForeignSignatureError> {
    let signature = minisign_verify::Signature::decode(text).map_err(|_| SignatureError::Format)?;
    let signed: SignedAs = signature.trusted_comment().parse().map_err(SignatureError::Comment)?;
    if signed != *found {
        return Err(ForeignSignatureError::OtherPlugin { signed, found: found.clone() });
    }
    // minisign writes none.
    let first = text.lines().next().unwrap_or_default();
    match first.rsplit_once(DIGEST) {
        Some((_, digest)) if digest.trim() != Digest::from_bytes(bytes).to_string() => {
            Err(ForeignSignatureError::OtherFile(signed))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    fn lamp(version: &str) -> SignedAs {
        SignedAs { name: "lamp".into(), version: version.into() }
    }

    fn sign(bytes: &[u8], untrusted: Option<&str>) -> String {
        let key = KeyPair::generate_unencrypted_keypair().unwrap();
        let comment = lamp("0.4.0").comment().unwrap();
        minisign::sign(None, &key.sk, Cursor::new(bytes), Some(&comment), untrusted).unwrap().into_string()
    }

    #[test]
    fn a_signature_of_another_version_or_of_an_earlier_build_is_seen_without_its_key() {
        let text = sign(b"first", Some(&untrusted_comment(&lamp("0.4.0"), b"first")));
        assert_eq!(belongs(b"first", &text, &lamp("0.4.0")), Ok(()));
        let other = belongs(b"first", &text, &lamp("0.5.0")).unwrap_err().to_string();
        assert_eq!(other, "it is of lamp 0.4.0, and the file is lamp 0.5.0");
        let rebuilt = belongs(b"second", &text, &lamp("0.4.0"));
        assert_eq!(rebuilt, Err(ForeignSignatureError::OtherFile(lamp("0.4.0"))));
    }

    #[test]
    fn one_that_minisign_has_made_says_its_plugin_alone() {
        let text = sign(b"first", None);
        assert_eq!(belongs(b"second", &text, &lamp("0.4.0")), Ok(()));
        assert!(belongs(b"first", "no signature", &lamp("0.4.0")).is_err());
    }
}
