//! What a handler is asked, and what it may answer.

use std::path::PathBuf;
use std::time::Duration;

use crate::access::ScriptAccess;
use koi_hook::{DownReason, Hook, NamedProcess, StatusReport, TargetRole};

/// Everything that koi knows about one call.
#[derive(Clone, Debug)]
pub struct Context {
    /// The service's name, without its priority.
    pub service: String,
    /// The node's name.
    pub node: String,
    /// The node's UUID.
    pub node_id: String,
    /// The cluster's id.
    pub cluster: String,
    /// Unique per call within a run of the daemon.
    pub call_id: u64,
    /// 1 for the first try.
    pub attempt: u32,
    /// What the service is to be.
    pub role: TargetRole,
    /// The node's state in classic words: `Failed Disconnected Stopped Live Slave Master`.
    pub node_state: String,
    /// The fencing token: the epoch of the current mastership, a number that only grows. Zero: there was none yet.
    pub epoch: u64,
    /// Name and address (`ip`, without port) of the node that is master now.
    pub master: Option<(String, String)>,
    /// After this the call is aborted and has failed.
    pub timeout: Duration,
    /// The service's folder; of a single-file service the folder that it lies in.
    pub home: PathBuf,
    /// Where a process that serves the call is to run.
    pub workdir: PathBuf,
    /// `[config]` of `service.toml`, in file order.
    pub config: Vec<(String, String)>,
    /// For [`Hook::Failed`]: why it is called.
    pub cause: Option<Failure>,
    /// Why it is called, and what went before.
    pub circumstances: Circumstances,
    /// What a script needs to use the attributes of its group; none: there is nobody to ask.
    pub access: Option<ScriptAccess>,
}

impl Context {
    /// How long the call really has, counted from its beginning: its time-out, or less where lease and grace end before. Zero: they are over.
    pub fn time_left(&self) -> Duration {
        self.circumstances.left.map_or(self.timeout, |left| left.min(self.timeout))
    }
}

/// Why a hook is called, what went before, and who else there is. By default nothing of it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Why the service goes down; none: it does not, or there is no word for it.
    pub reason: Option<DownReason>,
    /// What is left of lease and grace, or of the time-out where that is less; none: the time-out is all there is.
    pub left: Option<Duration>,
    /// The newest epoch under which a node has promoted all of its critical services, as far as this node knows. Zero: it knows of none.
    pub promoted_epoch: u64,
    /// The node that was master before, and its epoch, as far as this node knows.
    pub previous: Option<(String, u64)>,
    /// The group that the service is promoted with; none: `main`.
    pub group: Option<String>,
    /// The other nodes that run the group, as the leader told this one last; none: there is no leader, or it has said nothing yet.
    pub peers: Option<Vec<Peer>>,
}

/// Another node that runs the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: PeerState,
    /// It could be made master now.
    pub promotable: bool,
    /// Its preference among those that could; none: its services have said nothing.
    pub score: Option<i64>,
    /// Where it is reached, an IP without a port; none: unknown.
    pub address: Option<String>,
}

/// How another node is, as far as the group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerState {
    /// Something of it has failed, and it is down.
    Failed,
    /// It is not heard, or its koid has ended.
    Disconnected,
    /// It is not to run there.
    Stopped,
    /// It runs, or is being started, and cannot be promoted yet.
    Live,
    /// It runs, and can be promoted.
    Standby,
    /// It is the master.
    Master,
}

impl PeerState {
    /// Every state.
    pub const ALL: [PeerState; 6] = [
        PeerState::Failed,
        PeerState::Disconnected,
        PeerState::Stopped,
        PeerState::Live,
        PeerState::Standby,
        PeerState::Master,
    ];

    /// The word that the API has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            PeerState::Failed => "Failed",
            PeerState::Disconnected => "Disconnected",
            PeerState::Stopped => "Stopped",
            PeerState::Live => "Live",
            PeerState::Standby => "Standby",
            PeerState::Master => "Master",
        }
    }
}

/// Why [`Hook::Failed`] is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The hook that failed.
    pub hook: Hook,
    /// What it said.
    pub message: String,
    /// It did not end in time.
    pub timed_out: bool,
}

/// A call that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done (any hook but `status`).
    Done,
    /// `start` is done, and says in which processes the service runs. Never empty.
    Started(Vec<NamedProcess>),
    /// What `status` saw.
    Status(StatusReport),
}

/// A call that did not end well. The text is one line for people: what happened, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookError {
    /// The hook says so: a script's exit code, a handler's error. For `status`: the service has failed. It is tried again after
    /// the back-off of `services.auto_recover_time`.
    Failed(String),
    /// The handler says that trying again on this node is pointless (`fatal` and `misconfigured` of the WIT): only an operator
    /// lets the node try again.
    Lasting(String),
    /// The hook could not be run at all: not executable, no interpreter, no memory.
    CannotRun(String),
    /// The machine has no room for it now: no process, memory or open file more. Nothing of it has run, and nothing is known.
    NoRoom(String),
    /// It did not end within [`Context::timeout`] and was ended.
    TimedOut(String),
    /// koi asked for its end.
    Aborted,
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the author of a handler.
    Debug,
    /// Standard output.
    Info,
    /// Standard error.
    Warn,
    /// The handler says that it is an error.
    Error,
}
