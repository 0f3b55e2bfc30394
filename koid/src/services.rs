//! Looks at the services folder: at the start, at every status interval, and when the configuration changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use koi_config::Config;
use koi_core::io::{Input, ServiceSpec};
use koi_core::settings::Timeouts;
use koi_core::types::{Hook, HookSet};
use koi_core::view::View;
use koi_plugin_host::{
    DiscoverError, Found, Host, OutputLimit, Registry, Severity, Warning, discover, stirring,
};
use tokio::sync::{mpsc, oneshot};

use crate::cluster::Cluster;
use crate::current::Shared;
use crate::details::Details;
use crate::hooks::{Handlers, Runnable};
use crate::pins::{Kept, PINNED, Pins};
use crate::plugins::Plugins;
use crate::settling::Settling;
use crate::{settings, strangers};

/// What is said of a service that is held.
pub(crate) const GOES_ON: &str = "goes on as it was until it is stopped, and could not be started so";

/// Asks for a look at the folder now. Clones ask the same one.
#[derive(Clone, Debug)]
pub(crate) struct LookNow(mpsc::Sender<Looked>);

/// Is told the services that cannot run as the folder has them: their names, and the rest of a sentence.
type Looked = oneshot::Sender<Vec<(String, String)>>;

/// The looks that are asked for.
#[derive(Debug)]
pub(crate) struct Looks(mpsc::Receiver<Looked>);

/// Between looks while something is held.
const HELD_PAUSE: Duration = Duration::from_millis(500);

/// Between looks while something settles, at least.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// Looks that wait: each answers the one before too.
const WAITING: usize = 8;

impl LookNow {
    /// The way to ask, and what is asked.
    pub(crate) fn new() -> (LookNow, Looks) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (LookNow(sender), Looks(receiver))
    }

    /// Looks. The services that cannot run as the folder has them, by name, and the rest of a sentence.
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
    /// What the API says of services.
    pub(crate) details: Details,
    /// Looks that are asked for.
    looks: Looks,
    /// The configuration.
    file: PathBuf,
    /// What the guardian is to know of them.
    pins: Pins,
    /// What the core was told last, with what tells one state of a service from another.
    told: Option<Told>,
    /// The services that it was told last, though the folder was unreadable since.
    services: Vec<(ServiceSpec, Fingerprint)>,
    /// What goes on as it was.
    held: Held,
    /// What is new and may not be there as a whole yet.
    settling: Settling,
    /// The warnings that still hold and were said.
    said: BTreeSet<String>,
}

#[derive(PartialEq)]
enum Told {
    Services(Vec<(ServiceSpec, Fingerprint)>),
    Unreadable(String),
}

/// Of what lies in a service's folder.
type Fingerprint = u64;

