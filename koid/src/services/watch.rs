//! Scans the services folder: at the start, at every status interval, and when the configuration changes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use koi_core::group::GroupName;
use koi_core::io::{Input, ServiceSpec};
use koi_core::view::View;
use koi_plugin_host::{Host, Registry, Severity, Warning};

use super::load_error::{ServiceLoadError, ServiceLoadErrorReason};
use super::plugins::Plugins;
use super::retained::{GOES_ON, RetainedServices, RunningService, running};
use super::scan::{Fingerprint, FolderScan, scan};
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

/// Watches the folder.
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
    /// What the core was told last, with what tells one state of a service from another.
    told: Option<LastReport>,
    /// The services that it was told last, though the folder was unreadable since.
    services: Vec<(ServiceSpec, Fingerprint)>,
    /// What goes on as it was.
    retained: RetainedServices,
    /// What is new and may not be there as a whole yet.
    settling: Settling,
    /// The warnings that still hold and were said.
    said: BTreeSet<String>,
    /// When what services have left was looked at last, and which services there were then.
    tidied: Option<(Instant, BTreeSet<String>)>,
}

#[derive(PartialEq)]
enum LastReport {
    Services(Vec<(ServiceSpec, Fingerprint)>),
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
            told: None,
            services: Vec::new(),
            retained: RetainedServices::new(),
            settling: Settling::default(),
            tidied: None,
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
        let present: BTreeSet<String> = self.services.iter().map(|(spec, _)| spec.name.clone()).collect();
        let is_due =
            self.tidied.as_ref().is_none_or(|(at, known)| at.elapsed() > TIDY_PAUSE || *known != present);
        // A folder that cannot be read says nothing of what is in it.
        if !is_due || !matches!(self.told, Some(LastReport::Services(_))) {
            return;
        }
        let passed = self.tidied.as_ref().map(|(at, _)| at.elapsed()).unwrap_or_default();
        // Of a service that cannot be read nobody knows which plugin it names.
        let is_known = self.services.iter().all(|(spec, _)| spec.problem.is_none());
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
        let usual = if self.retained.is_empty() { usual } else { usual.min(RETAINED_PAUSE) };
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
            (self.manifest.clone(), self.services.is_empty() && self.told.is_none());
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
        // The folder may lie on a disk that hangs.
        let looked = tokio::task::spawn_blocking(move || {
            let mut retained = RetainedServices::new();
            let mut seen = scan(&current.config, &registry, known.map(|known| (known, &mut settling)));
            if let Ok(seen) = &mut seen {
                retained = seen.retain_running(&in_force);
                if is_first {
                    manifest.keep_only(|name| seen.specs.iter().any(|(spec, _)| spec.name == name));
                    retained = seen.retain_left_over(&manifest);
                }
                seen.use_recorded_hooks(&manifest);
                seen.keep_entries_of_running(&manifest, running.as_ref());
                keep(&mut manifest, seen, &registry, &host);
            }
            (seen, retained, manifest, settling)
        });
        match looked.await {
            Ok((seen, retained, manifest, settling)) => {
                (self.manifest, self.settling) = (manifest, settling);
                match seen {
                    Ok(seen) if is_first && !retained.is_empty() => {
                        self.take(seen).await;
                        // By now the core knows what an earlier run has left: what is down is taken as the folder has it.
                        Box::pin(self.scan(false)).await;
                    }
                    Ok(seen) => {
                        self.log_retained(retained);
                        self.take(seen).await;
                    }
                    Err(error) => self.unreadable(error.to_string()).await,
                }
            }
            Err(broken) => tracing::error!("looking at the services folder failed: {broken}"),
        }
    }

    /// The services that run, as the core was told of them when they were good.
    fn in_force(&mut self, view: Option<&View>) -> Vec<RunningService> {
        let of = |name: &str| view.map(|view| view.services.iter().find(|s| s.name == name));
        let mut refused = false;
        let mut all = Vec::new();
        for (spec, fingerprint) in &self.services {
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
        let is_left = |name: &str| self.services.iter().all(|(spec, _)| spec.name != name);
        let was_demoted =
            view.is_some_and(|view| view.services.iter().any(|s| is_left(&s.name) && !s.maybe_promoted));
        if refused || was_demoted {
            // The service began to run while the core was told of its new handler, or it was promoted when its folder went. The core is told
            // again: it takes the one when it is down, and lets go of the other.
            self.told = None;
        }
        all
    }

    /// The services that the core was told of last.
    fn names(&self) -> BTreeSet<String> {
        self.services.iter().map(|(spec, _)| spec.name.clone()).collect()
    }

    /// What cannot run as the folder is now.
    fn faults(&self) -> Vec<ServiceLoadError> {
        let enabled = self.services.iter().map(|(spec, _)| spec).filter(|spec| !spec.disabled);
        let broken = enabled
            .filter_map(|spec| Some((&spec.name, ServiceLoadErrorReason::CannotRun(spec.problem.clone()?))));
        let retained =
            self.retained.iter().map(|(name, why)| (name, ServiceLoadErrorReason::Retained(why.clone())));
        broken.chain(retained).map(|(name, why)| ServiceLoadError { service: name.clone(), why }).collect()
    }

    fn log_retained(&mut self, retained: RetainedServices) {
        for (name, why) in retained.iter().filter(|(name, why)| self.retained.get(*name) != Some(why)) {
            tracing::error!("{name} {GOES_ON}: {why}");
        }
        self.findings.retain(&retained);
        self.retained = retained;
    }

    async fn take(&mut self, seen: FolderScan) {
        self.warn(&seen.warnings);
        let told = LastReport::Services(seen.specs);
        if self.told.as_ref() == Some(&told) {
            return;
        }
        // Handlers first: the core may ask for a hook at once.
        self.handlers.update(seen.runnables);
        for name in seen.broken.into_iter().filter(|name| !self.handlers.has(name, FROM_MANIFEST)) {
            let kept = self.manifest.entry(&name).map(|kept| (name, kept.runnable(self.plugins.host())));
            self.handlers.update(kept);
        }
        if let LastReport::Services(specs) = &told {
            self.services.clone_from(specs);
            self.findings.found(specs.iter().map(|(spec, _)| spec));
            let specs = specs.iter().map(|(spec, _)| spec.clone()).collect();
            self.cluster.input(Input::Services { group: GroupName::MAIN, specs }).await;
        }
        self.told = Some(told);
    }

    async fn unreadable(&mut self, sentence: String) {
        let told = LastReport::Unreadable(sentence.clone());
        if self.told.as_ref() != Some(&told) {
            tracing::error!("{sentence}");
            let input = Input::ServicesUnreadable { group: GroupName::MAIN, why: sentence };
            self.cluster.input(input).await;
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
