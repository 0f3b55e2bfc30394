//! The cluster: its machines, its time, and what befalls it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use koi_core::group::GroupName;
use koi_core::io::{Destination, HookEnd, Input, ServiceSpec};
use koi_core::message::{Body, Message, Obituary};
use koi_core::settings::Settings;
use koi_core::types::{Hook, NodeId};

use super::{service, settings};
use crate::machine::{Clock, Machine, Real};
use crate::world::{MS, Seen, World};

/// The cluster of a story. Whatever it does at once is done when a method returns, and every invariant is looked at then.
pub struct Cluster {
    pub(super) world: World,
    /// Two masters are what this story is about.
    pub split_brain_expected: bool,
}

impl Deref for Cluster {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Cluster {
    /// Machines `a`, `b`, `c`… that all vote and run the service `web`; none of them is started.
    pub fn off(size: usize) -> Cluster {
        let electors = u16::try_from(size).expect("a small cluster");
        let mut cluster = Cluster { world: World::told(), split_brain_expected: false };
        for n in 0..size {
            let name = char::from(b'a' + n as u8).to_string();
            cluster.add(n as u64 + 1, settings(&name, electors), &[service("web")]);
        }
        cluster
    }

    /// The same, started, with a leader and a master.
    pub fn with_master(size: usize) -> Cluster {
        let mut cluster = Cluster::off(size);
        cluster.start_all();
        cluster.run_until(10_000, "a first master", |c| c.master().is_some());
        cluster.run(500);
        cluster
    }

    /// The same, with a master that is not the leader: leader and master.
    pub fn apart(size: usize) -> (Cluster, usize, usize) {
        let mut cluster = Cluster::with_master(size);
        let leader = cluster.leader().expect("someone leads");
        let master = (leader + 1) % size;
        cluster.promote(&cluster.name(master)).expect("it is done");
        cluster.run_until(2000, "the new master", |c| c.master() == Some(master));
        cluster.run(1000);
        (cluster, leader, master)
    }

    /// One more machine, with this id, which is not started.
    pub fn add(&mut self, id: u64, settings: Settings, services: &[ServiceSpec]) {
        let m = self.machines.len();
        // Clocks do not agree on what time it is.
        let clock = Clock { offset: 1000 * MS + id * 7_777_777, ppm: 0 };
        let mut machine = Machine::new(m, clock, settings, BTreeMap::new());
        (machine.disk.id, machine.disk_delay) = (Some(NodeId(id.into())), 0);
        self.machines.push(machine);
        self.recorder().machines.push(Seen::default());
        self.folder(m, services);
    }

    /// Starts every daemon.
    pub fn start_all(&mut self) {
        (0..self.machines.len()).for_each(|m| self.start(m));
    }

    /// Starts a daemon; its services folder is read at once.
    pub fn start(&mut self, m: usize) {
        self.world.boot(m);
        self.settle();
    }

    // --- time ---

    /// Lets so many milliseconds pass.
    pub fn run(&mut self, span_ms: u64) {
        let end = self.now + span_ms * MS;
        while self.now < end {
            let span = (end - self.now).min(1000 * MS);
            self.world.run_for(span);
            self.settle();
        }
    }

    /// Lets time pass until it is so; panics if it is not within `span_ms`. How many milliseconds that took.
    pub fn run_until(&mut self, span_ms: u64, what: &str, so: impl Fn(&Cluster) -> bool) -> u64 {
        let (began, end) = (self.now, self.now + span_ms * MS);
        while !so(self) {
            assert!(self.world.step(end), "{what}: not within {span_ms} ms\n{}", self.story());
            self.settle();
        }
        (self.now - began) / MS
    }

    /// Whatever is to happen at this instant happens.
    pub(super) fn settle(&mut self) {
        self.world.run_for(0);
        let split = self.split_brain_expected;
        let violations = &self.world.invariants.violations;
        let violation = violations.iter().find(|v| !split || !v.starts_with("two masters"));
        assert!(violation.is_none(), "{violation:?}\n{}", self.story());
    }

    /// A daemon is given this now.
    pub fn input(&mut self, m: usize, input: Input) {
        self.world.input(m, input);
        self.settle();
    }

    // --- services ---

    /// The services folder has changed.
    pub fn folder(&mut self, m: usize, services: &[ServiceSpec]) {
        self.group_folder(m, &GroupName::MAIN, services);
    }

    /// The folder of a group has changed.
    pub fn group_folder(&mut self, m: usize, group: &GroupName, services: &[ServiceSpec]) {
        services.iter().for_each(|spec| self.real(m, &spec.name).group = group.clone());
        self.machines[m].folders.insert(group.clone(), services.to_vec());
        self.input(m, Input::Services { group: group.clone(), specs: services.to_vec() });
    }

    /// A service as it really is.
    fn real(&mut self, m: usize, service: &str) -> &mut Real {
        self.machines[m].services.entry(service.to_owned()).or_insert_with(Real::content)
    }

    /// From now on this hook ends when the story says so.
    pub fn slow(&mut self, m: usize, service: &str, hook: Hook) {
        let real = self.real(m, service);
        real.slow = real.slow.with(hook);
    }

    /// From now on this hook ends so.
    pub fn ending(&mut self, m: usize, service: &str, hook: Hook, end: HookEnd) {
        self.real(m, service).endings.insert(hook, end);
    }

    /// A slow hook ends now.
    pub fn finish(&mut self, m: usize, service: &str, hook: Hook, end: HookEnd) {
        let found = self.machines[m].hooks.values().find(|r| r.service == service && r.hook == hook).cloned();
        let run =
            found.unwrap_or_else(|| panic!("{service}.{} does not run\n{}", hook.as_str(), self.story()));
        self.world.end_hook(m, &run, end);
        self.settle();
    }

    // --- faults ---

    /// Nothing passes from one to the other.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.network.cut.push((from, to));
    }

    /// The daemon dies; what it started runs on. The guardian says so if `all_down` is given.
    pub fn kill_daemon(&mut self, m: usize, all_down: Option<bool>) {
        if all_down == Some(true) {
            self.machines[m].take_down();
        }
        if let Some(all_down) = all_down {
            self.obituary(m, all_down);
        }
        self.machines[m].kill_daemon();
    }

    /// The guardian of a machine speaks.
    pub fn obituary(&mut self, m: usize, all_down: bool) {
        self.say(m, Body::Obituary(Obituary { all_down, ..Obituary::default() }));
    }

    /// The guardian of a machine says that this group is down there.
    pub fn obituary_of(&mut self, m: usize, group: &GroupName) {
        let down = [group.clone()].into();
        self.say(m, Body::Obituary(Obituary { all_down: false, down }));
    }

    /// A datagram in the name of a machine's last run.
    pub fn say(&mut self, m: usize, body: Body) {
        let (session, _) = self.machines[m].disk.last_run.expect("it has run");
        let message = Message { from: self.id(m), session, seq: u64::MAX, to: None, body };
        self.world.send(m, Destination::Everyone, message);
    }

    /// The disk is replaced by an empty one: the machine has a new identity.
    pub fn wipe(&mut self, m: usize) {
        let id = self.id(m);
        self.world.wipe(m);
        self.machines[m].disk.id = Some(NodeId(id.0 + 1000));
    }

    /// The disk works again.
    pub fn mend_disk(&mut self, m: usize) {
        self.world.mend_disk(m);
        self.settle();
    }

    /// SIGTERM.
    pub fn shut_down(&mut self, m: usize) {
        self.input(m, Input::Shutdown);
    }
}
