//! Scans the folders of services: at the start, at every status interval, and when the configuration changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use koi_config::Config;
use koi_core::group::GroupName;
use koi_core::io::Input;
use koi_core::view::View;
use koi_plugin_host::{Host, Registry, Severity, Warning};

use super::discovery::KnownGroups;
use super::load_error::{ServiceLoadError, ServiceLoadErrorReason};
use super::plugins::Plugins;
use super::retained::{GOES_ON, RetainedServices, RunningService, running};
use super::scan::{FolderScan, ScannedService, scan};
use super::scan_requests::{ScanReply, ScanRequests};
use super::scan_results::ScanResults;
use super::settling::Settling;
use super::teardown_manifest::{self, FROM_MANIFEST, TeardownManifest};
use crate::cluster::handle::Cluster;
use crate::config::current::SharedConfig;
use crate::config::exposure;
use crate::hooks::handlers::Handlers;
use crate::hooks::processes::Processes;

/// Between scans while a service is retained.
const RETAINED_PAUSE: Duration = Duration::from_millis(500);

/// Between looks for what services have left that are gone.
const TIDY_PAUSE: Duration = Duration::from_secs(3600);

/// Between scans while something settles, at least.
const SETTLING_PAUSE: Duration = Duration::from_millis(20);

/// Watches the folders of all groups.
pub(crate) struct Services {
    shared: SharedConfig,
    handlers: Handlers,
    processes: Processes,
    plugins: Plugins,
    cluster: Cluster,
    /// What the API says of them.
    findings: ScanResults,
    /// Scans that are asked for.
    requests: ScanRequests,
    /// The configuration.
    file: PathBuf,
    /// What the guardian is to know of them.
    manifest: TeardownManifest,
    /// What the core was told last of each group, with what tells one state of a service from another.
    told: BTreeMap<GroupName, LastReport>,
    /// The services that it was told last, though a folder was unreadable since.
    services: Vec<ScannedService>,
    /// What goes on as it was.
    retained: RetainedServices,
    /// What is new and may not be there as a whole yet.
    settling: Settling,
    /// Some service waits until it is down in another group.
    awaits: bool,
    /// The warnings that still hold and were said.
    said: BTreeSet<String>,
    /// When what services have left was looked at last, and which services there were then.
    tidied: Option<(Instant, BTreeSet<String>)>,
}

#[derive(PartialEq)]
enum LastReport {
    Services(Vec<ScannedService>),
    Unreadable(String),
}

impl Services {
    /// Has not scanned the folder yet.
    pub(crate) fn new(
        shared: SharedConfig,
        (handlers, processes): (Handlers, Processes),
        plugins: Plugins,
        cluster: Cluster,
        (requests, findings): (ScanRequests, ScanResults),
        file: PathBuf,
    ) -> Services {
        let (manifest, said) = (TeardownManifest::default(), BTreeSet::new());
        Services {
            shared,
            handlers,
            processes,
            plugins,
            cluster,
            findings,
            requests,
            file,
            manifest,
            told: BTreeMap::new(),
            services: Vec::new(),
            retained: RetainedServices::new(),
            settling: Settling::default(),
            tidied: None,
            awaits: false,
            said,
        }
    }

