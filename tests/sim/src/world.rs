//! The world around the machines: time, the network, disks and hooks, in one queue of happenings. The same seed gives the same
//! world, to the bit.

mod absurd;
mod daemons;
mod disks;
mod effects;
mod fences;
mod looks;
mod network;
mod places;
mod queue;
mod recorder;
mod tempo;
mod versions;
mod writers;

use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, CommandId, Input, ServiceSpec};
use koi_core::message::{Body, Message};
use koi_core::policy::ServicePolicy;
use koi_core::settings::Settings;
use koi_core::types::Hook;

use crate::invariants::Invariants;
use crate::machine::{Clock, Machine, service, settings};
use crate::rng::Rng;

pub use effects::Trap;
pub use network::Network;
use queue::{Due, Happening};
pub use recorder::{Recorder, Seen};
pub use tempo::Tempo;
pub use versions::Lacks;
pub use writers::change;

/// A millisecond of the world's time, which is counted in µs.
pub const MS: u64 = 1000;

/// More happenings than this in one span are a storm: the longest span of a calm world has some ten thousand.
const STORM: u64 = 500_000;

/// How a world is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Machines that run services and vote.
    pub runners: usize,
    /// Machines that only vote.
    pub voters: usize,
    /// Services on each runner.
    pub services: usize,
    /// Machines beside them that are off at first, configured to vote; the first of them is a runner too.
    pub spares: usize,
    /// Groups beside `main`; the second of them is not on the first machine.
    pub groups: usize,
    /// Something is said of the places of groups (R15).
    pub placed: bool,
}

impl Shape {
    /// The machines that the cluster begins with.
    pub fn founders(self) -> usize {
        self.runners + self.voters
    }
}

/// The world.
pub struct World {
    /// Now, µs.
    pub now: u64,
    /// The machines: those that the cluster begins with, then the spares.
    pub machines: Vec<Machine>,
    /// How many the cluster begins with.
    pub founders: usize,
    /// The network.
    pub network: Network,
    /// What must hold.
    pub invariants: Invariants,
    /// What happened, for people.
    pub story: Vec<String>,
    rng: Rng,
    queue: BinaryHeap<Due>,
    counter: u64,
    commands: BTreeMap<CommandId, (GroupName, Command)>,
    /// Answers to commands.
    pub answers: BTreeMap<CommandId, Result<Answered, CommandError>>,
    /// A trap that waits.
    pub trap: Option<Trap>,
    /// What is promoted writes attributes.
    pub writers: bool,
    /// A daemon that ends in order is started again.
    pub revive: bool,
    /// Clocks run as they like, and that alone is not held against anybody.
    pub wild_clocks: bool,
    /// How long things take.
    pub tempo: Tempo,
    /// What daemons ask for is recorded here.
    pub recorder: Option<Recorder>,
    begun: BTreeMap<Hook, u64>,
    ended: BTreeMap<(usize, Hook), u64>,
    /// How many demote hooks have begun.
    pub demotes: u64,
    /// Devices that turn machines off, at work.
    devices: Vec<fences::Device>,
    /// Old datagrams that may come again.
    attic: Vec<(usize, Message)>,
}

impl World {
    /// A world in which no daemon runs yet.
    pub fn new(seed: u64, shape: Shape) -> World {
        let mut rng = Rng::new(seed);
        let total = shape.founders();
        let electors = u16::try_from(total).unwrap_or(u16::MAX);
        let machines = (0..total + shape.spares)
            .map(|index| {
                // Any two clocks differ by less than ρ = 1 %.
                let clock =
                    Clock { offset: rng.between(1, 1 << 40), ppm: rng.between(0, 9800) as i64 - 4900 };
                let runner = index < shape.runners || index == total;
                let mut folders = BTreeMap::from([(GroupName::MAIN, Vec::new())]);
                if runner {
                    folders.insert(GroupName::MAIN, folder(shape.services, seed));
                    folders.extend(groups(shape.groups, index, seed));
                }
                let mut settings = usual_settings(index, electors, runner);
                settings.groups = folders.keys().filter(|group| !group.is_main()).cloned().collect();
                if runner {
                    settings.placement = places::places(shape, seed, index);
                }
                Machine::new(index, clock, settings, folders)
            })
            .collect();
        World { machines, founders: total, ..World::empty(rng) }
    }

