//! What koid and a helper say to each other: a line of JSON each, over a socket.

use koi_plugin_api::native::abi;
use koi_plugin_api::{Circumstances, ConfigKey, Context, Hook, HookSet, Metadata, Peer, Role};
use serde::{Deserialize, Serialize};

use std::path::Path;
use std::time::Duration;

/// Bytes of one line of the protocol, either way. The largest that is meant to be sent has the `[config]` of a service twice
/// over, or 256 declared keys.
pub(crate) const FRAME_BYTES: usize = 4 * 1024 * 1024;
/// How long `destroy` may take.
pub(crate) const END_GRACE: Duration = Duration::from_secs(1);
/// Details of one status.
pub(crate) const DETAILS: usize = 16;
/// Bytes of a detail's key.
pub(crate) const DETAIL_KEY_BYTES: usize = 64;
/// Bytes of a detail's value.
pub(crate) const DETAIL_VALUE_BYTES: usize = 1024;
/// Bytes of the path of a pidfile.
pub(crate) const PATH_BYTES: usize = 4096;

/// From koid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum HelperRequest {
    /// Make an instance.
    Create(CreateRequest),
    /// Run a hook.
    Call(Box<CallRequest>),
    /// The call under way is to end.
    Abort,
    /// The newest epoch, asked for by [`HelperReply::AskEpoch`].
    Epoch(u64),
    /// The answer to the question about attributes that has this number.
    Attributes(u64, AttributesAnswer),
    /// Destroy the instance and exit.
    End,
}

/// What `create` needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CreateRequest {
    pub(crate) service: String,
    pub(crate) home: String,
    pub(crate) config: Vec<(String, String)>,
    pub(crate) timeout_ms: u64,
}

/// What a hook needs; numbers as in the ABI.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallRequest {
    pub(crate) hook: u32,
    pub(crate) attempt: u32,
    pub(crate) call_id: u64,
    pub(crate) epoch: u64,
    pub(crate) timeout_ms: u64,
    pub(crate) role: u32,
    pub(crate) service: String,
    pub(crate) node: String,
    pub(crate) node_id: String,
    pub(crate) cluster: String,
    pub(crate) node_state: String,
    pub(crate) master: Option<(String, String)>,
    pub(crate) home: String,
    pub(crate) workdir: String,
    pub(crate) config: Vec<(String, String)>,
    /// Hook, message, whether it timed out.
    pub(crate) failure: Option<(u32, String, bool)>,
    /// How long it really has.
    pub(crate) deadline_ms: u64,
    pub(crate) promoted_epoch: u64,
    /// Name and epoch.
    pub(crate) previous: Option<(String, u64)>,
    pub(crate) reason: Option<String>,
    pub(crate) group: String,
    pub(crate) peers: Option<Vec<PeerRequest>>,
}

/// Another node that runs the group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PeerRequest {
    pub(crate) name: String,
    /// As [`koi_plugin_api::PeerState::as_str`].
    pub(crate) state: String,
    pub(crate) promotable: bool,
    pub(crate) score: Option<i64>,
    pub(crate) address: Option<String>,
}

impl From<Peer> for PeerRequest {
    fn from(Peer { name, state, promotable, score, address }: Peer) -> PeerRequest {
        PeerRequest { name, state: state.as_str().to_owned(), promotable, score, address }
    }
}

impl CallRequest {
    pub(crate) fn new(hook: Hook, context: Context, left: Duration) -> CallRequest {
        let deadline_ms = millis(context.time_left().min(left));
        let Circumstances { reason, promoted_epoch, previous, group, left: _, peers } = context.circumstances;
        CallRequest {
            hook: hook as u32,
            attempt: context.attempt,
            call_id: context.call_id,
            epoch: context.epoch,
            timeout_ms: millis(left),
            role: match context.role {
                Role::None => abi::ROLE_NONE,
                Role::Standby => abi::ROLE_STANDBY,
                Role::Promoted => abi::ROLE_PROMOTED,
            },
            service: context.service,
            node: context.node,
            node_id: context.node_id,
            cluster: context.cluster,
            node_state: context.node_state,
            master: context.master,
            home: text(&context.home),
            workdir: text(&context.workdir),
            config: context.config,
            failure: context.cause.map(|cause| (cause.hook as u32, cause.message, cause.timed_out)),
            deadline_ms,
            promoted_epoch,
            previous,
            reason: reason.map(|reason| reason.as_str().to_owned()),
            group: group.unwrap_or_else(|| "main".to_owned()),
            peers: peers.map(|all| all.into_iter().map(PeerRequest::from).collect()),
        }
    }
}

impl CallRequest {
    /// What the plugin is told that it has left. What begins when lease and grace are over has its time-out: it must still come down.
    pub(crate) fn told_ms(&self) -> u64 {
        if self.deadline_ms == 0 { self.timeout_ms } else { self.deadline_ms }
    }
}

/// A path for a plugin: what is not UTF-8 in it is replaced.
pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// From a helper.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum HelperReply {
    /// The library is loaded; its table.
    Loaded(Box<Described>),
    /// It cannot be used: why. Nothing comes after this.
    Refused(String),
    /// What `create` returned. Nothing comes after anything but done.
    Created(FunctionResult),
    /// A line for the log, at a level of the ABI.
    Line(u32, String),
    /// Asks for [`HelperRequest::Epoch`].
    AskEpoch,
    /// Asks for [`HelperRequest::Attributes`], or for a write.
    AskAttributes(AttributesQuestion),
    /// What the hook returned.
    Done(FunctionResult),
}

/// A question about the attributes of the service's group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AttributesQuestion {
    /// Greater than all before. A new one takes the place of one that is open.
    pub(crate) number: u64,
    /// The call that it belongs to. After that nobody answers it.
    pub(crate) call_id: u64,
    pub(crate) what: AttributesAsk,
}

/// What is asked of attributes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum AttributesAsk {
    /// All of them; true: as the leader knows them.
    Read(bool),
    /// To write one, or to remove it.
    Write(String, Option<String>),
}

/// What is said of attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AttributesAnswer {
    /// Their version, keys and values.
    Read(String, Vec<(String, String)>),
    /// It is written, or removed.
    Written,
    /// Not done: a code of the ABI, and why.
    Refused(i32, String),
}

/// How a function of the plugin ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionResult {
    /// What it returned.
    pub(crate) code: i32,
    /// And what it put.
    pub(crate) message: String,
    pub(crate) score: Option<i64>,
    pub(crate) details: Vec<(String, String)>,
    /// Processes: an id, or a path where there is one.
    pub(crate) processes: Vec<(i64, String)>,
}

/// A plugin's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) abi_minor: u16,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) hooks: u32,
    pub(crate) config: Vec<DescribedKey>,
}

/// A declared key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DescribedKey {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) required: bool,
    pub(crate) default: Option<String>,
}

impl From<Described> for Metadata {
    fn from(described: Described) -> Metadata {
        let has = |hook: &Hook| described.hooks & 1 << *hook as u32 != 0;
        let key = |key: DescribedKey| ConfigKey {
            name: key.name,
            description: key.description,
            required: key.required,
            default: key.default.into_iter().collect(),
            ..ConfigKey::default()
        };
        Metadata {
            name: described.name,
            version: described.version,
            description: described.description,
            hooks: Hook::ALL.into_iter().filter(has).collect::<HookSet>(),
            wants: Vec::new(),
            config: described.config.into_iter().map(key).collect(),
        }
    }
}

/// A line of the protocol, with its end.
pub(crate) fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("texts, numbers and lists of them: JSON has them all");
    line.push(b'\n');
    line
}
