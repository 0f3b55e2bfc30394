//! Commands that ask once and show the answer.

use koi_proto::api::{ErrorCode, Failures, Local, NodeState, NodeStatus, Status};
use serde_json::Value;

use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render;
use crate::render::cluster::verdict::Verdict;

/// Where the leader's view is.
pub(crate) const STATUS: &str = "/v1/status";

/// `koi status`.
pub(crate) async fn status(daemon: &Daemon, out: Out) -> Result<u8, CommandError> {
    let answer = daemon.get::<Status>(STATUS).await?;
    out.show(&answer.raw, |view| render::cluster::status::status(&answer.value, view))?;
    Ok(match Verdict::from_status(&answer.value) {
        Verdict::Well => exit::WELL,
        Verdict::Warned | Verdict::Degraded | Verdict::NoMaster | Verdict::NoLeader => exit::DEGRADED,
    })
}

/// `koi status NODE`.
pub(crate) async fn node(daemon: &Daemon, wanted: &str, out: Out) -> Result<u8, CommandError> {
    let answer = daemon.get::<Status>(STATUS).await?;
    let nodes = &answer.value.nodes;
    let Some(index) = nodes.iter().position(|node| is(node, wanted)) else {
        return Err(unknown(nodes, wanted));
    };
    let node = &nodes[index];
    let raw = answer.raw.pointer(&format!("/nodes/{index}")).unwrap_or(&Value::Null);
    out.show(raw, |view| render::cluster::node::node(node, view))?;
    let amiss = node.unclean || matches!(node.state, NodeState::Failed | NodeState::Disconnected);
    Ok(if amiss { exit::DEGRADED } else { exit::WELL })
}

/// Whether a node is called so, or has this UUID.
pub(crate) fn is(node: &NodeStatus, wanted: &str) -> bool {
    node.name == wanted || node.id.eq_ignore_ascii_case(wanted)
}

/// None of these is called so.
pub(crate) fn unknown(nodes: &[NodeStatus], wanted: &str) -> CommandError {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let hint = format!("known are: {}", names.join(", "));
    CommandError::new(exit::FAILED, ErrorCode::NotFound, format!("no node {wanted} is known"), hint)
}

/// `koi tree`.
pub(crate) async fn tree(daemon: &Daemon, out: Out) -> Result<u8, CommandError> {
    let answer = daemon.get::<Status>(STATUS).await?;
    out.show(&answer.raw, |view| render::cluster::tree::tree(&answer.value, view))?;
    Ok(exit::WELL)
}

/// `koi local`.
pub(crate) async fn local(daemon: &Daemon, out: Out) -> Result<u8, CommandError> {
    let answer = daemon.get::<Local>("/v1/local").await?;
    out.show(&answer.raw, |view| render::cluster::local::local(&answer.value, view))?;
    Ok(exit::WELL)
}

/// `koi failures`.
pub(crate) async fn failures(daemon: &Daemon, out: Out) -> Result<u8, CommandError> {
    let answer = daemon.get::<Failures>("/v1/failures").await?;
    out.show(&answer.raw, |view| render::cluster::failures::failures(&answer.value, view))?;
    Ok(exit::WELL)
}
