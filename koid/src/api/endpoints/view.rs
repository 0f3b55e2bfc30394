//! The core's view, in the words of the API. Pure.

use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::settings::Settings;
use koi_core::types::NodeId;
use koi_core::view::{FailureView, NodeView, ServiceView, View, Waiting};
use koi_proto::api;

use super::groups;
use crate::api::states;

/// The cluster as this node sees it. Services are those of this node only; the others' are asked of them.
pub(crate) fn status(view: &View, cluster_id: u32, settings: &Settings) -> api::Status {
    let name = |id: NodeId| name_of(view, id);
    let cluster = api::ClusterStatus {
        id: cluster_id,
        leader: leader(view).map(name),
        master: view.record.main.master.as_ref().map(|master| master.name.clone()),
        target: view.record.main.target.map(name),
        epoch: groups::epoch(view, &GroupName::MAIN),
        term: view.term.0,
        quorum: view.quorum,
        electors: view.electors_known,
        electors_seen: view.electors_seen,
        manual: view.record.main.manual,
        maintenance: view.record.maintenance,
        healthy: view.healthy,
        warnings: view.warnings.clone(),
        advice: view.advice.clone(),
        takeover: view.takeover.map(name),
        waiting: groups::waits(view, &GroupName::MAIN, &view.waiting),
        seen_by: settings.name.clone(),
        record: view.record.version.to_string(),
    };
    let mut nodes: Vec<_> = view.nodes.iter().map(|n| node(view, n)).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
    api::Status { cluster, nodes, groups: groups::groups(view) }
}

/// Adds what the core cannot know. Nothing is well where something is warned of.
pub(crate) fn warn(status: &mut api::Status, warnings: impl IntoIterator<Item = String>) {
    let cluster = &mut status.cluster;
    cluster.warnings.extend(warnings);
    cluster.healthy &= cluster.warnings.is_empty();
}

/// This node as it sees itself. `started_at` in seconds since 1970.
pub(crate) fn local(
    view: &View,
    port: u16,
    started_at: u64,
    dropped: crate::cluster::transport::Dropped,
) -> api::Local {
    let own = view.nodes.iter().find(|n| n.id == view.id);
    let leader = view.leader.filter(|id| *id != view.id);
    api::Local {
        node: own.map(|n| node(view, n)).unwrap_or_default(),
        port,
        started_at,
        now_ms: None,
        newest_event: None,
        timing: None,
        restarted_by: None,
        nodes: view.nodes.len(),
        leader: view.leader.map(|id| name_of(view, id)),
        leader_address: leader.and_then(|id| address_of(view, id)).map(|a| a.to_string()),
        lease_ms: view.lease.map(ms),
        epoch: view.holds.map(|e| e.0),
        term: view.term.0,
        standing: states::state_origin(view.origin),
        slowest_demote_ms: view.slowest_demote.map(ms),
        dropped,
        warnings: Vec::new(),
        advice: Vec::new(),
    }
}

/// Who votes, and who could.
pub(crate) fn electors(view: &View) -> api::Electors {
    let elector = |e: &koi_core::view::ElectorView| api::Elector {
        name: e.name.clone(),
        id: e.id.to_string(),
        membership: states::membership(e.membership),
        there: e.there,
    };
    let mut electors: Vec<_> = view.electors.iter().map(elector).collect();
    electors.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
    api::Electors { electors, quorum: view.quorum }
}

/// The failures that this node knows of, the newest last: in this group, or in all.
pub(crate) fn failures(view: &View, group: Option<&api::Group>) -> api::Failures {
    let all = view.failures.iter().map(failure);
    api::Failures {
        failures: all.filter(|failed| group.is_none_or(|group| failed.group == *group)).collect(),
    }
}

/// The node that leads: this one only while its lease holds.
fn leader(view: &View) -> Option<NodeId> {
    view.leader.filter(|id| *id != view.id || view.acting)
}

/// Where a node's API answers.
pub(crate) fn address_of(view: &View, id: NodeId) -> Option<std::net::SocketAddr> {
    view.nodes.iter().find(|n| n.id == id).and_then(|n| n.address)
}

/// The node with this name or UUID.
pub(crate) fn find<'a>(view: &'a View, name_or_id: &str) -> Option<&'a NodeView> {
    let by_name = view.nodes.iter().find(|n| n.name == name_or_id);
    by_name.or_else(|| {
        let id: NodeId = name_or_id.parse().ok()?;
        view.nodes.iter().find(|n| n.id == id)
    })
}

/// A node's name; its UUID, if it has not been heard from.
pub(crate) fn name_of(view: &View, id: NodeId) -> String {
    let known = view.nodes.iter().find(|n| n.id == id).map(|n| n.name.clone());
    known.unwrap_or_else(|| id.to_string())
}

fn node(view: &View, node: &NodeView) -> api::NodeStatus {
    let own = node.id == view.id;
    api::NodeStatus {
        name: node.name.clone(),
        id: node.id.to_string(),
        address: node.address.map(|a| a.to_string()),
        state: states::node_state(node.state),
        groups: groups::on_node(view, node),
        elector: node.elector,
        runner: node.runner,
        leader: leader(view) == Some(node.id),
        seen_ms: ms(node.seen),
        uptime_ms: ms(node.uptime),
        last_failure: view.failures.iter().rfind(|f| f.node == node.name).map(failure),
        version: node.version.clone(),
        stopped: node.stopped,
        maintenance: node.maintenance,
        unclean: node.unclean,
        deaf: node.deaf,
        action: view.action.filter(|_| own).map(states::node_action),
        message: groups::worded(view, &GroupName::MAIN, if own { &view.reason } else { &node.reason }),
        recovers_in_ms: view.recovers_in.filter(|_| own).map(ms),
        services: own.then(|| view.own_services().map(|(group, of)| service(group, of)).collect()),
    }
}

fn service(group: &GroupName, service: &ServiceView) -> api::ServiceStatus {
    api::ServiceStatus {
        name: service.name.clone(),
        group: group.into(),
        priority: service.priority,
        handler: service.handler.clone(),
        state: states::service_state(service.state),
        hook: service.hook.map(|(hook, _)| states::hook(hook)),
        hook_ms: service.hook.map(|(_, since)| ms(since)),
        failed: service.failed,
        disabled: service.disabled,
        critical: Some(service.critical),
        patience: None,
        promotable: service.promotable,
        score: service.score,
        message: service.message.clone(),
        details: Vec::new(),
        processes: Vec::new(),
        unwatched: None,
        status_hash: None,
        held: None,
        statistics: None,
    }
}

pub(super) fn waiting(waiting: &Waiting) -> api::Waiting {
    api::Waiting {
        what: waiting.reason.to_string(),
        reason: Some(states::wait_reason(&waiting.reason)),
        node: waiting.reason.node().map(str::to_owned),
        remaining_ms: waiting.remaining.map(ms),
        rule: waiting.reason.rule().map(str::to_owned),
        hint: waiting.reason.hint(),
    }
}

fn failure(failure: &FailureView) -> api::Failure {
    api::Failure {
        node: failure.node.clone(),
        group: (&failure.group).into(),
        service: failure.service.clone(),
        hook: failure.hook.clone(),
        message: failure.message.clone(),
        ago_ms: ms(failure.ago),
    }
}

/// In whole milliseconds.
pub(super) fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "view_tests.rs"]
pub(crate) mod tests;
