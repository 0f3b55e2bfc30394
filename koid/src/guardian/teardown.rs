//! What the guardian does when koid cannot: ends koid and its hooks, tells the others, takes services down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use koi_child::group::NotedGroup;
use koi_config::Config;
use koi_core::group::GroupName;
use koi_core::guard::{Teardown, TeardownOrder};
use koi_core::io::{Effect, Input, ServiceSpec};
use koi_core::types::Time;
use koi_plugin_api::NewestEpoch;
use koi_plugin_host::{Host, Registry};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use super::TakeoverCause;
use super::obituary::ObituarySender;
use super::state::{GuardedState, config};
use crate::config::settings;
use crate::guardian_client::protocol::Watching;
use crate::hooks::details::Details;
use crate::hooks::drilled::DrilledStatuses;
use crate::hooks::executor::{HookCommand, HookExecutor};
use crate::hooks::handlers::Handlers;
use crate::hooks::identity::NodeIdentity;
use crate::hooks::process_groups::{GroupKind, KillOnDrop, ProcessGroups};
use crate::os::sys;
use crate::services::scan::scan;
use crate::services::teardown_manifest;

/// How long hooks of the dead daemon get between SIGTERM and SIGKILL.
const HOOKS_END: Duration = Duration::from_millis(200);
/// How long SIGKILL may take: what it does not end hangs in the kernel.
const KILL_WAIT: Duration = Duration::from_millis(100);
/// How long brokers may take: they kill at once all that they have to end, and are not killed before that, for it would go on.
const BROKERS_END: Duration = Duration::from_secs(1);
/// How often, and how many times, the last obituary is sent: datagrams may get lost.
const OBITUARY_EVERY: Duration = Duration::from_millis(30);
const OBITUARIES: u32 = 10;
/// How many times in a row it is said that one group is down while others are not.
const OBITUARIES_AT_ONCE: u32 = 3;

/// Does all that is left to be done on this machine.
pub(super) fn take_down(mut state: GuardedState, cause: TakeoverCause, daemon: i32) {
    match cause {
        TakeoverCause::Dead => tracing::error!("koid is dead: its guardian takes over"),
        TakeoverCause::Hangs => {
            tracing::error!("koid hangs, and its lease is over: its guardian ends it and takes over");
            sys::kill_parent(daemon);
        }
    }
    let route = state.route.take();
    let obituary = ObituarySender::new(route.as_ref());
    obituary.send_dead();
    end_hooks(&state);
    let groups = state.groups();
    if !groups.is_empty() && groups.iter().all(|group| state.watched(group) == Watching::Frozen) {
        state.release_watchdog();
        tracing::warn!(
            "maintenance mode is on: services are left as they are; the next start of koid adopts them"
        );
        return;
    }
    let Some(config) = state.setup.as_ref().and_then(|setup| config(setup)) else {
        tracing::error!("the guardian was never told where the services are: whatever runs goes on running");
        return;
    };
    let id = state.setup.as_ref().map(|s| s.id.clone()).unwrap_or_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("the guardian cannot run hooks: {error}"),
    };
    let promoted = runtime.block_on(take_services_down(&mut state, &config, &id, &obituary));
    if !promoted {
        state.release_watchdog();
    }
}

/// No hook outlives its daemon: when this returns, nothing of them runs any more. A promotion that ended later would be a second master's.
fn end_hooks(state: &GuardedState) {
    let groups = || state.groups.values().map(|(group, _)| *group);
    let of = |wanted: GroupKind| {
        move || state.groups.values().filter(move |(_, kind)| *kind == wanted).map(|(group, _)| *group)
    };
    let (plain, brokers) = (of(GroupKind::Plain), of(GroupKind::Broker));
    groups().for_each(|group| group.signal(Signal::SIGTERM));
    if ended_within(groups, HOOKS_END) {
        return;
    }
    plain().for_each(|group| group.signal(Signal::SIGKILL));
    if !ended_within(plain, KILL_WAIT) {
        tracing::error!("a hook of the daemon hangs in the kernel and cannot be killed");
    }
    // Killed, they would leave what they are ending.
    if !ended_within(brokers, BROKERS_END) {
        tracing::error!(
            "programs of a hook of the daemon are not gone yet: their broker goes on ending them"
        );
    }
}

