//! The trusted comment of a plugin's signature: `koi-plugin name=NAME version=VERSION`.

use std::fmt;
use std::str::FromStr;

/// What the comment begins with.
const WORD: &str = "koi-plugin name=";
/// What stands between name and version.
const VERSION: &str = " version=";

/// As what a plugin was signed. The comment's form is [`SignedAs::comment`]; shown, it is `redis 0.2.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAs {
    /// What it calls itself.
    pub name: String,
    /// The version that it names.
    pub version: String,
}

/// A trusted comment does not say which plugin was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its trusted comment does not say which plugin was signed; sign it with `koi plugins sign`, or with minisign -t '{WORD}NAME{VERSION}VERSION'"
)]
pub struct CommentError;

impl SignedAs {
    /// The trusted comment. None: the name or the version cannot stand in one.
    pub fn comment(&self) -> Option<String> {
        let comment = format!("{WORD}{}{VERSION}{}", self.name, self.version);
        // A comment is one line. Whoever reads it must find the same two words again.
        let is_good = !comment.contains(char::is_control) && comment.parse().as_ref() == Ok(self);
        is_good.then_some(comment)
    }
}

impl FromStr for SignedAs {
    type Err = CommentError;

    fn from_str(comment: &str) -> Result<SignedAs, CommentError> {
        let (name, version) =
            comment.strip_prefix(WORD).and_then(|rest| rest.split_once(VERSION)).ok_or(CommentError)?;
        if name.is_empty() || version.is_empty() || name.contains(' ') || version.trim() != version {
            return Err(CommentError);
        }
        Ok(SignedAs { name: name.to_owned(), version: version.to_owned() })
    }
}

impl fmt::Display for SignedAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(name: &str, version: &str) -> SignedAs {
        SignedAs { name: name.into(), version: version.into() }
    }

    #[test]
    fn a_comment_says_name_and_version() {
        let redis = signed("redis", "0.2.0");
        assert_eq!(redis.comment().unwrap(), "koi-plugin name=redis version=0.2.0");
        assert_eq!("koi-plugin name=redis version=0.2.0".parse(), Ok(redis));
        assert_eq!("koi-plugin name=a version=1 of May".parse(), Ok(signed("a", "1 of May")));
    }

    #[test]
    fn what_would_be_read_otherwise_is_not_written() {
        for (name, version) in
            [("", "1"), ("a", ""), ("a b", "1"), ("a", "1\n"), ("a", " 1"), ("a version=2", "1")]
        {
            assert_eq!(signed(name, version).comment(), None, "{name:?} {version:?}");
        }
        for comment in ["", "koi-plugin", "koi-plugin name=a", "plugin name=a version=1", "timestamp:1"] {
            assert_eq!(comment.parse::<SignedAs>(), Err(CommentError), "{comment}");
        }
    }
}
