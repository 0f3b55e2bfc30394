//! The settings, each with its default (docs/configuration.md). Paths are absolute once loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_artifact::signature::TrustedKeys;
use koi_core::group::GroupName;
use koi_core::placing::{GroupPlacement, PlacementPolicy, Preference};

use crate::fence::Fences;

/// Electors that a cluster may have: more make it slower, not safer.
pub const ELECTORS: u16 = 15;
/// Bytes that a node's name may have.
pub const NAME_BYTES: usize = 63;
/// Where the services of groups are that say nothing else.
const GROUPS_FOLDER: &str = "/etc/koi/groups";
/// The port of a cluster that says nothing else.
pub(crate) const DEFAULT_PORT: u16 = 42012;
/// The password of a classic cluster that says nothing else.
pub(crate) const CLASSIC_PASSWORD: &str = "secret";

/// Everything that `koi.toml` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[node]`.
    pub node: Node,
    /// `[cluster]`.
    pub cluster: Cluster,
    /// `[timing]`.
    pub timing: Timing,
    /// `[services]`.
    pub services: Services,
    /// `[plugins]`.
    pub plugins: Plugins,
    /// `[groups.NAME]`: `main` is here if the file says something of it.
    pub groups: BTreeMap<GroupName, Group>,
    /// `[fence]`: how others are turned off; none: they are not.
    pub fence: Option<Fences>,
}

impl Config {
    /// How many electors must agree; zero: quorum is off, because it was said so or because [`Cluster::electors`] is unset.
    pub fn quorum_size(&self) -> u16 {
        match (self.cluster.quorum, self.elector_count()) {
            (Quorum::Off, _) | (_, 0) => 0,
            (Quorum::Majority, electors) => electors / 2 + 1,
            (Quorum::Count(needed), _) => needed,
        }
    }

    /// How many electors the cluster has; zero: unknown.
    pub fn elector_count(&self) -> u16 {
        self.cluster.electors.as_ref().map_or(0, Electors::count)
    }

    /// Every group of this node with the folder of its services, `main` first.
    pub fn service_folders(&self) -> impl Iterator<Item = (GroupName, &Path)> {
        let others = self.groups.iter().filter(|(name, _)| !name.is_main());
        let others = others.map(|(name, group)| (name.clone(), group.folder.as_path()));
        [(GroupName::MAIN, self.services.folder.as_path())].into_iter().chain(others)
    }
}

/// `[node]`: this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What people call it: the host name, unless told otherwise. At most 63 bytes.
    pub name: String,
    /// Whether it votes.
    pub elector: bool,
    /// Whether it runs services.
    pub runner: bool,
    /// Its rank in the election, higher first.
    pub priority: i32,
    /// Where it listens.
    pub bind: IpAddr,
    /// The number of the interface that [`Node::bind`] belongs to, if it is a link-local address; zero: none.
    pub bind_zone: u32,
    /// UDP: cluster; TCP: API from afar.
    pub port: u16,
    /// Classic `increment_port`: take the next free port when this one is in use.
    pub increment_port: bool,
    /// Where it keeps what must survive a restart.
    pub state_dir: PathBuf,
    /// The API on this machine.
    pub socket: PathBuf,
    /// What to do when something is still promoted after lease and grace.
    pub fence: Fence,
    /// The device of `fence = "watchdog"`.
    pub watchdog: PathBuf,
    /// Classic `maintenance`: run no hooks, be no candidate.
    pub maintenance: bool,
    /// How much is logged: `error warn info debug trace`; none: info.
    pub log_level: Option<String>,
}

/// `node.fence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Nothing.
    None,
    /// Stop petting the watchdog device.
    Watchdog,
    /// Reboot at once.
    Reboot,
}

/// `[cluster]`: what all nodes have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Tells clusters on one port or group apart.
    pub id: u32,
    /// How many electors there are; none: unknown, and so quorum is off.
    pub electors: Option<Electors>,
    /// How many of them must agree.
    pub quorum: Quorum,
    /// Where the others are: `IP`, `IP:port`, `[IPv6]:port`, multicast addresses. May include this node itself.
    pub transport: Vec<TransportAddress>,
    /// What seals the traffic.
    pub key: ClusterKey,
    /// Further key files whose traffic is accepted, while rotating.
    pub accept_key_files: Vec<PathBuf>,
}

/// One entry of `cluster.transport`; the port is this node's own where none was given.
pub type TransportAddress = std::net::SocketAddr;

/// `cluster.electors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Electors {
    /// So many.
    Count(u16),
    /// These, by name.
    Names(Vec<String>),
}

impl Electors {
    /// How many there are.
    pub fn count(&self) -> u16 {
        match self {
            Electors::Count(n) => *n,
            Electors::Names(names) => u16::try_from(names.len()).unwrap_or(u16::MAX),
        }
    }
}

