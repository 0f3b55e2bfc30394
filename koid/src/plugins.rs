//! The handlers that services may name: the registry in force, replaced as a whole by a reload.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use koi_config::Config;
use koi_plugin_host::{Host, Registry};
use tokio::sync::Mutex;

/// Errors of plugins that one sentence names.
const ERRORS_SHOWN: usize = 3;

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

    /// What is wrong with files of plugins now, in one sentence; none: nothing.
    pub(crate) fn trouble(&self) -> Option<String> {
        let all = self.get().plugins();
        let file = |path: &Path| path.display().to_string();
        let wrong = all.iter().filter_map(|plugin| {
            let (path, why) = (file(plugin.path.as_deref()?), plugin.error.as_deref()?);
            // Most errors name the file.
            Some(if why.contains(&path) { why.to_owned() } else { format!("{path}: {why}") })
        });
        let wrong: Vec<String> = wrong.collect();
        let more = wrong.len().saturating_sub(ERRORS_SHOWN);
        let mut text = wrong.into_iter().take(ERRORS_SHOWN).collect::<Vec<_>>().join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more: see `koi plugins list`"));
        }
        Some(text).filter(|text| !text.is_empty())
    }
}
