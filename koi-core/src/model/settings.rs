//! What the configuration asks of the brain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::group::GroupName;
use crate::message::SharedSettings;
use crate::placing::GroupPlacement;
use crate::types::Hook;

/// By how many percent the rates of any two machines' clocks may differ (`ρ`).
pub const DRIFT_PERCENT: u32 = 1;

/// The configuration, as far as decisions depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `node.name`.
    pub name: String,
    /// The version of koi.
    pub version: String,
    /// `node.elector`.
    pub elector: bool,
    /// `node.runner`.
    pub runner: bool,
    /// `node.priority`.
    pub priority: i32,
    /// `node.maintenance`.
    pub maintenance: bool,
    /// Who votes.
    pub electors: Electors,
    /// How many electors must agree; zero: quorum is off.
    pub quorum: u16,
    /// `h`.
    pub heartbeat: Duration,
    /// `L`.
    pub leader_lease: Duration,
    /// `M`.
    pub master_lease: Duration,
    /// `g`.
    pub demote_grace: Duration,
    /// How long a starting cluster waits for better candidates.
    pub initial_promotion_delay: Duration,
    /// How long a runner that has failed is passed over.
    pub failure_promotion_timeout: Duration,
    /// How many times a failed node tries again by itself; zero: never.
    pub auto_recover: u32,
    /// How long it waits before it does.
    pub auto_recover_time: Duration,
    /// By what that grows with each try.
    pub auto_recover_wait_factor: u32,
    /// Time without failure after which the count is reset.
    pub failcount_reset: Duration,
    /// A failed `stop` keeps the mastership from being released (R7).
    pub block_on_stop_failure: bool,
    /// Hooks that run at once.
    pub max_parallel: usize,
    /// Whether the node has a fence (R7).
    pub fenced: bool,
    /// The fence must be armed before anything is promoted (R7).
    pub arms: bool,
    /// The groups of services that this node runs beside `main`; at most [`crate::limits::GROUPS`] with it.
    pub groups: BTreeSet<GroupName>,
    /// Where the masters of groups are wanted (R15); a group that is not in it has the defaults.
    /// [`crate::placing::check_placements`] has passed it.
    pub placement: BTreeMap<GroupName, GroupPlacement>,
    /// The nodes that a leader can turn off, by name, and how long that may take (R12). Empty: none.
    pub fences: BTreeMap<String, Duration>,
}

impl Settings {
    /// The part on which all nodes must agree.
    pub fn agreed(&self) -> SharedSettings {
        SharedSettings {
            electors: self.electors.count(),
            quorum: self.quorum,
            heartbeat: self.heartbeat,
            leader_lease: self.leader_lease,
            master_lease: self.master_lease,
        }
    }

    /// How long after a basis its master may still be promoted: `M+g`.
    pub fn hold(&self, grace: Duration) -> Duration {
        self.master_lease + grace
    }

    /// How many electors must agree for a leader to act; itself is enough when quorum is off.
    pub fn votes_needed(&self) -> usize {
        usize::from(self.quorum.max(1))
    }

    /// How long a campaign may take.
    pub fn election_timeout(&self) -> Duration {
        self.heartbeat * 3
    }
}

/// `cluster.electors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Electors {
    /// Not configured: quorum is off.
    Unknown,
    /// So many.
    Count(u16),
    /// These, by name; the votes of others do not count.
    Names(Vec<String>),
}

impl Electors {
    /// How many there are; zero: unknown.
    pub fn count(&self) -> u16 {
        match self {
            Electors::Unknown => 0,
            Electors::Count(n) => *n,
            Electors::Names(names) => u16::try_from(names.len()).unwrap_or(u16::MAX),
        }
    }

    /// Whether the voice of the node called `name` counts.
    pub fn admits(&self, name: &str) -> bool {
        match self {
            Electors::Unknown | Electors::Count(_) => true,
            Electors::Names(names) => names.iter().any(|n| n == name),
        }
    }
}

/// How long each hook may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For `start`.
    pub start: Duration,
    /// For `stop`.
    pub stop: Duration,
    /// For `status`.
    pub status: Duration,
    /// For `promote`.
    pub promote: Duration,
    /// For `demote`.
    pub demote: Duration,
    /// For `failed`.
    pub failed: Duration,
    /// For `changed`. A status that is due ends one that still runs.
    pub changed: Duration,
}

impl Timeouts {
    /// The one for `hook`.
    pub fn of(&self, hook: Hook) -> Duration {
        match hook {
            Hook::Start => self.start,
            Hook::Stop => self.stop,
            Hook::Promote => self.promote,
            Hook::Demote => self.demote,
            Hook::Status => self.status,
            Hook::Failed => self.failed,
            Hook::Changed => self.changed,
        }
    }
}

impl Default for Timeouts {
    /// Those of docs/from-classic.md.
    fn default() -> Timeouts {
        let s = Duration::from_secs;
        Timeouts {
            start: s(360),
            stop: s(360),
            status: s(120),
            promote: s(30),
            demote: s(30),
            failed: s(20),
            changed: s(20),
        }
    }
}
