//! The world around the machines: time, the network, disks and hooks, in one queue of happenings. The same seed gives the same
//! world, to the bit.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use koi_core::concern::Concern;
use koi_core::event::Event;
use koi_core::guard::Watch;
use koi_core::io::{
    Answered, Command, CommandId, Destination, Effect, HookEnd, HookRun, Input, Refusal, RunId,
};
use koi_core::message::{Body, Message, Obituary, Recipient};
use koi_core::record::Durable;
use koi_core::types::{Hook, NodeState};

use crate::invariants::Invariants;
use crate::machine::{Clock, Machine, Whim, settings};
use crate::rng::Rng;
use crate::versions;

/// A millisecond of the world's time, which is counted in µs.
pub const MS: u64 = 1000;

/// More happenings than this in one span are a storm: the longest span of a calm world has some ten thousand.
const STORM: u64 = 500_000;

/// Old datagrams that are kept.
const ATTIC: usize = 4096;

/// What the network does to a datagram.
#[derive(Clone, Debug)]
pub struct Network {
    /// Percent of datagrams that are lost.
    pub loss: u64,
    /// Percent that arrive twice.
    pub duplicates: u64,
    /// The longest delay, µs.
    pub delay: u64,
    /// From whom to whom everything takes so much longer, µs.
    pub slow: Vec<(usize, usize, u64)>,
    /// From whom to whom nothing passes.
    pub cut: Vec<(usize, usize)>,
}

/// What a trap waits for: at that very moment the machine loses its power, or its daemon dies. Most of what must be on disk
/// first is only missed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A vote leaves.
    Vote,
    /// A heartbeat is acknowledged.
    Acknowledgement,
    /// A promote hook begins.
    Promote,
    /// A demote hook begins.
    Demote,
    /// An operator's command is answered.
    Answer,
}

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
}

impl Shape {
    /// The machines that the cluster begins with.
    pub fn founders(self) -> usize {
        self.runners + self.voters
    }
}

enum Happening {
    Deliver {
        to: usize,
        message: Box<Message>,
    },
    Synced {
        machine: usize,
        life: u64,
        number: u64,
        durable: Box<Durable>,
    },
    HookOver {
        machine: usize,
        life: u64,
        run: RunId,
        aborted: bool,
    },
    Wake {
        machine: usize,
        life: u64,
    },
    Boot {
        machine: usize,
    },
    /// A signal or an operator's word.
    Tell {
        machine: usize,
        input: Box<Input>,
    },
    /// A trap has sprung.
    Sprung {
        machine: usize,
        power: bool,
    },
    /// The guardian has taken everything down.
    GuardianDone {
        machine: usize,
        power: u64,
        last: Box<Message>,
    },
    /// The guardian finds that the daemon hangs past the lease.
    GuardianChecks {
        machine: usize,
        life: u64,
    },
}

impl Happening {
    /// The machine whose daemon must run for this.
    fn machine(&self) -> Option<usize> {
        match self {
            Happening::Deliver { to: machine, .. }
            | Happening::Synced { machine, .. }
            | Happening::HookOver { machine, .. }
            | Happening::Wake { machine, .. }
            | Happening::Tell { machine, .. } => Some(*machine),
            Happening::Sprung { .. }
            | Happening::Boot { .. }
            | Happening::GuardianDone { .. }
            | Happening::GuardianChecks { .. } => None,
        }
    }
}

