//! Commands that ask once and show the answer.

use koi_proto::api::{ErrorCode, Failures, Group, Local, NodeState, NodeStatus, Status};
use serde_json::Value;

use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render;
use crate::render::cluster::group::{self, GroupIn};
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
    let is_amiss = |state: &NodeState| matches!(state, NodeState::Failed | NodeState::Disconnected);
    let mut states = node.groups.iter().map(|of| &of.state).chain([&node.state]);
    let amiss = node.unclean || states.any(is_amiss);
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

/// The group that a command names. Where none is named and there are several, that is a mistake.
pub(crate) fn group<'s>(status: &'s Status, wanted: Option<&Group>) -> Result<GroupIn<'s>, CommandError> {
    let Some(wanted) = wanted else {
        if !group::are_several(status) {
            return Ok(GroupIn::main(status));
        }
        let message =
            format!("there are several groups, and this is for one of them: {}", group::names(status));
        let other = status.groups.iter().find(|group| !group.name.is_main());
        let example = other.map(|group| group.name.clone()).unwrap_or_default();
        let hint = format!("say which, as `--group {example}`");
        return Err(CommandError::new(exit::FAILED, ErrorCode::Refused, message, hint));
    };
    GroupIn::find(status, wanted).ok_or_else(|| unknown_group(status, wanted))
}

/// There is no such group.
pub(crate) fn unknown_group(status: &Status, wanted: &Group) -> CommandError {
    let hint = match status.groups.is_empty() {
        true => "koid of the leader is older than this koi, and knows no groups of services: upgrade it"
            .to_owned(),
        false => format!("the groups are {}", group::names(status)),
    };
    CommandError::new(exit::FAILED, ErrorCode::NotFound, format!("there is no group {wanted}"), hint)
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
pub(crate) async fn failures(daemon: &Daemon, group: Option<&Group>, out: Out) -> Result<u8, CommandError> {
    let path = group.map_or_else(|| "/v1/failures".to_owned(), |group| format!("/v1/failures?group={group}"));
    let answer = daemon.get::<Failures>(&path).await?;
    out.show(&answer.raw, |view| render::cluster::failures::failures(&answer.value, view))?;
    Ok(exit::WELL)
}
