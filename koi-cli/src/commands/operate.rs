//! Commands that change something: each is one request, and its answer says what was done.

use koi_proto::api::{Done, Maintenance, Promote};
use serde::Serialize;

use crate::cli::OnOff;
use crate::connect::Daemon;
use crate::fail::{Fail, exit};
use crate::output::Out;
use crate::render;

/// `koi promote`.
pub(crate) async fn promote(daemon: &Daemon, node: &str, dry_run: bool, out: Out) -> Result<u8, Fail> {
    with(daemon, "promote", &Promote { node: node.to_owned(), dry_run }, out).await
}

/// `koi maintenance`.
pub(crate) async fn maintenance(daemon: &Daemon, state: OnOff, out: Out) -> Result<u8, Fail> {
    with(daemon, "maintenance", &Maintenance { on: state == OnOff::On }, out).await
}

/// A command without arguments.
pub(crate) async fn order(daemon: &Daemon, verb: &str, out: Out) -> Result<u8, Fail> {
    with(daemon, verb, &serde_json::json!({}), out).await
}

/// A command with what it needs to know.
pub(crate) async fn with(daemon: &Daemon, verb: &str, body: &impl Serialize, out: Out) -> Result<u8, Fail> {
    let answer = daemon.post::<Done>(&format!("/v1/{verb}"), body).await?;
    out.show(&answer.raw, |view| render::done::done(&answer.value, view))?;
    Ok(exit::WELL)
}
