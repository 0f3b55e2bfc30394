//! The handlers that services may name.

use serde::{Deserialize, Serialize};

use super::statistics::{HandlerStatistics, PluginStatistics};
use super::status::Hook;
use super::word::words;

/// A handler that services may name (`GET /v1/plugins`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plugin {
    /// What services name it by; of a file that could not be loaded: the file's name without its ending.
    pub name: String,
    /// What runs it.
    pub kind: PluginKind,
    /// Its own version.
    pub version: String,
    /// What it was built against: `koi:service@0.1.0`, `native 1.0`; of the built-in one: koi's version.
    pub api: String,
    /// The version in `api`; none: an older koid does not say.
    pub api_version: Option<String>,
    /// The hooks that it has.
    pub hooks: Vec<Hook>,
    /// The services of this node that use it, by name.
    pub services: Vec<String>,
    /// Whether services can use it.
    pub state: PluginState,
    /// Why it cannot be used, or why the file that lies there now was not taken.
    pub error: Option<String>,
    /// The file that it was loaded from, or the reference of what was pulled (`oci://…`); none: built in.
    pub path: Option<String>,
    /// One line for people.
    pub description: String,
    /// SHA-256 of the file as it was loaded, in hexadecimal digits; none: built in.
    pub hash: Option<String>,
    /// For how long the file that lies there now has been being loaded; none: it is not. What is in force stays meanwhile.
    pub loading_ms: Option<u64>,
    /// Those of its services that cannot run with it, and why.
    pub problems: Vec<ServiceProblem>,
    /// The file that lies there now, compared with the one in force.
    pub on_disk: OnDisk,
    /// Who vouches for it; none: it is built in, nothing of it was read yet, or an older koid does not say.
    pub signature: Option<PluginSignature>,
    /// What it has cost; none: no service of this node runs with it as it is now, or an older koid does not say.
    pub statistics: Option<PluginStatistics>,
}

/// Who vouches for a plugin's file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginSignature {
    /// What is known of it.
    pub state: SignatureState,
    /// The public key that has signed it, as it stands in `plugins.trusted_keys`; of one that is not trusted: its number.
    pub key: Option<String>,
    /// As what it was signed, `redis 0.2.0`.
    pub signed: Option<String>,
    /// Why it is wrong.
    pub error: Option<String>,
}

/// A service that cannot run with its handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceProblem {
    /// The service.
    pub service: String,
    /// Why, and what to do.
    pub problem: String,
    /// No service could run with the plugin: the problem is its own `error`.
    pub of_plugin: bool,
}

/// All that is known of one plugin (`GET /v1/plugins/NAME`, `koi plugins inspect`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginDetail {
    /// What the list says of it.
    #[serde(flatten)]
    pub plugin: Plugin,
    /// Bytes of the file as it was loaded.
    pub size_bytes: u64,
    /// The interfaces that it imports, for WASM.
    pub imports: Vec<String>,
    /// The keys of `[config]` that it understands.
    pub config: Vec<PluginConfigKey>,
    /// What it wants of the node, each as the line of `[grants]` that grants it.
    pub wanted: Vec<String>,
    /// The same by key and value, in the same order. An older koid does not say it.
    pub wants: Vec<Grant>,
    /// Its compiled code, for WASM.
    pub compiled: Option<PluginCompiled>,
    /// How each of its services uses it.
    pub used_by: Vec<PluginUse>,
}

/// A key of `[config]` that a plugin understands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginConfigKey {
    /// The key.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Without it the service cannot run.
    pub required: bool,
    /// What it is where `service.toml` does not say; of several values: with commas between.
    pub default: Option<String>,
    /// What its value may be, in words: `integer 1 to 65535`. None: any text; an older koid does not say it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// It takes a list of values.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub many: bool,
}

/// The compiled code of a WASM plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginCompiled {
    /// Its size.
    pub size_bytes: u64,
    /// It was found in the cache; false: it was compiled for this load.
    pub cached: bool,
    /// How long compiling (or reading it from the cache) took.
    pub took_ms: u64,
}

/// An entry of `[grants]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grant {
    /// The key: `tcp`, `read`, …; empty: it stands under no key.
    pub key: String,
    /// The directory, address, server, variable or program's path, as it is written; empty: it has none.
    pub value: String,
    /// The line for people.
    pub line: String,
    /// What it is wanted for; empty: it is not wanted but granted, or nobody says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How one service uses a plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginUse {
    /// The service.
    pub service: String,
    /// What its `[grants]` grant, a line each, names resolved.
    pub granted: Vec<String>,
    /// The same by key and value, in the same order. An older koid does not say it.
    pub grants: Vec<Grant>,
    /// What the plugin wants and is not granted, keys of `[config]` filled in, if that is why the service cannot run with it. An older koid
    /// does not say it.
    pub missing: Vec<Grant>,
    /// Its `[limits]` as they are in force, a line each.
    pub limits: Vec<String>,
    /// Why it cannot run with it.
    pub problem: Option<String>,
    /// What the service's hooks have cost with the plugin as it is now; none: it does not run with that, or an older koid does not say.
    pub statistics: Option<HandlerStatistics>,
    /// The same of the handler that the service had before, in this run of koid; none: it had no other, or that was never called.
    pub statistics_before: Option<HandlerStatistics>,
}

words! {
    /// What runs a plugin.
    pub enum PluginKind {
        /// A part of koid.
        Builtin = "builtin",
        /// A shared library, in a process of its own.
        Native = "native",
        /// A WebAssembly component.
        Wasm = "wasm",
    }
}

words! {
    /// What is known of the signature of a plugin's file.
    pub enum SignatureState {
        /// It is what the owner of a trusted key has signed.
        Signed = "signed",
        /// There is none.
        Unsigned = "unsigned",
        /// It is by a key that this node does not trust: nothing is known of the file.
        Untrusted = "untrusted",
        /// It is another file's, or another plugin's, or none.
        Wrong = "wrong",
    }
}

words! {
    /// Whether services can use a plugin.
    pub enum PluginState {
        /// They can.
        Ready = "ready",
        /// It could not be loaded.
        Error = "error",
        /// Its component is being compiled, and nothing of it is in force yet.
        Compiling = "compiling",
        /// Its library is being loaded, and nothing of it is in force yet.
        Loading = "loading",
    }
}

words! {
    /// A plugin's file as it lies there now, compared with the one in force.
    pub enum OnDisk {
        /// It is the same.
        Same = "same",
        /// It is another one: `koi reconfigure` takes it.
        Changed = "changed",
        /// It is another one, and could not be taken.
        Refused = "refused",
        /// There is none any more.
        Gone = "gone",
        /// The plugin is built in.
        NoFile = "",
    }
}
