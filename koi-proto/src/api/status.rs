//! How the cluster, a node and its services are.

use serde::{Deserialize, Serialize};

use super::group::{Group, GroupOnNode, GroupStatus};
use super::statistics::HandlerStatistics;
use super::waiting::Waiting;
use super::word::words;

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The cluster as a whole.
    pub cluster: ClusterStatus,
    /// Each node that is known, by name.
    pub nodes: Vec<NodeStatus>,
    /// Each group, `main` first, the others by name; empty: an older koid does not say, and there is `main` alone.
    #[serde(default)]
    pub groups: Vec<GroupStatus>,
}

/// The cluster as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    /// `cluster.id`.
    pub id: u32,
    /// The leader's name.
    pub leader: Option<String>,
    /// The name of the master of `main`.
    pub master: Option<String>,
    /// The name of the node that is wanted as master of `main` and is not yet.
    pub target: Option<String>,
    /// The number of the newest mastership of `main`.
    pub epoch: u64,
    /// The leader's term.
    pub term: u64,
    /// How many electors must agree; zero: off.
    pub quorum: u16,
    /// How many electors the cluster has, by its record, or before that has members by the configuration; zero: unknown.
    pub electors: u16,
    /// How many electors are heard from now, the asked one included.
    pub electors_seen: u16,
    /// No master of `main` is chosen until an operator says so.
    pub manual: bool,
    /// No hook runs anywhere.
    pub maintenance: bool,
    /// All is well: a leader acts, a master of each group is promoted with all its critical services, no node has failed, is unclean or missing, every elector is
    /// heard and hears, another runner could take over if there is one, maintenance mode is off, nothing is waited for, and there is no
    /// warning.
    pub healthy: bool,
    /// What is wrong, or will be, a sentence each. Never any where `healthy` is true.
    pub warnings: Vec<String>,
    /// What the configuration, and what was measured, mean for a bad day, a sentence each: no fault, and it may stand where all is well.
    pub advice: Vec<String>,
    /// The name of the node that would be master of `main` next; none: nobody could.
    pub takeover: Option<String>,
    /// What the cluster, or `main`, waits for before the next step, a sentence each: which node, until when, by which rule.
    pub waiting: Vec<Waiting>,
    /// The name of the node that says all this. Without a leader that is only what this node sees.
    pub seen_by: String,
    /// The version of the record that counts, `term.n`.
    pub record: String,
}

/// A node as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub id: String,
    /// `ip:port` that it was last heard from.
    pub address: Option<String>,
    /// Its state, as far as `main` goes.
    pub state: NodeState,
    /// How it is in each group that it runs, `main` first; empty: it runs none, or an older koid does not say.
    pub groups: Vec<GroupOnNode>,
    /// Whether it votes.
    pub elector: bool,
    /// Whether it runs services.
    pub runner: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Milliseconds since it was last heard from; zero for the node that says so.
    pub seen_ms: u64,
    /// Its daemon's uptime in milliseconds.
    pub uptime_ms: u64,
    /// Its last failure.
    pub last_failure: Option<Failure>,
    /// The version of koi that it runs.
    pub version: String,
    /// An operator has stopped it, as far as `main` goes.
    pub stopped: bool,
    /// Stays out by its own configuration, or the whole cluster is in maintenance.
    pub maintenance: bool,
    /// Could not stop what it had promoted (R7).
    pub unclean: bool,
    /// It is heard, and hears nobody: its network passes only one way. Its state is `Disconnected`.
    pub deaf: bool,
    /// What it is doing with its services; none: it has none.
    pub action: Option<NodeAction>,
    /// What the node's services need, a sentence; empty: nothing.
    pub message: String,
    /// Milliseconds until it tries again by itself after a failure; none: it does not.
    pub recovers_in_ms: Option<u64>,
    /// Its services, those of `main` first, of each group in the order of their priorities; none: it did not answer.
    pub services: Option<Vec<ServiceStatus>>,
}

/// A service on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Its name, without the priority.
    pub name: String,
    /// The group that it belongs to.
    pub group: Group,
    /// Its priority; none: independent.
    pub priority: Option<u8>,
    /// Which handler runs it.
    pub handler: String,
    /// Its state.
    pub state: ServiceState,
    /// The hook that runs now.
    pub hook: Option<Hook>,
    /// How long that hook runs, in milliseconds.
    pub hook_ms: Option<u64>,
    /// It has failed.
    pub failed: bool,
    /// `disabled` lies in its folder.
    pub disabled: bool,
    /// Whether its node has failed when it has, and is master only with it; none: an older koid does not say, and it is so.
    pub critical: Option<bool>,
    /// How soon it is seen to have failed, and what is borne before that; none: it has no `status`, or an older koid does not say.
    pub patience: Option<Patience>,
    /// It could be promoted now, or is.
    pub promotable: bool,
    /// Preference among candidates.
    pub score: Option<i64>,
    /// The last word of its handler or the reason of its failure.
    pub message: Option<String>,
    /// What its handler said of it besides, in its order: lag, version, whatever helps.
    pub details: Vec<(String, String)>,
    /// The ids of its processes whose end brings its status at once; empty: it names none, it is down, or an older koid does not say.
    pub processes: Vec<u32>,
    /// Why the end of a process that it names is not seen before the status that is due: what, where, and what to do.
    pub unwatched: Option<String>,
    /// SHA-256 of the plugin's file that has answered its newest `status` well, in hexadecimal digits; none: a script has, nothing has been
    /// answered since it was started or failed, or an older koid does not say.
    pub status_hash: Option<String>,
    /// It goes on as it was until it is stopped: why it could not be started as its folder is now.
    pub held: Option<String>,
    /// What its hooks have cost with the handler that it has now; none: it has no handler, or an older koid does not say.
    pub statistics: Option<HandlerStatistics>,
}

