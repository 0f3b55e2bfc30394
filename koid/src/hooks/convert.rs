//! Between the core's words for hooks and those of handlers.

use koi_core::io::{Cause, HookEnd, HookRun, Observed, StatusReport, TargetRole};
use koi_core::types::Hook;
use koi_plugin_api as plugin;
use koi_plugin_api::{Context, HookError, Outcome};

use super::handlers::Runnable;
use super::identity::NodeIdentity;

/// Badly, and worth another try.
pub(super) fn failed(message: String) -> HookEnd {
    HookEnd::Failed { message, timed_out: false, lasting: false }
}

pub(super) fn ended_well(outcome: Outcome) -> HookEnd {
    match outcome {
        Outcome::Done => HookEnd::Done,
        Outcome::Status(seen) => HookEnd::Status(StatusReport {
            observed: match seen.observed {
                plugin::Observed::Healthy => Observed::Healthy,
                plugin::Observed::Promoted => Observed::Promoted,
                plugin::Observed::Standby => Observed::Standby,
                plugin::Observed::Stopped => Observed::Stopped,
                plugin::Observed::Live => Observed::Live,
            },
            message: seen.message,
            score: seen.score,
        }),
    }
}

pub(super) fn ended_badly(error: HookError) -> HookEnd {
    match error {
        HookError::Failed(message) | HookError::CannotRun(message) => failed(message),
        HookError::Lasting(message) => HookEnd::Failed { message, timed_out: false, lasting: true },
        HookError::TimedOut(message) => HookEnd::Failed { message, timed_out: true, lasting: false },
        HookError::Aborted => HookEnd::Aborted,
        HookError::NoRoom(message) => HookEnd::NoRoom(message),
    }
}

pub(super) fn to_plugin(hook: Hook) -> plugin::Hook {
    match hook {
        Hook::Start => plugin::Hook::Start,
        Hook::Stop => plugin::Hook::Stop,
        Hook::Promote => plugin::Hook::Promote,
        Hook::Demote => plugin::Hook::Demote,
        Hook::Status => plugin::Hook::Status,
        Hook::Failed => plugin::Hook::Failed,
    }
}

pub(super) fn context(hook: HookRun, runnable: &Runnable, identity: &NodeIdentity) -> Context {
    let master = hook.master.map(|(name, address)| {
        let own = if name == identity.name { identity.address } else { None };
        let address = address.or(own).map(|ip| ip.to_string()).unwrap_or_default();
        (name, address)
    });
    let failure =
        |c: Cause| plugin::Failure { hook: to_plugin(c.hook), message: c.message, timed_out: c.timed_out };
    Context {
        service: hook.service,
        node: identity.name.clone(),
        node_id: identity.id.clone(),
        cluster: identity.cluster.clone(),
        call_id: hook.run.0,
        attempt: hook.attempt,
        role: match hook.role {
            TargetRole::None => plugin::Role::None,
            TargetRole::Standby => plugin::Role::Standby,
            TargetRole::Promoted => plugin::Role::Promoted,
        },
        node_state: hook.state.as_classic_str().to_owned(),
        epoch: hook.epoch.0,
        master,
        timeout: hook.timeout,
        home: runnable.home.clone(),
        workdir: runnable.workdir.clone(),
        config: runnable.config.clone(),
        cause: hook.cause.map(failure),
    }
}