/// `cluster.quorum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// The majority of the electors.
    Majority,
    /// So many.
    Count(u16),
    /// Nobody has to agree: two halves of a cluster that cannot see each other both have a master.
    Off,
}

/// Where the key comes from. `Debug` does not print the password.
#[derive(Clone, PartialEq, Eq)]
pub enum ClusterKey {
    /// A file that `koi keygen` made.
    File(PathBuf),
    /// Derived from a password.
    Password(String),
}

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClusterKey::File(path) => f.debug_tuple("File").field(path).finish(),
            ClusterKey::Password(_) => f.write_str("Password(…)"),
        }
    }
}

/// `[timing]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// `h`.
    pub heartbeat: Duration,
    /// `L`.
    pub leader_lease: Duration,
    /// `M`.
    pub master_lease: Duration,
    /// `g`: by when a runner that lost its lease is surely down.
    pub demote_grace: Duration,
    /// How long a starting cluster waits for better candidates.
    pub initial_promotion_delay: Duration,
    /// How long a runner that has failed is passed over.
    pub failure_promotion_timeout: Duration,
    /// How often `status` runs.
    pub status_interval: Duration,
}

/// `[services]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Services {
    /// Where the services are.
    pub folder: PathBuf,
    /// Where single-file services run.
    pub workingdir: PathBuf,
    /// How many times a failed node tries again by itself; zero: never.
    pub auto_recover: u32,
    /// How long it waits before it does.
    pub auto_recover_time: Duration,
    /// By what that grows with each try, 1 to 8.
    pub auto_recover_wait_factor: u32,
    /// Time without failure after which the count is reset.
    pub failcount_reset: Duration,
    /// What a failed `stop` means (R7).
    pub on_stop_failure: OnStopFailure,
    /// Hooks that run at once.
    pub max_parallel: u32,
    /// How long each hook may take.
    pub timeouts: Timeouts,
    /// How much a service may do wrong.
    pub policy: Policy,
}

/// `services.on_stop_failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStopFailure {
    /// The node is unclean: nobody is promoted elsewhere until someone has looked.
    Block,
    /// As if it had stopped.
    Ignore,
}

/// `[services.timeouts]`.
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
    /// For `changed`.
    pub changed: Duration,
}

/// `[services.policy]`: of services that do not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bad statuses in a row with which a service has failed; at least 1.
    pub status_failures: u32,
    /// How soon `status` runs again after a bad one that was not the last.
    pub status_retry: Duration,
    /// How often within `restart_window` a service is restarted in place before its failure is the node's.
    pub restarts: u32,
    /// See `restarts`.
    pub restart_window: Duration,
    /// How long a restart may take, with all services above it.
    pub restart_timeout: Duration,
    /// Whether the node has failed when a service has.
    pub critical: bool,
}

/// `[groups.NAME]`: a set of services that are promoted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where its services are; of `main` it is the services folder.
    pub folder: PathBuf,
    /// How gladly this node is made its master.
    pub preference: Preference,
    /// Its master is not where a master of these is, if another node can be master.
    pub apart_from: BTreeSet<GroupName>,
    /// Its master is where this group's is, and nowhere else.
    pub together_with: Option<GroupName>,
    /// Whether its master moves to a node of higher preference.
    pub failback: Failback,
    /// Scores that differ by no more count as equal.
    pub score_slack: u64,
}

impl Group {
    /// What a group has of which only the name is known.
    pub fn new(name: &GroupName) -> Group {
        Group {
            folder: Path::new(GROUPS_FOLDER).join(name.as_str()),
            preference: Preference::default(),
            apart_from: BTreeSet::new(),
            together_with: None,
            failback: Failback::Off,
            score_slack: 0,
        }
    }

    /// Where its master is wanted, in the words of the core.
    pub fn placement(&self) -> GroupPlacement {
        let failback = match self.failback {
            Failback::Off => None,
            Failback::After(time) => Some(time),
        };
        let (apart_from, together_with) = (self.apart_from.clone(), self.together_with.clone());
        let policy = PlacementPolicy::new(apart_from, together_with, failback, self.score_slack);
        GroupPlacement { preference: self.preference, policy }
    }
}

/// `failback` of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// It stays where it is.
    Off,
    /// It moves to a node of higher preference once that one has been ready for so long.
    After(Duration),
}

/// `[plugins]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugins {
    /// Where plugins are looked for.
    pub dirs: Vec<PathBuf>,
    /// Whose signatures count.
    pub trusted_keys: TrustedKeys,
    /// Files of plugins without such a signature are refused.
    pub require_signature: bool,
}
