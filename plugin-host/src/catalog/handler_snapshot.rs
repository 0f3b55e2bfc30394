//! All that it takes to make a service's handler again as it is now, whatever becomes of its files: what koid leaves to its
//! guardian.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use koi_plugin_api::{Abort, Call, Called, ConfigKey, Handler, Hook, HookError, HookSet, Metadata, Want};
use koi_plugin_shell::{Shape, ShellHandler};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio::task::JoinError;

use crate::backend::LoadError;
use crate::backend::code::HandlerError;
use crate::backend::{self, PluginFile, Start};
use crate::catalog::storage::blobs;
use crate::catalog::storage::blobs::CopyError;
use crate::config::setting::SecretFile;
use crate::host::Host;
use crate::plugin::{Facts, Kind, Opening, Resolved, RunAs, Setup};

/// A service's handler, to be made again in another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandlerSnapshot {
    service: String,
    folder: Option<PathBuf>,
    file: Option<PathBuf>,
    workingdir: PathBuf,
    config: Vec<(String, String)>,
    /// Keys of `[config]` whose values are read at each call.
    #[serde(default)]
    secrets: Vec<SecretFile>,
    grants: toml::Table,
    limits: toml::Table,
    /// The addresses of the names in `grants`.
    resolved: BTreeMap<String, Vec<IpAddr>>,
    /// The users in `grants`.
    #[serde(default)]
    users: BTreeMap<String, RunAs>,
    /// None: the shell.
    plugin: Option<PluginSnapshot>,
}

/// A plugin that is in use: its copy in [`Host::pinned_dir`], and what it has said of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PluginSnapshot {
    pub(crate) path: PathBuf,
    pub(crate) kind: String,
    pub(crate) hash: String,
    name: String,
    version: String,
    description: String,
    hooks: Vec<String>,
    /// Key of `[grants]` and subject of each want, for a koid that does not know `wants`.
    capabilities: Vec<(String, String)>,
    /// Name, description, whether it is required, default: for a koid that does not know `keys`.
    config: Vec<(String, String, bool, Option<String>)>,
    /// Empty: a koid wrote it that did not know it. Whoever takes the service down asks for nothing.
    #[serde(default)]
    wants: Vec<Want>,
    /// Empty: a koid wrote it that did not know it. The service's configuration has the defaults.
    #[serde(default)]
    keys: Vec<ConfigKey>,
    api: String,
    /// Empty: a koid wrote it that did not know it.
    #[serde(default)]
    api_version: String,
    imports: Vec<String>,
}

