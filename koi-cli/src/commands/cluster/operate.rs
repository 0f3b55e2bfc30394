//! Commands that change something: each is one request, and its answer says what was done.

use koi_proto::api::{Done, Maintenance, OnNode, Reconfigure, Scope};
use serde::Serialize;

use crate::cli::{ForGroup, OnNodeForGroup, OnOff};
use crate::connect::{Answer, Daemon};
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render;

/// `koi maintenance`.
pub(crate) async fn maintenance(daemon: &Daemon, state: OnOff, out: Out) -> Result<u8, CommandError> {
    with(daemon, "maintenance", &Maintenance { on: state == OnOff::On }, out).await
}

/// `koi reconfigure`.
pub(crate) async fn reconfigure(daemon: &Daemon, node: Option<&str>, out: Out) -> Result<u8, CommandError> {
    // Its answer is to come before we stop waiting for it.
    let wait = daemon.timeout() * 3 / 4;
    let wait_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    with(daemon, "reconfigure", &Reconfigure { node: node.map(str::to_owned), wait_ms }, out).await
}

/// A change of a group.
pub(crate) async fn order(daemon: &Daemon, verb: &str, of: &ForGroup, out: Out) -> Result<u8, CommandError> {
    let scope = Scope::named(of.group.as_ref());
    show(give(daemon, verb, &scope, &scope).await?, out)
}

/// A change of a group on one node.
pub(crate) async fn on_node(
    daemon: &Daemon,
    verb: &str,
    args: &OnNodeForGroup,
    out: Out,
) -> Result<u8, CommandError> {
    let body = OnNode { node: args.on.node.clone(), scope: Scope::named(args.of.group.as_ref()) };
    show(give(daemon, verb, &body.scope, &body).await?, out)
}

/// `koi confirm-down`.
pub(crate) async fn confirm_down(daemon: &Daemon, node: &str, out: Out) -> Result<u8, CommandError> {
    with(daemon, "confirm-down", &OnNode { node: Some(node.to_owned()), ..OnNode::default() }, out).await
}

/// Gives a command for a group. Whoever knows no groups does nothing.
pub(crate) async fn give(
    daemon: &Daemon,
    verb: &str,
    scope: &Scope,
    body: &impl Serialize,
) -> Result<Answer<Done>, CommandError> {
    match daemon.post::<Done>(&scope.path(verb), body).await {
        Err(CommandError::Reported { error, .. }) if error.is_unknown_command() => {
            let message = "the asked koid is older than this koi, and knows no groups of services";
            Err(CommandError::local(message, "nothing has changed; upgrade it"))
        }
        answer => answer,
    }
}

/// A command with what it needs to know.
pub(crate) async fn with(
    daemon: &Daemon,
    verb: &str,
    body: &impl Serialize,
    out: Out,
) -> Result<u8, CommandError> {
    show(daemon.post::<Done>(&format!("/v1/{verb}"), body).await?, out)
}

/// Shows what was done.
pub(crate) fn show(answer: Answer<Done>, out: Out) -> Result<u8, CommandError> {
    out.show(&answer.raw, |view| render::cluster::done::done(&answer.value, view))?;
    Ok(match answer.value {
        Done { refused: true, .. } => exit::FAILED,
        Done { pending: true, .. } => exit::NO_ANSWER,
        Done { .. } => exit::WELL,
    })
}
