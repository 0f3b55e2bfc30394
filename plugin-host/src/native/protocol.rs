//! What koid and a helper say to each other: a line of JSON each, over a socket.

use koi_plugin_api::native::abi;
use koi_plugin_api::{ConfigKey, Context, Hook, HookSet, Metadata, Role};
use serde::{Deserialize, Serialize};

use std::path::Path;
use std::time::Duration;

/// Bytes of one line of the protocol, either way. The largest that is meant to be sent has the `[config]` of a service twice
/// over, or 256 declared keys.
pub(super) const FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a message.
pub(super) const MESSAGE_BYTES: usize = 1024;
/// Details of one status.
pub(super) const DETAILS: usize = 16;
/// Bytes of a detail's key.
pub(super) const DETAIL_KEY_BYTES: usize = 64;
/// Bytes of a detail's value.
pub(super) const DETAIL_VALUE_BYTES: usize = 1024;
/// Bytes of a line for the log.
pub(super) const LINE_BYTES: usize = 4096;

/// From koid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum HelperRequest {
    /// Make an instance.
    Create(CreateRequest),
    /// Run a hook.
    Call(Box<CallRequest>),
    /// The call under way is to end.
    Abort,
    /// The newest epoch, asked for by [`HelperReply::AskEpoch`].
    Epoch(u64),
    /// Destroy the instance and exit.
    End,
}

/// What `create` needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CreateRequest {
    pub(super) service: String,
    pub(super) home: String,
    pub(super) config: Vec<(String, String)>,
    pub(super) timeout_ms: u64,
}

/// What a hook needs; numbers as in the ABI.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CallRequest {
    pub(super) hook: u32,
    pub(super) attempt: u32,
    pub(super) call_id: u64,
    pub(super) epoch: u64,
    pub(super) timeout_ms: u64,
    pub(super) role: u32,
    pub(super) service: String,
    pub(super) node: String,
    pub(super) node_id: String,
    pub(super) cluster: String,
    pub(super) node_state: String,
    pub(super) master: Option<(String, String)>,
    pub(super) home: String,
    pub(super) workdir: String,
    pub(super) config: Vec<(String, String)>,
    /// Hook, message, whether it timed out.
    pub(super) failure: Option<(u32, String, bool)>,
}

impl CallRequest {
    pub(super) fn new(hook: Hook, context: Context, left: Duration) -> CallRequest {
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
        }
    }
}

/// A path for a plugin: what is not UTF-8 in it is replaced.
pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// From a helper.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum HelperReply {
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
    /// What the hook returned.
    Done(FunctionResult),
}

/// How a function of the plugin ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FunctionResult {
    /// What it returned.
    pub(super) code: i32,
    /// And what it put.
    pub(super) message: String,
    pub(super) score: Option<i32>,
    pub(super) details: Vec<(String, String)>,
}

/// A plugin's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Described {
    pub(super) abi_minor: u16,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: String,
    pub(super) hooks: u32,
    pub(super) config: Vec<DescribedKey>,
}

/// A declared key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DescribedKey {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) required: bool,
    pub(super) default: Option<String>,
}

impl From<Described> for Metadata {
    fn from(described: Described) -> Metadata {
        let has = |hook: &Hook| described.hooks & 1 << *hook as u32 != 0;
        let key = |key: DescribedKey| ConfigKey {
            name: key.name,
            description: key.description,
            required: key.required,
            default: key.default,
        };
        Metadata {
            name: described.name,
            version: described.version,
            description: described.description,
            hooks: Hook::ALL.into_iter().filter(has).collect::<HookSet>(),
            capabilities: Vec::new(),
            config: described.config.into_iter().map(key).collect(),
        }
    }
}

/// A line of the protocol, with its end.
pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("texts, numbers and lists of them: JSON has them all");
    line.push(b'\n');
    line
}

/// The first `bytes` of a text at most, without half a character.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