    /// Loads plugins, then scans for ever.
    pub(crate) async fn run(mut self) {
        self.plugins.load(&self.shared.get().config).await;
        let host = self.plugins.host().clone();
        self.manifest =
            tokio::task::spawn_blocking(move || TeardownManifest::left_over(&host)).await.unwrap_or_default();
        let mut asked: Option<ScanReply> = None;
        loop {
            self.scan(asked.is_some()).await;
            if let Some(reply) = asked.take() {
                // Whoever asked may have gone.
                let _ = reply.send(self.faults());
            }
            self.find_exposures().await;
            self.tidy().await;
            let pause = self.pause();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(reply) = self.requests.0.recv() => asked = Some(reply),
            }
        }
    }

    /// Tells what others could change of what this node relies on.
    async fn find_exposures(&self) {
        let (file, current, registry) = (self.file.clone(), self.shared.get(), self.plugins.get());
        let told =
            tokio::task::spawn_blocking(move || exposure::exposures(&file, &current.config, Some(&registry)));
        // The scan says what is wrong with the disk.
        let Ok(told) = told.await else { return };
        self.findings.expose(told).iter().for_each(|sentence| tracing::warn!("{sentence}"));
    }

    /// Removes what services have left that are gone for good.
    async fn tidy(&mut self) {
        let present = self.names();
        let is_due =
            self.tidied.as_ref().is_none_or(|(at, known)| at.elapsed() > TIDY_PAUSE || *known != present);
        // A folder that cannot be read says nothing of what is in it.
        let is_seen = |report: &LastReport| matches!(report, LastReport::Services(_));
        if !is_due || self.told.is_empty() || !self.told.values().all(is_seen) {
            return;
        }
        let passed = self.tidied.as_ref().map(|(at, _)| at.elapsed()).unwrap_or_default();
        // Of a service that cannot be read nobody knows which plugin it names.
        let is_known = self.services.iter().all(|service| service.spec.problem.is_none());
        let passed_for_pulled = if is_known { passed } else { Duration::ZERO };
        let (registry, known) = (self.plugins.get(), present.clone());
        let told = tokio::task::spawn_blocking(move || {
            [registry.tidy(&known, passed), registry.tidy_pulled(passed_for_pulled)].concat()
        });
        let told = told.await;
        // The scan says what is wrong with the disk.
        told.unwrap_or_default().iter().for_each(|sentence| tracing::info!("{sentence}"));
        self.tidied = Some((Instant::now(), present));
    }

    /// Until the next scan. What is retained is taken soon after it is down, and what is new when it has settled.
    fn pause(&self) -> Duration {
        let usual = self.shared.get().config.timing.status_interval;
        let waits = !self.retained.is_empty() || self.awaits;
        let usual = if waits { usual.min(RETAINED_PAUSE) } else { usual };
        self.settling.pause(Instant::now()).map_or(usual, |pause| usual.min(pause.max(SETTLING_PAUSE)))
    }

    /// Scans once, and tells the core if anything has changed. `complete`: somebody says that new services are there as a whole.
    async fn scan(&mut self, complete: bool) {
        let current = self.shared.get();
        if !current.config.node.runner {
            return;
        }
        let (registry, host) = (self.plugins.get(), self.plugins.host().clone());
        let (mut manifest, is_first) =
            (self.manifest.clone(), self.services.is_empty() && self.told.is_empty());
        let view = self.cluster.snapshot().await.map(|snapshot| snapshot.view);
        let in_force = self.in_force(view.as_ref());
        let running = running(view.as_ref());
        if let Some(running) = &running {
            // What the core was told of before it gave this answer, it may start.
            let told = self.names();
            let is_needed = |name: &str| told.contains(name) || running.contains_key(name);
            self.handlers.keep_only(is_needed);
            self.processes.keep_only(is_needed);
        }
        // The first scan takes every service at once: nothing runs yet that a half-written folder could disturb.
        let known = (!is_first && !complete).then(|| self.names());
        let mut settling = std::mem::take(&mut self.settling);
        let (groups, over) = (self.known_groups(view.as_ref()), over_groups(view.as_ref(), &current.config));
        let over = if is_first { manifest.of_groups(&over) } else { self.of_groups(&over) };
        // The folders may lie on a disk that hangs.
        let looked = tokio::task::spawn_blocking(move || {
            let mut seen =
                scan(&current.config, &registry, &groups, known.map(|known| (known, &mut settling)));
            let mut retained = seen.retain_running(&in_force);
            if is_first {
                // What lies in a folder that cannot be read may still be promoted.
                let unseen = manifest.of_groups(&seen.unreadable.keys().cloned().collect());
                let known = seen.services.iter().chain(&over).chain(&unseen);
                let known: BTreeSet<&str> = known.map(|seen| seen.spec.name.as_str()).collect();
                manifest.keep_only(|name| known.contains(name));
                retained = seen.retain_left_over(&manifest);
            }
            seen.use_recorded_hooks(&manifest);
            seen.keep_entries_of_running(&manifest, running.as_ref());
            seen.add_over(over);
            retained.extend(seen.retain_gone(running.as_ref(), &groups));
            keep(&mut manifest, &seen, &registry, &host);
            (seen, retained, manifest, settling)
        });
        match looked.await {
            Ok((seen, retained, manifest, settling)) => {
                (self.manifest, self.settling) = (manifest, settling);
                if is_first && !retained.is_empty() {
                    self.take(seen).await;
                    // By now the core knows what an earlier run has left: what is down is taken as the folder has it.
                    Box::pin(self.scan(false)).await;
                } else {
                    self.log_retained(retained, &seen.unreadable);
                    self.take(seen).await;
                }
            }
            Err(broken) => tracing::error!("looking at the services folder failed: {broken}"),
        }
    }

    /// In which group each service is: where the core runs it, or was told of it.
    fn known_groups(&self, view: Option<&View>) -> KnownGroups {
        match view {
            Some(view) => {
                view.own_services().map(|(group, service)| (service.name.clone(), group.clone())).collect()
            }
            None => self.services.iter().map(|seen| (seen.spec.name.clone(), seen.group.clone())).collect(),
        }
    }

    /// The services of these groups, as the core was told of them last.
    fn of_groups(&self, groups: &BTreeSet<GroupName>) -> Vec<ScannedService> {
        self.services.iter().filter(|seen| groups.contains(&seen.group)).cloned().collect()
    }

    /// The services that run, as the core was told of them when they were good.
    fn in_force(&mut self, view: Option<&View>) -> Vec<RunningService> {
        let of = |name: &str| {
            view.map(|view| {
                view.own_services().map(|(_, service)| service).find(|service| service.name == name)
            })
        };
        let mut refused = false;
        let mut all = Vec::new();
        for ScannedService { spec, fingerprint, .. } in &self.services {
            // The core does not answer: the service may run.
            let (maybe_promoted, down, instance) = match of(&spec.name) {
                Some(Some(service)) => (service.maybe_promoted, service.down, service.instance),
                Some(None) => continue,
                None => (true, false, spec.instance),
            };
            refused |= instance != spec.instance;
            if !down && instance == spec.instance && spec.problem.is_none() {
                all.push(RunningService { spec: spec.clone(), fingerprint: *fingerprint, maybe_promoted });
            }
        }
        let told = self.names();
        let was_demoted = view.is_some_and(|view| {
            view.own_services().any(|(_, service)| !told.contains(&service.name) && !service.maybe_promoted)
        });
        if refused || was_demoted {
            // The service began to run while the core was told of its new handler, or it was promoted when its folder went. The core is told
            // again: it takes the one when it is down, and lets go of the other.
            self.told.clear();
        }
        all
    }

    /// The services that the core was told of last.
    fn names(&self) -> BTreeSet<String> {
        self.services.iter().map(|seen| seen.spec.name.clone()).collect()
    }

    /// What cannot run as the folder is now.
    fn faults(&self) -> Vec<ServiceLoadError> {
        let enabled = self.services.iter().map(|seen| &seen.spec).filter(|spec| !spec.disabled);
        let broken = enabled
            .filter_map(|spec| Some((&spec.name, ServiceLoadErrorReason::CannotRun(spec.problem.clone()?))));
        let retained =
            self.retained.iter().map(|(name, why)| (name, ServiceLoadErrorReason::Retained(why.clone())));
        broken.chain(retained).map(|(name, why)| ServiceLoadError { service: name.clone(), why }).collect()
    }

    fn log_retained(&mut self, mut retained: RetainedServices, unreadable: &BTreeMap<GroupName, String>) {
        // A folder that cannot be read says nothing of what is in it.
        let unseen = self.services.iter().filter(|seen| unreadable.contains_key(&seen.group));
        for name in unseen.map(|seen| &seen.spec.name) {
            retained.extend(self.retained.get(name).map(|why| (name.clone(), why.clone())));
        }
        for (name, why) in retained.iter().filter(|(name, why)| self.retained.get(*name) != Some(why)) {
            tracing::error!("{name} {GOES_ON}: {why}");
        }
        self.findings.retain(&retained);
        self.retained = retained;
    }

    async fn take(&mut self, seen: FolderScan) {
        self.warn(&seen.warnings);
        self.awaits = seen.awaits;
        let reports = self.reports(seen.services, seen.unreadable);
        if self.told == reports {
            return;
        }
        // Handlers first: the core may ask for a hook at once.
        self.handlers.update(seen.runnables);
        for name in seen.broken.into_iter().filter(|name| !self.handlers.has(name, FROM_MANIFEST)) {
            let kept = self.manifest.entry(&name).map(|kept| (name, kept.runnable(self.plugins.host())));
            self.handlers.update(kept);
        }
        let before = std::mem::take(&mut self.told);
        self.services = self.seen_last(&reports);
        self.findings.found(self.services.iter().map(|seen| &seen.spec));
        for (group, report) in reports.iter().filter(|(group, report)| before.get(*group) != Some(*report)) {
            let group = group.clone();
            let input = match report {
                LastReport::Services(seen) => {
                    Input::Services { group, specs: seen.iter().map(|seen| seen.spec.clone()).collect() }
                }
                LastReport::Unreadable(why) => {
                    tracing::error!("{why}");
                    Input::ServicesUnreadable { group, why: why.clone() }
                }
            };
            self.cluster.input(input).await;
        }
        self.told = reports;
    }

    /// What the core is to know of each group.
    fn reports(
        &self,
        services: Vec<ScannedService>,
        unreadable: BTreeMap<GroupName, String>,
    ) -> BTreeMap<GroupName, LastReport> {
        let config = &self.shared.get().config;
        let mut by_group: BTreeMap<GroupName, Vec<ScannedService>> =
            config.service_folders().map(|(group, _)| (group, Vec::new())).collect();
        services.into_iter().for_each(|seen| by_group.entry(seen.group.clone()).or_default().push(seen));
        let seen = by_group.into_iter().map(|(group, seen)| (group, LastReport::Services(seen)));
        let unseen = unreadable.into_iter().map(|(group, why)| (group, LastReport::Unreadable(why)));
        seen.chain(unseen).collect()
    }

    /// The services in these reports; those of a folder that cannot be read as they were last.
    fn seen_last(&self, reports: &BTreeMap<GroupName, LastReport>) -> Vec<ScannedService> {
        let of_group = |(group, report): (&GroupName, &LastReport)| match report {
            LastReport::Services(seen) => seen.clone(),
            LastReport::Unreadable(_) => self.of_groups(&[group.clone()].into()),
        };
        reports.iter().flat_map(of_group).collect()
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

/// The groups of which something is up here although they are not configured any more: what is up is taken down as it was.
fn over_groups(view: Option<&View>, config: &Config) -> BTreeSet<GroupName> {
    let own = view.into_iter().flat_map(|view| &view.groups).filter(|group| group.own.is_some());
    own.map(|group| group.name.clone()).filter(|name| !config.groups.contains_key(name)).collect()
}

/// R8: the guardian can run what koid is about to run. Blocks.
fn keep(manifest: &mut TeardownManifest, seen: &FolderScan, registry: &Registry, host: &Host) {
    manifest.update(seen.kept.iter().cloned());
    match manifest.write(host) {
        Ok(true) => registry.prune(&manifest.hashes()),
        Ok(false) => {}
        Err(error) => tracing::error!(
            "{} cannot be written: {error}; if koid dies now, its guardian may not know how to take services down",
            teardown_manifest::path(host).display()
        ),
    }
}
