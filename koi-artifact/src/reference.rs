//! Names of artifacts: `oci://HOST/NAME:VERSION`, `oci://HOST/NAME@sha256:…`.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};

/// What a reference begins with.
pub const SCHEME: &str = "oci://";

/// Bytes of a host with its port, and of a name: what registries take.
const HOST_BYTES: usize = 262;
const NAME_BYTES: usize = 255;
/// Bytes of a version (a tag).
const VERSION_BYTES: usize = 128;

/// An artifact in a registry. At least one of version and digest is there. The digest counts, where both are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `registry.example` or `127.0.0.1:5000`, in lower case.
    pub host: String,
    /// `team/redis`.
    pub name: String,
    /// The tag: it may lead to another artifact tomorrow.
    pub version: Option<String>,
    /// Of the manifest: the artifact is this one and no other.
    pub digest: Option<Digest>,
}

/// A text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It begins in another way.
    #[error("`{0}` does not begin with oci://; write oci://HOST/NAME:VERSION")]
    Scheme(String),
    /// It has no host, or one that cannot be.
    #[error(
        "`{0}` names no registry; write oci://HOST/NAME:VERSION, where HOST is like registry.example or 127.0.0.1:5000"
    )]
    Host(String),
    /// A password does not belong there.
    #[error("a reference holds no user and no password; write them into registries.toml")]
    Credentials,
    /// It has no name, or one that registries do not take.
    #[error(
        "`{0}`: a name has lower-case letters, digits and `.`, `_`, `-` between `/`, and at most {NAME_BYTES} bytes"
    )]
    Name(String),
    /// The version is none that registries take.
    #[error("`{0}`: a version has letters, digits and `.`, `_`, `-`, and at most {VERSION_BYTES} of them")]
    Version(String),
    /// It says neither which version nor which digest.
    #[error("`{0}` says neither a version nor a digest; write {0}:VERSION")]
    Neither(String),
    /// The digest is wrong.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Its pinned form, which names this artifact for ever.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Reference {
        Reference { version: None, digest: Some(digest), ..self.clone() }
    }

    /// What the registry is asked for: the digest, or else the version.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.version) {
            (Some(digest), _) => digest.to_string(),
            (None, version) => version.clone().unwrap_or_default(),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| ReferenceError::Scheme(text.to_owned()))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| ReferenceError::Host(text.to_owned()))?;
        if host.contains('@') {
            return Err(ReferenceError::Credentials);
        }
        if !is_host(host) {
            return Err(ReferenceError::Host(text.to_owned()));
        }
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(digest.parse()?)),
            None => (path, None),
        };
        let (name, version) = match path.split_once(':') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (path, None),
        };
        if name.len() > NAME_BYTES || !name.split('/').all(is_name_part) {
            return Err(ReferenceError::Name(name.to_owned()));
        }
        if let Some(version) = version.as_ref().filter(|version| !is_version(version)) {
            return Err(ReferenceError::Version(version.clone()));
        }
        if version.is_none() && digest.is_none() {
            return Err(ReferenceError::Neither(text.to_owned()));
        }
        Ok(Reference { host: host.to_ascii_lowercase(), name: name.to_owned(), version, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, ":{version}"))?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// `name`, `name:port`, `1.2.3.4:port`, `[::1]:port`.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, rest)) if ip.parse::<std::net::Ipv6Addr>().is_ok() => match rest.strip_prefix(':') {
            Some(port) => ("ipv6", Some(port)),
            None if rest.is_empty() => ("ipv6", None),
            None => return false,
        },
        Some(_) => return false,
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0)
    };
    host.len() <= HOST_BYTES && name.split('.').all(is_label) && port.is_none_or(is_port)
}

/// A part of a name as the distribution specification has it: separators stand between letters and digits.
fn is_name_part(part: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().is_some_and(is_plain) && bytes.last().is_some_and(is_plain);
    ends && bytes.iter().all(|byte| is_plain(byte) || b"._-".contains(byte)) && !part.contains("..")
}

fn is_version(version: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = version.as_bytes();
    bytes.first().is_some_and(is_word)
        && bytes.len() <= VERSION_BYTES
        && bytes.iter().all(|byte| is_word(byte) || b".-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_reference_says_registry_name_and_version_or_digest() {
        for text in [
            "oci://registry.example/team/redis:0.2.0".to_owned(),
            "oci://127.0.0.1:5000/redis:1".to_owned(),
            "oci://[::1]:5000/redis:1".to_owned(),
            format!("oci://registry.example/redis@{DIGEST}"),
            format!("oci://registry.example/redis:0.2.0@{DIGEST}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        let both: Reference = format!("oci://Registry.Example/redis:0.2.0@{DIGEST}").parse().unwrap();
        assert_eq!((both.host.as_str(), both.wanted().as_str()), ("registry.example", DIGEST));
        assert_eq!(
            both.pinned(both.digest.unwrap()).to_string(),
            format!("oci://registry.example/redis@{DIGEST}")
        );
    }

    #[test]
    fn what_is_none_is_refused_with_what_to_write() {
        for (text, said) in [
            ("registry.example/redis:1", "oci://HOST/NAME:VERSION"),
            ("oci://redis:1", "names no registry"),
            ("oci:///redis:1", "names no registry"),
            ("oci://a..b/redis:1", "names no registry"),
            ("oci://host:0/redis:1", "names no registry"),
            ("oci://host:99999/redis:1", "names no registry"),
            ("oci://me:secret@host/redis:1", "registries.toml"),
            ("oci://host/Redis:1", "lower-case"),
            ("oci://host/../redis:1", "lower-case"),
            ("oci://host/a//b:1", "lower-case"),
            ("oci://host/redis", ":VERSION"),
            ("oci://host/redis:-1", "a version has"),
            ("oci://host/redis@sha256:12", "is not a digest"),
        ] {
            let why = text.parse::<Reference>().unwrap_err().to_string();
            assert!(why.contains(said), "{text}: {why}");
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
