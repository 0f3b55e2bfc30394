//! What runs is taken down by the handler that started it (R7, R8): a service whose folder says something else by now goes on as it was.

use std::collections::BTreeMap;

use koi_core::io::{HandlerInstance, ServiceSpec};
use koi_core::types::HookSet;
use koi_core::view::View;

use super::discovery::KnownGroups;
use super::scan::{Fingerprint, FolderScan, ScannedService};
use super::teardown_manifest::{ManifestEntry, TeardownManifest};

/// What is said of a service that is retained.
pub(crate) const GOES_ON: &str = "goes on as it was until it is stopped, and could not be started so";

impl FolderScan {
    /// A broken service may still run: it keeps the hooks of the handler that it had.
    pub(super) fn use_recorded_hooks(&mut self, manifest: &TeardownManifest) {
        for ScannedService { spec, .. } in self.services.iter_mut().filter(|seen| seen.spec.problem.is_some())
        {
            let Some(kept) = manifest.entry(&spec.name).map(|kept| kept.spec(&spec.name)) else {
                spec.hooks = HookSet::default();
                continue;
            };
            // What cannot be read names no handler, and once it is mended it is to be the same one.
            (spec.hooks, spec.handler, spec.timeouts) = (kept.hooks, kept.handler, kept.timeouts);
        }
    }

    /// What is promoted and has no folder any more: that a folder is gone does not take down what runs. A folder of services that cannot be read
    /// says nothing of what is in it.
    pub(super) fn retain_gone(
        &self,
        running: Option<&BTreeMap<String, (HandlerInstance, bool)>>,
        groups: &KnownGroups,
    ) -> RetainedServices {
        let promoted = running.into_iter().flatten().filter(|(_, (_, maybe_promoted))| *maybe_promoted);
        let is_seen = |name: &str| self.services.iter().any(|seen| seen.spec.name == name);
        let is_readable =
            |name: &str| groups.get(name).is_some_and(|group| !self.unreadable.contains_key(group));
        let gone = promoted.filter(|(name, _)| !is_seen(name) && is_readable(name));
        gone.map(|(name, _)| (name.clone(), RetainReason::Gone)).collect()
    }

    /// Adds services of groups that are not configured any more. They are taken down with what the manifest keeps of them.
    pub(super) fn add_over(&mut self, over: Vec<ScannedService>) {
        self.broken.extend(over.iter().map(|seen| seen.spec.name.clone()));
        self.services.extend(over);
    }

    /// At the first scan the core does not know yet what runs: each service is reported with the handler that the earlier run of the
    /// daemon recorded. The next scan follows at once.
    pub(super) fn retain_left_over(&mut self, manifest: &TeardownManifest) -> RetainedServices {
        let good = self.services.iter().filter(|seen| seen.spec.problem.is_none());
        let left: Vec<RunningService> = good
            .filter_map(|ScannedService { spec, fingerprint, .. }| {
                let left = manifest.entry(&spec.name)?.spec(&spec.name);
                Some(RunningService { spec: left, fingerprint: *fingerprint, maybe_promoted: true })
            })
            .collect();
        let retained = self.retain_running(&left);
        self.broken.extend(retained.keys().cloned());
        retained
    }

    /// Keeps the guardian's entry of a service while the core still runs its old handler: its folder is gone, or cannot be read.
    pub(super) fn keep_entries_of_running(
        &mut self,
        manifest: &TeardownManifest,
        running: Option<&BTreeMap<String, (HandlerInstance, bool)>>,
    ) {
        let instance = |name: &str| {
            self.services.iter().find(|seen| seen.spec.name == name).map(|seen| seen.spec.instance)
        };
        let is_other = |name: &str, kept: &ManifestEntry| match running.map(|running| running.get(name)) {
            // Down, or taken over already.
            Some(None) => false,
            Some(Some((in_force, _))) if Some(*in_force) == instance(name) => false,
            Some(Some((_, maybe_promoted))) => manifest
                .entry(name)
                .is_some_and(|old| old.spec(name).would_orphan(&kept.spec(name), *maybe_promoted)),
            None => {
                manifest.entry(name).is_some_and(|old| old.spec(name).would_orphan(&kept.spec(name), true))
            }
        };
        self.kept.retain(|(name, kept)| !is_other(name, kept));
    }

    /// Retains each running service whose folder would part it from the handler that started it: that handler takes it down (R7, R8). The
    /// core refuses such a change as well; here handler, hooks and manifest entry stay as they were.
    pub(super) fn retain_running(&mut self, in_force: &[RunningService]) -> RetainedServices {
        let mut retained = RetainedServices::new();
        for ScannedService { spec, fingerprint, .. } in &mut self.services {
            let Some(before) = in_force.iter().find(|before| before.spec.name == spec.name) else { continue };
            if !before.spec.would_orphan(spec, before.maybe_promoted) {
                continue;
            }
            retained.insert(spec.name.clone(), RetainReason::for_change(&before.spec, spec));
            *spec = ServiceSpec { disabled: spec.disabled, ..before.spec.clone() };
            *fingerprint = before.fingerprint;
        }
        let holds = |name: &String| retained.contains_key(name);
        self.runnables.retain(|(name, _)| !holds(name));
        self.kept.retain(|(name, _)| !holds(name));
        self.broken.retain(|name| !holds(name));
        retained
    }
}

/// The services that are not down, as the core knows them, whatever lies in the folder: which instance of its handler runs each, and whether it is
/// promoted, or perhaps. None: the core does not answer.
pub(super) fn running(view: Option<&View>) -> Option<BTreeMap<String, (HandlerInstance, bool)>> {
    let running = view?.own_services().map(|(_, service)| service).filter(|service| !service.down);
    Some(running.map(|service| (service.name.clone(), (service.instance, service.maybe_promoted))).collect())
}

/// Services that go on as they were, by name, and why.
pub(crate) type RetainedServices = BTreeMap<String, RetainReason>;

/// Why a service goes on as it was. Shown, it is the rest of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RetainReason {
    /// It could not be started as its folder is now, and why.
    #[error("{0}")]
    Broken(String),
    /// Its folder names another handler than the one that has started it.
    #[error("its handler is {now} by now, and {started_by} has started it")]
    OtherHandler { now: String, started_by: String },
    /// Its folder is gone while it is promoted.
    #[error(
        "its folder is gone, and it is promoted; `koi stop` of this node, or `koi promote` of another, takes it down"
    )]
    Gone,
    /// What is promoted could not be taken down.
    #[error("it is promoted, and its handler has no `demote` or no `stop` any more")]
    NoTeardown,
}

/// A service that runs as it was found good.
pub(super) struct RunningService {
    pub(super) spec: ServiceSpec,
    pub(super) fingerprint: Fingerprint,
    /// It is promoted, or perhaps.
    pub(super) maybe_promoted: bool,
}

impl RetainReason {
    fn for_change(before: &ServiceSpec, now: &ServiceSpec) -> RetainReason {
        match &now.problem {
            Some(problem) => RetainReason::Broken(problem.clone()),
            None if before.handler != now.handler => {
                RetainReason::OtherHandler { now: now.handler.clone(), started_by: before.handler.clone() }
            }
            None => RetainReason::NoTeardown,
        }
    }
}
