//! A tiny scripted cluster: real nodes, a network that takes a millisecond, disks that take no time, hooks that end at
//! once or when the story says so, and a clock that jumps to whatever comes next.
//!
//! Every promote hook is checked against what stands on the other machines: no story may have two masters.

#![allow(dead_code, reason = "each file of stories uses its own part of the kit")]

pub(crate) mod solo;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use koi_core::Node;
use koi_core::event::Event;
use koi_core::io::{
    Answered, Boot, Command, CommandId, Destination, Effect, HandlerInstance, HookEnd, HookRun, Input,
    Observed, Refusal, RunId, ServiceSpec,
};
use koi_core::message::{Body, Farewell, Message, Obituary};
use koi_core::record::{Durable, Record, StateOrigin};
use koi_core::settings::{Electors, Settings, Timeouts};
use koi_core::types::{Hook, HookSet, NodeId, NodeState, ServiceState, Session, Time};
use koi_core::view::{ServiceView, View};

/// How long a datagram travels.
const TRAVEL_US: u64 = 1000;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What `status` saw.
pub(crate) fn saw(observed: Observed) -> HookEnd {
    HookEnd::Status(observed.into())
}

/// A hook that ends badly.
pub(crate) fn fails() -> HookEnd {
    HookEnd::Failed { message: "exit status 1".to_owned(), timed_out: false, lasting: false }
}

/// A service with every hook; `"10-a"` has a priority, `"a"` has none.
pub(crate) fn service(name: &str) -> ServiceSpec {
    let (priority, name) = match name.split_once('-') {
        Some((number, name)) => (Some(number.parse().expect("a priority is a number")), name),
        None => (None, name),
    };
    ServiceSpec {
        name: name.to_owned(),
        priority,
        handler: "test".to_owned(),
        instance: HandlerInstance(0),
        hooks: HookSet::ALL,
        disabled: false,
        problem: None,
        timeouts: Timeouts::default(),
        status_interval: Duration::from_secs(10),
    }
}

/// The defaults of the documentation.
pub(crate) fn settings(name: &str, electors: u16) -> Settings {
    Settings {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        elector: true,
        runner: true,
        priority: 0,
        maintenance: false,
        electors: Electors::Count(electors),
        quorum: electors / 2 + 1,
        heartbeat: ms(100),
        leader_lease: ms(500),
        master_lease: ms(1000),
        demote_grace: ms(1000),
        initial_promotion_delay: ms(5000),
        failure_promotion_timeout: ms(60_000),
        auto_recover: 120,
        auto_recover_time: ms(10_000),
        auto_recover_wait_factor: 1,
        failcount_reset: ms(1_800_000),
        block_on_stop_failure: true,
        max_parallel: 64,
        fenced: false,
        arms: false,
    }
}

/// One machine of a story.
pub(crate) struct Machine {
    pub(crate) settings: Settings,
    pub(crate) id: NodeId,
    starts: u64,
    /// The run before, if nothing of it runs any more and this is its machine.
    pub(crate) last_run: Option<Session>,
    rebooted: bool,
    pub(crate) disk: Option<Durable>,
    /// What was handed out while the disk hung.
    unwritten: Vec<(u64, Durable)>,
    pub(crate) disk_hangs: bool,
    pub(crate) core: Option<Node>,
    pub(crate) services: Vec<ServiceSpec>,
    /// Hooks that run now.
    pub(crate) running: BTreeMap<RunId, HookRun>,
    /// Hooks that do not end by themselves.
    pub(crate) slow: BTreeSet<(String, Hook)>,
    /// How hooks end that do not end well.
    pub(crate) endings: BTreeMap<(String, Hook), HookEnd>,
    /// An abort does not end them; only a kill does.
    pub(crate) stubborn: bool,
    /// Every hook that began, as `service.hook`.
    pub(crate) began: Vec<String>,
    /// What was handed to the last run of each hook.
    pub(crate) calls: Vec<HookRun>,
    pub(crate) aborted: Vec<(String, bool)>,
    pub(crate) events: Vec<Event>,
    pub(crate) fences: usize,
    pub(crate) persists: usize,
    /// What really is promoted here.
    pub(crate) promoted: BTreeSet<String>,
    clock_us: i64,
}

