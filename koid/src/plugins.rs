//! The handlers that services may name: the registry in force, replaced as a whole by a reload.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use koi_config::Config;
use koi_plugin_host::{Host, Registry};
use tokio::sync::Mutex;

/// The registry in force. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Plugins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    host: Host,
    registry: RwLock<Arc<Registry>>,
    /// Held while another registry is made: one at a time.
    making: Mutex<()>,
}

impl Plugins {
    /// Knows what is built in, until it is loaded. Everything that plugins need lies in `node.state_dir`.
    pub(crate) fn new(config: &Config) -> Plugins {
        let host = Host::of_daemon(&config.node.state_dir);
        let registry = Registry::new(host.clone(), config.services.workingdir.clone());
        Plugins(Arc::new(Inner { host, registry: RwLock::new(Arc::new(registry)), making: Mutex::default() }))
    }

    /// Where plugins live.
    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    /// The one in force now.
    pub(crate) fn get(&self) -> Arc<Registry> {
        self.0.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in force, of the files as they are now. Takes long when components are to be compiled; the one before is in
    /// force meanwhile.
    pub(crate) async fn load(&self, config: &Config) {
        // Who runs no service needs no handler.
        if !config.node.runner {
            return;
        }
        let _one_at_a_time = self.0.making.lock().await;
        let (before, dirs) = (self.get(), config.plugins.dirs.clone());
        let workingdir = config.services.workingdir.clone();
        match tokio::task::spawn_blocking(move || before.load(dirs, workingdir)).await {
            Ok(loaded) => {
                *self.0.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
            }
            Err(broken) => tracing::error!("loading plugins broke off: {broken}"),
        }
    }

    /// What is wrong with files of plugins now: each file, and why it was not taken.
    pub(crate) fn troubles(&self) -> Vec<(String, String)> {
        let all = self.get().plugins();
        let file = |path: &Path| path.display().to_string();
        all.into_iter().filter_map(|plugin| Some((file(plugin.path.as_deref()?), plugin.error?))).collect()
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
