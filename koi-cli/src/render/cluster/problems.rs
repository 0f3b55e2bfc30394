//! What is below the table of nodes: why nodes and services are not as they should be.

use koi_proto::api::{GroupOnNode, NodeState, NodeStatus, ServiceStatus, Status};

use super::{node, service};
use crate::render::layout::Tone;
use crate::render::layout::clock::span;
use crate::render::layout::table::{Cell, Table, hanging};
use crate::render::layout::{View, text};

/// Services that are listed; a status is to fit one screen.
const SERVICES: usize = 10;
/// Nodes whose message is shown in full.
const NODES: usize = 6;
/// Columns of a name.
const NAME: usize = 20;

/// What nodes say they need, then the services that are not fine.
pub(crate) fn problems(status: &Status, view: &View) -> String {
    let mut drawn = messages(status, view);
    drawn.push_str(&services(status, view));
    if drawn.is_empty() { drawn } else { format!("\n{drawn}") }
}

fn messages(status: &Status, view: &View) -> String {
    let messages: Vec<(String, String, Tone)> =
        status.nodes.iter().flat_map(of_node).filter(|(_, said, _)| !said.is_empty()).collect();
    let mut drawn: String = messages
        .iter()
        .take(NODES)
        .map(|(who, said, tone)| hanging(&format!("  {}: ", text::clean(who)), said, *tone, view))
        .collect();
    let more = messages.len().saturating_sub(NODES);
    if more > 0 {
        drawn.push_str(&format!("  and {more} more\n"));
    }
    drawn
}

/// Who needs what: a node, in each group where it runs several.
fn of_node(node: &NodeStatus) -> Vec<(String, String, Tone)> {
    let tone = |state: &NodeState| {
        if node.unclean || *state == NodeState::Failed { Tone::Bad } else { Tone::Plain }
    };
    if !node::runs_several(node) {
        let said = message(&node.message, node.recovers_in_ms);
        return vec![(node.name.clone(), said, tone(&node.state))];
    }
    let of_group = |of: &GroupOnNode| {
        let who = format!("{}, {}", node.name, of.name);
        (who, message(&of.message, of.recovers_in_ms), tone(&of.state))
    };
    node.groups.iter().map(of_group).collect()
}

/// What a node needs, and when it tries again by itself.
fn message(message: &str, recovers_in_ms: Option<u64>) -> String {
    let again = recovers_in_ms.map(|ms| format!("tries again in {}", span(ms)));
    let parts: Vec<&str> = [text::open(message), again.as_deref().unwrap_or_default()]
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect();
    parts.join("; ")
}

fn services(status: &Status, view: &View) -> String {
    let mut not_fine: Vec<(&NodeStatus, &ServiceStatus)> = Vec::new();
    for node in &status.nodes {
        let services = node.services.as_deref().unwrap_or_default();
        not_fine.extend(services.iter().filter(|s| !service::is_fine(s, node)).map(|s| (node, s)));
    }
    // Failed ones first, each group in the order of nodes and priorities.
    not_fine.sort_by_key(|(_, service)| !service.failed);
    let mut table = Table::new(2, NAME);
    for (node, service) in not_fine.iter().take(SERVICES) {
        let doing = service::doing(service);
        let remark = service::remark(service);
        let why = if doing.is_empty() || remark.is_empty() {
            doing + &remark
        } else {
            format!("{doing}; {remark}")
        };
        table.row(vec![
            Cell::new(&node.name),
            Cell::new(service::priority(service)).tone(Tone::Dim),
            Cell::new(&service.name),
            Cell::new(&service.state).tone(service::tone(service)),
            Cell::new(why),
        ]);
    }
    let mut drawn = table.draw(view);
    let more = not_fine.len().saturating_sub(SERVICES);
    if more > 0 {
        drawn.push_str(&format!("  and {more} more\n"));
    }
    drawn
}
