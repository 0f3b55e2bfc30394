//! What koi knows of a plugin of any kind, and what it takes to make a service's handler of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{Handler, Metadata};
use sha2::{Digest, Sha256};

use crate::error::HandlerError;

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
    /// Of these bytes.
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

/// What is known of a plugin once it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it says of itself.
    pub metadata: Metadata,
    /// What it was built against: `koi:service@0.1.0`, `native 1.0`.
    pub api: String,
    /// The interfaces that a component imports.
    pub imports: Vec<String>,
    /// A component's code.
    pub compiled: Option<Compiled>,
}

/// The compiled code of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// Its bytes.
    pub size_bytes: u64,
    /// It was found in the cache.
    pub cached: bool,
    /// How long compiling, or reading it, took.
    pub took: Duration,
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
    /// `[grants]` of its `service.toml`.
    pub grants: &'a toml::Table,
    /// `[limits]` of its `service.toml`.
    pub limits: &'a toml::Table,
    /// It was opened before, and host names had these addresses then: nothing is asked of a name server again, which may be out of
    /// reach when services must be taken down. None: it is opened for the first time.
    pub resolved: Option<&'a Resolved>,
}

/// What a call's log says, at the level of debugging, when a handler answers `unsupported`: its result alone does not tell.
pub(crate) const UNSUPPORTED: &str = "the handler says that it does not have this hook";

/// The addresses of host names.
pub type Resolved = BTreeMap<String, Vec<IpAddr>>;

/// A service's handler.
#[derive(Clone)]
pub struct Opened {
    /// Runs its hooks.
    pub handler: Arc<dyn Handler>,
    /// What is granted to it, a line each, for people.
    pub granted: Vec<String>,
    /// The limits in force, a line each, for people.
    pub limits: Vec<String>,
    /// What the host names in its grants stand for, from now on.
    pub resolved: Resolved,
}

/// A loaded plugin, of one file, pinned: whatever happens to the file, this stays as it is.
pub(crate) trait Code: Send + Sync {
    /// What is known of it.
    fn facts(&self) -> &Facts;

    /// A handler for one service. Blocks (names are resolved).
    fn open(&self, setup: &Setup<'_>) -> Result<Opened, HandlerError>;
}