    /// A world in which nothing happens by chance, and everything that daemons ask for is recorded. It has no machines yet.
    pub fn told() -> World {
        let mut world = World::empty(Rng::new(0));
        (world.network.soonest, world.network.delay) = (MS, MS);
        (world.tempo, world.recorder) = (Tempo::Told, Some(Recorder::default()));
        world
    }

    fn empty(rng: Rng) -> World {
        World {
            now: 0,
            machines: Vec::new(),
            founders: 0,
            network: Network::default(),
            invariants: Invariants::default(),
            story: Vec::new(),
            rng,
            queue: BinaryHeap::new(),
            counter: 0,
            commands: BTreeMap::new(),
            answers: BTreeMap::new(),
            trap: None,
            writers: false,
            revive: false,
            wild_clocks: false,
            tempo: Tempo::Rough,
            recorder: None,
            begun: BTreeMap::new(),
            ended: BTreeMap::new(),
            demotes: 0,
            devices: Vec::new(),
            attic: Vec::new(),
        }
    }

    /// The world's source of numbers.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Notes a line of the story.
    pub fn tell(&mut self, line: impl AsRef<str>) {
        let line = self.line(line.as_ref());
        self.story.push(line);
    }

    fn line(&self, text: &str) -> String {
        format!("{:>12.3} ms  {text}", self.now as f64 / 1000.0)
    }

    fn later(&mut self, delay: u64, what: Happening) {
        self.counter += 1;
        self.queue.push(Due { at: self.now.saturating_add(delay), number: self.counter, what });
    }

    /// Lets `span` µs pass.
    pub fn run_for(&mut self, span: u64) {
        let end = self.now + span;
        let before = self.counter;
        while self.step(end) {
            assert!(self.counter - before < STORM, "a storm: {STORM} happenings within {} ms", span / MS);
        }
        self.now = end;
    }

    /// Lets the next thing happen, if it does not come after `end`; whether it did.
    pub fn step(&mut self, end: u64) -> bool {
        if self.queue.peek().is_none_or(|next| next.at > end) {
            return false;
        }
        let Some(due) = self.queue.pop() else { return false };
        self.now = self.now.max(due.at);
        self.happen(due.what);
        true
    }

    /// Lets time pass until `done`, at most `span` µs; whether it came true. Long spans are looked at less often: looking costs more than living.
    pub fn run_until(&mut self, span: u64, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + span;
        let step = (span / 200).clamp(50 * MS, 250 * MS);
        while self.now < end {
            if done(self) {
                return true;
            }
            self.run_for(step);
        }
        done(self)
    }

    fn happen(&mut self, what: Happening) {
        // What comes while a daemon hangs waits for it, in the kernel.
        if let Some(hangs) =
            what.machine().map(|m| self.machines[m].paused_until).filter(|until| *until > self.now)
        {
            return self.later(hangs - self.now, what);
        }
        match what {
            Happening::Deliver { to, message } => {
                let message = match self.machines[to].lacks {
                    Some(lacks) => lacks.reads(*message).map(Box::new),
                    None => Some(message),
                };
                let Some(message) = message else { return };
                if let (Body::Report(_), Some(_)) = (&message.body, &message.to) {
                    self.invariants.heard(to, message.from, message.session);
                }
                let input = Input::Received { message, source: None };
                self.input(to, input);
            }
            Happening::Synced { machine, life, number, durable } => {
                if self.machines[machine].life == life {
                    // States reach the disk in the order in which they were handed out.
                    let disk = &mut self.machines[machine].disk;
                    if (life, number) > disk.newest {
                        disk.newest = (life, number);
                        self.invariants.synced(disk.id, &durable);
                        disk.synced = Some(*durable);
                    }
                    self.input(machine, Input::Persisted { number });
                }
            }
            Happening::HookOver { machine, life, run, aborted } => {
                self.hook_over(machine, life, run, aborted)
            }
            Happening::Wake { machine, life } => {
                // An alarm that was set anew since is void.
                if self.machines[machine].life == life && self.machines[machine].wake <= self.now {
                    self.wake(machine);
                }
            }
            Happening::Writes { machine, life, group, epoch } => {
                self.go_on_writing(machine, life, group, epoch);
            }
            Happening::Boot { machine } => self.boot(machine),
            Happening::Sprung { machine, power: true } => {
                self.lose_power(machine);
                let delay = self.rng.between(5 * MS, 300 * MS);
                self.boot_later(machine, delay);
            }
            Happening::Sprung { machine, power: false } => {
                self.kill_daemon(machine);
                self.boot_later(machine, 20 * MS);
            }
            Happening::Tell { machine, life, input } if self.machines[machine].life == life => {
                self.input(machine, *input);
            }
            Happening::Tell { .. } => {}
            Happening::GuardianPart { machine, power, group, word } => {
                self.guardian_part(machine, power, &group, *word);
            }
            Happening::GuardianDone { machine, power, last } => self.guardian_done(machine, power, *last),
            Happening::FenceStrikes { by, id, target } => self.fence_strikes(by, id, target),
            Happening::FenceOver { by, life, id, outcome } => self.fence_over(by, life, id, outcome),
            Happening::GuardianChecks { machine, life } => {
                let m = &self.machines[machine];
                if m.life == life && m.paused_until > self.now {
                    self.tell(format!("m{machine}: the guardian finds the daemon hanging, and kills it"));
                    self.kill_daemon(machine);
                }
            }
        }
    }

