//! One simulated machine: a disk, a clock, services, a daemon that runs the real core, and its guardian.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_core::Node;
use koi_core::io::{Boot, HandlerInstance, HookEnd, HookRun, Observed, RunId, ServiceSpec};
use koi_core::record::Durable;
use koi_core::settings::{Electors, Settings, Timeouts};
use koi_core::types::{Epoch, Hook, HookSet, NodeId, Session, Time};

/// A clock that started some time before the world did, and runs a little fast or slow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed when the world began, µs.
    pub offset: u64,
    /// Parts per million that it is fast.
    pub ppm: i64,
}

impl Clock {
    /// What it shows at an instant of the world, µs.
    pub fn at(self, world: u64) -> Time {
        let drift = i128::from(world) * i128::from(self.ppm) / 1_000_000;
        Time(u64::try_from(i128::from(self.offset) + i128::from(world) + drift).unwrap_or(0))
    }

    /// The first instant of the world at which it shows at least `local`.
    pub fn world(self, local: Time) -> u64 {
        if local == Time::NEVER {
            return u64::MAX;
        }
        let ahead = i128::from(local.0) - i128::from(self.offset);
        let mut world =
            u64::try_from((ahead * 1_000_000 / i128::from(1_000_000 + self.ppm)).max(0)).unwrap_or(u64::MAX);
        while self.at(world) < local {
            world += 1;
        }
        world
    }
}

/// What is on the disk for sure, and what is only on its way there.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// How often the daemon was started.
    pub starts: u64,
    /// The identity; drawn anew when the disk was wiped.
    pub id: Option<NodeId>,
    /// The state that survives a crash.
    pub synced: Option<Durable>,
    /// The daemon's life and the number of that state.
    pub newest: (u64, u64),
    /// The run that was started last from this disk, and on which machine.
    pub last_run: Option<(Session, usize)>,
    /// It takes nothing.
    pub full: bool,
    /// What it has not taken: the daemon's life, the number, the state.
    pub refused: Option<(u64, u64, Box<Durable>)>,
}

/// In what way a status script is wrong, or its service is. None says that something promoted is not: that word is taken for the truth, and
/// the promise is worth no more than it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whim {
    /// It says what is.
    #[default]
    Honest,
    /// It calls what was demoted promoted, until it is stopped.
    PromotedAfterDemote,
    /// It calls what was once demoted promoted for ever, stopped or not.
    PromotedForEver,
    /// It calls what was started stopped.
    StoppedAfterStart,
    /// It calls what is promoted live.
    LiveWhenPromoted,
    /// What runs has crashed whenever somebody looks.
    Crashing,
    /// One of these, by chance, each time.
    Erratic,
}

impl Whim {
    /// Every one but honesty.
    pub const ALL: [Whim; 6] = [
        Whim::PromotedAfterDemote,
        Whim::PromotedForEver,
        Whim::StoppedAfterStart,
        Whim::LiveWhenPromoted,
        Whim::Crashing,
        Whim::Erratic,
    ];
}

/// A service as it really is, whatever the daemon thinks.
#[derive(Clone, Debug, Default)]
pub struct Real {
    /// Promoted, or on the way there or from there.
    pub promoted: bool,
    /// Started.
    pub started: bool,
    /// Its hooks fail.
    pub broken: bool,
    /// It cannot be demoted or stopped.
    pub stuck: bool,
    /// Under which epoch it was promoted last.
    pub epoch: Epoch,
    /// How far its status can be trusted.
    pub whim: Whim,
    /// It was demoted since it was promoted last.
    demoted: bool,
}

impl Real {
    /// What status says.
    fn observed(&mut self, dice: u64) -> Observed {
        let whim = match self.whim {
            Whim::Erratic if dice.is_multiple_of(3) => Whim::Honest,
            Whim::Erratic => [Whim::Crashing, Whim::LiveWhenPromoted, Whim::Honest][(dice / 3 % 3) as usize],
            whim => whim,
        };
        if whim == Whim::Crashing {
            (self.started, self.promoted) = (false, false);
        }
        match (whim, self.promoted, self.started) {
            (Whim::PromotedAfterDemote, false, true) | (Whim::PromotedForEver, false, _) if self.demoted => {
                Observed::Promoted
            }
            (Whim::StoppedAfterStart, false, _) | (_, false, false) => Observed::Stopped,
            (Whim::LiveWhenPromoted, true, _) => Observed::Live,
            (_, true, _) => Observed::Promoted,
            (_, false, true) => Observed::Standby,
        }
    }
}

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
    /// Its services.
    pub services: BTreeMap<String, Real>,
    /// How it is configured.
    pub settings: Settings,
}

