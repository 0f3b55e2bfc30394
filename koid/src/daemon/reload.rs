//! Reads the configuration again: SIGHUP, SIGUSR1 and `koi reconfigure`.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use koi_config::Config;
use koi_proto::api::Done;
use tokio::sync::oneshot;

use crate::api::ReloadError;
use crate::cluster::handle::Cluster;
use crate::cluster::sockets;
use crate::config::current::{ActiveConfig, SharedConfig};
use crate::config::{load, settings};
use crate::guardian_client::client::Guardian;
use crate::hooks::identity::NodeIdentity;
use crate::reporting::log;
use crate::services::load_error::{PluginLoadError, ServiceLoadError};
use crate::services::plugins::Plugins;
use crate::services::scan_requests::ScanTrigger;

/// What is wrong, of plugins and of services, that one answer names.
const NAMED: usize = 3;

/// What a reload reaches.
#[derive(Clone)]
pub(crate) struct Reloader {
    /// The file, absolute.
    pub(crate) path: PathBuf,
    /// `-n`.
    pub(crate) name: Option<String>,
    /// `-d`.
    pub(crate) debug: bool,
    pub(crate) shared: SharedConfig,
    pub(crate) cluster: Cluster,
    pub(crate) identity: Arc<RwLock<NodeIdentity>>,
    pub(crate) scan_trigger: ScanTrigger,
    pub(crate) guardian: Guardian,
    pub(crate) plugins: Plugins,
}

impl Reloader {
    /// Reads the file and puts it in force. Plugins are loaded and services scanned after that, whoever waits for it. On an error the old
    /// configuration stays.
    pub(crate) async fn run(&self) -> Result<AppliedConfig, ReloadError> {
        let (path, name) = (self.path.clone(), self.name.clone());
        // A disk may hang, and a password takes a while to be turned into a key.
        let read = tokio::task::spawn_blocking(move || {
            let loaded = load::load(Some(&path), name.as_deref())?;
            let unusable = |why| ReloadError::Unusable { path, why };
            Ok::<_, ReloadError>((ActiveConfig::new(loaded.config).map_err(unusable)?, loaded.warnings))
        });
        let (new, warnings) = read.await??;
        warnings.iter().for_each(|warning| tracing::warn!("{}", warning.in_one_line()));
        let old = self.shared.get();
        let (new, waits) = keep_what_needs_a_restart(new, &old);
        let config = new.config.clone();
        self.put_in_force(new).await;
        let mut message = format!("the configuration {} is in force", self.path.display());
        if !waits.is_empty() {
            message.push_str(&format!(", but for {}: restart koid for that", waits.join(", ")));
        }
        let (ended, rest) = oneshot::channel();
        tokio::spawn(self.clone().follow(config, ended));
        Ok(AppliedConfig { message, rest, plugins: self.plugins.clone() })
    }

    /// Loads plugins and looks at the services, and says what is wrong with them.
    async fn follow(self, config: Config, rest: oneshot::Sender<FollowUp>) {
        let changes = self.plugins.load(&config).await;
        let services = self.scan_trigger.scan().await;
        let wrong = notes(&self.plugins.faults(), &services);
        if let Err(late) = rest.send(FollowUp { changes, wrong }) {
            // Nobody has waited for it.
            tracing::info!("the plugins are loaded");
            late.wrong.iter().for_each(|note| tracing::warn!("{note}"));
        }
    }

    async fn put_in_force(&self, new: ActiveConfig) {
        log::set_level(settings::log_level(&new.config, self.debug));
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) =
            NodeIdentity::from_config(&new.config, &self.own_id());
        self.cluster.configure(new.settings.clone(), new.wire(), new.config.node.fence).await;
        self.guardian.configure(&new.config, self.own_id());
        self.shared.set(new);
    }

    fn own_id(&self) -> String {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).id.clone()
    }
}

/// A configuration that has come into force, while plugins may still be loaded.
#[derive(Debug)]
pub(crate) struct AppliedConfig {
    message: String,
    rest: oneshot::Receiver<FollowUp>,
    plugins: Plugins,
}

/// What became of plugins and services, a sentence each.
#[derive(Debug, Default)]
struct FollowUp {
    /// Plugins that are other ones than before.
    changes: Vec<String>,
    wrong: Vec<String>,
}

