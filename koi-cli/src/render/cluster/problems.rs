//! What is below the table of nodes: why nodes and services are not as they should be.

use koi_proto::api::{NodeState, NodeStatus, ServiceStatus, Status};

use super::service;
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
    let messages: Vec<(&NodeStatus, String)> =
        status.nodes.iter().map(|node| (node, message(node))).filter(|(_, said)| !said.is_empty()).collect();
    let mut drawn: String = messages
        .iter()
        .take(NODES)
        .map(|(node, said)| hanging(&format!("  {}: ", text::clean(&node.name)), said, tone(node), view))
        .collect();
    let more = messages.len().saturating_sub(NODES);
    if more > 0 {
        drawn.push_str(&format!("  and {more} more\n"));
    }
    drawn
}

/// What a node needs, and when it tries again by itself.
fn message(node: &NodeStatus) -> String {
    let again = node.recovers_in_ms.map(|ms| format!("tries again in {}", span(ms)));
    let parts: Vec<&str> = [text::open(&node.message), again.as_deref().unwrap_or_default()]
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect();
    parts.join("; ")
}

fn tone(node: &NodeStatus) -> Tone {
    if node.unclean || node.state == NodeState::Failed { Tone::Bad } else { Tone::Plain }
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
