//! What the guardian does when koid cannot: ends koid and its hooks, tells the others, takes services down.

use std::net::UdpSocket;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use koi_config::Config;
use koi_core::guard::Teardown;
use koi_core::io::{Effect, Input, ServiceSpec};
use koi_plugin_api::NewestEpoch;
use koi_plugin_host::{Host, Registry};
use tokio::sync::mpsc;

use super::words::{Route, Setup, Watching};
use super::{Cause, Ward};
use crate::cluster::Cluster;
use crate::details::Details;
use crate::hooks::{Groups, Handlers, HookCommand, HookExecutor, KillOnDrop};
use crate::services::look;
use crate::{pins, reload, settings, sys};

/// How long hooks of the dead daemon get between SIGTERM and SIGKILL.
const HOOKS_END: Duration = Duration::from_millis(200);
/// How often, and how many times, the last word is said: datagrams may get lost.
const LAST_WORD_EVERY: Duration = Duration::from_millis(30);
const LAST_WORDS: u32 = 10;

/// The configuration that koid sent.
pub(super) fn config(setup: &Setup) -> Option<Config> {
    koi_config::parse_toml(&setup.config, std::path::Path::new("/")).ok().map(|loaded| loaded.config)
}

/// Does all that is left to be done on this machine.
pub(super) fn take_down(mut ward: Ward, cause: Cause, daemon: i32) {
    match cause {
        Cause::Dead => tracing::error!("koid is dead: its guardian takes over"),
        Cause::Hangs => {
            tracing::error!("koid hangs, and its lease is over: its guardian ends it and takes over");
            sys::kill_parent(daemon);
        }
    }
    let route = ward.route.take();
    let herald = Herald::new(route.as_ref());
    herald.say_dead();
    end_hooks(&ward);
    if ward.watching == Watching::Frozen {
        ward.release_dog();
        tracing::warn!(
            "maintenance mode is on: services are left as they are; the next start of koid adopts them"
        );
        return;
    }
    let Some(config) = ward.setup.as_ref().and_then(|setup| config(setup)) else {
        tracing::error!("the guardian was never told where the services are: whatever runs goes on running");
        return;
    };
    let id = ward.setup.as_ref().map(|s| s.id.clone()).unwrap_or_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("the guardian cannot run hooks: {error}"),
    };
    let promoted = runtime.block_on(take_services_down(&mut ward, &config, &id, &herald));
    if !promoted {
        ward.services.clear();
        ward.release_dog();
    }
}

/// No hook outlives its daemon.
fn end_hooks(ward: &Ward) {
    for group in ward.groups.values() {
        sys::end_group(*group);
    }
    let begun = sys::now();
    while ward.groups.values().any(|g| sys::group_exists(*g)) && sys::now().since(begun) < HOOKS_END {
        std::thread::sleep(Duration::from_millis(5));
    }
    for group in ward.groups.values() {
        sys::kill_group(*group);
    }
}

/// Whether something is still promoted in the end.
async fn take_services_down(ward: &mut Ward, config: &Config, id: &str, herald: &Herald<'_>) -> bool {
    let handlers = Handlers::default();
    let Some(specs) = known_services(ward, config, &handlers).await else { return true };
    let (orders, wanted) = mpsc::unbounded_channel();
    let (cluster, mut ended) = Cluster::of_inputs();
    let groups = Groups::default();
    // Nobody tells a guardian of newer ones.
    let newest_epoch = NewestEpoch::default();
    let _kill = KillOnDrop(groups.clone());
    let identity = Arc::new(RwLock::new(reload::identity(config, id)));
    tokio::spawn(
        HookExecutor {
            orders: wanted,
            handlers,
            identity,
            groups,
            cluster,
            newest_epoch,
            details: Details::default(),
            guardian: None,
        }
        .run(),
    );
    let core_settings = settings::of(config);
    let mut down =
        Teardown::new(core_settings, specs, &ward.services, ward.grace_ends(), ward.epoch(), sys::now());
    let mut words_left = LAST_WORDS;
    loop {
        while let Some(effect) = down.poll_effect() {
            carry_out(effect, &orders);
        }
        if !down.promoted() {
            ward.services.clear();
        }
        ward.tend_dog();
        let free = !down.promoted() && words_left > 0;
        if free {
            herald.say_all_down();
            words_left -= 1;
        }
        if down.done() && (words_left == 0 || down.promoted()) {
            break;
        }
        let deadline = down.next_deadline(sys::now()).since(sys::now()).min(Duration::from_secs(3600));
        let mut pause = if free { LAST_WORD_EVERY.min(deadline) } else { deadline };
        if let Some(dog) = &ward.dog {
            pause = pause.min(dog.next().since(sys::now()));
        }
        let input = tokio::select! {
            Some(input) = ended.recv() => input,
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => Input::Tick,
        };
        down.handle(sys::now(), input);
    }
    match down.promoted() {
        false => tracing::info!("the guardian has taken everything down"),
        true => tracing::error!(
            "something promoted could not be stopped: nobody is promoted elsewhere until it is mended and koid started again, or \
             `koi confirm-down {}` said",
            config.node.name
        ),
    }
    down.promoted()
}

