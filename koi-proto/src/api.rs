//! What the API says: JSON under `/v1`, the same on the Unix socket and the sealed TCP port.
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`], the leader's view |
//! | `GET /v1/local` | | [`Local`], the asked node itself (with `?node=NAME`: that node) |
//! | `POST /v1/promote` | [`Promote`] | [`Done`] |
//! | `POST /v1/demote`, `POST /v1/elect` | | [`Done`] |
//! | `POST /v1/start`, `/v1/stop`, `/v1/recover` | [`OnNode`] | [`Done`] |
//! | `POST /v1/reconfigure` | [`Reconfigure`] | [`Done`] |
//! | `POST /v1/confirm-down` | [`OnNode`], the node required | [`Done`] |
//! | `POST /v1/maintenance` | [`Maintenance`] | [`Done`] |
//! | `GET /v1/electors` | | [`Electors`] |
//! | `POST /v1/electors` | [`ElectorsChange`] | [`Done`] |
//! | `POST /v1/bootstrap` | [`Bootstrap`] | [`Done`], the asked node itself; its steps are the electors' names |
//! | `GET /v1/failures` | | [`Failures`] |
//! | `GET /v1/plugins` | | an array of [`Plugin`], the asked node's (with `?node=NAME`: that node's) |
//! | `GET /v1/plugins/NAME` | | [`PluginDetail`]; the name, or the path of its file, percent-encoded; `?node=` as above |
//! | `GET /v1/events?since=N` | | a line of JSON per [`Event`], those kept first, then each as it happens, without end; `&follow=false`: only those kept |
//!
//! A node that is not the leader passes on what only the leader can do. Errors are [`ErrorBody`] with a fitting status.
//!
//! A request may say how long its answer is waited for (`x-koi-within-ms: 6000`, [`crate::client::WITHIN`]): no command is begun after
//! that, on whatever node. Nor is one whose connection was closed before it was begun.

use serde::{Deserialize, Serialize};

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The cluster as a whole.
    pub cluster: ClusterStatus,
    /// Each node that is known, by name.
    pub nodes: Vec<NodeStatus>,
}

/// The cluster as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    /// `cluster.id`.
    pub id: u32,
    /// The leader's name.
    pub leader: Option<String>,
    /// The master's name.
    pub master: Option<String>,
    /// The name of the node that is wanted as master and is not yet.
    pub target: Option<String>,
    /// The newest mastership's number.
    pub epoch: u64,
    /// The leader's term.
    pub term: u64,
    /// How many electors must agree; zero: off.
    pub quorum: u16,
    /// How many electors the cluster has, by its record, or before that has members by the configuration; zero: unknown.
    pub electors: u16,
    /// How many electors are heard from now, the asked one included.
    pub electors_seen: u16,
    /// No master is chosen until an operator says so.
    pub manual: bool,
    /// No hook runs anywhere.
    pub maintenance: bool,
    /// All is well: a leader acts, a master is promoted with all its services, no node has failed, is unclean or missing, every elector is
    /// heard and hears, another runner could take over if there is one, maintenance mode is off, nothing is waited for, and there is no
    /// warning.
    pub healthy: bool,
    /// What is wrong, or will be, a sentence each. Never any where `healthy` is true.
    pub warnings: Vec<String>,
    /// What the configuration, and what was measured, mean for a bad day, a sentence each: no fault, and it may stand where all is well.
    pub advice: Vec<String>,
    /// The name of the node that would be master next; none: nobody could.
    pub takeover: Option<String>,
    /// What the cluster waits for before the next step, a sentence each: which node, until when, by which rule.
    pub waiting: Vec<Waiting>,
    /// The name of the node that says all this. Without a leader that is only what this node sees.
    pub seen_by: String,
    /// The version of the record that counts, `term.n`.
    pub record: String,
}

/// Something that must happen, or a time that must pass, before the next step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// A sentence for people.
    pub what: String,
    /// The node waited for, if it is one.
    pub node: Option<String>,
    /// Milliseconds until the wait is over by itself; none: it is not.
    pub remaining_ms: Option<u64>,
    /// The rule of docs/protocol.md that demands it (`R6`), if one does.
    pub rule: Option<String>,
    /// What an operator can do to shorten it; may be empty.
    pub hint: String,
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
    /// `Failed Disconnected Stopped Live Standby Master Elector`.
    pub state: String,
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
    /// An operator has stopped it.
    pub stopped: bool,
    /// Stays out by its own configuration, or the whole cluster is in maintenance.
    pub maintenance: bool,
    /// Could not stop what it had promoted (R7).
    pub unclean: bool,
    /// It is heard, and hears nobody: its network passes only one way. Its state is `Disconnected`.
    pub deaf: bool,
    /// What it is doing with its services: `Fail Stop Start Demote Promote`; none: it has none.
    pub action: Option<String>,
    /// What the node's services need, a sentence; empty: nothing.
    pub message: String,
    /// Milliseconds until it tries again by itself after a failure; none: it does not.
    pub recovers_in_ms: Option<u64>,
    /// Its services in the order of their priorities; none: it did not answer.
    pub services: Option<Vec<ServiceStatus>>,
}

/// A service on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Its name, without the priority.
    pub name: String,
    /// Its priority; none: independent.
    pub priority: Option<u8>,
    /// Which handler runs it.
    pub handler: String,
    /// The word of docs/from-classic.md.
    pub state: String,
    /// The hook that runs now.
    pub hook: Option<String>,
    /// How long that hook runs, in milliseconds.
    pub hook_ms: Option<u64>,
    /// It has failed.
    pub failed: bool,
    /// `disabled` lies in its folder.
    pub disabled: bool,
    /// It could be promoted now, or is.
    pub promotable: bool,
    /// Preference among candidates.
    pub score: Option<i32>,
    /// The last word of its handler or the reason of its failure.
    pub message: Option<String>,
    /// What its handler said of it besides, in its order: lag, version, whatever helps.
    pub details: Vec<(String, String)>,
    /// It goes on as it was until it is stopped: why it could not be started as its folder is now.
    pub held: Option<String>,
}

/// A handler that services may name (`GET /v1/plugins`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plugin {
    /// What services name it by; of a file that could not be loaded: the file's name without its ending.
    pub name: String,
    /// `builtin`, `native` or `wasm`.
    pub kind: String,
    /// Its own version.
    pub version: String,
    /// What it was built against: `koi:service@0.1.0`, `native 1.0`; of the built-in one: koi's version.
    pub api: String,
    /// The hooks that it has.
    pub hooks: Vec<String>,
    /// The services of this node that use it, by name.
    pub services: Vec<String>,
    /// `ready`, `error`, or `compiling` (of a native one `loading`): its file is being loaded, and nothing of it is in force yet.
    pub state: String,
    /// Why it cannot be used, or why the file that lies there now was not taken.
    pub error: Option<String>,
    /// The file that it was loaded from; none: built in.
    pub path: Option<String>,
    /// One line for people.
    pub description: String,
    /// SHA-256 of the file as it was loaded, in hexadecimal digits; none: built in.
    pub hash: Option<String>,
    /// For how long the file that lies there now has been being loaded; none: it is not. What is in force stays meanwhile.
    pub loading_ms: Option<u64>,
    /// Those of its services that cannot run with it, and why.
    pub problems: Vec<ServiceProblem>,
    /// The file that lies there now: `same`, `changed` (taken at the next `koi reconfigure`), `refused` (it could not be taken) or `gone`;
    /// empty: it is built in.
    pub on_disk: String,
}

/// A service that cannot run with its handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceProblem {
    /// The service.
    pub service: String,
    /// Why, and what to do.
    pub problem: String,
}

/// All that is known of one plugin (`GET /v1/plugins/NAME`, `koi plugins inspect`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginDetail {
    /// What the list says of it.
    #[serde(flatten)]
    pub plugin: Plugin,
    /// Bytes of the file as it was loaded.
    pub size_bytes: u64,
    /// The interfaces that it imports, for WASM.
    pub imports: Vec<String>,
    /// The keys of `[config]` that it understands.
    pub config: Vec<PluginConfigKey>,
    /// What it wants of the node, each as the line of `[grants]` that grants it.
    pub wanted: Vec<String>,
    /// Its compiled code, for WASM.
    pub compiled: Option<PluginCompiled>,
    /// How each of its services uses it.
    pub used_by: Vec<PluginUse>,
}

/// A key of `[config]` that a plugin understands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginConfigKey {
    /// The key.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Without it the service cannot run.
    pub required: bool,
    /// What it is where `service.toml` does not say.
    pub default: Option<String>,
}

/// The compiled code of a WASM plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginCompiled {
    /// Its size.
    pub size_bytes: u64,
    /// It was found in the cache; false: it was compiled for this load.
    pub cached: bool,
    /// How long compiling (or reading it from the cache) took.
    pub took_ms: u64,
}

/// How one service uses a plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginUse {
    /// The service.
    pub service: String,
    /// What its `[grants]` grant, a line each, names resolved.
    pub granted: Vec<String>,
    /// Its `[limits]` as they are in force, a line each.
    pub limits: Vec<String>,
    /// Why it cannot run with it.
    pub problem: Option<String>,
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
    /// How many nodes it hears of, itself included.
    pub nodes: usize,
    /// The leader's name, as far as it knows.
    pub leader: Option<String>,
    /// The leader's API address (`ip:port`); none: it is itself, or unknown.
    pub leader_address: Option<String>,
    /// Milliseconds that its lease on the mastership lasts; none: it has none.
    pub lease_ms: Option<u64>,
    /// The mastership that it holds.
    pub epoch: Option<u64>,
    /// The newest term that it knows.
    pub term: u64,
    /// What its state on disk is worth: `empty founder member` (R10).
    pub standing: String,
    /// Milliseconds that its slowest demote of late took.
    pub slowest_demote_ms: Option<u64>,
    /// Datagrams that were dropped, by reason.
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// What is wrong with this node, or will be, a sentence each; every status has them too.
    pub warnings: Vec<String>,
    /// What this node noticed that is no fault, a sentence each; every status has them too.
    pub advice: Vec<String>,
}

/// `POST /v1/promote`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Promote {
    /// Name or UUID.
    pub node: String,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// A command for one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OnNode {
    /// Name or UUID; none: the node that is asked.
    pub node: Option<String>,
}

/// `POST /v1/reconfigure`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reconfigure {
    /// Name or UUID; none: the node that is asked.
    pub node: Option<String>,
    /// How long the answer may wait for plugins to be loaded; none: as long as most clients wait for any answer. What takes longer goes
    /// on after the answer.
    pub wait_ms: Option<u64>,
}

/// `GET /v1/electors`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Electors {
    /// The members, and the nodes that are configured to vote and are none, by name.
    pub electors: Vec<Elector>,
    /// How many of them must agree; zero: quorum is off.
    pub quorum: u16,
}

/// An elector, or a node that could become one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Elector {
    /// Its name; its UUID, if nobody has heard it.
    pub name: String,
    /// Its UUID.
    pub id: String,
    /// `member`, `joining`, `leaving`, `outside` (configured to vote, and does not), or `configured` (the record has no members yet).
    pub membership: String,
    /// It is heard from now.
    pub there: bool,
}

/// `POST /v1/electors`: one of `add`, `remove`, or `replace` with `by`. Nodes are called by name or UUID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ElectorsChange {
    /// This node, which answers and is no elector, becomes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<String>,
    /// This elector is none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<String>,
    /// This elector gives its place to `by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<String>,
    /// The node that takes the place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// `POST /v1/bootstrap`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bootstrap {
    /// Only say with which electors.
    pub dry_run: bool,
}

