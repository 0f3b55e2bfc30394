//! Why a plugin is not taken, and why a service has no handler.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_artifact::signature::RequiredError;
use koi_artifact::{ReferenceError, StoreError};
use koi_plugin_api::Want;

use crate::backend::LoadError;
use crate::backend::code::HandlerError;
use crate::backend::wasm::grants::error::GrantError;
use crate::catalog::storage::blobs::CopyError;
use crate::catalog::storage::files::FileError;
use crate::config::error::ConfigError;
use crate::plugin::FileHash;
use crate::service::manifest::Manifest;

/// Digits of a hash that people are shown.
const HASH_SHOWN: usize = 8;

/// No handler has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("handler `{name}` is not known: this koid has {known}; {remedy}")]
pub struct UnknownHandlerError {
    /// What was asked for.
    pub name: String,
    /// Those that there are, each in backquotes, with commas between.
    pub known: String,
    /// What to do.
    pub remedy: String,
}

/// Why a service has no handler.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing has that name.
    #[error(transparent)]
    Unknown(#[from] UnknownHandlerError),
    /// The service cannot be run at all: its [`Found::problem`](crate::Found::problem).
    #[error("{0}")]
    Service(String),
    /// The plugin that it names cannot be used.
    #[error("{} cannot be used: {}", name.as_ref().map_or_else(|| "its handler".to_owned(), |name| format!("the handler {name}")), beside(name.as_deref(), error))]
    Plugin {
        /// What the service calls it; none: the service names it by its path.
        name: Option<String>,
        /// What is wrong with the plugin.
        error: Arc<PluginError>,
    },
    /// The service's `[config]` is not what the handler takes.
    #[error("{}: {error}", service.display())]
    Config {
        /// Where the service lies.
        service: PathBuf,
        /// What is wrong with it.
        error: ConfigError,
    },
    /// The handler cannot be made with what the service says.
    #[error(transparent)]
    Handler(Arc<HandlerError>),
}

impl OpenError {
    /// What the plugin wants for the service and is not granted, if that is it.
    pub(crate) fn missing(&self) -> &[Want] {
        match self {
            OpenError::Handler(error) => match &**error {
                HandlerError::Grants(GrantError::NotGranted { missing, .. }) => missing,
                HandlerError::Grants(_)
                | HandlerError::Limits(_)
                | HandlerError::Setup(_)
                | HandlerError::Secret(_)
                | HandlerError::NoSandbox { .. } => &[],
            },
            OpenError::Unknown(_)
            | OpenError::Service(_)
            | OpenError::Plugin { .. }
            | OpenError::Config { .. } => &[],
        }
    }

    /// The plugin cannot be used by any service: what is wrong is the plugin's own error.
    pub fn is_of_plugin(&self) -> bool {
        matches!(self, OpenError::Plugin { .. })
    }

    /// A sentence that begins with the service's path, `service`, or with the line of `[grants]` in its service.toml, `manifest`.
    pub fn with_path(&self, service: &Path, manifest: &Manifest) -> String {
        match self {
            OpenError::Handler(error) if error.grant_line(manifest).is_some() => {
                let line = error.grant_line(manifest).unwrap_or_default();
                format!("{}/service.toml:{line}: {self}", service.display())
            }
            OpenError::Config { .. } => self.to_string(),
            // What is wrong with its service.toml is said with that one's path.
            OpenError::Service(problem) if problem.starts_with(&format!("{}/", service.display())) => {
                problem.clone()
            }
            OpenError::Unknown(_)
            | OpenError::Service(_)
            | OpenError::Plugin { .. }
            | OpenError::Handler(_) => format!("{}: {self}", service.display()),
        }
    }
}

/// Why a plugin cannot be used; of one that can, why the file that lies there now was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It has another ending than plugins have.
    #[error("{} is neither a .so nor a .wasm; correct `handler` in service.toml", .0.display())]
    NotAPlugin(PathBuf),
    /// A service names it, and there is no such file.
    #[error("there is no {}; put the handler there, or correct `handler` in service.toml", .0.display())]
    Missing(PathBuf),
    /// Its file is gone, and services use what was loaded of it.
    #[error("its file is gone; the one of SHA-256 {}… stays while services use it", shown(*hash))]
    FileGone {
        /// Of what is in force.
        hash: FileHash,
    },
    /// Its file is another one now, and that one cannot be used.
    #[error("the file there now cannot be used: {error}; the one of SHA-256 {}… stays", shown(*hash))]
    Kept {
        /// Of what is in force.
        hash: FileHash,
        /// What is wrong with the file that lies there now.
        error: Box<PluginError>,
    },
    /// Its file is not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A service names what was pulled, and it is not there.
    #[error("{reference}: {}", about_pulled(reference, source))]
    Pulled {
        /// What the service names.
        reference: String,
        /// Why.
        source: StoreError,
    },
    /// What a service names is no reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// It has no good signature, and must have one.
    #[error("{}: {source}", path.display())]
    Signature {
        /// The file, or the reference.
        path: PathBuf,
        /// What is wrong.
        source: RequiredError,
    },
    /// No copy of its file can be kept.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// No code can be made of its file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It has the name of the built-in handler.
    #[error("it calls itself `{name}`, and that is the built-in handler; give it another name")]
    ReservedName {
        /// What it calls itself.
        name: String,
    },
    /// Another plugin has its name.
    #[error("{} is called `{name}` too and comes first; remove one, or rename it", other.display())]
    DuplicateName {
        /// What both call themselves.
        name: String,
        /// The file of the other one.
        other: PathBuf,
    },
}

