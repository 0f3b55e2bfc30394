//! What koi knows of a plugin of any kind, and what it takes to make a service's handler of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use koi_plugin_api::Metadata;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::setting::SecretFile;

/// The kinds of handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Part of koid.
    Builtin,
    /// A shared library, run in a process of its own.
    Native,
    /// A WebAssembly component.
    Wasm,
}

impl Kind {
    /// The word in `koi plugins list`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Builtin => "builtin",
            Kind::Native => "native",
            Kind::Wasm => "wasm",
        }
    }
}

/// SHA-256 of a plugin's file: what `sha256sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHash([u8; 32]);

impl FileHash {
    /// The hash of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> FileHash {
        FileHash(Sha256::digest(bytes).into())
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a loaded plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it says of itself.
    pub metadata: Metadata,
    /// What it was built against: `koi:service@0.1.0`, `native 1.0`.
    pub api: String,
    /// The version in `api`.
    pub api_version: String,
    /// The interfaces that a component imports.
    pub imports: Vec<String>,
    /// A component's code.
    pub compiled: Option<Compiled>,
}

/// The compiled code of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// Its bytes.
    pub size_bytes: u64,
    /// It was found in the cache.
    pub cached: bool,
    /// How long compiling, or reading it, took.
    pub took: Duration,
    /// What did not confine the process that compiled it, as this machine does not give it: `without Landlock`. None: nothing is lacking, or it was in the cache.
    pub lacking: Option<String>,
}

/// What a service brings along for its handler.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its name, without its priority.
    pub service: &'a str,
    /// Its folder.
    pub home: &'a Path,
    /// `[config]`, checked, with the defaults of the handler filled in.
    pub config: &'a [(String, String)],
    /// Keys of `[config]` whose values are read at each call.
    pub secrets: &'a [SecretFile],
    /// `[grants]` of its `service.toml`.
    pub grants: &'a toml::Table,
    /// `[limits]` of its `service.toml`.
    pub limits: &'a toml::Table,
    /// Whether it is opened for the first time.
    pub opening: Opening<'a>,
}

/// Whether a service's handler is opened for the first time.
#[derive(Clone, Copy, Debug)]
pub enum Opening<'a> {
    /// Everything is checked, and host names are resolved.
    First,
    /// It was opened before, and names stood for this then. Nobody is asked again: name servers may be out of reach when services must be
    /// taken down.
    Resumed(&'a Resolved),
}

impl<'a> Opening<'a> {
    /// It is not resumed.
    pub fn is_first(self) -> bool {
        self.resolved().is_none()
    }

    /// What names stood for before; none: it is opened for the first time.
    pub fn resolved(self) -> Option<&'a Resolved> {
        match self {
            Opening::First => None,
            Opening::Resumed(resolved) => Some(resolved),
        }
    }
}

/// What a call's log says, at the level of debugging, when a handler answers `unsupported`: its result alone does not tell.
pub(crate) const UNSUPPORTED: &str = "the handler says that it does not have this hook";

/// What the names in `[grants]` stood for when the service was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses of host names.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// The users that programs run as.
    pub users: BTreeMap<String, RunAs>,
}

/// A user of this machine, by numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct RunAs {
    /// The user.
    #[n(0)]
    pub user: u32,
    /// The user's own group.
    #[n(1)]
    pub group: u32,
    /// All groups that the user is in.
    #[n(2)]
    pub groups: Vec<u32>,
}
