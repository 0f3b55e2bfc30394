//! The core's view of groups, in the words of the API. Pure.

use koi_core::group::GroupName;
use koi_core::types::NodeState;
use koi_core::view::{GroupView, NodeView, View, Waiting};
use koi_proto::api::{self, ApiError, ErrorCode};

use super::view::{ms, name_of, waiting};
use crate::api::error::{bad_request, error};
use crate::api::states;

/// The commands that are about a group.
pub(super) const VERBS: [&str; 6] = ["promote", "demote", "elect", "start", "stop", "recover"];

/// Whether there are others than `main`.
pub(in crate::api) fn are_several(view: &View) -> bool {
    !view.groups.is_empty()
}

/// The groups that there are, `main` first.
fn names(view: &View) -> Vec<&str> {
    let others = view.groups.iter().map(|group| group.name.as_str());
    [GroupName::MAIN.as_str()].into_iter().chain(others).collect()
}

/// The group that a request names.
pub(super) fn named(group: &str) -> Result<GroupName, ApiError> {
    group.parse().map_err(|e| bad_request(format!("{group:?}: {e}")))
}

/// The group that is only looked at: it must be there.
pub(super) fn known(view: &View, group: &str) -> Result<api::Group, ApiError> {
    if names(view).contains(&group) {
        return named(group).map(|name| api::Group::from(&name));
    }
    let hint = format!("the groups are {}", names(view).join(", "));
    Err(error(ErrorCode::NotFound, format!("there is no group {group}"), hint))
}

/// A text of the core that names commands, with the group that they are for. Where there is one group they need none.
pub(in crate::api) fn worded(view: &View, group: &GroupName, text: &str) -> String {
    let mut worded = text.to_owned();
    for verb in VERBS.iter().filter(|_| are_several(view)) {
        worded = worded.replace(&format!("koi {verb}"), &format!("koi {verb} --group {group}"));
    }
    worded
}

/// A sentence about a group.
pub(super) fn about(view: &View, group: &GroupName, sentence: &str) -> String {
    let worded = worded(view, group, sentence);
    if are_several(view) { format!("group {group}: {worded}") } else { worded }
}

/// The newest mastership of a group, as far as is known.
pub(super) fn epoch(view: &View, group: &GroupName) -> u64 {
    if !are_several(view) {
        return view.record.last_epoch.0;
    }
    let record = view.record.group(group);
    let current = record.master.as_ref().map(|master| master.epoch);
    current.or(record.previous.map(|past| past.epoch)).map_or(0, |epoch| epoch.0)
}

/// What a group waits for.
pub(super) fn waits(view: &View, group: &GroupName, waits: &[Waiting]) -> Vec<api::Waiting> {
    let said = |wait: &Waiting| {
        let said = waiting(wait);
        api::Waiting { what: worded(view, group, &said.what), hint: worded(view, group, &said.hint), ..said }
    };
    waits.iter().map(said).collect()
}

/// Each group, as this node sees it.
pub(super) fn groups(view: &View) -> Vec<api::GroupStatus> {
    let status = |group: &GroupName, waiting: &[Waiting], takeover| {
        let record = view.record.group(group);
        api::GroupStatus {
            name: group.into(),
            master: record.master.as_ref().map(|master| master.name.clone()),
            target: record.target.map(|id| name_of(view, id)),
            epoch: epoch(view, group),
            manual: record.manual,
            waiting: waits(view, group, waiting),
            takeover: Option::map(takeover, |id| name_of(view, id)),
            // The core's view does not have them: they are added where they are known.
            attributes: None,
        }
    };
    let main = status(&GroupName::MAIN, &view.waiting, view.takeover);
    let others = view.groups.iter().map(|group| status(&group.name, &group.waiting, group.takeover));
    [main].into_iter().chain(others).collect()
}

/// How a node is in each group that it runs.
pub(super) fn on_node(view: &View, node: &NodeView) -> Vec<api::GroupOnNode> {
    let own = node.id == view.id;
    let main = api::GroupOnNode {
        name: api::Group::default(),
        state: states::node_state(node.state),
        stopped: node.stopped,
        action: view.action.filter(|_| own).map(states::node_action),
        message: worded(view, &GroupName::MAIN, if own { &view.reason } else { &node.reason }),
        recovers_in_ms: view.recovers_in.filter(|_| own).map(ms),
        lease_ms: view.lease.filter(|_| own).map(ms),
        epoch: view.holds.filter(|_| own).map(|epoch| epoch.0),
    };
    let others = view.groups.iter().filter_map(|group| {
        let state = group.states.get(&node.id)?;
        Some(other_on_node(view, node, group, *state))
    });
    node.runner.then_some(main).into_iter().chain(others).collect()
}

fn other_on_node(view: &View, node: &NodeView, group: &GroupView, state: NodeState) -> api::GroupOnNode {
    let own = group.own.as_ref().filter(|_| node.id == view.id);
    let said = group.reasons.get(&node.id).map(String::as_str).unwrap_or_default();
    api::GroupOnNode {
        name: (&group.name).into(),
        state: states::node_state(state),
        stopped: view.record.group(&group.name).stopped.contains(&node.id),
        action: own.and_then(|own| own.action).map(states::node_action),
        message: worded(view, &group.name, said),
        recovers_in_ms: own.and_then(|own| own.recovers_in).map(ms),
        lease_ms: own.and_then(|own| own.lease).map(ms),
        epoch: own.and_then(|own| own.holds).map(|epoch| epoch.0),
    }
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
