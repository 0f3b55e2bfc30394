//! Looks at the services folder: at the start, at every status interval, and when the configuration changes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use koi_config::Config;
use koi_core::io::{Input, ServiceSpec};
use koi_core::settings::Timeouts;
use koi_core::types::{Hook, HookSet};
use koi_plugin_host::{DiscoverError, Found, OutputLimit, Registry, Severity, Warning, discover};
use tokio::sync::Notify;

use crate::cluster::Cluster;
use crate::current::Shared;
use crate::hooks::{Handlers, Runnable};
use crate::settings;

/// Watches the folder.
pub(crate) struct Services {
    pub(crate) shared: Shared,
    pub(crate) handlers: Handlers,
    pub(crate) cluster: Cluster,
    /// Rung when the folder is to be looked at now.
    pub(crate) look_now: Arc<Notify>,
    /// What the core was told last, with the fingerprints.
    told: Option<Told>,
    /// The warnings that still hold and were said.
    said: BTreeSet<String>,
}

#[derive(PartialEq)]
enum Told {
    Services(Vec<(ServiceSpec, u64)>),
    Unreadable(String),
}

/// What one look at the folder found.
pub(crate) struct Seen {
    /// With their fingerprints.
    pub(crate) specs: Vec<(ServiceSpec, u64)>,
    pub(crate) runnables: Vec<(String, Runnable)>,
    warnings: Vec<Warning>,
}

impl Services {
    /// Has not looked yet.
    pub(crate) fn new(
        shared: Shared,
        handlers: Handlers,
        cluster: Cluster,
        look_now: Arc<Notify>,
    ) -> Services {
        Services { shared, handlers, cluster, look_now, told: None, said: BTreeSet::new() }
    }

    /// Looks for ever.
    pub(crate) async fn run(mut self) {
        loop {
            self.look().await;
            let pause = self.shared.get().config.timing.status_interval;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.look_now.notified() => {}
            }
        }
    }

    /// Looks once, and tells the core if anything has changed.
    pub(crate) async fn look(&mut self) {
        let current = self.shared.get();
        if !current.config.node.runner {
            return;
        }
        // The folder may lie on a disk that hangs.
        let looked = tokio::task::spawn_blocking(move || look(&current.config)).await;
        match looked {
            Ok(Ok(seen)) => self.take(seen).await,
            Ok(Err(error)) => self.unreadable(error.to_string()).await,
            Err(broken) => tracing::error!("looking at the services folder failed: {broken}"),
        }
    }

    async fn take(&mut self, seen: Seen) {
        self.warn(&seen.warnings);
        let told = Told::Services(seen.specs);
        if self.told.as_ref() == Some(&told) {
            return;
        }
        // Handlers first: the core may ask for a hook at once.
        self.handlers.update(seen.runnables);
        if let Told::Services(specs) = &told {
            let specs = specs.iter().map(|(spec, _)| spec.clone()).collect();
            self.cluster.input(Input::Services(specs)).await;
        }
        self.told = Some(told);
    }

    async fn unreadable(&mut self, sentence: String) {
        let told = Told::Unreadable(sentence.clone());
        if self.told.as_ref() != Some(&told) {
            tracing::error!("{sentence}");
            self.cluster.input(Input::ServicesUnreadable(sentence)).await;
            self.told = Some(told);
        }
    }

    /// Says each warning once, and again if it went away and came back.
    fn warn(&mut self, warnings: &[Warning]) {
        let now: BTreeSet<String> = warnings.iter().map(|w| w.key.clone()).collect();
        for warning in warnings.iter().filter(|w| !self.said.contains(&w.key)) {
            match warning.severity {
                Severity::Info => tracing::info!("{warning}"),
                Severity::Warning => tracing::warn!("{warning}"),
                Severity::Error => tracing::error!("{warning}"),
            }
        }
        self.said = now;
    }
}

/// Looks at the folder; blocks.
pub(crate) fn look(config: &Config) -> Result<Seen, DiscoverError> {
    let registry = registry(config);
    let discovery = discover(&config.services.folder, &registry)?;
    let mut seen = Seen { specs: Vec::new(), runnables: Vec::new(), warnings: discovery.warnings };
    for found in discovery.services {
        let mut spec = spec(&found, config);
        match registry.open(&found) {
            Ok(handler) => {
                let runnable = Runnable {
                    handler,
                    home: found.home().to_owned(),
                    workdir: found.workdir(&config.services.workingdir).to_owned(),
                    config: found.manifest.config.clone(),
                    output: Arc::new(OutputLimit::default()),
                };
                seen.runnables.push((found.name.clone(), runnable));
            }
            Err(error) => spec.problem = Some(error.to_string()),
        }
        seen.specs.push((spec, found.fingerprint));
    }
    Ok(seen)
}

/// The handlers that services may name.
pub(crate) fn registry(config: &Config) -> Registry {
    let dirs: Vec<PathBuf> = config.plugins.dirs.clone();
    Registry::new(dirs, config.services.workingdir.clone())
}

fn spec(found: &Found, config: &Config) -> ServiceSpec {
    let defaults = settings::timeouts(config);
    let own = &found.manifest.timeouts;
    let of = |hook: koi_plugin_api::Hook, default| own.of(hook).unwrap_or(default);
    ServiceSpec {
        name: found.name.clone(),
        priority: found.priority,
        handler: found.handler.clone(),
        hooks: hooks(found.hooks),
        disabled: found.disabled,
        problem: found.problem.clone(),
        timeouts: Timeouts {
            start: of(koi_plugin_api::Hook::Start, defaults.start),
            stop: of(koi_plugin_api::Hook::Stop, defaults.stop),
            status: of(koi_plugin_api::Hook::Status, defaults.status),
            promote: of(koi_plugin_api::Hook::Promote, defaults.promote),
            demote: of(koi_plugin_api::Hook::Demote, defaults.demote),
            failed: of(koi_plugin_api::Hook::Failed, defaults.failed),
        },
        status_interval: own.status_interval.unwrap_or(config.timing.status_interval),
    }
}

fn hooks(set: koi_plugin_api::HookSet) -> HookSet {
    set.iter()
        .map(|hook| match hook {
            koi_plugin_api::Hook::Start => Hook::Start,
            koi_plugin_api::Hook::Stop => Hook::Stop,
            koi_plugin_api::Hook::Promote => Hook::Promote,
            koi_plugin_api::Hook::Demote => Hook::Demote,
            koi_plugin_api::Hook::Status => Hook::Status,
            koi_plugin_api::Hook::Failed => Hook::Failed,
        })
        .collect()
}