/// The cluster of a story.
pub(crate) struct Cluster {
    pub(crate) now_us: u64,
    pub(crate) machines: Vec<Machine>,
    /// From whom to whom nothing passes.
    cut: BTreeSet<(usize, usize)>,
    flying: BTreeMap<(u64, u64), (usize, Message)>,
    /// Everything that was said, for those who look closely.
    pub(crate) sent: Vec<(usize, Message)>,
    counter: u64,
    inputs: VecDeque<(usize, Input)>,
    busy: bool,
    answers: BTreeMap<CommandId, Result<Answered, Refusal>>,
    /// Two masters are what this story is about.
    pub(crate) split_brain_expected: bool,
}

impl Cluster {
    /// Machines `a`, `b`, `c`… that all vote and run the service `web`; none of them is started.
    pub(crate) fn off(size: usize) -> Cluster {
        let electors = u16::try_from(size).expect("a small cluster");
        let machines = (0..size)
            .map(|n| {
                let name = char::from(b'a' + n as u8).to_string();
                Machine::new(NodeId(n as u128 + 1), settings(&name, electors), vec![service("web")])
            })
            .collect();
        Cluster {
            now_us: 1_000_000,
            machines,
            cut: BTreeSet::new(),
            flying: BTreeMap::new(),
            sent: Vec::new(),
            counter: 0,
            inputs: VecDeque::new(),
            busy: false,
            answers: BTreeMap::new(),
            split_brain_expected: false,
        }
    }

    /// The same, started, with a leader and a master.
    pub(crate) fn with_master(size: usize) -> Cluster {
        let mut cluster = Cluster::off(size);
        cluster.start_all();
        cluster.run_until(10_000, "a first master", |c| c.master().is_some());
        cluster.run(500);
        cluster
    }

    pub(crate) fn start_all(&mut self) {
        (0..self.machines.len()).for_each(|m| self.start(m));
    }

    /// Starts a daemon; its services folder is read at once.
    pub(crate) fn start(&mut self, m: usize) {
        let now = self.clock(m);
        let machine = &mut self.machines[m];
        machine.starts += 1;
        let session = Session { count: machine.starts, random: (machine.id.0 as u64) << 32 | machine.starts };
        let follows = machine.last_run.replace(session).filter(|_| machine.starts > 1);
        let mut durable = machine.disk.clone();
        let rebooted = std::mem::take(&mut machine.rebooted);
        if let Some(durable) = durable.as_mut().filter(|_| rebooted) {
            durable.held = None;
        }
        let boot = Boot { id: machine.id, session, durable, damaged: false, now };
        machine.core = Some(Node::new(machine.settings.clone(), boot));
        self.drain(m);
        if let Some(earlier) = follows {
            self.input(m, Input::Follows(earlier));
        }
        let specs = self.machines[m].services.clone();
        self.input(m, Input::Services(specs));
    }

    // --- time ---

    fn clock(&self, m: usize) -> Time {
        Time(self.now_us.saturating_add_signed(self.machines[m].clock_us))
    }

    /// Lets so many milliseconds pass.
    pub(crate) fn run(&mut self, span_ms: u64) {
        let end = self.now_us + span_ms * 1000;
        while self.step(end) {}
        self.now_us = end;
    }

    /// Lets time pass until it is so; panics if it is not within `span_ms`. How many milliseconds that took.
    pub(crate) fn run_until(&mut self, span_ms: u64, what: &str, so: impl Fn(&Cluster) -> bool) -> u64 {
        let (began, end) = (self.now_us, self.now_us + span_ms * 1000);
        while !so(self) {
            assert!(self.step(end), "{what}: not within {span_ms} ms\n{}", self.story());
        }
        (self.now_us - began) / 1000
    }

    /// Jumps to whatever comes next, if that is not after `end`.
    fn step(&mut self, end: u64) -> bool {
        let delivery = self.flying.keys().next().copied();
        let wake = (0..self.machines.len()).filter_map(|m| Some((self.wake(m)?, m))).min();
        let next = delivery.map(|(at, _)| at).into_iter().chain(wake.map(|(at, _)| at)).min();
        let Some(at) = next.filter(|at| *at <= end) else { return false };
        assert!(at >= self.now_us, "time runs backwards");
        self.now_us = at;
        match delivery.filter(|(due, _)| *due == at) {
            Some(key) => {
                let (to, message) = self.flying.remove(&key).expect("it was just seen");
                self.input(to, Input::Received { message: Box::new(message), source: None });
            }
            None => self.input(wake.expect("something is next").1, Input::Tick),
        }
        true
    }

    fn wake(&self, m: usize) -> Option<u64> {
        let deadline = self.machines[m].core.as_ref()?.next_deadline();
        (deadline != Time::NEVER)
            .then(|| deadline.0.saturating_add_signed(-self.machines[m].clock_us).max(self.now_us))
    }

