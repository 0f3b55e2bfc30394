//! Why a registry did not do what it was asked for.

use koi_artifact::{ManifestError, Part, StoreError};

use crate::http::{HttpError, TlsError};
use crate::wasm_config::WasmConfigError;

/// Why a registry did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be asked, or gives no whole answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Its authorities cannot be used.
    #[error("{registry}: {source}")]
    Tls {
        /// The registry.
        registry: String,
        /// Why.
        source: TlsError,
    },
    /// It wants a password, and there is none for it.
    #[error(
        "{0} wants a password; write `user` and `password_file` under [registries.\"{0}\"] in registries.toml, or say --user and --password-file"
    )]
    NeedsPassword(String),
    /// It does not take the password.
    #[error("{registry} does not take the password of {user}, or {user} may not {doing} there")]
    WrongPassword {
        /// The registry.
        registry: String,
        /// Who logged in.
        user: String,
        /// `read` or `write`.
        doing: &'static str,
    },
    /// The password or the token cannot be sent.
    #[error("the password for {0}, or the token that it gives, has characters that cannot be sent")]
    Unsendable(String),
    /// It wants to know who asks, in a way that koi does not know.
    #[error("{0} wants to know who asks, in a way that koi does not know")]
    UnknownChallenge(String),
    /// The password is not for where the registry wants it.
    #[error(
        "{registry} sends us to {realm} for a token, and the password is for {registry} alone; if it belongs there too, write token_hosts = [\"{realm}\"] under [registries.\"{registry}\"] in registries.toml"
    )]
    ForeignRealm {
        /// The registry.
        registry: String,
        /// Where it wants the password.
        realm: String,
    },
    /// It names a place for tokens that is none.
    #[error("{registry} sends us to {realm} for a token, which cannot be asked for a token safely")]
    BadRealm {
        /// The registry.
        registry: String,
        /// What it says.
        realm: String,
    },
    /// A token service answers nonsense.
    #[error("{0} was asked for a token, and gives none")]
    NoToken(String),
    /// It redirects for ever, to nowhere, or to a place without TLS.
    #[error("{registry} redirects to {location}, which is not followed: {why}")]
    Redirect {
        /// The registry.
        registry: String,
        /// Where to.
        location: String,
        /// Why not.
        why: &'static str,
    },
    /// There is no such artifact.
    #[error("{registry} has no {wanted}")]
    NotFound {
        /// The registry.
        registry: String,
        /// What was asked for.
        wanted: String,
    },
    /// It says something else.
    #[error("{registry} answers {status} where {wanted} was asked for{said}")]
    Refused {
        /// The registry.
        registry: String,
        /// The status.
        status: http::StatusCode,
        /// What was asked for.
        wanted: String,
        /// Its own words, behind a colon; empty: it has none.
        said: String,
    },
    /// What it gives is not what was asked for.
    #[error("{registry} does not give what its digest says: {source}")]
    Lie {
        /// The registry.
        registry: String,
        /// What is wrong.
        source: StoreError,
    },
    /// A part ended too early.
    #[error("{registry} gives only {found} of the {expected} bytes of the {part}")]
    Half {
        /// The registry.
        registry: String,
        /// Which part.
        part: Part,
        /// Bytes that the manifest says.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// Its own word for the digest is another one.
    #[error("{registry} says that {wanted} is {said}, and gives {found}")]
    OtherDigest {
        /// The registry.
        registry: String,
        /// What was asked for.
        wanted: String,
        /// What it says.
        said: String,
        /// What it gives.
        found: String,
    },
    /// It is no component.
    #[error("{wanted}: {source}")]
    NoComponent {
        /// What was asked for.
        wanted: String,
        /// Why.
        source: ManifestError,
    },
    /// The version is there, with other content.
    #[error("{0} is there already, and is another file; raise the version, or say --replace")]
    Taken(String),
    /// The version is there with the same component, signed otherwise.
    #[error(
        "{0} is there already with the same component and another signature, or none; to have this signature in its place, say --replace: the artifact's digest changes with it"
    )]
    OtherSignature(String),
    /// What is to be pushed is no component.
    #[error(transparent)]
    WasmConfig(#[from] WasmConfigError),
    /// No manifest can be made.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}