/// `POST /v1/maintenance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Maintenance {
    /// On or off.
    pub on: bool,
}

/// A command that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// What was done, or would be, a sentence for people.
    pub message: String,
    /// What was done one by one, or would be.
    pub steps: Vec<String>,
    /// What is to be known besides, a sentence each: what did not come along, and why.
    pub notes: Vec<String>,
    /// Something that was meant did not come along: the notes say what.
    pub refused: bool,
    /// Something is still being done: the notes say what.
    pub pending: bool,
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
    /// The service; empty: the node as a whole.
    pub service: String,
    /// The hook.
    pub hook: String,
    /// What happened.
    pub message: String,
    /// Milliseconds since.
    pub ago_ms: u64,
}

/// Something that happened on the asked node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Grows by one with each event of this run of the daemon.
    pub number: u64,
    /// Milliseconds since 1970, by the wall clock.
    pub at_ms: u64,
    /// The node that says so.
    pub node: String,
    /// What kind: `leader-elected`, `hook-finished`, ….
    pub kind: String,
    /// A sentence for people.
    pub message: String,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// The service it is about.
    pub service: Option<String>,
}

/// What went wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ApiError,
}

/// What went wrong, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiError {
    /// A word for programs, one of [`codes`].
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// The words in [`ApiError::code`], with the HTTP status and the exit code of `koi` that go with them.
pub mod codes {
    /// The request is not understood (400, exit 2).
    pub const BAD_REQUEST: &str = "bad-request";
    /// No such path, or no such node (404, exit 1).
    pub const NOT_FOUND: &str = "not-found";
    /// The state of things does not allow it (409, exit 1).
    pub const REFUSED: &str = "refused";
    /// It would risk two masters (409, exit 5).
    pub const UNSAFE: &str = "unsafe";
    /// No leader is known or reachable (503, exit 4).
    pub const NO_LEADER: &str = "no-leader";
    /// There was no time left: the message says whether it was begun, and so may yet take effect, or was not (504, exit 4).
    pub const TIMEOUT: &str = "timeout";
    /// As many are served as are at once; nothing was done (503, exit 4).
    pub const BUSY: &str = "busy";
    /// Something broke inside (500, exit 1).
    pub const INTERNAL: &str = "internal";

    /// The HTTP status of a code.
    pub fn http_status(code: &str) -> u16 {
        match code {
            BAD_REQUEST => 400,
            NOT_FOUND => 404,
            REFUSED | UNSAFE => 409,
            NO_LEADER | BUSY => 503,
            TIMEOUT => 504,
            _ => 500,
        }
    }
}
