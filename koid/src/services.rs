//! Looks at the services folder: at the start, at every status interval, and when the configuration changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use koi_config::Config;
use koi_core::io::{Input, ServiceSpec};
use koi_core::settings::Timeouts;
use koi_core::types::{Hook, HookSet};
use koi_plugin_host::{DiscoverError, Found, Host, OutputLimit, Registry, Severity, Warning, discover};
use tokio::sync::{mpsc, oneshot};

use crate::cluster::Cluster;
use crate::current::Shared;
use crate::hooks::{Handlers, Runnable};
use crate::pins::{Kept, Pins};
use crate::plugins::Plugins;
use crate::settings;

/// Asks for a look at the folder now. Clones ask the same one.
#[derive(Clone, Debug)]
pub(crate) struct LookNow(mpsc::Sender<Looked>);

/// Is told the services that cannot run, and why.
type Looked = oneshot::Sender<Vec<(String, String)>>;

/// The looks that are asked for.
#[derive(Debug)]
pub(crate) struct Looks(mpsc::Receiver<Looked>);

/// Looks that wait: each answers the one before too.
const WAITING: usize = 8;

impl LookNow {
    /// The way to ask, and what is asked.
    pub(crate) fn new() -> (LookNow, Looks) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (LookNow(sender), Looks(receiver))
    }

    /// Looks. The services that cannot run, by name, and why.
    pub(crate) async fn look(&self) -> Vec<(String, String)> {
        let (reply, looked) = oneshot::channel();
        // Nobody looks any more: the daemon ends.
        let _ = self.0.send(reply).await;
        looked.await.unwrap_or_default()
    }
}

/// Watches the folder.
pub(crate) struct Services {
    pub(crate) shared: Shared,
    pub(crate) handlers: Handlers,
    pub(crate) plugins: Plugins,
    pub(crate) cluster: Cluster,
    /// Looks that are asked for.
    looks: Looks,
    /// What the guardian is to know of them.
    pins: Pins,
    /// What the core was told last, with what tells one state of a service from another.
    told: Option<Told>,
    /// The warnings that still hold and were said.
    said: BTreeSet<String>,
}

#[derive(PartialEq)]
enum Told {
    Services(Vec<(ServiceSpec, Identity)>),
    Unreadable(String),
}

/// The fingerprint of what lies in a service's folder, and the number of its handler.
type Identity = (u64, u64);

/// What one look at the folder found.
pub(crate) struct Seen {
    pub(crate) specs: Vec<(ServiceSpec, Identity)>,
    /// Of the services that can be run.
    pub(crate) runnables: Vec<(String, Runnable)>,
    /// What it takes to run them elsewhere.
    pub(crate) kept: Vec<(String, Kept)>,
    /// Those that cannot be run as they are now.
    broken: Vec<String>,
    warnings: Vec<Warning>,
}

impl Seen {
    /// A service that is broken by now may still run: its hooks are those of the handler that it had.
    fn take_down_as_before(&mut self, pins: &Pins) {
        for (spec, _) in self.specs.iter_mut().filter(|(spec, _)| spec.problem.is_some()) {
            spec.hooks = pins.of(&spec.name).map(|kept| kept.spec(&spec.name).hooks).unwrap_or_default();
        }
    }
}

impl Services {
    /// Has not looked yet.
    pub(crate) fn new(
        shared: Shared,
        handlers: Handlers,
        plugins: Plugins,
        cluster: Cluster,
        looks: Looks,
    ) -> Services {
        let (pins, said) = (Pins::default(), BTreeSet::new());
        Services { shared, handlers, plugins, cluster, looks, pins, told: None, said }
    }

