//! Between the words of the WIT and koi's own.

use koi_plugin_api::{
    Capability, ConfigKey, Context, Failure, Hook, HookError, HookSet, Metadata, Observed, Outcome, Role,
    StatusReport, for_people,
};

use crate::backend::wasm::bindings::koi::service::types as wit;

/// Characters of a text that people read in a line of a table.
const MESSAGE_CHARS: usize = 300;

/// Characters of an error, which may say what to do.
const ERROR_CHARS: usize = 1000;

/// Details of a status that are kept.
const DETAILS: usize = 16;

/// Characters of the name of a detail.
const DETAIL_NAME_CHARS: usize = 64;

/// Capabilities, and keys of the configuration, that a handler may name.
const NAMED: usize = 128;

/// Bytes of a capability, of a key and of its default.
const NAMED_BYTES: usize = 1024;

/// What a hook that a handler does not have gives.
pub(crate) fn not_there(hook: Hook) -> Outcome {
    match hook {
        Hook::Status => {
            let message = String::new();
            Outcome::Status(StatusReport {
                observed: Observed::Healthy,
                message,
                score: None,
                details: Vec::new(),
            })
        }
        Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Failed => Outcome::Done,
    }
}

/// What the guest is told of its call. `workdir`: it can read the service's folder. `defaults` has what its configuration does
/// not say.
pub(crate) fn context(from: &Context, workdir: bool, defaults: &[(String, String)]) -> wit::Context {
    let mut config = from.config.clone();
    for (key, value) in defaults {
        if !config.iter().any(|(name, _)| name == key) {
            config.push((key.clone(), value.clone()));
        }
    }
    wit::Context {
        service: from.service.clone(),
        node: from.node.clone(),
        call_id: from.call_id,
        attempt: from.attempt,
        role: match from.role {
            Role::None => wit::Role::None,
            Role::Standby => wit::Role::Standby,
            Role::Promoted => wit::Role::Promoted,
        },
        epoch: from.epoch,
        master: from.master.clone(),
        timeout_ms: u64::try_from(from.timeout.as_millis()).unwrap_or(u64::MAX),
        workdir: workdir.then(|| from.home.display().to_string()),
        config,
    }
}

/// Why `failed` is called.
pub(crate) fn failure(cause: Option<&Failure>) -> wit::Failure {
    let hook = match cause.map_or(Hook::Status, |cause| cause.hook) {
        Hook::Start => wit::Hook::Start,
        Hook::Stop => wit::Hook::Stop,
        Hook::Promote => wit::Hook::Promote,
        Hook::Demote => wit::Hook::Demote,
        Hook::Status => wit::Hook::Status,
        Hook::Failed => wit::Hook::Failed,
    };
    let message = cause.map(|cause| cause.message.clone()).unwrap_or_default();
    wit::Failure { hook, message, timed_out: cause.is_some_and(|cause| cause.timed_out) }
}

/// What an error of the guest means.
pub(crate) fn error(hook: Hook, error: wit::HookError) -> Result<Outcome, HookError> {
    let or = |text: String, silent: &str| match for_people(&text, ERROR_CHARS) {
        said if said.is_empty() => silent.to_owned(),
        said => said,
    };
    match error {
        wit::HookError::Retry(text) => Err(HookError::Failed(or(text, "it failed, and did not say why"))),
        wit::HookError::Fatal(text) => {
            Err(HookError::Lasting(or(text, "it failed for good, and did not say why")))
        }
        wit::HookError::Misconfigured(text) => {
            let text = or(text, "it did not say what; look at [config] of service.toml");
            Err(HookError::Lasting(format!("misconfigured: {text}")))
        }
        wit::HookError::Unsupported => Ok(not_there(hook)),
    }
}