impl Machine {
    /// A machine that was never started.
    pub fn new(index: usize, clock: Clock, settings: Settings, services: usize) -> Machine {
        let services = if settings.runner { services } else { 0 };
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
            paused_until: 0,
            alarm: Time(0),
            wake: 0,
            hooks: BTreeMap::new(),
            services: (0..services).map(|n| (format!("s{n}"), Real::default())).collect(),
            settings,
        }
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
            durable.held = None;
        }
        let boot = Boot { id, session, durable, damaged: false, now };
        self.core = Some(Node::new(self.settings.clone(), boot));
    }

    /// The services, as the folder shows them.
    pub fn specs(&self) -> Vec<ServiceSpec> {
        let count = self.services.len();
        self.services
            .keys()
            .enumerate()
            .map(|(n, name)| ServiceSpec {
                name: name.clone(),
                // The last one is independent, the others have priorities.
                priority: (n + 1 < count).then_some(n as u8 * 10),
                handler: "sim".to_owned(),
                instance: HandlerInstance(0),
                hooks: HookSet::ALL,
                disabled: false,
                problem: None,
                timeouts: Timeouts::default(),
                status_interval: Duration::from_secs(1),
            })
            .collect()
    }

    /// Something is promoted here.
    pub fn promoted(&self) -> bool {
        self.services.values().any(|s| s.promoted)
    }

    /// Everything on the machine stops at once.
    pub fn lose_power(&mut self) {
        self.kill_daemon();
        self.rebooted = true;
        self.power += 1;
        self.guarded = false;
        for service in self.services.values_mut() {
            service.promoted = false;
            service.started = false;
        }
    }

    /// The daemon and its hooks end; the services run on, and are the guardian's.
    pub fn kill_daemon(&mut self) {
        self.core = None;
        self.life += 1;
        self.paused_until = 0;
        self.hooks.clear();
    }

    /// A hook begins: what it does to the service is done at once, or, going down, at its end.
    pub fn hook_begins(&mut self, run: &HookRun) {
        if let Some(service) = self.services.get_mut(&run.service)
            && run.hook == Hook::Promote
        {
            (service.promoted, service.demoted) = (true, false);
            service.epoch = run.epoch;
        }
        self.hooks.insert(run.run, run.clone());
    }

    /// A hook ends by itself. `dice`: what chance decides.
    pub fn hook_ends(&mut self, run: &HookRun, dice: u64) -> HookEnd {
        self.hooks.remove(&run.run);
        let Some(service) = self.services.get_mut(&run.service) else { return HookEnd::Done };
        match run.hook {
            Hook::Start | Hook::Status | Hook::Promote if service.broken => {
                return HookEnd::Failed { message: "broken".to_owned(), timed_out: false, lasting: false };
            }
            Hook::Demote | Hook::Stop if service.stuck => {
                return HookEnd::Failed { message: "stuck".to_owned(), timed_out: false, lasting: false };
            }
            Hook::Start => service.started = true,
            Hook::Stop => (service.started, service.promoted) = (false, false),
            Hook::Demote => (service.promoted, service.demoted) = (false, true),
            Hook::Status => {
                let observed = service.observed(dice);
                return HookEnd::Status(observed.into());
            }
            Hook::Promote | Hook::Failed => {}
        }
        HookEnd::Done
    }
}

/// The settings of machine `index` in a cluster with `electors` electors and `nodes` machines.
pub fn settings(index: usize, electors: u16, elector: bool, runner: bool) -> Settings {
    let ms = Duration::from_millis;
    Settings {
        name: format!("m{index}"),
        version: "0.1.0".to_owned(),
        elector,
        runner,
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
        failcount_reset: Duration::from_secs(1800),
        block_on_stop_failure: true,
        max_parallel: 64,
        fenced: true,
        arms: false,
    }
}