/// What one look at the folder found.
pub(crate) struct Seen {
    pub(crate) specs: Vec<(ServiceSpec, Fingerprint)>,
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
            let Some(kept) = pins.of(&spec.name).map(|kept| kept.spec(&spec.name)) else {
                spec.hooks = HookSet::default();
                continue;
            };
            // What cannot be read names no handler, and once it is mended it is to be the same one.
            (spec.hooks, spec.handler, spec.timeouts) = (kept.hooks, kept.handler, kept.timeouts);
        }
    }

    /// At the first look the core does not know yet what runs. Each service is reported with the handler that the earlier run of the daemon
    /// recorded. The next look follows at once.
    fn hold_as_left(&mut self, pins: &Pins) -> Held {
        let good = self.specs.iter().filter(|(spec, _)| spec.problem.is_none());
        let left: Vec<InForce> = good
            .filter_map(|(spec, fingerprint)| {
                let left = pins.of(&spec.name)?.spec(&spec.name);
                Some(InForce { spec: left, fingerprint: *fingerprint, up: true })
            })
            .collect();
        let held = self.hold(&left);
        self.broken.extend(held.keys().cloned());
        held
    }

    /// Keeps the guardian's entry of a service while the core still runs its old handler: its folder is gone, or cannot be read.
    fn keep_pins_of_what_runs(&mut self, pins: &Pins, running: Option<&BTreeMap<String, (u64, bool)>>) {
        let code =
            |name: &str| self.specs.iter().find(|(spec, _)| spec.name == name).map(|(spec, _)| spec.code);
        let is_other = |name: &str, kept: &Kept| match running.map(|running| running.get(name)) {
            // Down, or taken over already.
            Some(None) => false,
            Some(Some((in_force, _))) if Some(*in_force) == code(name) => false,
            Some(Some((_, up))) => {
                pins.of(name).is_some_and(|old| old.spec(name).parts_from(&kept.spec(name), *up))
            }
            None => pins.of(name).is_some_and(|old| old.spec(name).parts_from(&kept.spec(name), true)),
        };
        self.kept.retain(|(name, kept)| !is_other(name, kept));
    }

    /// What runs goes on as it was, and is taken down by the handler that has started it (R7, R8), when its folder says something by now
    /// that would part it from that. The core keeps to the same; it is here that everything else is kept with it.
    fn hold(&mut self, in_force: &[InForce]) -> Held {
        let mut held = Held::new();
        for (spec, fingerprint) in &mut self.specs {
            let Some(before) = in_force.iter().find(|before| before.spec.name == spec.name) else { continue };
            if !before.spec.parts_from(spec, before.up) {
                continue;
            }
            held.insert(spec.name.clone(), why_held(&before.spec, spec));
            *spec = ServiceSpec { disabled: spec.disabled, ..before.spec.clone() };
            *fingerprint = before.fingerprint;
        }
        let holds = |name: &String| held.contains_key(name);
        self.runnables.retain(|(name, _)| !holds(name));
        self.kept.retain(|(name, _)| !holds(name));
        self.broken.retain(|name| !holds(name));
        held
    }
}

/// The services that are not down, as the core knows them, whatever lies in the folder: the number of each one's handler, and whether it is
/// promoted, or perhaps. None: the core does not answer.
fn running(view: Option<&View>) -> Option<BTreeMap<String, (u64, bool)>> {
    let running = view?.services.iter().filter(|service| !service.down);
    Some(running.map(|service| (service.name.clone(), (service.code, service.up))).collect())
}

/// Services that go on as they were, by name, and why.
pub(crate) type Held = BTreeMap<String, String>;

/// A service that runs as it was found good.
struct InForce {
    spec: ServiceSpec,
    fingerprint: Fingerprint,
    /// It is promoted, or perhaps.
    up: bool,
}

fn why_held(before: &ServiceSpec, now: &ServiceSpec) -> String {
    match &now.problem {
        Some(problem) => problem.clone(),
        None if before.handler != now.handler => {
            format!("its handler is {} by now, and {} has started it", now.handler, before.handler)
        }
        None => "it is promoted, and its handler has no `demote` or no `stop` any more".to_owned(),
    }
}

impl Services {
    /// Has not looked yet.
    pub(crate) fn new(
        shared: Shared,
        handlers: Handlers,
        plugins: Plugins,
        cluster: Cluster,
        (looks, details): (Looks, Details),
        file: PathBuf,
    ) -> Services {
        let (pins, said) = (Pins::default(), BTreeSet::new());
        Services {
            shared,
            handlers,
            plugins,
            cluster,
            details,
            looks,
            file,
            pins,
            told: None,
            services: Vec::new(),
            held: Held::new(),
            settling: Settling::default(),
            said,
        }
    }

