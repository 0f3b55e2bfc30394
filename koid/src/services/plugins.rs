//! The handlers that services may name: the registry in force, replaced as a whole by a reload.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use koi_artifact::{SCHEME, Store};
use koi_config::Config;
use koi_plugin_host::{Host, PluginInfo, Registry, Sources};
use tokio::sync::Mutex;

use super::discovery::{KnownGroups, discover_all};
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
            let seen = discover_all(&config, &would, &KnownGroups::new());
            for (_, found) in &seen.services {
                // What is wrong is found again in what is known of the plugin.
                let _ = would.open(found);
            }
            match seen.unreadable.into_values().next() {
                Some(why) => Err(StagingError::Services(why)),
                None => Ok(would),
            }
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
    /// A folder of services cannot be read: a sentence.
    #[error("{0}")]
    Services(String),
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

/// What has come and gone, a sentence each. A node may have several versions of a plugin: what is compared is what one file, or one
/// reference, was and is.
fn changes(before: &[PluginInfo], now: &[PluginInfo]) -> Vec<String> {
    let ready = |all: &[PluginInfo]| all.iter().filter(|plugin| plugin.ready).cloned().collect::<Vec<_>>();
    let (before, now) = (ready(before), ready(now));
    let is_same = |one: &PluginInfo, other: &PluginInfo| one.name == other.name && one.path == other.path;
    let mut gone: Vec<&PluginInfo> =
        before.iter().filter(|old| now.iter().all(|new| !is_same(old, new))).collect();
    let come = now.iter().filter_map(|new| {
        let old = match before.iter().find(|old| is_same(old, new)) {
            Some(old) if old.hash == new.hash => return None,
            Some(old) => Some(old),
            // In place of another file or reference.
            None => gone.iter().position(|old| old.name == new.name).map(|at| gone.swap_remove(at)),
        };
        let (name, is) = (&new.name, version(new));
        Some(match old {
            Some(old) => format!("the plugin {name} is {is} now, and was {}", version(old)),
            None => format!("the plugin {name} is new: {is}"),
        })
    });
    let mut said: Vec<String> = come.collect();
    said.extend(gone.into_iter().map(|old| {
        let (name, was) = (&old.name, version(old));
        match old.path.as_ref().is_some_and(|path| path.to_string_lossy().starts_with(SCHEME)) {
            // A service that runs goes on with it.
            true => format!("no service.toml names the plugin {name} {was} any more"),
            false => format!("the plugin {name} is gone: it was {was}"),
        }
    }));
    said
}

/// `0.2.0 (SHA-256 5f70bf18…)`.
fn version(plugin: &PluginInfo) -> String {
    let version = plugin.facts.as_ref().map(|facts| facts.metadata.version.as_str()).unwrap_or_default();
    let hash = plugin.hash.map(|hash| hash.to_string()).unwrap_or_default();
    let shown: String = hash.chars().take(HASH_SHOWN).collect();
    format!("{version} (SHA-256 {shown}…)")
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use koi_plugin_host::{FileHash, Kind};

    use super::*;

    fn plugin(path: &str, content: &str) -> PluginInfo {
        PluginInfo {
            name: "lamp".into(),
            kind: Kind::Wasm,
            path: Some(path.into()),
            ready: true,
            error: None,
            facts: None,
            hash: Some(FileHash::from_bytes(content.as_bytes())),
            size_bytes: 0,
            signature: None,
            used_by: Vec::new(),
            loading: None,
        }
    }

    /// With the versions told by their content.
    fn said(before: &[PluginInfo], now: &[PluginInfo]) -> Vec<String> {
        let hashes = ["1", "2"].map(|content| FileHash::from_bytes(content.as_bytes()).to_string());
        let told = |line: String| {
            let [first, second] =
                hashes.each_ref().map(|hash| format!(" (SHA-256 {}…)", &hash[..HASH_SHOWN]));
            line.replace(&first, "1").replace(&second, "2")
        };
        changes(before, now).into_iter().map(told).collect()
    }

    #[test]
    fn what_one_file_was_is_compared_with_what_it_is() {
        let (file, other) = ("/plugins/lamp.wasm", "/plugins/lamp-new.wasm");
        assert_eq!(said(&[plugin(file, "1")], &[plugin(file, "1")]), [] as [&str; 0]);
        assert_eq!(said(&[], &[plugin(file, "1")]), ["the plugin lamp is new: 1"]);
        let newer = ["the plugin lamp is 2 now, and was 1"];
        assert_eq!(said(&[plugin(file, "1")], &[plugin(file, "2")]), newer);
        assert_eq!(said(&[plugin(file, "1")], &[plugin(other, "2")]), newer, "under another name");
        assert_eq!(said(&[plugin(file, "1")], &[]), ["the plugin lamp is gone: it was 1"]);
    }

    #[test]
    fn versions_beside_each_other_are_not_taken_for_one_another() {
        let (first, second) = (plugin("oci://h/lamp@sha256:1", "1"), plugin("oci://h/lamp@sha256:2", "2"));
        let both = [second.clone(), first.clone()];
        assert_eq!(said(from_ref(&first), &both), ["the plugin lamp is new: 2"]);
        assert_eq!(said(&both, from_ref(&second)), ["no service.toml names the plugin lamp 1 any more"]);
        assert_eq!(said(&both, from_ref(&first)), ["no service.toml names the plugin lamp 2 any more"]);
        assert_eq!(said(&[second], &[first]), ["the plugin lamp is 1 now, and was 2"]);
    }
}
