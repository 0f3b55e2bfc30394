//! One simulated machine: a disk, a clock, services, a daemon that runs the real core, and its guardian.

mod clock;
mod defaults;
mod disk;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use koi_core::Node;
use koi_core::group::GroupName;
use koi_core::io::{Boot, HookEnd, HookRun, RunId, ServiceSpec};
use koi_core::settings::Settings;
use koi_core::types::{NodeId, Session, Time};

use crate::world::Lacks;

pub use clock::Clock;
pub use defaults::{service, settings};
pub use disk::{Disk, DiskFault};
pub use service::{Heard, Real, Whim};

/// One simulated machine.
#[derive(Debug)]
pub struct Machine {
    /// Its number; also its name.
    pub index: usize,
    /// Its clock.
    pub clock: Clock,
    /// Its disk.
    pub disk: Disk,
    /// The running daemon's brain.
    pub core: Option<Node>,
    /// Grows with each crash: what was under way for an earlier one is void.
    pub life: u64,
    /// Grows when the power is lost: a guardian that was at work is gone too.
    pub power: u64,
    /// The guardian of an earlier run is still taking services down: the daemon waits for it before it looks at them.
    pub guarded: bool,
    /// The power was lost since the daemon was started last.
    pub rebooted: bool,
    /// How long its disk takes to write, µs at most.
    pub disk_delay: u64,
    /// The run before, until its guardian is known to be gone.
    pub earlier: Option<Session>,
    /// The daemon does not run until this instant of the world.
    pub paused_until: u64,
    /// When the core wants to be woken next, on its clock.
    pub alarm: Time,
    /// The same in the time of the world.
    pub wake: u64,
    /// Hooks under way.
    pub hooks: BTreeMap<RunId, HookRun>,
    /// It runs the next version of koi.
    pub newer: bool,
    /// It runs an older koi, which lacks this.
    pub lacks: Option<Lacks>,
    /// An abort does not end its hooks; only a kill does.
    pub stubborn: bool,
    /// What the folder of each group shows.
    pub folders: BTreeMap<GroupName, Vec<ServiceSpec>>,
    /// Its services as they really are, whatever the folders show. No two of a machine have one name.
    pub services: BTreeMap<String, Real>,
    /// How it is configured.
    pub settings: Settings,
    /// The nodes that its configuration can turn off; a koi that knows no groups does not read that.
    pub fences: BTreeMap<String, Duration>,
}

impl Machine {
    /// A machine that was never started.
    pub fn new(
        index: usize,
        clock: Clock,
        settings: Settings,
        folders: BTreeMap<GroupName, Vec<ServiceSpec>>,
    ) -> Machine {
        let real = |(group, specs): (&GroupName, &Vec<ServiceSpec>)| {
            let group = group.clone();
            let named = specs.iter().map(|spec| spec.name.clone()).collect::<Vec<_>>();
            named.into_iter().map(move |name| (name, Real::of(group.clone())))
        };
        Machine {
            index,
            clock,
            disk: Disk::default(),
            core: None,
            life: 0,
            power: 0,
            guarded: false,
            rebooted: false,
            disk_delay: 5000,
            earlier: None,
            newer: false,
            lacks: None,
            paused_until: 0,
            alarm: Time(0),
            wake: 0,
            hooks: BTreeMap::new(),
            stubborn: false,
            services: folders.iter().flat_map(real).collect(),
            folders,
            settings,
            fences: BTreeMap::new(),
        }
    }

    /// It can turn these nodes off, if its koi knows how.
    pub fn configure_fences(&mut self, fences: BTreeMap<String, Duration>) {
        self.settings.fences =
            if self.lacks == Some(Lacks::Groups) { BTreeMap::new() } else { fences.clone() };
        self.fences = fences;
    }

    /// The run before this one, if it was one of this machine.
    pub fn earlier_run(&self) -> Option<Session> {
        self.disk.last_run.filter(|(_, machine)| *machine == self.index).map(|(session, _)| session)
    }

