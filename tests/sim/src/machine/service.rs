//! A service of a machine as it really is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use koi_core::group::GroupName;
use koi_core::io::{HookEnd, HookRun, Observed, StatusReport};
use koi_core::roster::RosterEntry;
use koi_core::types::{Epoch, Hook, HookSet, NodeId, NodeState};

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
    /// Its group.
    pub group: GroupName,
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
    /// How its hooks end, where a story says so.
    pub endings: BTreeMap<Hook, HookEnd>,
    /// Hooks that end when a story says so.
    pub slow: HookSet,
    /// Its status says how gladly it is promoted, each time otherwise.
    pub scored: bool,
    /// What its last `changed` that ended well was told; none: none has since it was started.
    pub heard: Option<Heard>,
    /// It was demoted since it was promoted last.
    demoted: bool,
}

/// What a service was told of its group: the master, and of each other node whether it is there, whether it can be promoted, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    master: Option<String>,
    others: BTreeMap<NodeId, (bool, bool, Option<IpAddr>)>,
}

impl Heard {
    /// That this is the master, and these are the others.
    pub fn new(master: Option<String>, others: &[RosterEntry]) -> Heard {
        let told = |e: &RosterEntry| (e.node, (e.state != NodeState::Disconnected, e.promotable, e.address));
        Heard { master, others: others.iter().map(told).collect() }
    }
}

impl Real {
    /// A service of this group.
    pub fn of(group: GroupName) -> Real {
        Real { group, ..Real::default() }
    }

    /// A service whose status says no more than that all is well.
    pub fn content() -> Real {
        Real { endings: [(Hook::Status, HookEnd::Done)].into(), ..Real::default() }
    }

    /// Its process ends by itself.
    pub fn crash(&mut self) {
        (self.started, self.promoted) = (false, false);
    }

    /// A hook begins: a promotion counts from then on.
    pub(super) fn begins(&mut self, run: &HookRun) {
        if run.hook == Hook::Changed {
            // Half of it may be done.
            self.heard = None;
        }
        if run.hook == Hook::Promote {
            (self.promoted, self.demoted) = (true, false);
            self.epoch = run.epoch;
        }
    }

    /// How a hook ends by itself. `dice`: what chance decides.
    pub(super) fn ending(&mut self, hook: Hook, dice: u64) -> HookEnd {
        if let Some(end) = self.endings.get(&hook) {
            return end.clone();
        }
        let failed =
            |why: &str| HookEnd::Failed { message: why.to_owned(), timed_out: false, lasting: false };
        match hook {
            Hook::Start | Hook::Status | Hook::Promote if self.broken => failed("broken"),
            Hook::Demote | Hook::Stop if self.stuck => failed("stuck"),
            Hook::Status => {
                let score = self.scored.then_some((dice >> 32) as i64 % 7 - 3);
                HookEnd::Status(StatusReport { score, ..self.observed(dice).into() })
            }
            _ => HookEnd::Done,
        }
    }

    /// A hook has ended: what it has done to the service.
    pub(super) fn ended(&mut self, run: &HookRun, end: &HookEnd) {
        match (run.hook, end) {
            (Hook::Changed, HookEnd::Done) => {
                let master = run.master.as_ref().map(|(name, _)| name.clone());
                self.heard = run.peers.as_ref().map(|others| Heard::new(master, others));
            }
            (Hook::Start, HookEnd::Done) => self.started = true,
            (Hook::Stop, HookEnd::Done) => {
                (self.started, self.promoted) = (false, false);
                self.heard = None;
            }
            (Hook::Demote, HookEnd::Done) => (self.promoted, self.demoted) = (false, true),
            (Hook::Promote, HookEnd::NoRoom(_)) => self.promoted = false,
            _ => {}
        }
    }

    /// What status says.
    fn observed(&mut self, dice: u64) -> Observed {
        let whim = match self.whim {
            Whim::Erratic if dice.is_multiple_of(3) => Whim::Honest,
            Whim::Erratic => [Whim::Crashing, Whim::LiveWhenPromoted, Whim::Honest][(dice / 3 % 3) as usize],
            whim => whim,
        };
        if whim == Whim::Crashing {
            self.crash();
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