impl AppliedConfig {
    /// What came of it, as far as that is known after `wait`.
    pub(crate) async fn within(self, wait: Duration) -> Done {
        let Ok(rest) = tokio::time::timeout(wait, self.rest).await else {
            let note = match self.plugins.loading() {
                Some(files) => format!(
                    "still loading {files}: a component is compiled once. Services keep the handlers that they have meanwhile; \
                     `koi plugins list` says when it is done"
                ),
                None => "the services have not been looked at yet; `koi status` shows what becomes of them"
                    .to_owned(),
            };
            return Done { message: self.message, notes: vec![note], pending: true, ..Done::default() };
        };
        let FollowUp { changes, wrong } = rest.unwrap_or_default();
        let refused = !wrong.is_empty();
        Done { message: self.message, steps: changes, notes: wrong, refused, pending: false }
    }
}

/// What is wrong with plugins and services, a sentence each.
fn notes(plugins: &[PluginLoadError], services: &[ServiceLoadError]) -> Vec<String> {
    let service = |ServiceLoadError { service, why }: &ServiceLoadError| match plugins
        .iter()
        .any(|plugin| plugin.blocks.contains(service))
    {
        true => format!("the service {service} needs that plugin"),
        false => format!("the service {service} {why}"),
    };
    let mut notes: Vec<String> = plugins.iter().take(NAMED).map(|error| error.why.clone()).collect();
    notes.extend(services.iter().take(NAMED).map(service));
    let counts = [(plugins.len(), "plugin", "koi plugins list"), (services.len(), "service", "koi status")];
    for (count, what, command) in counts {
        match count.saturating_sub(NAMED) {
            0 => {}
            1 => notes.push(format!("and one more {what}: see `{command}`")),
            more => notes.push(format!("and {more} more {what}s: see `{command}`")),
        }
    }
    notes
}

/// Sockets and the state folder stay as they are while the daemon runs: the keys that differ are named and their old
/// values kept.
fn keep_what_needs_a_restart(mut new: ActiveConfig, old: &ActiveConfig) -> (ActiveConfig, Vec<&'static str>) {
    let mut waits = Vec::new();
    let mut keep = |key: &'static str, differs: bool| {
        if differs {
            waits.push(key);
        }
    };
    let families = |c: &Config| sockets::addresses(old.config.node.bind, &c.cluster.transport);
    let place = |c: &Config| (c.node.bind, c.node.bind_zone);
    keep("node.bind", place(&new.config) != place(&old.config));
    keep("node.port", new.config.node.port != old.config.node.port);
    keep("node.state_dir", new.config.node.state_dir != old.config.node.state_dir);
    keep("node.socket", new.config.node.socket != old.config.node.socket);
    keep("cluster.id", new.config.cluster.id != old.config.cluster.id);
    keep(
        "cluster.transport (the first address of its family)",
        families(&new.config).len() > families(&old.config).len(),
    );
    new.config.node.bind = old.config.node.bind;
    new.config.node.bind_zone = old.config.node.bind_zone;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::load_error::ServiceLoadErrorReason;

    fn broken(service: &str, why: &str) -> ServiceLoadError {
        ServiceLoadError {
            service: service.to_owned(),
            why: ServiceLoadErrorReason::CannotRun(why.to_owned()),
        }
    }

    #[test]
    fn one_fault_is_told_once_and_many_are_counted() {
        let plugins = [PluginLoadError {
            why: "/p/db.wasm: not a component".to_owned(),
            blocks: ["db".to_owned()].into(),
        }];
        let services = [
            broken("db", "the handler db cannot be used: /p/db.wasm: not a component"),
            broken("web", "`port` is missing under [config]"),
        ];
        assert_eq!(
            notes(&plugins, &services),
            [
                "/p/db.wasm: not a component",
                "the service db needs that plugin",
                "the service web cannot run: `port` is missing under [config]",
            ]
        );
        let many: Vec<_> = (0..5).map(|n| broken(&format!("s{n}"), "no")).collect();
        let said = notes(&[], &many);
        assert_eq!((said.len(), said[3].as_str()), (4, "and 2 more services: see `koi status`"));
        assert!(notes(&[], &[]).is_empty());
    }
}