    /// Starts the daemon.
    pub fn boot(&mut self, world: u64, random: u64) {
        let now = self.clock.at(world);
        self.life += 1;
        self.wake = 0;
        self.disk.starts += 1;
        let id = *self.disk.id.get_or_insert(NodeId((u128::from(random) << 64) | self.index as u128));
        let session = Session { count: self.disk.starts, random };
        self.disk.last_run = Some((session, self.index));
        let mut durable = self.disk.synced.clone();
        // Nothing of what ran before the power was lost is promoted any more.
        let rebooted = std::mem::take(&mut self.rebooted);
        if let Some(durable) = durable.as_mut().filter(|_| rebooted) {
            durable.clear_marks();
        }
        let boot = Boot { id, session, durable, damaged: false, now };
        self.core = Some(Node::new(self.settings.clone(), boot));
    }

    /// It runs a koi that knows no groups, or one that does. Its daemon does not run.
    pub fn set_groupless(&mut self, groupless: bool) {
        self.set_lacks(groupless.then_some(Lacks::Groups));
    }

    /// The same of whatever an older koi lacks.
    pub fn set_lacks(&mut self, lacks: Option<Lacks>) {
        self.lacks = lacks;
        let groupless = lacks == Some(Lacks::Groups);
        let groups = self.folders.keys().filter(|group| !group.is_main() && !groupless);
        self.settings.groups = groups.cloned().collect();
        self.configure_fences(self.fences.clone());
    }

    /// Something is promoted here.
    pub fn promoted(&self) -> bool {
        self.services.values().any(|s| s.promoted)
    }

    /// Something of this group is promoted here.
    pub fn promotes(&self, group: &GroupName) -> bool {
        self.services.values().any(|s| s.promoted && s.group == *group)
    }

    /// Everything on the machine stops at once.
    pub fn lose_power(&mut self) {
        self.kill_daemon();
        self.rebooted = true;
        self.power += 1;
        self.guarded = false;
        self.services.values_mut().for_each(|s| (s.promoted, s.started) = (false, false));
    }

    /// The daemon and its hooks end; the services run on, and are the guardian's.
    pub fn kill_daemon(&mut self) {
        self.core = None;
        self.life += 1;
        self.paused_until = 0;
        self.hooks.clear();
    }

    /// The guardian takes down what can be taken down.
    pub fn take_down(&mut self) {
        let groups: Vec<GroupName> = self.folders.keys().cloned().collect();
        groups.iter().for_each(|group| self.take_down_group(group));
    }

    /// The guardian takes down what can be taken down of this group.
    pub fn take_down_group(&mut self, group: &GroupName) {
        for service in self.services.values_mut().filter(|s| !s.stuck && s.group == *group) {
            (service.promoted, service.started) = (false, false);
        }
    }

    /// A hook begins: what it does to the service is done at once, or, going down, at its end.
    pub(crate) fn hook_begins(&mut self, run: &HookRun) {
        if let Some(service) = self.services.get_mut(&run.service) {
            service.begins(run);
        }
        self.hooks.insert(run.run, run.clone());
    }

    /// The hook goes on until a story ends it.
    pub(crate) fn is_slow(&self, run: &HookRun) -> bool {
        self.services.get(&run.service).is_some_and(|s| s.slow.has(run.hook))
    }

    /// How a hook ends by itself. `dice`: what chance decides.
    pub(crate) fn ending(&mut self, run: &HookRun, dice: u64) -> HookEnd {
        self.services.get_mut(&run.service).map_or(HookEnd::Done, |s| s.ending(run.hook, dice))
    }

    /// A hook has ended.
    pub(crate) fn hook_ended(&mut self, run: &HookRun, end: &HookEnd) {
        self.hooks.remove(&run.run);
        if let Some(service) = self.services.get_mut(&run.service) {
            service.ended(run, end);
        }
    }
}