/// The services that stand, as koid ran them last: their handlers, whatever has become of the files since. What koid has left
/// no word of is looked for in the services folder. None: it is not known what there is to take down.
async fn known_services(ward: &Ward, config: &Config, handlers: &Handlers) -> Option<Vec<ServiceSpec>> {
    let host = Host::for_daemon(&config.node.state_dir);
    let mut kept = pins::read(&host).unwrap_or_else(|error| {
        tracing::error!("{} cannot be read: {error}", pins::path(&host).display());
        Default::default()
    });
    kept.retain(|name, _| ward.services.contains_key(name));
    handlers.update(kept.iter().map(|(name, kept)| (name.clone(), kept.runnable(&host))));
    let mut specs: Vec<ServiceSpec> = kept.iter().map(|(name, kept)| kept.spec(name)).collect();
    if ward.services.keys().all(|name| kept.contains_key(name)) {
        return Some(specs);
    }
    // Nothing is loaded for it: that might take long.
    let registry = Registry::new(host, config.services.workingdir.clone());
    let seen = match look(config, &registry, None) {
        Ok(seen) => seen,
        Err(error) => {
            tracing::error!("the guardian cannot take services down: {error}");
            return None;
        }
    };
    let is_new = |name: &str| !kept.contains_key(name);
    handlers.update(seen.runnables.into_iter().filter(|(name, _)| is_new(name)));
    specs.extend(seen.specs.into_iter().map(|(spec, _)| spec).filter(|spec| is_new(&spec.name)));
    Some(specs)
}

fn carry_out(effect: Effect, orders: &mpsc::UnboundedSender<HookCommand>) {
    match effect {
        // The runner ends only after this loop.
        Effect::RunHook(run) => drop(orders.send(HookCommand::Run(run))),
        Effect::AbortHook { run, now } => drop(orders.send(HookCommand::Abort { run, now })),
        Effect::Event(event) if !event.is_routine() => tracing::info!("{event}"),
        Effect::Event(_)
        | Effect::Send { .. }
        | Effect::Persist { .. }
        | Effect::Answer { .. }
        | Effect::Fence { .. }
        | Effect::CountUp { .. }
        | Effect::Finished => {}
    }
}

/// Says what was sealed beforehand.
struct Herald<'a> {
    route: Option<&'a Route>,
    sockets: [Option<UdpSocket>; 2],
}

impl<'a> Herald<'a> {
    fn new(route: Option<&'a Route>) -> Herald<'a> {
        Herald { route, sockets: [UdpSocket::bind("0.0.0.0:0").ok(), UdpSocket::bind("[::]:0").ok()] }
    }

    fn say_dead(&self) {
        for _ in 0..3 {
            self.say(|route| &route.dead);
        }
    }

    fn say_all_down(&self) {
        self.say(|route| &route.all_down);
    }

    fn say(&self, which: impl Fn(&Route) -> &Vec<u8>) {
        let Some(route) = self.route else { return };
        for address in route.addresses() {
            if let Some(socket) = &self.sockets[usize::from(address.is_ipv6())] {
                // What is lost costs the others a time-out.
                let _ = socket.send_to(which(route), address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use koi_core::guard::ServiceLevel;
    use koi_core::types::{Hook, HookSet};

    use super::*;
    use crate::pins::Pins;
    use crate::services::tests::config;

    fn service(folder: &Path, name: &str) {
        let home = folder.join("services").join(name);
        fs::create_dir_all(&home).unwrap();
        for hook in ["stop", "demote"] {
            fs::write(home.join(hook), "#!/bin/sh\n").unwrap();
            fs::set_permissions(home.join(hook), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn ward(services: &[&str]) -> Ward {
        let services = services.iter().map(|name| ((*name).to_owned(), ServiceLevel::Promoted)).collect();
        Ward {
            setup: None,
            route: None,
            watching: Watching::Nothing,
            services,
            groups: BTreeMap::new(),
            grace: Duration::ZERO,
            dog: None,
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
        let mut pins = Pins::default();
        pins.update(look(&config, &registry, None).unwrap().kept);
        pins.write(&host).unwrap();
        // Meanwhile one was broken, and another one begun of which koid has left no word.
        fs::write(folder.path().join("services/10-web/service.toml"), "handler = \"gone\"\n").unwrap();
        service(folder.path(), "30-new");

        let handlers = Handlers::default();
        let specs = known_services(&ward(&["web", "new"]), &config, &handlers).await.unwrap();
        let seen: BTreeMap<&str, (Option<u8>, HookSet)> =
            specs.iter().map(|spec| (spec.name.as_str(), (spec.priority, spec.hooks))).collect();
        let hooks: HookSet = [Hook::Stop, Hook::Demote].into_iter().collect();
        assert_eq!((seen["web"], seen["new"]), ((Some(10), hooks), (Some(30), hooks)));
        assert!(specs.iter().all(|spec| spec.problem.is_none()), "{specs:?}");

        fs::remove_file(pins::path(&host)).unwrap();
        let specs = known_services(&ward(&["new"]), &config, &handlers).await.unwrap();
        assert!(
            specs.iter().any(|spec| spec.name == "new"),
            "without a word of koid the folder is looked at"
        );
    }
}
