//! One look at the folders of services: what lies in them, and how it is run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use koi_config::{Config, Policy};
use koi_core::group::GroupName;
use koi_core::io::{HandlerInstance, ServiceSpec};
use koi_core::policy::ServicePolicy;
use koi_core::settings::Timeouts;
use koi_core::types::{Hook, HookSet};
use koi_plugin_host::{Found, OutputLimit, PolicySettings, Registry, Warning, stirring};

use super::discovery::{KnownGroups, discover_all, workingdir};
use super::settling::Settling;
use super::teardown_manifest::{FROM_MANIFEST, ManifestEntry};
use crate::config::settings;
use crate::hooks::handlers::Runnable;

/// Of what lies in a service's folder.
pub(crate) type Fingerprint = u64;

/// A service as a look found it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScannedService {
    pub(crate) group: GroupName,
    pub(crate) spec: ServiceSpec,
    pub(crate) fingerprint: Fingerprint,
}

/// What one look at the folders found.
pub(crate) struct FolderScan {
    /// Group by group; no two have one name.
    pub(crate) services: Vec<ScannedService>,
    /// The groups whose folder could not be looked at, and why: a sentence each.
    pub(crate) unreadable: BTreeMap<GroupName, String>,
    /// Some service waits until it is down in another group.
    pub(super) awaits: bool,
    /// Of the services that can be run.
    pub(crate) runnables: Vec<(String, Runnable)>,
    /// What it takes to run them elsewhere.
    pub(crate) kept: Vec<(String, ManifestEntry)>,
    /// Those that cannot be run as they are now.
    pub(super) broken: Vec<String>,
    pub(super) warnings: Vec<Warning>,
}

/// Scans the folders of all groups; blocks. `groups`: in which group each service is known. A service that is not among `known` is left out
/// until it has settled. Without `known` all are taken.
pub(crate) fn scan(
    config: &Config,
    registry: &Registry,
    groups: &KnownGroups,
    known: Option<(BTreeSet<String>, &mut Settling)>,
) -> FolderScan {
    let mut discovery = discover_all(config, registry, groups);
    if let Some((known, settling)) = known {
        leave_out_unsettled(&mut discovery.services, &known, settling);
    }
    // A folder that cannot be read says nothing of what is in it.
    let unseen = groups.iter().filter(|(_, group)| discovery.unreadable.contains_key(*group));
    let seen = discovery.services.iter().map(|(_, found)| found.name.as_str());
    registry.keep_only(&seen.chain(unseen.map(|(name, _)| name.as_str())).collect());
    let mut seen = FolderScan {
        services: Vec::new(),
        unreadable: discovery.unreadable,
        awaits: discovery.awaits,
        runnables: Vec::new(),
        kept: Vec::new(),
        broken: Vec::new(),
        warnings: registry.warnings().into_iter().chain(discovery.warnings).collect(),
    };
    for (group, found) in discovery.services {
        let mut spec = spec(&found, registry, config);
        match registry.open(&found) {
            Ok(ready) => {
                spec.instance = HandlerInstance(ready.number);
                let runnable = Runnable {
                    instance: spec.instance,
                    handler: ready.opened.handler,
                    home: found.home().to_owned(),
                    workdir: found.workdir(workingdir(config, &group)).to_owned(),
                    config: ready.config,
                    plugin_hash: ready.snapshot.hash().map(str::to_owned),
                    output: Arc::new(OutputLimit::default()),
                    status_lines: Arc::default(),
                    counters: Arc::default(),
                };
                let kept = ManifestEntry::new(&group, &spec, &runnable, ready.snapshot);
                seen.kept.push((found.name.clone(), kept));
                seen.runnables.push((found.name.clone(), runnable));
            }
            Err(error) => {
                spec.problem = Some(error.to_string());
                spec.hooks = HookSet::default();
                seen.broken.push(found.name.clone());
            }
        }
        seen.services.push(ScannedService { group, spec, fingerprint: found.fingerprint });
    }
    seen
}

fn leave_out_unsettled(
    found: &mut Vec<(GroupName, Found)>,
    known: &BTreeSet<String>,
    settling: &mut Settling,
) {
    let (now, mut waiting) = (Instant::now(), BTreeSet::new());
    found.retain(|(_, found)| {
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
    let of = |hook: Hook, default| own.for_hook(hook).unwrap_or(default);
    ServiceSpec {
        name: found.name.clone(),
        priority: found.priority,
        handler: registry.name_of(found),
        instance: FROM_MANIFEST,
        hooks: found.hooks,
        disabled: found.disabled,
        problem: found.problem.clone(),
        timeouts: Timeouts {
            start: of(Hook::Start, defaults.start),
            stop: of(Hook::Stop, defaults.stop),
            status: of(Hook::Status, defaults.status),
            promote: of(Hook::Promote, defaults.promote),
            demote: of(Hook::Demote, defaults.demote),
            failed: of(Hook::Failed, defaults.failed),
            changed: of(Hook::Changed, defaults.changed),
        },
        status_interval: own.status_interval.unwrap_or(config.timing.status_interval),
        policy: policy(&found.manifest.policy, &config.services.policy),
    }
}

/// What a service says of it, and what the configuration says where it does not.
fn policy(own: &PolicySettings, usual: &Policy) -> ServicePolicy {
    ServicePolicy {
        status_failures: own.status_failures.unwrap_or(usual.status_failures),
        status_retry: own.status_retry.unwrap_or(usual.status_retry),
        restarts: own.restarts.unwrap_or(usual.restarts),
        restart_window: own.restart_window.unwrap_or(usual.restart_window),
        restart_timeout: own.restart_timeout.unwrap_or(usual.restart_timeout),
        critical: own.critical.unwrap_or(usual.critical),
    }
}