    /// Loads plugins, then looks for ever.
    pub(crate) async fn run(mut self) {
        self.plugins.load(&self.shared.get().config).await;
        let host = self.plugins.host().clone();
        self.pins = tokio::task::spawn_blocking(move || Pins::left_over(&host)).await.unwrap_or_default();
        let mut asked: Option<Looked> = None;
        loop {
            self.look().await;
            if let Some(reply) = asked.take() {
                // Whoever asked may have gone.
                let _ = reply.send(self.cannot_run());
            }
            let pause = self.shared.get().config.timing.status_interval;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(reply) = self.looks.0.recv() => asked = Some(reply),
            }
        }
    }

    /// Looks once, and tells the core if anything has changed.
    pub(crate) async fn look(&mut self) {
        let current = self.shared.get();
        if !current.config.node.runner {
            return;
        }
        let (registry, host) = (self.plugins.get(), self.plugins.host().clone());
        let (mut pins, is_first) = (std::mem::take(&mut self.pins), self.told.is_none());
        // The folder may lie on a disk that hangs.
        let looked = tokio::task::spawn_blocking(move || {
            let mut seen = look(&current.config, &registry);
            if let Ok(seen) = &mut seen {
                if is_first {
                    pins.keep_only(|name| seen.specs.iter().any(|(spec, _)| spec.name == name));
                }
                seen.take_down_as_before(&pins);
                keep(&mut pins, seen, &registry, &host);
            }
            (seen, pins)
        });
        match looked.await {
            Ok((seen, pins)) => {
                self.pins = pins;
                match seen {
                    Ok(seen) => self.take(seen).await,
                    Err(error) => self.unreadable(error.to_string()).await,
                }
            }
            Err(broken) => tracing::error!("looking at the services folder failed: {broken}"),
        }
    }

    /// The services that cannot run as the folder is now, and why.
    fn cannot_run(&self) -> Vec<(String, String)> {
        let Some(Told::Services(specs)) = &self.told else { return Vec::new() };
        let enabled = specs.iter().map(|(spec, _)| spec).filter(|spec| !spec.disabled);
        enabled.filter_map(|spec| Some((spec.name.clone(), spec.problem.clone()?))).collect()
    }

    async fn take(&mut self, seen: Seen) {
        self.warn(&seen.warnings);
        let told = Told::Services(seen.specs);
        if self.told.as_ref() == Some(&told) {
            return;
        }
        // Handlers first: the core may ask for a hook at once.
        self.handlers.update(seen.runnables);
        for name in seen.broken {
            let kept = self.pins.of(&name);
            self.handlers.provide(&name, || kept.map(|kept| kept.runnable(self.plugins.host())));
        }
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

/// R8: the guardian can run what koid is about to run. Blocks.
fn keep(pins: &mut Pins, seen: &Seen, registry: &Registry, host: &Host) {
    pins.update(seen.kept.iter().cloned());
    match pins.write(host) {
        Ok(true) => registry.prune(&pins.hashes()),
        Ok(false) => {}
        Err(error) => tracing::error!(
            "{} cannot be written: {error}; if koid dies now, its guardian may not know how to take services down",
            crate::pins::path(host).display()
        ),
    }
}

/// Looks at the folder; blocks.
pub(crate) fn look(config: &Config, registry: &Registry) -> Result<Seen, DiscoverError> {
    let discovery = discover(&config.services.folder, registry)?;
    registry.keep_only(&discovery.services.iter().map(|found| found.name.as_str()).collect());
    let mut seen = Seen {
        specs: Vec::new(),
        runnables: Vec::new(),
        kept: Vec::new(),
        broken: Vec::new(),
        warnings: registry.warnings().into_iter().chain(discovery.warnings).collect(),
    };
    for found in discovery.services {
        let mut spec = spec(&found, registry, config);
        let mut number = 0;
        match registry.open(&found) {
            Ok(ready) => {
                number = ready.number;
                let runnable = Runnable {
                    handler: ready.opened.handler,
                    home: found.home().to_owned(),
                    workdir: found.workdir(&config.services.workingdir).to_owned(),
                    config: ready.config,
                    output: Arc::new(OutputLimit::default()),
                };
                seen.kept.push((found.name.clone(), Kept::new(&spec, &runnable, ready.pin)));
                seen.runnables.push((found.name.clone(), runnable));
            }
            Err(error) => {
                spec.problem = Some(error.to_string());
                spec.hooks = HookSet::default();
                seen.broken.push(found.name.clone());
            }
        }
        seen.specs.push((spec, (found.fingerprint, number)));
    }
    Ok(seen)
}

fn spec(found: &Found, registry: &Registry, config: &Config) -> ServiceSpec {
    let defaults = settings::timeouts(config);
    let own = &found.manifest.timeouts;
    let of = |hook: koi_plugin_api::Hook, default| own.of(hook).unwrap_or(default);
    ServiceSpec {
        name: found.name.clone(),
        priority: found.priority,
        handler: registry.name_of(found),
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

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;

    /// A configuration with everything below `folder`.
    pub(crate) fn config(folder: &Path) -> Config {
        let text = "[node]\nname = \"a\"\nstate_dir = \"state\"\n[cluster]\npassword = \"a long one\"\n\
                    [services]\nfolder = \"services\"\nworkingdir = \"services\"\n[plugins]\ndirs = [\"plugins\"]\n";
        koi_config::parse_toml(text, &folder.join("koi.toml")).unwrap().config
    }
}