    /// Loads plugins, then looks for ever.
    pub(crate) async fn run(mut self) {
        self.plugins.load(&self.shared.get().config).await;
        let host = self.plugins.host().clone();
        self.pins = tokio::task::spawn_blocking(move || Pins::left_over(&host)).await.unwrap_or_default();
        let mut asked: Option<Looked> = None;
        loop {
            self.look(asked.is_some()).await;
            if let Some(reply) = asked.take() {
                // Whoever asked may have gone.
                let _ = reply.send(self.cannot_run());
            }
            self.look_for_strangers().await;
            let pause = self.pause();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(reply) = self.looks.0.recv() => asked = Some(reply),
            }
        }
    }

    /// Tells what others could change of what this node relies on.
    async fn look_for_strangers(&self) {
        let (file, current, registry) = (self.file.clone(), self.shared.get(), self.plugins.get());
        let told =
            tokio::task::spawn_blocking(move || strangers::told(&file, &current.config, Some(&registry)));
        // The look at the services says what is wrong with the disk.
        let Ok(told) = told.await else { return };
        self.details.expose(told).iter().for_each(|sentence| tracing::warn!("{sentence}"));
    }

    /// Until the next look: what is held is taken soon after it is down, and what is new when it has settled.
    fn pause(&self) -> Duration {
        let usual = self.shared.get().config.timing.status_interval;
        let usual = if self.held.is_empty() { usual } else { usual.min(HELD_PAUSE) };
        self.settling.pause(Instant::now()).map_or(usual, |pause| usual.min(pause.max(LEAST_PAUSE)))
    }

    /// Looks once, and tells the core if anything has changed. `complete`: somebody says that new services are there as a whole.
    async fn look(&mut self, complete: bool) {
        let current = self.shared.get();
        if !current.config.node.runner {
            return;
        }
        let (registry, host) = (self.plugins.get(), self.plugins.host().clone());
        let (mut pins, is_first) = (self.pins.clone(), self.services.is_empty() && self.told.is_none());
        let view = self.cluster.look().await.map(|look| look.view);
        let in_force = self.in_force(view.as_ref());
        let running = running(view.as_ref());
        // At the start whatever is there counts: nothing that runs here is beside it.
        let known = (!is_first && !complete).then(|| self.names());
        let mut settling = std::mem::take(&mut self.settling);
        // The folder may lie on a disk that hangs.
        let looked = tokio::task::spawn_blocking(move || {
            let mut held = Held::new();
            let mut seen = look(&current.config, &registry, known.map(|known| (known, &mut settling)));
            if let Ok(seen) = &mut seen {
                held = seen.hold(&in_force);
                if is_first {
                    pins.keep_only(|name| seen.specs.iter().any(|(spec, _)| spec.name == name));
                    held = seen.hold_as_left(&pins);
                }
                seen.take_down_as_before(&pins);
                seen.keep_pins_of_what_runs(&pins, running.as_ref());
                keep(&mut pins, seen, &registry, &host);
            }
            (seen, held, pins, settling)
        });
        match looked.await {
            Ok((seen, held, pins, settling)) => {
                (self.pins, self.settling) = (pins, settling);
                match seen {
                    Ok(seen) if is_first && !held.is_empty() => {
                        self.take(seen).await;
                        // By now the core knows what an earlier run has left; whatever is down is as the folder says.
                        Box::pin(self.look(false)).await;
                    }
                    Ok(seen) => {
                        self.say_held(held);
                        self.take(seen).await;
                    }
                    Err(error) => self.unreadable(error.to_string()).await,
                }
            }
            Err(broken) => tracing::error!("looking at the services folder failed: {broken}"),
        }
    }

    /// The services that run, as the core was told of them when they were good.
    fn in_force(&mut self, view: Option<&View>) -> Vec<InForce> {
        let of = |name: &str| view.map(|view| view.services.iter().find(|s| s.name == name));
        let mut refused = false;
        let mut all = Vec::new();
        for (spec, fingerprint) in &self.services {
            // Of a core that does not answer nothing is known: it may run.
            let (up, down, code) = match of(&spec.name) {
                Some(Some(service)) => (service.up, service.down, service.code),
                Some(None) => continue,
                None => (true, false, spec.code),
            };
            refused |= code != spec.code;
            if !down && code == spec.code && spec.problem.is_none() {
                all.push(InForce { spec: spec.clone(), fingerprint: *fingerprint, up });
            }
        }
        if refused {
            // Something had begun to run in the moment when the core was told: it is told again until it is down.
            self.told = None;
        }
        all
    }

    /// The services that the core was told of last.
    fn names(&self) -> BTreeSet<String> {
        self.services.iter().map(|(spec, _)| spec.name.clone()).collect()
    }

    /// What cannot run as the folder is now: of each service a sentence.
    fn cannot_run(&self) -> Vec<(String, String)> {
        let enabled = self.services.iter().map(|(spec, _)| spec).filter(|spec| !spec.disabled);
        let barred = enabled.filter_map(|spec| Some((spec.name.clone(), spec.problem.clone()?)));
        let held = self.held.iter().map(|(name, why)| (name.clone(), format!("{GOES_ON}: {why}")));
        barred.map(|(name, why)| (name, format!("cannot run: {why}"))).chain(held).collect()
    }

    fn say_held(&mut self, held: Held) {
        for (name, why) in held.iter().filter(|(name, why)| self.held.get(*name) != Some(why)) {
            tracing::error!("{name} {GOES_ON}: {why}");
        }
        self.details.hold(&held);
        self.held = held;
    }

    async fn take(&mut self, seen: Seen) {
        self.warn(&seen.warnings);
        let told = Told::Services(seen.specs);
        if self.told.as_ref() == Some(&told) {
            return;
        }
        // Handlers first: the core may ask for a hook at once.
        self.handlers.update(seen.runnables);
        for name in seen.broken.into_iter().filter(|name| !self.handlers.has(name, PINNED)) {
            let kept = self.pins.of(&name).map(|kept| (name, kept.runnable(self.plugins.host())));
            self.handlers.update(kept);
        }
        if let Told::Services(specs) = &told {
            self.services.clone_from(specs);
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

/// Looks at the folder; blocks. What is not among `known` is left out until it has settled; without them all is taken.
pub(crate) fn look(
    config: &Config,
    registry: &Registry,
    known: Option<(BTreeSet<String>, &mut Settling)>,
) -> Result<Seen, DiscoverError> {
    let mut discovery = discover(&config.services.folder, registry)?;
    if let Some((known, settling)) = known {
        leave_out_unsettled(&mut discovery.services, &known, settling);
    }
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
        match registry.open(&found) {
            Ok(ready) => {
                spec.code = ready.number;
                let runnable = Runnable {
                    code: ready.number,
                    handler: ready.opened.handler,
                    home: found.home().to_owned(),
                    workdir: found.workdir(&config.services.workingdir).to_owned(),
                    config: ready.config,
                    output: Arc::new(OutputLimit::default()),
                    talk: Arc::default(),
                };
                seen.kept.push((found.name.clone(), Kept::new(&spec, &runnable, ready.snapshot)));
                seen.runnables.push((found.name.clone(), runnable));
            }
            Err(error) => {
                spec.problem = Some(error.to_string());
                spec.hooks = HookSet::default();
                seen.broken.push(found.name.clone());
            }
        }
        seen.specs.push((spec, found.fingerprint));
    }
    Ok(seen)
}

fn leave_out_unsettled(found: &mut Vec<Found>, known: &BTreeSet<String>, settling: &mut Settling) {
    let (now, mut waiting) = (Instant::now(), BTreeSet::new());
    found.retain(|found| {
        let taken =
            known.contains(&found.name) || settling.is_settled(&found.name, stirring(found.path()), now);
        if !taken {
            waiting.insert(found.name.clone());
        }
        taken
    });
    settling.keep_only(|name| waiting.contains(name));
}

fn spec(found: &Found, registry: &Registry, config: &Config) -> ServiceSpec {
    let defaults = settings::timeouts(config);
    let own = &found.manifest.timeouts;
    let of = |hook: koi_plugin_api::Hook, default| own.for_hook(hook).unwrap_or(default);
    ServiceSpec {
        name: found.name.clone(),
        priority: found.priority,
        handler: registry.name_of(found),
        code: PINNED,
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
