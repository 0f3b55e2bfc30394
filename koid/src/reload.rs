//! Reads the configuration again: SIGHUP, SIGUSR1 and `koi reconfigure`.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use koi_config::Config;
use tokio::sync::Notify;

use crate::cluster::Cluster;
use crate::current::{Current, Shared};
use crate::guardian::Guardian;
use crate::hooks::Identity;
use crate::plugins::Plugins;
use crate::{load, log, sockets};

/// What a reload reaches.
#[derive(Clone)]
pub(crate) struct Reload {
    /// The file, absolute.
    pub(crate) path: PathBuf,
    /// `-n`.
    pub(crate) name: Option<String>,
    /// `-d`.
    pub(crate) debug: bool,
    pub(crate) shared: Shared,
    pub(crate) cluster: Cluster,
    pub(crate) identity: Arc<RwLock<Identity>>,
    pub(crate) look_at_services: Arc<Notify>,
    pub(crate) guardian: Guardian,
    pub(crate) plugins: Plugins,
}

impl Reload {
    /// Reads the file and puts it in force. On an error the old configuration stays. Either sentence is for people.
    pub(crate) async fn run(&self) -> Result<String, String> {
        let (path, name) = (self.path.clone(), self.name.clone());
        // A disk may hang, and a password takes a while to be turned into a key.
        let read = tokio::task::spawn_blocking(move || {
            let loaded = load::load(Some(&path), name.as_deref()).map_err(|e| e.to_string())?;
            let current = Current::new(loaded.config).map_err(|e| format!("{}: {e}", path.display()))?;
            Ok::<_, String>((current, loaded.warnings))
        });
        let (new, warnings) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => return Err(format!("the configuration was not taken: {why}")),
            Err(broken) => return Err(format!("reading the configuration failed: {broken}")),
        };
        warnings.iter().for_each(|warning| tracing::warn!("{}", warning.in_one_line()));
        let old = self.shared.get();
        let (new, waits) = keep_what_needs_a_restart(new, &old);
        let config = new.config.clone();
        self.put_in_force(new).await;
        self.plugins.load(&config).await;
        self.look_at_services.notify_one();
        let mut message = format!("the configuration {} is in force", self.path.display());
        if !waits.is_empty() {
            message.push_str(&format!(", but for {}: restart koid for that", waits.join(", ")));
        }
        if let Some(trouble) = self.plugins.trouble() {
            message.push_str(&format!("; but not every plugin: {trouble}"));
        }
        Ok(message)
    }

    async fn put_in_force(&self, new: Current) {
        log::set_level(level(&new.config, self.debug));
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) =
            identity(&new.config, &self.own_id());
        self.cluster.configure(new.settings.clone(), new.wire(), new.config.node.fence).await;
        self.guardian.configure(&new.config, self.own_id());
        self.shared.set(new);
    }

    fn own_id(&self) -> String {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).id.clone()
    }
}

/// How much is logged.
pub(crate) fn level(config: &Config, debug: bool) -> &str {
    let configured = config.node.log_level.as_deref().unwrap_or("info");
    if debug && configured != "trace" { "debug" } else { configured }
}

/// Who this node is, for hooks.
pub(crate) fn identity(config: &Config, id: &str) -> Identity {
    Identity {
        name: config.node.name.clone(),
        id: id.to_owned(),
        cluster: config.cluster.id.to_string(),
        address: Some(config.node.bind).filter(|ip| !ip.is_unspecified()),
    }
}

/// Sockets and the state folder stay as they are while the daemon runs: the keys that differ are named and their old
/// values kept.
fn keep_what_needs_a_restart(mut new: Current, old: &Current) -> (Current, Vec<&'static str>) {
    let mut waits = Vec::new();
    let mut keep = |key: &'static str, differs: bool| {
        if differs {
            waits.push(key);
        }
    };
    let families = |c: &Config| sockets::addresses(old.config.node.bind, &c.cluster.transport);
    keep("node.bind", new.config.node.bind != old.config.node.bind);
    keep("node.port", new.config.node.port != old.config.node.port);
    keep("node.state_dir", new.config.node.state_dir != old.config.node.state_dir);
    keep("node.socket", new.config.node.socket != old.config.node.socket);
    keep("cluster.id", new.config.cluster.id != old.config.cluster.id);
    keep(
        "cluster.transport (the first address of its family)",
        families(&new.config).len() > families(&old.config).len(),
    );
    new.config.node.bind = old.config.node.bind;
    new.config.node.port = old.config.node.port;
    new.config.node.state_dir.clone_from(&old.config.node.state_dir);
    new.config.node.socket.clone_from(&old.config.node.socket);
    if new.config.cluster.id != old.config.cluster.id {
        // A key of a password belongs to one id.
        new.config.cluster.id = old.config.cluster.id;
        new.config.cluster.key = old.config.cluster.key.clone();
        new.keyring = old.keyring.clone();
    }
    (new, waits)
}
