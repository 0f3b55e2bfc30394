//! What a handler says of itself; the same for native plugins and for `describe` of the WIT.

use std::fmt;

use koi_hook::HookSet;

/// What a handler says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its name: `shell`, or that of the plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// Which hooks it has; the others count as success at once.
    pub hooks: HookSet,
    /// What it wants of the node. Only a sandboxed handler has to ask.
    pub capabilities: Vec<Capability>,
    /// The keys of `[config]` that it understands; none: it takes any.
    pub config: Vec<ConfigKey>,
}

/// A key of `[config]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// The key.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Without it the service cannot run.
    pub required: bool,
    /// What it is where `service.toml` does not say.
    pub default: Option<String>,
}

/// Something of the node that a handler wants. Texts may name keys of `[config]` in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Run this program, an absolute path.
    Exec(String),
    /// Connect to `ip:port`, `host:port` or `network/bits:port`.
    TcpConnect(String),
    /// Read this directory.
    FsRead(String),
    /// Read and write this directory.
    FsWrite(String),
    /// See this environment variable of the daemon.
    Env(String),
}

impl Capability {
    /// The capability of this key of `[grants]`; none: there is no such.
    pub fn from_grant_key(key: &str, value: String) -> Option<Capability> {
        Some(match key {
            "exec" => Capability::Exec(value),
            "tcp" => Capability::TcpConnect(value),
            "read" => Capability::FsRead(value),
            "write" => Capability::FsWrite(value),
            "env" => Capability::Env(value),
            _ => return None,
        })
    }

    /// The key of `[grants]` that grants it.
    pub fn grant_key(&self) -> &'static str {
        match self {
            Capability::Exec(_) => "exec",
            Capability::TcpConnect(_) => "tcp",
            Capability::FsRead(_) => "read",
            Capability::FsWrite(_) => "write",
            Capability::Env(_) => "env",
        }
    }

    /// What stands behind that key.
    pub fn value(&self) -> &str {
        match self {
            Capability::Exec(value)
            | Capability::TcpConnect(value)
            | Capability::FsRead(value)
            | Capability::FsWrite(value)
            | Capability::Env(value) => value,
        }
    }
}

/// As the line of `[grants]` that grants it: `tcp = ["127.0.0.1:6379"]`.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = [{:?}]", self.grant_key(), self.value())
    }
}
