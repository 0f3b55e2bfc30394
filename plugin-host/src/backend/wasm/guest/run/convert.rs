//! Between the words of the WIT and those of the protocol.

use koi_plugin_api::{
    Capability, ConfigKey, ConfigKind, DownReason, Hook, NamedProcess, PeerState, Program, Want, for_people,
};

use crate::backend::wasm::bindings::v0_2::koi::service::types as wit;
use crate::backend::wasm::protocol::{
    DescribedHandler, HookEnding, HookPeer, HookRequest, PATH_BYTES, ProcessName, SecretText, hook_of,
};

/// Characters of a text that people read in a line of a table.
const MESSAGE_CHARS: usize = 300;

/// Characters of an error, which may say what to do.
const ERROR_CHARS: usize = 1000;

/// Details of a status that are passed on.
const DETAILS: usize = 16;

/// Characters of the name of a detail.
const DETAIL_NAME_CHARS: usize = 64;

/// What the guest is told of its call.
pub(crate) fn context(from: HookRequest) -> wit::Context {
    let secrets = from.secrets.into_iter().map(|(key, SecretText(text))| (key, text));
    wit::Context {
        service: from.service,
        node: from.node,
        call_id: from.call_id,
        attempt: from.attempt,
        role: match from.role {
            1 => wit::Role::Standby,
            2 => wit::Role::Promoted,
            _ => wit::Role::None,
        },
        epoch: from.epoch,
        master: from.master,
        timeout_ms: from.timeout_ms,
        workdir: from.workdir,
        config: from.config.into_iter().chain(secrets).collect(),
        deadline_ms: from.deadline_ms,
        promoted_epoch: from.promoted_epoch,
        previous: from.previous.map(|(name, epoch)| wit::PastMastership { name, epoch }),
        reason: from.reason.and_then(|place| DownReason::ALL.get(usize::from(place))).map(reason),
        group: from.group,
        peers: from.peers.map(|all| all.into_iter().map(peer).collect()),
    }
}

fn peer(peer: HookPeer) -> wit::Peer {
    let HookPeer { name, state, promotable, score, address } = peer;
    let state = PeerState::ALL.get(usize::from(state)).copied();
    let state = match state.unwrap_or(PeerState::Disconnected) {
        PeerState::Failed => wit::PeerState::Failed,
        PeerState::Disconnected => wit::PeerState::Disconnected,
        PeerState::Stopped => wit::PeerState::Stopped,
        PeerState::Live => wit::PeerState::Live,
        PeerState::Standby => wit::PeerState::Standby,
        PeerState::Master => wit::PeerState::Master,
    };
    wit::Peer { name, state, promotable, score, address }
}

fn reason(reason: &DownReason) -> wit::DownReason {
    match reason {
        DownReason::LeaseLost => wit::DownReason::LeaseLost,
        DownReason::Ordered => wit::DownReason::Ordered,
        DownReason::Failed => wit::DownReason::Failed,
        DownReason::Stopping => wit::DownReason::Stopping,
        DownReason::Fenced => wit::DownReason::Fenced,
    }
}

/// Why `failed` is called.
pub(crate) fn failure(cause: Option<&(u8, String, bool)>) -> wit::Failure {
    let hook = match cause.and_then(|(hook, ..)| hook_of(*hook)).unwrap_or(Hook::Status) {
        Hook::Start => wit::Hook::Start,
        Hook::Stop => wit::Hook::Stop,
        Hook::Promote => wit::Hook::Promote,
        Hook::Demote => wit::Hook::Demote,
        Hook::Status => wit::Hook::Status,
        Hook::Failed => wit::Hook::Failed,
        Hook::Changed => wit::Hook::Changed,
    };
    let message = cause.map(|(_, message, _)| message.clone()).unwrap_or_default();
    wit::Failure { hook, message, timed_out: cause.is_some_and(|(.., timed_out)| *timed_out) }
}

/// What an error of the guest means.
pub(crate) fn error(error: wit::HookError) -> HookEnding {
    let or = |text: String, silent: &str| match for_people(&text, ERROR_CHARS) {
        said if said.is_empty() => silent.to_owned(),
        said => said,
    };
    match error {
        wit::HookError::Retry(text) => HookEnding::Failed(or(text, "it failed, and did not say why")),
        wit::HookError::Fatal(text) => {
            HookEnding::Lasting(or(text, "it failed for good, and did not say why"))
        }
        wit::HookError::Misconfigured(text) => {
            let text = or(text, "it did not say what; look at [config] of service.toml");
            HookEnding::Lasting(format!("misconfigured: {text}"))
        }
        wit::HookError::Unsupported => HookEnding::Done,
    }
}

