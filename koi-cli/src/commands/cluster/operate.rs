//! Commands that change something: each is one request, and its answer says what was done.

use koi_proto::api::{Done, Maintenance, Reconfigure};
use serde::Serialize;

use crate::cli::OnOff;
use crate::connect::Daemon;
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

/// A command without arguments.
pub(crate) async fn order(daemon: &Daemon, verb: &str, out: Out) -> Result<u8, CommandError> {
    with(daemon, verb, &serde_json::json!({}), out).await
}

/// A command with what it needs to know.
pub(crate) async fn with(
    daemon: &Daemon,
    verb: &str,
    body: &impl Serialize,
    out: Out,
) -> Result<u8, CommandError> {
    let answer = daemon.post::<Done>(&format!("/v1/{verb}"), body).await?;
    out.show(&answer.raw, |view| render::cluster::done::done(&answer.value, view))?;
    Ok(match answer.value {
        Done { refused: true, .. } => exit::FAILED,
        Done { pending: true, .. } => exit::NO_ANSWER,
        Done { .. } => exit::WELL,
    })
}