    /// The story names the timer if anything that it tells came of it: most are heartbeats.
    fn wake(&mut self, machine: usize) {
        let timer = self.machines[machine].core.as_ref().and_then(koi_core::Node::next_timer);
        let told = self.story.len();
        self.input(machine, Input::Tick);
        if let (Some((timer, _)), true) = (timer, self.story.len() > told) {
            let line = self.line(&format!("m{machine}: timer {timer}"));
            self.story.insert(told, line);
        }
    }

    /// An operator says something to a node.
    pub fn command(&mut self, machine: usize, command: Command) -> CommandId {
        self.command_about(machine, GroupName::MAIN, command)
    }

    /// The same about another group than `main`.
    pub fn command_about(&mut self, machine: usize, group: GroupName, command: Command) -> CommandId {
        self.counter += 1;
        let id = CommandId(self.counter);
        let of = if group.is_main() { String::new() } else { format!(" of group {group}") };
        self.tell(format!("m{machine}: an operator says {command:?}{of}"));
        self.invariants.asked(&group, &command);
        self.commands.insert(id, (group.clone(), command.clone()));
        self.say(machine, Input::Command { id, group, command });
        id
    }

    /// A signal or an operator's word for a daemon.
    pub fn say(&mut self, machine: usize, input: Input) {
        let life = self.machines[machine].life;
        self.later(self.tempo.word(), Happening::Tell { machine, life, input: Box::new(input) });
    }
}

/// How machine `index` is configured. `electors`: how many vote.
pub fn usual_settings(index: usize, electors: u16, runner: bool) -> Settings {
    Settings { runner, fenced: true, ..settings(&format!("m{index}"), electors) }
}

/// The services of the groups beside `main` that a runner has.
fn groups(count: usize, machine: usize, seed: u64) -> BTreeMap<GroupName, Vec<ServiceSpec>> {
    let runs = |n: &usize| *n == 0 || machine > 0;
    let group = |n: usize| {
        // The other policies are for `main`.
        let mut specs = folder(1 + seed as usize / 64 % 2, 0);
        specs.iter_mut().for_each(|spec| spec.name = format!("g{n}{}", spec.name));
        (group_name(n), specs)
    };
    (0..count).filter(runs).map(group).collect()
}

/// What the groups beside `main` are called.
pub fn group_name(n: usize) -> GroupName {
    format!("g{n}").parse().expect("it is a name")
}

/// So many services: the last one is independent, the others have priorities. The first, which breaks now and then, is borne with for a while in
/// some worlds, not critical in others, and restarted in place in others.
fn folder(services: usize, seed: u64) -> Vec<ServiceSpec> {
    let policy = |n: usize| match (n, seed % 8) {
        (0, 1) => ServicePolicy {
            status_failures: 3,
            status_retry: Duration::from_millis(300),
            ..Default::default()
        },
        (0, 2) => ServicePolicy { critical: false, ..Default::default() },
        (0, 3 | 4) => ServicePolicy {
            restarts: 2,
            restart_window: Duration::from_secs(60),
            restart_timeout: Duration::from_secs(5),
            ..Default::default()
        },
        _ => ServicePolicy::default(),
    };
    let spec = |n: usize| ServiceSpec {
        policy: policy(n),
        priority: (n + 1 < services).then_some(n as u8 * 10),
        status_interval: Duration::from_secs(1),
        ..service(&format!("s{n}"))
    };
    (0..services).map(spec).collect()
}