/// What is wrong with a plugin, behind the name that a service has for it: a reference is not said again.
fn beside(name: Option<&str>, error: &PluginError) -> String {
    match error {
        PluginError::Pulled { reference, .. } if name == Some(reference.as_str()) => error.beside_path(),
        _ => error.to_string(),
    }
}

/// What is wrong with what was pulled, and what to do.
fn about_pulled(reference: &str, source: &StoreError) -> String {
    match source {
        StoreError::Missing => format!(
            "{source}; run `koi plugins pull {reference}` here, or `koi plugins load` where no registry can be reached"
        ),
        _ => format!("{source}; `koi plugins pull {reference}` gets it anew"),
    }
}

fn shown(hash: FileHash) -> String {
    hash.to_string().chars().take(HASH_SHOWN).collect()
}

impl PluginError {
    /// A sentence that names the plugin's path, `path`.
    pub fn with_path(&self, path: &Path) -> String {
        if self.names_path() { self.to_string() } else { format!("{}: {self}", path.display()) }
    }

    fn names_path(&self) -> bool {
        match self {
            PluginError::NotAPlugin(_)
            | PluginError::Missing(_)
            | PluginError::File(_)
            | PluginError::Pulled { .. }
            | PluginError::Signature { .. }
            | PluginError::Reference(_) => true,
            PluginError::Kept { error, .. } => error.names_path(),
            PluginError::Load(error) => match error {
                LoadError::Library(_) | LoadError::Component { .. } => true,
                LoadError::Builtin | LoadError::Panicked => false,
            },
            PluginError::FileGone { .. }
            | PluginError::Copy(_)
            | PluginError::ReservedName { .. }
            | PluginError::DuplicateName { .. } => false,
        }
    }

    /// A sentence to stand behind the plugin's path: the path is not said again.
    pub(crate) fn beside_path(&self) -> String {
        match self {
            PluginError::Load(error) => error.beside_path(),
            PluginError::Signature { source, .. } => source.to_string(),
            PluginError::Pulled { reference, source } => about_pulled(reference, source),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_or_a_reference_is_said_once() {
        let service = Path::new("/etc/koi/services/10-db");
        let said =
            |problem: &str| OpenError::Service(problem.into()).with_path(service, &Manifest::default());
        assert_eq!(
            said("/etc/koi/services/10-db/service.toml:2: no"),
            "/etc/koi/services/10-db/service.toml:2: no"
        );
        assert_eq!(said("it has no script"), "/etc/koi/services/10-db: it has no script");
        let grant_lines = [(String::new(), 3), ("write".to_owned(), 5)].into_iter().collect();
        let manifest = Manifest { grant_lines, ..Manifest::default() };
        let grants = |error| OpenError::Handler(Arc::new(HandlerError::Grants(error)));
        let unknown = GrantError::UnknownKey { key: "raed".into(), nearest: "read" };
        let said = grants(unknown).with_path(service, &manifest);
        assert!(said.starts_with("/etc/koi/services/10-db/service.toml:3: `raed` is not a key"), "{said}");
        let flag = GrantError::NotABoolean { key: "write".into() };
        assert!(grants(flag).with_path(service, &manifest).contains("/service.toml:5: `write`"));
        let reference = "oci://registry.example/db@sha256:ab".to_owned();
        let pulled = || PluginError::Pulled { reference: reference.clone(), source: StoreError::Missing };
        assert!(pulled().to_string().starts_with(&format!("{reference}: it is not on this node; run")));
        assert!(pulled().beside_path().starts_with("it is not on this node; run"));
        let of_service = OpenError::Plugin { name: Some(reference.clone()), error: Arc::new(pulled()) };
        let said = of_service.to_string();
        assert!(
            said.starts_with(&format!("the handler {reference} cannot be used: it is not on this node")),
            "{said}"
        );
    }
}