/// How soon a service is seen to have failed, and what is borne before that (`[policy]`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Patience {
    /// How often its `status` runs, in milliseconds.
    pub status_interval_ms: u64,
    /// With so many bad statuses in a row it has failed.
    pub status_failures: u32,
    /// How soon `status` runs again after a bad one that was not the last, in milliseconds.
    pub status_retry_ms: u64,
    /// How often it is restarted in place before its failure is the node's.
    pub restarts: u32,
    /// How long a restart in place may take, in milliseconds.
    pub restart_timeout_ms: u64,
}

/// The times by which nodes judge who is there, as one node has them configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// `timing.heartbeat`, in milliseconds.
    pub heartbeat_ms: u64,
    /// `timing.leader_lease`, in milliseconds.
    pub leader_lease_ms: u64,
    /// `timing.master_lease`, in milliseconds.
    pub master_lease_ms: u64,
    /// `timing.demote_grace`, in milliseconds.
    pub demote_grace_ms: u64,
}

/// `GET /v1/local`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Local {
    /// The node, as it sees itself.
    pub node: NodeStatus,
    /// Its UDP and TCP port.
    pub port: u16,
    /// Seconds since 1970 at which its daemon started, by the wall clock.
    pub started_at: u64,
    /// Milliseconds since 1970 at which it says this, by the wall clock that stamps its events; none: an older koid does not say.
    pub now_ms: Option<u64>,
    /// The number of the newest event that it has kept, zero for none; none: an older koid does not say.
    pub newest_event: Option<u64>,
    /// Its leases and its grace; none: an older koid does not say.
    pub timing: Option<Timing>,
    /// What starts its daemon again when that has crashed; none: nothing is known to.
    pub restarted_by: Option<String>,
    /// How many nodes it hears of, itself included.
    pub nodes: usize,
    /// The leader's name, as far as it knows.
    pub leader: Option<String>,
    /// The leader's API address (`ip:port`); none: it is itself, or unknown.
    pub leader_address: Option<String>,
    /// Milliseconds that its lease on the mastership of `main` lasts; none: it has none.
    pub lease_ms: Option<u64>,
    /// The mastership of `main` that it holds.
    pub epoch: Option<u64>,
    /// The newest term that it knows.
    pub term: u64,
    /// Where its state on disk comes from (R10).
    pub standing: StateOrigin,
    /// Milliseconds that its slowest demote of late took.
    pub slowest_demote_ms: Option<u64>,
    /// Datagrams that were dropped, by reason.
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// What is wrong with this node, or will be, a sentence each; every status has them too.
    pub warnings: Vec<String>,
    /// What this node noticed that is no fault, a sentence each; every status has them too.
    pub advice: Vec<String>,
}

/// `GET /v1/failures`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// The newest last, at most 10.
    pub failures: Vec<Failure>,
}

/// A failure of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The node.
    pub node: String,
    /// The group.
    pub group: Group,
    /// The service; empty: the node as a whole.
    pub service: String,
    /// The hook.
    pub hook: String,
    /// What happened.
    pub message: String,
    /// Milliseconds since.
    pub ago_ms: u64,
}

words! {
    /// How a node is.
    pub enum NodeState {
        /// A service failed, is disabled, or cannot be stopped.
        Failed = "Failed",
        /// It is not heard from, or hears nobody.
        Disconnected = "Disconnected",
        /// Stopped by hand.
        Stopped = "Stopped",
        /// Its services run, or are being started, but not all of them are promotable.
        Live = "Live",
        /// All its services are promotable.
        Standby = "Standby",
        /// It is to be promoted, or is.
        Master = "Master",
        /// It votes and runs nothing.
        Elector = "Elector",
    }
}

words! {
    /// What a node does with its services.
    pub enum NodeAction {
        /// Takes them down: `failed`, then `stop`.
        Fail = "Fail",
        /// Stops them.
        Stop = "Stop",
        /// Starts them.
        Start = "Start",
        /// Demotes them, and starts those that do not run.
        Demote = "Demote",
        /// Promotes them.
        Promote = "Promote",
    }
}

words! {
    /// How a service is. The words are those of docs/from-classic.md.
    pub enum ServiceState {
        /// Failed and taken down.
        Failed = "Failed",
        /// Failed and being taken down.
        Failing = "Failing",
        /// Not running.
        Stopped = "Stopped",
        /// `stop` runs.
        Stopping = "Stopping",
        /// `start` runs.
        Starting = "Starting",
        /// Running as standby.
        Started = "Started",
        /// `demote` runs.
        Demoting = "Demoting",
        /// `promote` runs.
        Promoting = "Promoting",
        /// Promoted.
        Promoted = "Promoted",
    }
}

words! {
    /// A call to a service's handler.
    pub enum Hook {
        /// Start it as standby.
        Start = "start",
        /// Stop it.
        Stop = "stop",
        /// Make it the master.
        Promote = "promote",
        /// Make it a standby again.
        Demote = "demote",
        /// Say how it is.
        Status = "status",
        /// It has failed and is about to be stopped.
        Failed = "failed",
        /// Its group is not as it was told last.
        Changed = "changed",
    }
}

words! {
    /// Where a node's state on disk comes from (R10).
    pub enum StateOrigin {
        /// Nowhere: the node neither votes nor leads until a leader has given it the record.
        Empty = "empty",
        /// It began with a new cluster.
        Founder = "founder",
        /// A leader gave it.
        Member = "member",
    }
}