    // --- in and out ---

    /// What one input brings about at once, such as the end of a hook, comes after it: inputs do not nest.
    pub(crate) fn input(&mut self, m: usize, input: Input) {
        self.inputs.push_back((m, input));
        if std::mem::replace(&mut self.busy, true) {
            return;
        }
        while let Some((m, input)) = self.inputs.pop_front() {
            self.handle(m, input);
        }
        self.busy = false;
    }

    fn handle(&mut self, m: usize, input: Input) {
        let now = self.clock(m);
        let Some(core) = &mut self.machines[m].core else { return };
        core.handle(now, input);
        self.drain(m);
        if let Some(core) = &self.machines[m].core {
            assert!(
                core.next_deadline() > now,
                "{} wants to wake in the past",
                self.machines[m].settings.name
            );
        }
    }

    fn drain(&mut self, m: usize) {
        while let Some(effect) = self.machines[m].core.as_mut().and_then(Node::poll_effect) {
            match effect {
                Effect::Send { to, message } => self.send(m, to, *message),
                Effect::Persist { number, durable } => self.persist(m, number, *durable),
                Effect::RunHook(run) => self.begin_hook(m, *run),
                Effect::AbortHook { run, now } => self.abort_hook(m, run, now),
                Effect::Answer { id, result } => {
                    assert!(self.answers.insert(id, result).is_none(), "a command is answered once");
                }
                Effect::Event(event) => self.machines[m].events.push(event),
                Effect::Fence { .. } => self.machines[m].fences += 1,
                Effect::Finished => {
                    self.machines[m].core = None;
                    self.machines[m].running.clear();
                }
                Effect::CountUp { beyond } => self.count_up(m, beyond),
            }
        }
    }

    /// What koid does: the runs are counted on, and the node begins again.
    fn count_up(&mut self, m: usize, beyond: u64) {
        let machine = &mut self.machines[m];
        machine.starts = machine.starts.max(beyond);
        machine.disk = machine.disk.take().map(|d| d.after_restore());
        machine.last_run = None;
        machine.core = None;
        self.start(m);
    }

    fn send(&mut self, from: usize, to: Destination, message: Message) {
        self.sent.push((from, message.clone()));
        if self.sent.len() > 5000 {
            self.sent.drain(..2500);
        }
        for target in 0..self.machines.len() {
            let meant = match to {
                Destination::Everyone => true,
                Destination::Node(id) => self.machines[target].id == id,
            };
            if meant && target != from && !self.cut.contains(&(from, target)) {
                self.deliver_later(target, message.clone(), TRAVEL_US);
            }
        }
    }

    /// A datagram that arrives later.
    pub(crate) fn deliver_later(&mut self, to: usize, message: Message, delay_us: u64) {
        self.counter += 1;
        self.flying.insert((self.now_us + delay_us, self.counter), (to, message));
    }

    fn persist(&mut self, m: usize, number: u64, durable: Durable) {
        let machine = &mut self.machines[m];
        machine.persists += 1;
        if machine.disk_hangs {
            return machine.unwritten.push((number, durable));
        }
        machine.disk = Some(durable);
        self.input(m, Input::Persisted { number });
    }

    /// The disk works again.
    pub(crate) fn mend_disk(&mut self, m: usize) {
        self.machines[m].disk_hangs = false;
        for (number, durable) in std::mem::take(&mut self.machines[m].unwritten) {
            self.machines[m].disk = Some(durable);
            self.input(m, Input::Persisted { number });
        }
    }

    // --- hooks ---

    fn begin_hook(&mut self, m: usize, run: HookRun) {
        let others: Vec<&str> = (0..self.machines.len())
            .filter(|n| *n != m && !self.machines[*n].promoted.is_empty())
            .map(|n| self.machines[n].settings.name.as_str())
            .collect();
        if run.hook == Hook::Promote && !self.split_brain_expected {
            assert!(others.is_empty(), "two masters: {others:?} and {m}\n{}", self.story());
        }
        let machine = &mut self.machines[m];
        assert!(
            machine.running.values().all(|other| other.service != run.service),
            "two hooks of one service at once: {run:?}"
        );
        if run.hook == Hook::Promote {
            machine.promoted.insert(run.service.clone());
        }
        machine.began.push(format!("{}.{}", run.service, run.hook.as_str()));
        machine.calls.push(run.clone());
        let key = (run.service.clone(), run.hook);
        let id = run.run;
        machine.running.insert(id, run);
        if !machine.slow.contains(&key) {
            let end = machine.endings.get(&key).cloned().unwrap_or(HookEnd::Done);
            self.end_hook(m, id, end);
        }
    }