/// What a status means.
pub(crate) fn status(report: wit::StatusReport) -> Result<Outcome, HookError> {
    let message = for_people(&report.message, MESSAGE_CHARS);
    let observed = match report.state {
        wit::ServiceState::Ok => Observed::Healthy,
        wit::ServiceState::Promoted => Observed::Promoted,
        wit::ServiceState::Standby => Observed::Standby,
        wit::ServiceState::Live => Observed::Live,
        wit::ServiceState::Stopped => Observed::Stopped,
        wit::ServiceState::Failed if message.is_empty() => {
            return Err(HookError::Failed("status says that it has failed, and not why".into()));
        }
        wit::ServiceState::Failed => return Err(HookError::Failed(message)),
    };
    let of_people = |(name, value): (String, String)| {
        (for_people(&name, DETAIL_NAME_CHARS), for_people(&value, MESSAGE_CHARS))
    };
    let details = report.details.into_iter().take(DETAILS).map(of_people).collect();
    Ok(Outcome::Status(StatusReport { observed, message, score: report.promotion_score, details }))
}

/// Which part of what a component says of itself cannot be.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Its name has other characters, or too many of them.
    #[error("its name is {name:?}: it must be 1 to 64 of the characters a-z, 0-9 and `-`")]
    Name { name: String },
    /// It does nothing.
    #[error("it has no hooks: `describe` must name at least one")]
    NoHooks,
    /// It lists too much.
    #[error("`describe` names more than {NAMED} capabilities or configuration keys")]
    TooMany,
    /// A text that is compared or shown is too long or not plain.
    #[error("`describe` names {text:?}, which has control characters or more than {NAMED_BYTES} bytes")]
    Text { text: String },
    /// A key has no name.
    #[error("`describe` names a configuration key without a name")]
    NamelessKey,
}

/// What a component says of itself.
pub(crate) fn metadata(said: wit::Metadata) -> Result<Metadata, MetadataError> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if said.name.is_empty() || said.name.len() > 64 || !said.name.chars().all(is_name) {
        let name = for_people(&said.name, 80);
        return Err(MetadataError::Name { name });
    }
    let hooks = hooks(said.hooks);
    if hooks.iter().next().is_none() {
        return Err(MetadataError::NoHooks);
    }
    if said.capabilities.len() > NAMED || said.config.len() > NAMED {
        return Err(MetadataError::TooMany);
    }
    let metadata = Metadata {
        name: said.name,
        version: for_people(&said.version, 64),
        description: for_people(&said.description, MESSAGE_CHARS),
        hooks,
        capabilities: said.capabilities.into_iter().map(capability).collect(),
        config: said.config.into_iter().map(config_key).collect(),
    };
    check_texts(&metadata)?;
    Ok(metadata)
}

/// Capabilities and keys are compared and shown: they are short and plain, or refused.
fn check_texts(metadata: &Metadata) -> Result<(), MetadataError> {
    let values = metadata.capabilities.iter().map(Capability::value);
    let keys = metadata.config.iter().flat_map(|key| [Some(key.name.as_str()), key.default.as_deref()]);
    let mut texts = values.chain(keys.flatten());
    let bad = texts.find(|text| text.len() > NAMED_BYTES || text.contains(char::is_control));
    if let Some(text) = bad {
        return Err(MetadataError::Text { text: for_people(text, 80) });
    }
    match metadata.config.iter().any(|key| key.name.is_empty()) {
        true => Err(MetadataError::NamelessKey),
        false => Ok(()),
    }
}

fn hooks(said: wit::HookSet) -> HookSet {
    let flag = |hook: &Hook| match hook {
        Hook::Start => wit::HookSet::START,
        Hook::Stop => wit::HookSet::STOP,
        Hook::Promote => wit::HookSet::PROMOTE,
        Hook::Demote => wit::HookSet::DEMOTE,
        Hook::Status => wit::HookSet::STATUS,
        Hook::Failed => wit::HookSet::FAILED,
    };
    Hook::ALL.into_iter().filter(|hook| said.contains(flag(hook))).collect()
}

fn capability(said: wit::Capability) -> Capability {
    match said {
        wit::Capability::Exec(text) => Capability::Exec(text),
        wit::Capability::TcpConnect(text) => Capability::TcpConnect(text),
        wit::Capability::FsRead(text) => Capability::FsRead(text),
        wit::Capability::FsWrite(text) => Capability::FsWrite(text),
        wit::Capability::Env(text) => Capability::Env(text),
    }
}

fn config_key(said: wit::ConfigKey) -> ConfigKey {
    ConfigKey {
        name: said.name,
        description: for_people(&said.description, MESSAGE_CHARS),
        required: said.required,
        default: said.default,
    }
}