/// A happening in the queue: the first comes first, and of one instant what was said first.
struct Due {
    at: u64,
    number: u64,
    what: Happening,
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

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
    commands: BTreeMap<CommandId, Command>,
    /// Answers to commands that have not been looked at.
    pub answers: Vec<(Command, Result<Answered, Refusal>)>,
    /// A trap that waits.
    pub trap: Option<Trap>,
    /// A daemon that ends in order is started again.
    pub revive: bool,
    /// Clocks run as they like, and that alone is not held against anybody.
    pub wild_clocks: bool,
    /// Every hook is quick.
    pub smooth: bool,
    begun: BTreeMap<Hook, u64>,
    ended: BTreeMap<(usize, Hook), u64>,
    /// How many demote hooks have begun.
    pub demotes: u64,
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
                Machine::new(
                    index,
                    clock,
                    settings(index, electors, true, index < shape.runners || index == total),
                    shape.services,
                )
            })
            .collect();
        World {
            now: 0,
            machines,
            founders: total,
            network: Network { loss: 0, duplicates: 0, delay: 2 * MS, slow: Vec::new(), cut: Vec::new() },
            invariants: Invariants::default(),
            story: Vec::new(),
            rng,
            queue: BinaryHeap::new(),
            counter: 0,
            commands: BTreeMap::new(),
            answers: Vec::new(),
            trap: None,
            revive: false,
            wild_clocks: false,
            smooth: false,
            begun: BTreeMap::new(),
            ended: BTreeMap::new(),
            demotes: 0,
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
        while self.queue.peek().is_some_and(|next| next.at <= end) {
            assert!(self.counter - before < STORM, "a storm: {STORM} happenings within {} ms", span / MS);
            let Some(due) = self.queue.pop() else { break };
            self.now = self.now.max(due.at);
            self.happen(due.what);
        }
        self.now = end;
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
                let input = Input::Received { message, source: None };
                self.input(to, input);
            }
            Happening::Synced { machine, life, number, durable } => {
                if self.machines[machine].life == life {
                    // States reach the disk in the order in which they were handed out.
                    let disk = &mut self.machines[machine].disk;
                    if (life, number) > disk.newest {
                        disk.newest = (life, number);
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
            Happening::Tell { machine, input } => self.input(machine, *input),
            Happening::GuardianDone { machine, power, last } => self.guardian_done(machine, power, *last),
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

    fn hook_over(&mut self, machine: usize, life: u64, run: RunId, aborted: bool) {
        let dice = self.rng.draw();
        let m = &mut self.machines[machine];
        let Some(hook) = m.hooks.get(&run).cloned().filter(|_| m.life == life) else { return };
        let ended = if aborted {
            m.hooks.remove(&run);
            HookEnd::Aborted
        } else {
            m.hook_ends(&hook, dice)
        };
        self.ended.insert((machine, hook.hook), self.now);
        self.tell(format!("m{machine}: {} {} ended: {ended:?}", hook.service, hook.hook.as_str()));
        self.input(machine, Input::HookFinished { run, ended });
    }

    fn input(&mut self, machine: usize, input: Input) {
        let (now, m) = (self.now, &mut self.machines[machine]);
        if m.core.is_none() {
            return;
        }
        debug_assert!(m.paused_until <= now, "a paused daemon was given something");
        let local = m.clock.at(now);
        if let Some(core) = &mut m.core {
            core.handle(local, input);
        }
        self.drain(machine);
    }

    fn drain(&mut self, machine: usize) {
        while let Some(effect) = self.machines[machine].core.as_mut().and_then(|c| c.poll_effect()) {
            self.effect(machine, effect);
        }
        let (now, m) = (self.now, &self.machines[machine]);
        if let Some(core) = &m.core {
            if core.next_deadline() == m.alarm && m.wake > now {
                return;
            }
            let (life, alarm) = (m.life, core.next_deadline());
            let at = m.clock.world(alarm);
            let late = core.next_deadline() <= m.clock.at(now);
            assert!(!late, "m{machine} wants to wake in the past: {core:?}");
            (self.machines[machine].alarm, self.machines[machine].wake) = (alarm, at);
            if at != u64::MAX {
                self.later(at.saturating_sub(now).max(1), Happening::Wake { machine, life });
            }
        }
    }

    fn spring(&mut self, machine: usize, effect: &Effect) {
        let seen = match effect {
            Effect::Send { message, .. } => match &message.body {
                Body::Vote(vote) if vote.granted => Trap::Vote,
                Body::Report(report) if report.acknowledged.is_some() => Trap::Acknowledgement,
                _ => return,
            },
            Effect::RunHook(run) if run.hook == Hook::Promote => Trap::Promote,
            Effect::RunHook(run) if run.hook == Hook::Demote => Trap::Demote,
            Effect::Answer { .. } => Trap::Answer,
            _ => return,
        };
        if self.trap == Some(seen) {
            self.trap = None;
            self.tell(format!("m{machine}: a trap springs at its {seen:?}"));
            let (delay, power) = (self.rng.between(0, 2 * MS), self.rng.percent(50));
            self.later(delay, Happening::Sprung { machine, power });
        }
    }

    fn effect(&mut self, machine: usize, effect: Effect) {
        self.spring(machine, &effect);
        match effect {
            Effect::Send { to, message } => self.send(machine, to, *message),
            Effect::Persist { number, durable } => {
                let m = &self.machines[machine];
                let (life, longest) = (m.life, m.disk_delay);
                if m.disk.full {
                    self.machines[machine].disk.refused = Some((life, number, durable));
                    let input = Box::new(Input::NotPersisted("full".to_owned()));
                    // Before any later word of this disk.
                    return self.later(MS / 10, Happening::Tell { machine, input });
                }
                let delay = self.rng.between(MS / 10, longest);
                self.later(delay, Happening::Synced { machine, life, number, durable });
            }
            Effect::RunHook(run) => self.run_hook(machine, *run),
            Effect::AbortHook { run, .. } => {
                let life = self.machines[machine].life;
                let delay = self.rng.between(0, 20 * MS);
                self.later(delay, Happening::HookOver { machine, life, run, aborted: true });
            }
            Effect::Answer { id, result } => {
                if let Some(command) = self.commands.remove(&id) {
                    self.tell(format!("m{machine}: {command:?} is answered {result:?}"));
                    self.invariants.answered(&command, &result);
                    self.answers.push((command, result));
                }
            }
            Effect::Event(event) => {
                if let Event::LeadershipGained { term, .. } = event {
                    self.invariants.elected(self.now, machine, self.machines[machine].life, term);
                }
                if !event.is_routine() {
                    self.tell(format!("m{machine}: {event}"));
                }
            }
            Effect::Fence { reason } => {
                self.tell(format!("m{machine}: the fence acts: {reason}"));
                self.later(0, Happening::Sprung { machine, power: true });
            }
            Effect::CountUp { beyond } => {
                self.tell(format!("m{machine}: its state was restored, it begins again after run {beyond}"));
                let m = &mut self.machines[machine];
                m.kill_daemon();
                m.disk.starts = m.disk.starts.max(beyond);
                m.disk.synced = m.disk.synced.take().map(|durable| durable.after_restore());
                self.boot_later(machine, MS);
            }
            Effect::Finished => {
                self.tell(format!("m{machine}: the daemon ends"));
                self.machines[machine].kill_daemon();
                if self.revive {
                    self.boot_later(machine, 100 * MS);
                }
            }
        }
    }

    fn run_hook(&mut self, machine: usize, run: HookRun) {
        if run.hook != Hook::Status {
            self.tell(format!(
                "m{machine}: {} {} begins, epoch {}",
                run.service,
                run.hook.as_str(),
                run.epoch.0
            ));
        }
        self.machines[machine].hook_begins(&run);
        self.invariants.hook_began(self.now, machine, &run, &self.machines);
        self.demotes += u64::from(run.hook == Hook::Demote);
        self.begun.insert(run.hook, self.now);
        let took = match run.hook {
            _ if self.smooth => self.rng.between(MS, 20 * MS),
            // All demotes in a row are over within the grace, and may need most of it.
            Hook::Demote => {
                let rows = self.machines[machine].services.len().saturating_sub(1).max(1) as u64;
                self.rng.between(MS, 850 * MS / rows)
            }
            Hook::Promote | Hook::Start if self.rng.percent(5) => self.rng.between(MS, 3000 * MS),
            // A script that hangs: a slow disk, a lock.
            Hook::Status | Hook::Promote | Hook::Start if self.rng.percent(1) => 20_000 * MS,
            _ => self.rng.between(MS, 50 * MS),
        };
        let life = self.machines[machine].life;
        self.later(took, Happening::HookOver { machine, life, run: run.run, aborted: false });
    }

    fn send(&mut self, from: usize, to: Destination, message: Message) {
        for target in 0..self.machines.len() {
            let id = self.machines[target].core.as_ref().map(koi_core::Node::id);
            let meant = match to {
                Destination::Everyone => true,
                Destination::Node(node) => id == Some(node),
            };
            if target == from || !meant {
                continue;
            }
            if self.rng.percent(2) || matches!(message.body, Body::Resign(_)) {
                // The oldest give way by turns: what an earlier run was told comes again too.
                let at = (self.rng.draw() % ATTIC as u64) as usize;
                match self.attic.get_mut(at) {
                    Some(kept) => *kept = (target, message.clone()),
                    None => self.attic.push((target, message.clone())),
                }
            }
            self.transmit(from, target, &message);
        }
    }

    fn transmit(&mut self, from: usize, to: usize, message: &Message) {
        if self.network.cut.contains(&(from, to)) || self.rng.percent(self.network.loss) {
            return;
        }
        let older = self.machines[from].newer && !self.machines[to].newer;
        let copies = 1 + u64::from(self.rng.percent(self.network.duplicates));
        for _ in 0..copies {
            let slow =
                self.network.slow.iter().find(|(a, b, _)| (*a, *b) == (from, to)).map_or(0, |(_, _, d)| *d);
            let delay = slow + self.rng.between(50, self.network.delay.max(51));
            let copy = if older { versions::as_read_by_an_older(message) } else { message.clone() };
            self.later(delay, Happening::Deliver { to, message: Box::new(copy) });
        }
    }

    // --- what befalls machines ---

    /// Starts a daemon, if none runs.
    pub fn boot(&mut self, machine: usize) {
        if self.machines[machine].core.is_some() {
            return;
        }
        if self.machines[machine].disk.full {
            // Better no daemon than one that forgets; whoever restarts it tries again.
            return self.boot_later(machine, 1000 * MS);
        }
        let random = self.rng.draw();
        let now = self.now;
        let earlier = self.machines[machine].earlier_run();
        // After a reboot the machine's own number shows that it is the same one; not every machine has one.
        let rebooted = self.machines[machine].rebooted;
        let same = !rebooted || self.rng.percent(80);
        self.machines[machine].paused_until = 0;
        self.machines[machine].boot(now, random);
        self.machines[machine].earlier = earlier.filter(|_| same);
        self.tell(format!("m{machine}: the daemon starts"));
        if !self.machines[machine].guarded {
            self.look_at_services(machine);
        }
    }

    /// The guardian of the run before is gone: that run is over, and the services are looked at.
    fn look_at_services(&mut self, machine: usize) {
        if let Some(earlier) = self.machines[machine].earlier.take() {
            self.say(machine, Input::Follows(earlier));
        }
        let specs = self.machines[machine].specs();
        self.say(machine, Input::Services(specs));
    }

    /// Starts a daemon after a while.
    pub fn boot_later(&mut self, machine: usize, delay: u64) {
        self.later(delay, Happening::Boot { machine });
    }

    /// SIGKILL for the daemon: its guardian says so, takes the services down, and says when that is done.
    pub fn kill_daemon(&mut self, machine: usize) {
        let Some(core) = &self.machines[machine].core else { return };
        let (from, session) = (core.id(), core.session());
        // The grace is one absolute deadline, whoever does the work.
        let m = &self.machines[machine];
        let must_end = match core.watch() {
            Watch::Lease { ends, .. } => m.clock.world(ends + m.settings.demote_grace),
            Watch::Demoting { by, .. } => m.clock.world(by),
            Watch::Nothing | Watch::Frozen => u64::MAX,
        };
        let frozen = core.watch() == Watch::Frozen;
        self.tell(format!("m{machine}: the daemon is killed"));
        self.machines[machine].kill_daemon();
        let obituary = |all_down| Message {
            from,
            session,
            seq: (1 << 63) + u64::from(all_down),
            to: None,
            body: Body::Obituary(Obituary { all_down }),
        };
        self.send(machine, Destination::Everyone, obituary(false));
        let took = self.rng.between(MS, 700 * MS).min(must_end.saturating_sub(self.now));
        if frozen {
            return; // in maintenance it leaves everything as it is
        }
        if std::mem::replace(&mut self.machines[machine].guarded, true) {
            return; // the earlier guardian is still at it
        }
        let power = self.machines[machine].power;
        self.later(took, Happening::GuardianDone { machine, power, last: Box::new(obituary(true)) });
    }

    fn guardian_done(&mut self, machine: usize, power: u64, last: Message) {
        if self.machines[machine].power != power {
            return;
        }
        self.machines[machine].guarded = false;
        for service in self.machines[machine].services.values_mut().filter(|s| !s.stuck) {
            (service.promoted, service.started) = (false, false);
        }
        if self.machines[machine].promoted() {
            self.tell(format!("m{machine}: the guardian cannot take everything down: the fence acts"));
            self.lose_power(machine);
            self.boot_later(machine, 300 * MS);
        } else {
            self.tell(format!("m{machine}: the guardian has taken everything down"));
            self.send(machine, Destination::Everyone, last);
        }
        if self.machines[machine].core.is_some() {
            self.look_at_services(machine);
        }
    }

    /// The machine loses its power.
    pub fn lose_power(&mut self, machine: usize) {
        self.tell(format!("m{machine}: power is lost"));
        self.machines[machine].lose_power();
    }

    /// SIGSTOP for `span` µs; the guardian lets that last no longer than the lease.
    pub fn pause(&mut self, machine: usize, span: u64) {
        let now = self.now;
        let m = &self.machines[machine];
        let Some(core) = &m.core else { return };
        let lease = core.view(m.clock.at(now)).lease;
        let life = m.life;
        self.tell(format!("m{machine}: the daemon hangs for {} ms", span / MS));
        self.machines[machine].paused_until = now + span;
        if let Some(lease) = lease {
            let left = u64::try_from(lease.as_micros()).unwrap_or(u64::MAX);
            self.later(left.saturating_add(1), Happening::GuardianChecks { machine, life });
        }
        self.later(span, Happening::Wake { machine, life });
    }

    /// The disk of a machine without a running daemon is wiped.
    pub fn wipe(&mut self, machine: usize) {
        if self.machines[machine].core.is_none() {
            self.tell(format!("m{machine}: the disk is wiped"));
            self.machines[machine].disk = crate::machine::Disk::default();
        }
    }

    /// The state folder of one machine is copied to another, which never ran: the same id, and all that it had voted and acknowledged.
    pub fn clone_disk(&mut self, from: usize, to: usize) {
        self.tell(format!("m{to} is given a copy of m{from}'s disk"));
        let disk = self.machines[from].disk.clone();
        let name = self.machines[from].settings.name.clone();
        let copy = &mut self.machines[to];
        copy.disk = crate::machine::Disk { newest: (0, 0), full: false, refused: None, ..disk };
        copy.settings.name = name;
    }

    /// The state folder of a machine that is off is what a backup has.
    pub fn restore(&mut self, machine: usize, backup: crate::machine::Disk) {
        if self.machines[machine].core.is_none() {
            self.tell(format!("m{machine}: its disk is restored from a backup"));
            let newest = self.machines[machine].disk.newest;
            self.machines[machine].disk =
                crate::machine::Disk { newest, full: false, refused: None, ..backup };
        }
    }

    /// The disk of a machine takes nothing any more.
    pub fn fill_disk(&mut self, machine: usize) {
        self.tell(format!("m{machine}: the disk is full"));
        self.machines[machine].disk.full = true;
    }

    /// There is room again: what was refused is written.
    pub fn mend_disk(&mut self, machine: usize) {
        self.machines[machine].disk.full = false;
        if let Some((life, number, durable)) = self.machines[machine].disk.refused.take() {
            self.tell(format!("m{machine}: there is room on the disk again"));
            self.later(MS, Happening::Synced { machine, life, number, durable });
        }
    }

    /// Nothing is lost, late or cut off any more.
    pub fn calm_network(&mut self) {
        self.network.cut.clear();
        self.network.slow.clear();
        (self.network.loss, self.network.delay, self.network.duplicates) = (0, 2 * MS, 0);
    }

    /// The state on a disk is damaged: its id and how often it was started are not.
    pub fn damage(&mut self, machine: usize) {
        if self.machines[machine].core.is_none() {
            self.tell(format!("m{machine}: the state on its disk is damaged"));
            self.machines[machine].disk.synced = None;
        }
    }

    /// Something authentic with an absurd number in it comes from a machine to all the others.
    pub fn say_absurd(&mut self, from: usize) {
        let Some(core) = &self.machines[from].core else { return };
        let (id, session) = (core.id(), core.session());
        let (term, record) = (core.view(self.machines[from].clock.at(self.now)).term, core.applied().clone());
        let body = crate::absurd::body(self.rng.draw(), term, record, &self.machines[from].settings);
        self.tell(format!("m{from} says something absurd: {body:?}"));
        for to in 0..self.machines.len() {
            let Some(target) = self.machines[to].core.as_ref().filter(|_| to != from) else { continue };
            let recipient = Some(Recipient { node: target.id(), session: target.session() });
            let message = Message { from: id, session, seq: 1 << 62, to: recipient, body: body.clone() };
            self.transmit(from, to, &message);
        }
    }

    /// The services of a machine, or their statuses, take to something.
    pub fn whim(&mut self, machine: usize, whim: Whim) {
        self.tell(format!("m{machine}: the first service is {whim:?} from now on"));
        self.machines[machine].services.values_mut().take(1).for_each(|s| s.whim = whim);
    }

    /// An old datagram comes again.
    pub fn replay(&mut self) {
        if self.attic.is_empty() {
            return;
        }
        let at = (self.rng.draw() % self.attic.len() as u64) as usize;
        let (to, message) = self.attic[at].clone();
        self.later(1, Happening::Deliver { to, message: Box::new(message) });
    }

    /// Every old datagram for this machine comes again.
    pub fn replay_to(&mut self, machine: usize) {
        let recorded = self.attic.iter().filter(|(to, _)| *to == machine).cloned().collect::<Vec<_>>();
        for (to, message) in recorded {
            self.later(1, Happening::Deliver { to, message: Box::new(message) });
        }
    }

    /// An operator says something to a node.
    pub fn command(&mut self, machine: usize, command: Command) {
        self.counter += 1;
        let id = CommandId(self.counter);
        self.tell(format!("m{machine}: an operator says {command:?}"));
        self.invariants.asked(&command);
        self.commands.insert(id, command.clone());
        self.say(machine, Input::Command { id, command });
    }

    /// The machine whose core acts as leader now.
    pub fn leader(&self) -> Option<usize> {
        self.machines.iter().position(|m| {
            m.core.as_ref().is_some_and(|c| m.paused_until <= self.now && c.acting(m.clock.at(self.now)))
        })
    }

    /// The hooks that run now: on which machine, in which life of its daemon, and which run.
    pub fn running_hooks(&self) -> Vec<(usize, u64, RunId)> {
        self.machines.iter().flat_map(|m| m.hooks.keys().map(|run| (m.index, m.life, *run))).collect()
    }

    /// When a hook of this kind last began, anywhere.
    pub fn last_begin(&self, hook: Hook) -> Option<u64> {
        self.begun.get(&hook).copied()
    }

    /// When a hook of this kind last ended on a machine.
    pub fn last_end(&self, machine: usize, hook: Hook) -> Option<u64> {
        self.ended.get(&(machine, hook)).copied()
    }

    /// A signal or an operator's word for a daemon.
    pub fn say(&mut self, machine: usize, input: Input) {
        self.later(1, Happening::Tell { machine, input: Box::new(input) });
    }

    /// The leader says that all is well, and one machine is promoted.
    pub fn is_well(&self) -> bool {
        self.masters().len() == 1 && self.concerns().is_some_and(|all| all.is_empty())
    }

    /// What is amiss, as the leader sees it; none: nobody leads.
    pub fn concerns(&self) -> Option<Vec<Concern>> {
        let leader = &self.machines[self.leader()?];
        let mut concerns = leader.core.as_ref()?.view(leader.clock.at(self.now)).concerns;
        concerns.retain(|concern| !(self.wild_clocks && matches!(concern, Concern::Clock { .. })));
        Some(concerns)
    }

    /// What each node waits for while nobody leads, for people.
    fn leaderless(&self) -> String {
        let waits = |m: &Machine| {
            let view = m.core.as_ref()?.view(m.clock.at(self.now));
            let members = m.disk.synced.as_ref().map_or(0, |d| d.record.members.len());
            let what = view.waiting.first().map(|w| w.reason.to_string()).unwrap_or_default();
            Some(format!("m{} ({:?}, {members} members) waits for {what:?}", m.index, view.origin))
        };
        self.machines.iter().filter_map(waits).collect::<Vec<_>>().join("; ")
    }

    /// What the leader says of the cluster, for people.
    pub fn diagnosis(&self) -> String {
        let Some(leader) = self.leader() else { return self.leaderless() };
        let m = &self.machines[leader];
        let Some(view) = m.core.as_ref().map(|c| c.view(m.clock.at(self.now))) else { return String::new() };
        let nodes: Vec<String> = view
            .nodes
            .iter()
            .map(|n| format!("{} ({}) {} {}", n.name, n.id, n.state.as_str(), n.reason))
            .collect();
        let waiting: Vec<String> = view.waiting.iter().map(|w| w.reason.to_string()).collect();
        format!("m{leader} sees {nodes:?}, waits for {waiting:?}, warns {:?}", view.warnings)
    }

    /// All is well, and every runner could be master.
    pub fn is_ready(&self) -> bool {
        let could = |m: &Machine| {
            let state =
                m.core.as_ref().and_then(|c| c.view(m.clock.at(self.now)).nodes.first().map(|n| n.state));
            state.is_some_and(|s| matches!(s, NodeState::Standby | NodeState::Master))
        };
        self.is_well() && self.machines.iter().filter(|m| m.settings.runner && m.disk.id.is_some()).all(could)
    }

    /// The machines on which something is promoted.
    pub fn masters(&self) -> Vec<usize> {
        self.machines.iter().filter(|m| m.promoted()).map(|m| m.index).collect()
    }
}