    fn abort_hook(&mut self, m: usize, run: RunId, now: bool) {
        let machine = &mut self.machines[m];
        let Some(hook) = machine.running.get(&run) else { return };
        machine.aborted.push((format!("{}.{}", hook.service, hook.hook.as_str()), now));
        if now || !machine.stubborn {
            self.end_hook(m, run, HookEnd::Aborted);
        }
    }

    fn end_hook(&mut self, m: usize, run: RunId, end: HookEnd) {
        let machine = &mut self.machines[m];
        let hook = machine.running.remove(&run).expect("it runs");
        let never_ran = hook.hook == Hook::Promote && matches!(end, HookEnd::NoRoom(_));
        if never_ran || matches!(hook.hook, Hook::Demote | Hook::Stop) && end == HookEnd::Done {
            machine.promoted.remove(&hook.service);
        }
        self.input(m, Input::HookFinished { run, ended: end });
    }

    /// A slow hook ends now.
    pub(crate) fn finish(&mut self, m: usize, service: &str, hook: Hook, end: HookEnd) {
        let found = self.machines[m].running.values().find(|r| r.service == service && r.hook == hook);
        let run =
            found.unwrap_or_else(|| panic!("{service}.{} does not run\n{}", hook.as_str(), self.story())).run;
        self.end_hook(m, run, end);
    }

    /// From now on this hook ends when the story says so.
    pub(crate) fn slow(&mut self, m: usize, service: &str, hook: Hook) {
        self.machines[m].slow.insert((service.to_owned(), hook));
    }

    /// From now on this hook ends so.
    pub(crate) fn ending(&mut self, m: usize, service: &str, hook: Hook, end: HookEnd) {
        self.machines[m].endings.insert((service.to_owned(), hook), end);
    }

    /// The services folder has changed.
    pub(crate) fn folder(&mut self, m: usize, services: &[ServiceSpec]) {
        self.machines[m].services = services.to_vec();
        self.input(m, Input::Services(services.to_vec()));
    }

    // --- faults ---

    /// Nothing passes between this machine and the others.
    pub(crate) fn isolate(&mut self, m: usize) {
        for other in (0..self.machines.len()).filter(|o| *o != m) {
            self.cut.extend([(m, other), (other, m)]);
        }
    }

