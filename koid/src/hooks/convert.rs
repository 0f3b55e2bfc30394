//! What a handler is told of a call, and what the core is told of its end.

use koi_core::io::{Cause, HookEnd, HookRun, StatusReport};
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
        // The core decides nothing by details: who shows them has them already.
        Outcome::Status(seen) => HookEnd::Status(StatusReport { details: Vec::new(), ..seen }),
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

pub(super) fn context(hook: HookRun, runnable: &Runnable, identity: &NodeIdentity) -> Context {
    let master = hook.master.map(|(name, address)| {
        let own = if name == identity.name { identity.address } else { None };
        let address = address.or(own).map(|ip| ip.to_string()).unwrap_or_default();
        (name, address)
    });
    let failure =
        |c: Cause| plugin::Failure { hook: c.hook, message: c.fault.to_string(), timed_out: c.timed_out };
    Context {
        service: hook.service,
        node: identity.name.clone(),
        node_id: identity.id.clone(),
        cluster: identity.cluster.clone(),
        call_id: hook.run.0,
        attempt: hook.attempt,
        role: hook.role,
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
