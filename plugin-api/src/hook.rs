//! What a handler is asked, and what it may answer.

use std::path::PathBuf;
use std::time::Duration;

/// The calls that a handler may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Start the service as standby.
    Start,
    /// Stop it.
    Stop,
    /// Make it the master.
    Promote,
    /// Make it a standby again. Must be idempotent.
    Demote,
    /// Say how it is.
    Status,
    /// It has failed: look at the wreck before it is stopped.
    Failed,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Hook; 6] =
        [Hook::Start, Hook::Stop, Hook::Promote, Hook::Demote, Hook::Status, Hook::Failed];

    /// Its name: the script's name, and the first argument of a single-file service.
    pub fn as_str(self) -> &'static str {
        match self {
            Hook::Start => "start",
            Hook::Stop => "stop",
            Hook::Promote => "promote",
            Hook::Demote => "demote",
            Hook::Status => "status",
            Hook::Failed => "failed",
        }
    }
}

/// Which hooks a handler has. One that it does not have counts as success at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HookSet(u8);

impl HookSet {
    /// Every hook.
    pub const ALL: HookSet = HookSet(0b11_1111);

    /// The set with `hook` in it too.
    #[must_use]
    pub fn with(self, hook: Hook) -> HookSet {
        HookSet(self.0 | 1 << hook as u8)
    }

    /// Whether `hook` is in it.
    pub fn has(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u8) != 0
    }

    /// The hooks in it.
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |h| self.has(*h))
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> HookSet {
        hooks.into_iter().fold(HookSet::default(), HookSet::with)
    }
}

/// The role that koi has given to the service on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is not to run.
    None,
    /// It is to run, ready for promotion.
    Standby,
    /// It is to be the master.
    Promoted,
}

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
    pub role: Role,
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
    /// What `status` saw.
    Status(StatusReport),
}

/// What `status` saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The state observed.
    pub observed: Observed,
    /// One line for people; may be empty.
    pub message: String,
    /// Preference among standbys, higher is better; none: no opinion.
    pub score: Option<i32>,
    /// Free-form keys and values for people.
    pub details: Vec<(String, String)>,
}

/// The states that `status` tells apart, with the exit codes of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// 0: healthy, in whatever state it should be.
    Healthy,
    /// 90: healthy, and promoted.
    Promoted,
    /// 91: healthy, and standby.
    Standby,
    /// 92: stopped.
    Stopped,
    /// 93: running, but not promotable now.
    Live,
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