fn ended_within<G: Iterator<Item = NotedGroup>>(groups: impl Fn() -> G, patience: Duration) -> bool {
    let begun = sys::now();
    while groups().any(NotedGroup::runs) {
        if sys::now().since(begun) >= patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Whether something is still promoted in the end.
async fn take_services_down(
    state: &mut GuardedState,
    config: &Config,
    id: &str,
    obituary: &ObituarySender<'_>,
) -> bool {
    let handlers = Handlers::default();
    let Some(specs) = known_services(state, config, &handlers).await else { return true };
    let (orders, wanted) = mpsc::unbounded_channel();
    let (ended, mut ends) = mpsc::unbounded_channel();
    let groups = ProcessGroups::default();
    // A guardian learns of no newer epoch.
    let newest_epoch = NewestEpoch::default();
    let _kill = KillOnDrop(groups.clone());
    let identity = Arc::new(RwLock::new(NodeIdentity::from_config(config, id)));
    tokio::spawn(
        HookExecutor {
            orders: wanted,
            handlers,
            identity,
            groups,
            ended,
            newest_epoch,
            details: Details::default(),
            drilled: DrilledStatuses::default(),
            processes: None,
            guardian: None,
            attributes: None,
        }
        .run(),
    );
    let mut down = teardowns(state, config, &specs);
    let promoted = |down: &BTreeMap<GroupName, Teardown>| down.values().any(Teardown::promoted);
    let mut told = BTreeSet::new();
    let mut repeats_left = OBITUARIES;
    loop {
        while let Some(effect) = down.values_mut().find_map(Teardown::poll_effect) {
            carry_out(effect, &orders);
        }
        for (group, _) in down.iter().filter(|(_, down)| !down.promoted()) {
            state.is_down(group);
        }
        state.tend_watchdog();
        let all_are_free = !promoted(&down);
        // Each group that is down while another is not: its next master need not wait for that one.
        let free = down.iter().filter(|(group, down)| !down.promoted() && !told.contains(*group));
        let free: Vec<GroupName> = free.map(|(group, _)| group.clone()).filter(|_| !all_are_free).collect();
        for group in free {
            (0..OBITUARIES_AT_ONCE).for_each(|_| obituary.send_down(&group));
            told.insert(group);
        }
        let repeats = all_are_free && repeats_left > 0;
        if repeats {
            obituary.send_all_down();
            repeats_left -= 1;
        }
        if down.values().all(Teardown::done) && (repeats_left == 0 || !all_are_free) {
            break;
        }
        let deadline = down.values().map(|down| down.next_deadline(sys::now())).min().unwrap_or(Time::NEVER);
        let deadline = deadline.since(sys::now()).min(Duration::from_secs(3600));
        let mut pause = if repeats { OBITUARY_EVERY.min(deadline) } else { deadline };
        if let Some(watchdog) = &state.watchdog {
            pause = pause.min(watchdog.next().since(sys::now()));
        }
        let ended = tokio::select! {
            Some(ended) = ends.recv() => Some(ended),
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => None,
        };
        // Each knows which hooks are its own.
        for down in down.values_mut() {
            let input = match &ended {
                Some((run, ended)) => Input::HookFinished { run: *run, ended: ended.clone() },
                None => Input::Tick,
            };
            down.handle(sys::now(), input);
        }
    }
    match promoted(&down) {
        false => tracing::info!("the guardian has taken everything down"),
        true => tracing::error!(
            "something promoted could not be stopped: nobody is promoted elsewhere until it is mended and koid started again, or \
             `koi confirm-down {}` said",
            config.node.name
        ),
    }
    promoted(&down)
}

/// What is to be taken down of each group that maintenance mode does not leave as it is.
fn teardowns(state: &GuardedState, config: &Config, specs: &[ServiceSpec]) -> BTreeMap<GroupName, Teardown> {
    let core_settings = settings::for_core(config);
    let teardown = |(ordinal, group): (u64, GroupName)| {
        let levels = state.levels(&group);
        let order = TeardownOrder {
            group: group.clone(),
            ordinal,
            by: state.grace_ends(&group),
            epoch: state.epoch(&group),
        };
        (group, Teardown::new(core_settings.clone(), order, specs.to_vec(), &levels, sys::now()))
    };
    let groups = state.groups().into_iter().filter(|group| state.watched(group) != Watching::Frozen);
    (0..).zip(groups).map(teardown).collect()
}

/// The services that stand, with the handlers that the manifest names, whatever has become of their files since. Services that
/// the manifest lacks are looked for in the folders of all groups. None: it is not known what there is to take down.
async fn known_services(
    state: &GuardedState,
    config: &Config,
    handlers: &Handlers,
) -> Option<Vec<ServiceSpec>> {
    let host = Host::for_daemon(&config.node.state_dir);
    let mut kept = teardown_manifest::read(&host).unwrap_or_else(|error| {
        tracing::error!("{} cannot be read: {error}", teardown_manifest::path(&host).display());
        Default::default()
    });
    kept.retain(|name, _| state.services.contains_key(name));
    handlers.update(kept.iter().map(|(name, kept)| (name.clone(), kept.runnable(&host))));
    let mut specs: Vec<ServiceSpec> = kept.iter().map(|(name, kept)| kept.spec(name)).collect();
    if state.services.keys().all(|name| kept.contains_key(name)) {
        return Some(specs);
    }
    // Loads no plugin: compiling one takes long.
    let registry = Registry::new(host, config.services.workingdir.clone());
    let seen = scan(config, &registry, &BTreeMap::new(), None);
    seen.unreadable.values().for_each(|why| tracing::error!("the guardian cannot take services down: {why}"));
    if !seen.unreadable.is_empty() {
        return None;
    }
    let is_new = |name: &str| !kept.contains_key(name);
    handlers.update(seen.runnables.into_iter().filter(|(name, _)| is_new(name)));
    specs.extend(seen.services.into_iter().map(|seen| seen.spec).filter(|spec| is_new(&spec.name)));
    Some(specs)
}

fn carry_out(effect: Effect, orders: &mpsc::UnboundedSender<HookCommand>) {
    match effect {
        // The runner ends only after this loop.
        Effect::RunHook(run) => drop(orders.send(HookCommand::Run(run))),
        Effect::AbortHook { run, now } => drop(orders.send(HookCommand::Abort { run, now })),
        Effect::Event { event, .. } if !event.is_routine() => tracing::info!("{event}"),
        Effect::Event { .. }
        | Effect::Send { .. }
        | Effect::Persist { .. }
        | Effect::Answer { .. }
        | Effect::Fence { .. }
        | Effect::FenceNode(_)
        | Effect::EndFence(_)
        | Effect::CountUp { .. }
        | Effect::Finished => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use koi_core::guard::ServiceLevel;
    use koi_core::types::{Hook, HookSet};

    use super::*;
    use crate::guardian::state::GuardedService;
    use crate::services::teardown_manifest::TeardownManifest;
    use crate::testing::config;

    fn service(folder: &Path, name: &str) {
        let home = folder.join("services").join(name);
        fs::create_dir_all(&home).unwrap();
        for hook in ["stop", "demote"] {
            fs::write(home.join(hook), "#!/bin/sh\n").unwrap();
            fs::set_permissions(home.join(hook), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn state(services: &[&str]) -> GuardedState {
        let promoted = GuardedService { group: GroupName::MAIN, level: ServiceLevel::Promoted };
        let services = services.iter().map(|name| ((*name).to_owned(), promoted.clone())).collect();
        GuardedState {
            setup: None,
            route: None,
            watching: BTreeMap::new(),
            services,
            groups: BTreeMap::new(),
            grace: Duration::ZERO,
            watchdog: None,
        }
    }

    #[tokio::test]
    async fn what_stands_is_taken_down_as_koid_ran_it_last() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let host = Host::for_daemon(&config.node.state_dir);
        service(folder.path(), "10-web");
        service(folder.path(), "20-idle");
        let registry = Registry::new(host.clone(), config.services.workingdir.clone());
        let mut manifest = TeardownManifest::default();
        manifest.update(scan(&config, &registry, &BTreeMap::new(), None).kept);
        manifest.write(&host).unwrap();
        // Meanwhile one was broken, and another one begun of which koid has left no word.
        fs::write(folder.path().join("services/10-web/service.toml"), "handler = \"gone\"\n").unwrap();
        service(folder.path(), "30-new");

        let handlers = Handlers::default();
        let specs = known_services(&state(&["web", "new"]), &config, &handlers).await.unwrap();
        let seen: BTreeMap<&str, (Option<u8>, HookSet)> =
            specs.iter().map(|spec| (spec.name.as_str(), (spec.priority, spec.hooks))).collect();
        let hooks: HookSet = [Hook::Stop, Hook::Demote].into_iter().collect();
        assert_eq!((seen["web"], seen["new"]), ((Some(10), hooks), (Some(30), hooks)));
        assert!(specs.iter().all(|spec| spec.problem.is_none()), "{specs:?}");

        fs::remove_file(teardown_manifest::path(&host)).unwrap();
        let specs = known_services(&state(&["new"]), &config, &handlers).await.unwrap();
        assert!(
            specs.iter().any(|spec| spec.name == "new"),
            "without a word of koid the folder is looked at"
        );
    }
}
