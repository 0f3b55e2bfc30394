//! Handlers of `koi:service@0.1`: their words and those of the version that the rest of the host speaks.

use koi_plugin_api::{Capability, ConfigKey, ConfigKind, Hook, Want};
use wasmtime::Store;

use crate::backend::wasm::bindings::v0_1::koi::service::types as old;
use crate::backend::wasm::bindings::v0_2::koi::service::types as new;
use crate::backend::wasm::guest::run::component::HookExport;
use crate::backend::wasm::guest::run::convert;
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::protocol::{DescribedHandler, HookEnding};

/// Calls a hook of an instance.
pub(crate) async fn call(
    export: &HookExport<'_>,
    store: &mut Store<Guest>,
    hook: Hook,
    (told, cause): (new::Context, new::Failure),
) -> wasmtime::Result<Result<HookEnding, new::HookError>> {
    let told = context(told);
    let done = match hook {
        Hook::Status => {
            let said: Result<_, _> = export.call(store, (&told,)).await?;
            return Ok(said.map(|report| convert::status(status(report))).map_err(error));
        }
        Hook::Failed => export.call(store, (&told, &failure(cause))).await?,
        _ => export.call(store, (&told,)).await?,
    };
    Ok(done.map(|()| HookEnding::Done).map_err(error))
}

fn context(from: new::Context) -> old::Context {
    old::Context {
        service: from.service,
        node: from.node,
        call_id: from.call_id,
        attempt: from.attempt,
        role: match from.role {
            new::Role::None => old::Role::None,
            new::Role::Standby => old::Role::Standby,
            new::Role::Promoted => old::Role::Promoted,
        },
        epoch: from.epoch,
        master: from.master,
        timeout_ms: from.timeout_ms,
        workdir: from.workdir,
        config: from.config,
    }
}

fn failure(from: new::Failure) -> old::Failure {
    let hook = match from.hook {
        new::Hook::Start => old::Hook::Start,
        new::Hook::Stop => old::Hook::Stop,
        new::Hook::Promote => old::Hook::Promote,
        new::Hook::Demote => old::Hook::Demote,
        new::Hook::Status => old::Hook::Status,
        // That version has no word for the other one, whose failure brings no `failed` anyway.
        new::Hook::Failed | new::Hook::Changed => old::Hook::Failed,
    };
    old::Failure { hook, message: from.message, timed_out: from.timed_out }
}

fn error(from: old::HookError) -> new::HookError {
    match from {
        old::HookError::Retry(text) => new::HookError::Retry(text),
        old::HookError::Fatal(text) => new::HookError::Fatal(text),
        old::HookError::Misconfigured(text) => new::HookError::Misconfigured(text),
        old::HookError::Unsupported => new::HookError::Unsupported,
    }
}

fn status(from: old::StatusReport) -> new::StatusReport {
    new::StatusReport {
        state: match from.state {
            old::ServiceState::Ok => new::ServiceState::Ok,
            old::ServiceState::Promoted => new::ServiceState::Promoted,
            old::ServiceState::Standby => new::ServiceState::Standby,
            old::ServiceState::Live => new::ServiceState::Live,
            old::ServiceState::Stopped => new::ServiceState::Stopped,
            old::ServiceState::Failed => new::ServiceState::Failed,
        },
        message: from.message,
        promotion_score: from.promotion_score.map(i64::from),
        details: from.details,
        processes: Vec::new(),
    }
}

/// What a component says of itself. It gives no reasons, no patterns of arguments and no types.
pub(crate) fn described(said: old::Metadata) -> DescribedHandler {
    let want = |said: old::Capability| Want {
        capability: match said {
            old::Capability::Exec(path) => Capability::ExecPath(path),
            old::Capability::TcpConnect(address) => Capability::Tcp(address),
            old::Capability::FsRead(directory) => Capability::Read(directory),
            old::Capability::FsWrite(directory) => Capability::Write(directory),
            old::Capability::Env(name) => Capability::Env(name),
        },
        reason: String::new(),
    };
    let key = |said: old::ConfigKey| ConfigKey {
        name: said.name,
        description: said.description,
        kind: ConfigKind::Any,
        many: false,
        required: said.required,
        default: said.default.into_iter().collect(),
    };
    let hooks = [
        (Hook::Start, old::HookSet::START),
        (Hook::Stop, old::HookSet::STOP),
        (Hook::Promote, old::HookSet::PROMOTE),
        (Hook::Demote, old::HookSet::DEMOTE),
        (Hook::Status, old::HookSet::STATUS),
        (Hook::Failed, old::HookSet::FAILED),
    ];
    DescribedHandler {
        hooks: hooks
            .into_iter()
            .filter(|(_, flag)| said.hooks.contains(*flag))
            .map(|(hook, _)| 1 << hook as u8)
            .sum(),
        name: said.name,
        version: said.version,
        description: said.description,
        wants: said.capabilities.into_iter().map(want).collect(),
        config: said.config.into_iter().map(key).collect(),
    }
}