/// Why a handler cannot be made again.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    /// Who wrote the snapshot left out a part of it.
    #[error("its pin does not say where it lies")]
    Incomplete,
    /// A later koid wrote it.
    #[error("handlers of kind {0} are not known")]
    UnknownKind(String),
    /// Its copy cannot be used.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// No code can be made of its copy.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its service is not given what it needs.
    #[error(transparent)]
    Handler(#[from] HandlerError),
    /// The thread that opens it was lost.
    #[error("opening it broke off: {0}")]
    Lost(#[from] JoinError),
}

impl HandlerSnapshot {
    /// Of a service whose handler was opened with `setup`.
    pub(crate) fn new(
        setup: &Setup<'_>,
        shape: &Shape,
        workingdir: PathBuf,
        plugin: Option<PluginSnapshot>,
    ) -> HandlerSnapshot {
        let (folder, file) = match shape {
            Shape::Folder(path) => (Some(path.clone()), None),
            Shape::File(path) => (None, Some(path.clone())),
        };
        let Resolved { addresses, users } = setup.opening.resolved().cloned().unwrap_or_default();
        HandlerSnapshot {
            service: setup.service.to_owned(),
            folder,
            file,
            workingdir,
            config: setup.config.to_vec(),
            secrets: setup.secrets.to_vec(),
            grants: setup.grants.clone(),
            limits: setup.limits.clone(),
            resolved: addresses,
            users,
            plugin,
        }
    }

    /// SHA-256 of the plugin that it needs, in hexadecimal digits; none: it needs none.
    pub fn hash(&self) -> Option<&str> {
        self.plugin.as_ref().map(|plugin| plugin.hash.as_str())
    }

    /// The handler. It is opened on another thread, from now on; calls wait for that. Must be called within a tokio runtime.
    pub fn handler(&self, host: &Host) -> Arc<dyn Handler> {
        match (&self.plugin, &self.folder, &self.file) {
            (None, Some(folder), _) => Arc::new(self.shell(Shape::Folder(folder.clone()))),
            (None, None, Some(file)) => Arc::new(self.shell(Shape::File(file.clone()))),
            _ => {
                let later =
                    PendingHandler { snapshot: self.clone(), host: host.clone(), opened: Arc::default() };
                let begin = later.clone();
                tokio::spawn(async move { drop(begin.opened().await) });
                Arc::new(later)
            }
        }
    }

    fn shell(&self, shape: Shape) -> ShellHandler {
        ShellHandler::open(shape, &self.workingdir)
    }

    /// Opens the plugin's handler; blocks.
    fn open(&self, host: &Host) -> Result<Arc<dyn Handler>, RestoreError> {
        let (Some(plugin), Some(home)) = (&self.plugin, &self.folder) else {
            return Err(RestoreError::Incomplete);
        };
        let (bytes, hash) = blobs::read(host, &plugin.hash)?;
        let kind = plugin.kind().ok_or_else(|| RestoreError::UnknownKind(plugin.kind.clone()))?;
        let copy = host.pinned_dir().join(hash.to_string());
        let file = PluginFile { host, path: &plugin.path, copy: &copy, kind, bytes: &bytes, hash };
        let code = backend::load(&file, Start::Resumed(&plugin.facts()))?;
        let resolved = Resolved { addresses: self.resolved.clone(), users: self.users.clone() };
        let setup = Setup {
            service: &self.service,
            home,
            config: &self.config,
            secrets: &self.secrets,
            grants: &self.grants,
            limits: &self.limits,
            opening: Opening::Resumed(&resolved),
        };
        Ok(code.open(&setup)?.handler)
    }
}

impl PluginSnapshot {
    pub(crate) fn new(path: PathBuf, kind: Kind, hash: String, facts: &Facts) -> PluginSnapshot {
        let said = &facts.metadata;
        let capability =
            |want: &Want| (want.capability.grant_key().to_owned(), want.capability.subject().to_owned());
        let key = |key: &ConfigKey| {
            (key.name.clone(), key.description.clone(), key.required, key.default.first().cloned())
        };
        PluginSnapshot {
            path,
            kind: kind.as_str().to_owned(),
            hash,
            name: said.name.clone(),
            version: said.version.clone(),
            description: said.description.clone(),
            hooks: said.hooks.iter().map(|hook| hook.as_str().to_owned()).collect(),
            capabilities: said.wants.iter().map(capability).collect(),
            config: said.config.iter().map(key).collect(),
            wants: said.wants.clone(),
            keys: said.config.clone(),
            api: facts.api.clone(),
            api_version: facts.api_version.clone(),
            imports: facts.imports.clone(),
        }
    }

    fn kind(&self) -> Option<Kind> {
        [Kind::Native, Kind::Wasm].into_iter().find(|kind| kind.as_str() == self.kind)
    }

    fn facts(&self) -> Facts {
        let hooks: HookSet = Hook::ALL
            .into_iter()
            .filter(|hook| self.hooks.iter().any(|word| word == hook.as_str()))
            .collect();
        Facts {
            metadata: Metadata {
                name: self.name.clone(),
                version: self.version.clone(),
                description: self.description.clone(),
                hooks,
                wants: self.wants.clone(),
                config: self.keys.clone(),
            },
            api: self.api.clone(),
            api_version: self.api_version.clone(),
            imports: self.imports.clone(),
            compiled: None,
        }
    }
}

/// A handler that was made again, or why it could not be.
type Restored = Result<Arc<dyn Handler>, Arc<RestoreError>>;

/// A plugin's handler that may still be being opened.
#[derive(Clone)]
struct PendingHandler {
    snapshot: HandlerSnapshot,
    host: Host,
    opened: Arc<OnceCell<Restored>>,
}

impl PendingHandler {
    async fn opened(&self) -> Restored {
        let open = || async {
            let (snapshot, host) = (self.snapshot.clone(), self.host.clone());
            let opened = tokio::task::spawn_blocking(move || snapshot.open(&host)).await;
            opened.map_err(RestoreError::from).flatten().map_err(Arc::new)
        };
        self.opened.get_or_init(open).await.clone()
    }
}

impl Handler for PendingHandler {
    fn metadata(&self) -> Metadata {
        self.snapshot.plugin.as_ref().map(|plugin| plugin.facts().metadata).unwrap_or_default()
    }

    fn call(&self, call: Call) -> Called {
        let later = self.clone();
        Box::pin(async move {
            let mut abort = call.abort.clone();
            let timeout = call.context.timeout;
            let opened = tokio::select! {
                opened = later.opened() => opened,
                _ = abort.asked_for(Abort::Gently) => return Err(HookError::Aborted),
                () = tokio::time::sleep(timeout) => {
                    let took = timeout.as_secs_f32();
                    return Err(HookError::TimedOut(format!("its handler was not opened within {took} s")));
                }
            };
            match opened {
                Ok(handler) => handler.call(call).await,
                Err(error) => Err(HookError::CannotRun(format!("its handler cannot be opened: {error}"))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use koi_plugin_api::{Capability, ConfigKind};

    use super::*;

    #[test]
    fn a_snapshot_says_the_same_after_its_way_through_a_file() {
        let facts = Facts {
            metadata: Metadata {
                name: "redis".into(),
                version: "1".into(),
                description: "speaks RESP".into(),
                hooks: [Hook::Stop, Hook::Demote].into_iter().collect(),
                wants: vec![Want {
                    capability: Capability::Tcp("{address}".into()),
                    reason: "to ask it".into(),
                }],
                config: vec![ConfigKey {
                    name: "address".into(),
                    kind: ConfigKind::Address,
                    required: true,
                    ..ConfigKey::default()
                }],
            },
            api: "koi:service@0.1.0".into(),
            api_version: "0.1.0".into(),
            imports: vec!["wasi:sockets/tcp@0.2.3".into()],
            compiled: None,
        };
        let grants: toml::Table = "tcp = [\"127.0.0.1:1\"]\nlookup = true".parse().unwrap();
        let home = PathBuf::from("/etc/koi/services/10-db");
        let setup = Setup {
            service: "db",
            home: &home,
            config: &[("address".into(), "127.0.0.1:1".into())],
            secrets: &[SecretFile { key: "password".into(), path: "/etc/koi/secrets/db".into() }],
            grants: &grants,
            limits: &toml::Table::new(),
            opening: Opening::First,
        };
        let plugin = PluginSnapshot::new("/p/redis.wasm".into(), Kind::Wasm, "ab".repeat(32), &facts);
        assert_eq!((plugin.facts(), plugin.kind()), (facts, Some(Kind::Wasm)));
        let snapshot = HandlerSnapshot::new(&setup, &Shape::Folder(home.clone()), "/w".into(), Some(plugin));
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<HandlerSnapshot>(&text).unwrap(), snapshot);
        let mut of_before: serde_json::Value = serde_json::from_str(&text).unwrap();
        of_before.as_object_mut().unwrap().remove("secrets").unwrap();
        let of_plugin = of_before["plugin"].as_object_mut().unwrap();
        of_plugin.remove("wants").unwrap();
        of_plugin.remove("keys").unwrap();
        let read: HandlerSnapshot = serde_json::from_value(of_before).unwrap();
        assert_eq!(read.hash(), snapshot.hash(), "one of a koid before this one is read");
    }
}