    /// Nothing passes from one to the other.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(crate) fn mend(&mut self) {
        self.cut.clear();
    }

    /// The machine loses its power, and with it everything that runs there.
    pub(crate) fn lose_power(&mut self, m: usize) {
        let machine = &mut self.machines[m];
        machine.core = None;
        machine.rebooted = true;
        machine.running.clear();
        machine.promoted.clear();
    }

    /// The daemon dies; what it started runs on. The guardian says so if `all_down` is given.
    pub(crate) fn kill_daemon(&mut self, m: usize, all_down: Option<bool>) {
        if all_down == Some(true) {
            self.machines[m].promoted.clear();
        }
        if let Some(all_down) = all_down {
            self.obituary(m, all_down);
        }
        self.machines[m].core = None;
        self.machines[m].running.clear();
    }

    /// The guardian of a machine speaks.
    pub(crate) fn obituary(&mut self, m: usize, all_down: bool) {
        let body = Body::Obituary(Obituary { all_down });
        self.say(m, body);
    }

    /// A datagram in the name of a machine's present run.
    pub(crate) fn say(&mut self, m: usize, body: Body) {
        let (from, session) = match &self.machines[m].core {
            Some(core) => (core.id(), core.session()),
            None => {
                let machine = &self.machines[m];
                let random = (machine.id.0 as u64) << 32 | machine.starts;
                (machine.id, Session { count: machine.starts, random })
            }
        };
        let message = Message { from, session, seq: u64::MAX, to: None, body };
        self.send(m, Destination::Everyone, message);
    }

    /// The disk is replaced by an empty one: the machine has a new identity.
    pub(crate) fn wipe(&mut self, m: usize) {
        self.machines[m].disk = None;
        self.machines[m].last_run = None;
        self.machines[m].id = NodeId(self.machines[m].id.0 + 1000);
    }

    /// SIGTERM.
    pub(crate) fn shut_down(&mut self, m: usize) {
        self.input(m, Input::Shutdown);
    }

    // --- operators ---

    /// An operator's word to one node; its answer, once it has come.
    pub(crate) fn command(&mut self, m: usize, command: Command) -> Result<Answered, Refusal> {
        let id = self.ask(m, command);
        self.run_until(5000, "an answer to the command", |c| c.answers.contains_key(&id));
        self.answers[&id].clone()
    }

    /// The same, without waiting.
    pub(crate) fn ask(&mut self, m: usize, command: Command) -> CommandId {
        self.counter += 1;
        let id = CommandId(self.counter);
        self.input(m, Input::Command { id, command });
        id
    }

    pub(crate) fn answer(&self, id: CommandId) -> Option<&Result<Answered, Refusal>> {
        self.answers.get(&id)
    }

    /// An operator's word to the leader, which does it.
    pub(crate) fn order(&mut self, command: Command) -> Answered {
        let leader = self.leader().expect("someone leads");
        self.command(leader, command).expect("it is done")
    }

    pub(crate) fn promote(&mut self, name: &str) -> Result<Answered, Refusal> {
        let leader = self.leader().expect("someone leads");
        self.command(leader, Command::Promote { node: name.to_owned(), dry_run: false })
    }

    // --- looking ---

    pub(crate) fn view(&self, m: usize) -> View {
        self.machines[m].core.as_ref().expect("its daemon runs").view(self.clock(m))
    }

    /// Who leads and may act.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.machines.len()).find(|m| self.machines[*m].core.is_some() && self.view(*m).acting)
    }

    /// Who has promoted everything.
    pub(crate) fn master(&self) -> Option<usize> {
        (0..self.machines.len()).find(|m| {
            let machine = &self.machines[*m];
            machine.core.is_some() && self.node_state(*m) == NodeState::Master && {
                let services = self.view(*m).services;
                !services.is_empty() && services.iter().all(|s| s.state == ServiceState::Promoted)
            }
        })
    }

    /// A runner that is not master.
    pub(crate) fn standby(&self) -> usize {
        let master = self.master();
        (0..self.machines.len())
            .find(|m| Some(*m) != master && self.machines[*m].core.is_some())
            .expect("there are others")
    }

    pub(crate) fn name(&self, m: usize) -> String {
        self.machines[m].settings.name.clone()
    }

    pub(crate) fn node_state(&self, m: usize) -> NodeState {
        self.view(m).nodes[0].state
    }

    pub(crate) fn service(&self, m: usize, name: &str) -> ServiceView {
        self.view(m).services.into_iter().find(|s| s.name == name).expect("the service is there")
    }

    pub(crate) fn record(&self) -> Record {
        self.view(self.leader().expect("someone leads")).record
    }

    /// The hooks that began since last asked, but for `status`.
    pub(crate) fn began(&mut self, m: usize) -> Vec<String> {
        let mut began = std::mem::take(&mut self.machines[m].began);
        began.retain(|hook| !hook.ends_with(".status"));
        began
    }

    /// How many events of this kind were told since last cleared.
    pub(crate) fn count(&self, m: usize, kind: &str) -> usize {
        self.machines[m].events.iter().filter(|e| e.kind() == kind).count()
    }

    pub(crate) fn forget_events(&mut self) {
        self.machines.iter_mut().for_each(|m| m.events.clear());
    }

    pub(crate) fn story(&self) -> String {
        let lines = |m: &Machine| {
            let from = m.events.len().saturating_sub(30);
            let told: Vec<String> =
                m.events[from..].iter().map(|e| format!("  {}: {e}", m.settings.name)).collect();
            told.join("\n")
        };
        self.machines.iter().map(lines).collect::<Vec<_>>().join("\n")
    }
}

impl Machine {
    pub(crate) fn new(id: NodeId, settings: Settings, services: Vec<ServiceSpec>) -> Machine {
        Machine {
            settings,
            id,
            starts: 0,
            last_run: None,
            rebooted: false,
            disk: None,
            unwritten: Vec::new(),
            disk_hangs: false,
            core: None,
            services,
            running: BTreeMap::new(),
            slow: BTreeSet::new(),
            endings: BTreeMap::new(),
            stubborn: false,
            began: Vec::new(),
            calls: Vec::new(),
            aborted: Vec::new(),
            events: Vec::new(),
            fences: 0,
            persists: 0,
            promoted: BTreeSet::new(),
            // Clocks do not agree on what time it is.
            clock_us: i64::try_from(id.0).expect("a small number") * 7_777_777,
        }
    }

    pub(crate) fn origin(&self) -> StateOrigin {
        self.disk.as_ref().map_or(StateOrigin::Empty, |d| d.origin)
    }
}

/// A farewell that promises nothing.
pub(crate) fn farewell() -> Body {
    Body::Farewell(Farewell { released: None })
}
