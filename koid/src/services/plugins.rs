//! The handlers that services may name: the registry in force, replaced as a whole by a reload.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use koi_artifact::Store;
use koi_config::Config;
use koi_plugin_host::{DiscoverError, Host, PluginInfo, Registry, Sources, discover};
use tokio::sync::Mutex;

use super::load_error::PluginLoadError;
use super::protected;

/// Digits of a hash that people are shown.
const HASH_SHOWN: usize = 8;

/// The registry in force. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Plugins(Arc<RegistryInForce>);

#[derive(Debug)]
struct RegistryInForce {
    host: Host,
    registry: RwLock<Arc<Registry>>,
    /// Held while another registry is made: one at a time.
    making: Mutex<()>,
}

impl Plugins {
    /// Knows what is built in, until it is loaded. Everything that plugins need lies in `node.state_dir`. The configuration is in the file
    /// at `path`.
    pub(crate) fn new(config: &Config, path: &Path) -> Plugins {
        let host = protected::host(config, path);
        let registry = Registry::new(host.clone(), config.services.workingdir.clone());
        Plugins(Arc::new(RegistryInForce {
            host,
            registry: RwLock::new(Arc::new(registry)),
            making: Mutex::default(),
        }))
    }

    /// Where plugins live.
    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    /// The one in force now.
    pub(crate) fn get(&self) -> Arc<Registry> {
        self.0.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in force, of the files as they are now, and says what is another version than before. Takes long when components
    /// are to be compiled; the one before is in force meanwhile.
    pub(crate) async fn load(&self, config: &Config) -> Vec<String> {
        // Who runs no service needs no handler.
        if !config.node.runner {
            return Vec::new();
        }
        let _one_at_a_time = self.0.making.lock().await;
        let (before, sources) = (self.get(), sources(config));
        let workingdir = config.services.workingdir.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let loaded = before.load(sources, workingdir);
            let changes = changes(&before.plugins(), &loaded.plugins());
            (loaded, changes)
        });
        match loaded.await {
            Ok((loaded, changes)) => {
                *self.0.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                changes.iter().for_each(|change| tracing::info!("{change}"));
                changes
            }
            Err(broken) => {
                tracing::error!("loading plugins broke off: {broken}");
                Vec::new()
            }
        }
    }

    /// The handlers as a load would have them now, with what services could do with them. Nothing comes into force; what is compiled is kept
    /// compiled.
    pub(crate) async fn staged(&self, config: &Config) -> Result<Registry, StagingError> {
        let _one_at_a_time = self.0.making.lock().await;
        let (before, config) = (self.get(), config.clone());
        let staged = tokio::task::spawn_blocking(move || {
            let would = before.load(sources(&config), config.services.workingdir.clone());
            for found in &discover(&config.services.folder, &would)?.services {
                // What is wrong is found again in what is known of the plugin.
                let _ = would.open(found);
            }
            Ok(would)
        });
        staged.await?
    }

    /// What is wrong with files of plugins now.
    pub(crate) fn faults(&self) -> Vec<PluginLoadError> {
        let error = |plugin: PluginInfo| {
            let users = plugin.used_by.into_iter().filter(|_| !plugin.ready);
            let blocks = users.map(|used| used.service).collect();
            Some(PluginLoadError { why: plugin.error?.with_path(&plugin.path?), blocks })
        };
        self.get().plugins().into_iter().filter_map(error).collect()
    }

    /// The files that are being loaded now, a few words each; none: none is.
    pub(crate) fn loading(&self) -> Option<String> {
        let all = self.get().plugins();
        let loading = all.iter().filter_map(|plugin| {
            let (path, time) = (plugin.path.as_deref()?, plugin.loading?);
            Some(format!("{} (for {:.0} s)", path.display(), time.as_secs_f32()))
        });
        Some(loading.collect::<Vec<_>>().join(" and ")).filter(|text| !text.is_empty())
    }
}

/// Why nobody can say what a load would take.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StagingError {
    /// The services folder cannot be read.
    #[error(transparent)]
    Services(#[from] DiscoverError),
    /// It broke off.
    #[error("looking at the plugins broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Where plugins come from, and whose are taken.
pub(crate) fn sources(config: &Config) -> Sources {
    Sources {
        dirs: config.plugins.dirs.clone(),
        pulled: Store::in_state(&config.node.state_dir),
        trusted_keys: config.plugins.trusted_keys.clone(),
        require_signature: config.plugins.require_signature,
    }
}

/// What has come and gone, a sentence each.
fn changes(before: &[PluginInfo], now: &[PluginInfo]) -> Vec<String> {
    let ready = |all: &[PluginInfo]| all.iter().filter(|plugin| plugin.ready).cloned().collect::<Vec<_>>();
    let (before, now) = (ready(before), ready(now));
    let come = now.iter().filter_map(|new| match before.iter().find(|old| old.name == new.name) {
        Some(old) if old.hash == new.hash => None,
        Some(old) => {
            Some(format!("the plugin {} is {} now, and was {}", new.name, version(new), version(old)))
        }
        None => Some(format!("the plugin {} is new: {}", new.name, version(new))),
    });
    let gone = before.iter().filter(|old| now.iter().all(|new| new.name != old.name));
    come.chain(gone.map(|old| format!("the plugin {} is gone: it was {}", old.name, version(old)))).collect()
}

/// `0.2.0 (SHA-256 5f70bf18…)`.
fn version(plugin: &PluginInfo) -> String {
    let version = plugin.facts.as_ref().map(|facts| facts.metadata.version.as_str()).unwrap_or_default();
    let hash = plugin.hash.map(|hash| hash.to_string()).unwrap_or_default();
    let shown: String = hash.chars().take(HASH_SHOWN).collect();
    format!("{version} (SHA-256 {shown}…)")
}