/// What a status means.
pub(crate) fn status(report: wit::StatusReport) -> HookEnding {
    let message = for_people(&report.message, MESSAGE_CHARS);
    let observed = match report.state {
        wit::ServiceState::Ok => 0,
        wit::ServiceState::Promoted => 1,
        wit::ServiceState::Standby => 2,
        wit::ServiceState::Live => 3,
        wit::ServiceState::Stopped => 4,
        wit::ServiceState::Failed if message.is_empty() => {
            return HookEnding::Failed("status says that it has failed, and not why".into());
        }
        wit::ServiceState::Failed => return HookEnding::Failed(message),
    };
    let of_people = |(name, value): (String, String)| {
        (for_people(&name, DETAIL_NAME_CHARS), for_people(&value, MESSAGE_CHARS))
    };
    let details = report.details.into_iter().take(DETAILS).map(of_people).collect();
    let processes = processes(report.processes);
    HookEnding::Status { observed, message, score: report.promotion_score, details, processes }
}

/// One more than are of use says that there are too many.
fn processes(named: Vec<wit::Process>) -> Vec<ProcessName> {
    let name = |process| match process {
        wit::Process::Pid(id) => ProcessName::Id(id),
        wit::Process::Pidfile(mut path) => {
            // No path is as long: the rest would only be carried about.
            path.truncate(path.floor_char_boundary(PATH_BYTES + 1));
            ProcessName::File(path)
        }
    };
    named.into_iter().take(NamedProcess::MOST + 1).map(name).collect()
}

/// What a component says of itself.
pub(crate) fn described(said: wit::Metadata) -> DescribedHandler {
    let bit = |hook: Hook| if said.hooks.contains(flag(hook)) { 1 << hook as u8 } else { 0 };
    DescribedHandler {
        hooks: Hook::ALL.into_iter().map(bit).sum(),
        name: said.name,
        version: said.version,
        description: said.description,
        wants: said.wants.into_iter().map(want).collect(),
        config: said.config.into_iter().map(config_key).collect(),
    }
}

fn want(said: wit::Want) -> Want {
    let capability = match said.capability {
        wit::Capability::Exec(wit::Program { words, user, keep }) => {
            Capability::Exec(Program { words, user, keep })
        }
        wit::Capability::ExecEnv(name) => Capability::ExecEnv(name),
        wit::Capability::Tcp(address) => Capability::Tcp(address),
        wit::Capability::Udp(address) => Capability::Udp(address),
        wit::Capability::Http(address) => Capability::Http(address),
        wit::Capability::Lookup => Capability::Lookup,
        wit::Capability::Read(directory) => Capability::Read(directory),
        wit::Capability::Write(directory) => Capability::Write(directory),
        wit::Capability::Env(name) => Capability::Env(name),
    };
    Want { capability, reason: said.reason }
}

fn config_key(said: wit::ConfigKey) -> ConfigKey {
    let kind = match said.kind {
        wit::ConfigType::Text => ConfigKind::Text,
        wit::ConfigType::Integer(wit::IntegerRange { least, most }) => ConfigKind::Integer { least, most },
        wit::ConfigType::Boolean => ConfigKind::Boolean,
        wit::ConfigType::Duration => ConfigKind::Duration,
        wit::ConfigType::Address => ConfigKind::Address,
        wit::ConfigType::Ip => ConfigKind::Ip,
        wit::ConfigType::OneOf(texts) => ConfigKind::OneOf(texts),
        wit::ConfigType::Secret => ConfigKind::Secret,
    };
    ConfigKey {
        name: said.name,
        description: said.description,
        kind,
        many: said.many,
        required: said.required,
        default: said.default,
    }
}

fn flag(hook: Hook) -> wit::HookSet {
    match hook {
        Hook::Start => wit::HookSet::START,
        Hook::Stop => wit::HookSet::STOP,
        Hook::Promote => wit::HookSet::PROMOTE,
        Hook::Demote => wit::HookSet::DEMOTE,
        Hook::Status => wit::HookSet::STATUS,
        Hook::Failed => wit::HookSet::FAILED,
        Hook::Changed => wit::HookSet::CHANGED,
    }
}
