//! `koi status NODE`: one node with all its services.

use koi_proto::api::{Failure, NodeAction, NodeState, NodeStatus, ServiceStatus};

use super::service;
use crate::render::layout::Tone;
use crate::render::layout::clock::{seen, span};
use crate::render::layout::table::{Cell, Table, fact, hanging};
use crate::render::layout::{View, text};

/// Columns of a service's name.
const NAME: usize = 32;

/// The classic four letters: failed, leader, runner, elector (docs/from-classic.md).
pub(crate) fn flags(node: &NodeStatus) -> String {
    let flag = |set: bool, letter: char| if set { letter } else { '.' };
    let failed = node.state == NodeState::Failed;
    [flag(failed, 'F'), flag(node.leader, 'L'), flag(node.runner, 'R'), flag(node.elector, 'E')]
        .iter()
        .collect()
}

/// The tone of a node's state.
pub(crate) fn tone(node: &NodeStatus) -> Tone {
    match node.state {
        NodeState::Failed | NodeState::Disconnected => Tone::Bad,
        NodeState::Master => Tone::Good,
        NodeState::Live => Tone::Warn,
        NodeState::Stopped => Tone::Dim,
        NodeState::Standby | NodeState::Elector | NodeState::Unknown(_) => Tone::Plain,
    }
}

/// One node in detail.
pub(crate) fn node(node: &NodeStatus, view: &View) -> String {
    let mut page = title(node, view);
    page.push_str(&facts(node, view));
    page.push_str(&services(node, view));
    page
}

/// `b: Master ..RE`.
pub(crate) fn title(node: &NodeStatus, view: &View) -> String {
    let paint = view.paint;
    let name = paint.head(&text::clean(&node.name));
    let state = paint.tone(tone(node), &text::clean(node.state.as_str()));
    format!("{name}: {state} {}\n", flags(node))
}

/// What is known of the node itself.
pub(crate) fn facts(node: &NodeStatus, view: &View) -> String {
    let mut lines = String::new();
    let mut say = |name: &str, value: &str, tone: Tone| lines.push_str(&fact(name, value, tone, view));
    say("message", &node.message, if node.state == NodeState::Failed { Tone::Bad } else { Tone::Plain });
    if node.unclean {
        let text = "it could not stop what it had promoted, so nobody is promoted elsewhere: mend it and `koi recover`, \
                    or cut its power and `koi confirm-down`";
        say("unclean", text, Tone::Bad);
    }
    if node.stopped {
        say("stopped", "by hand, until `koi start`", Tone::Plain);
    }
    if node.maintenance {
        say("maintenance", "no hook runs, and it is no candidate", Tone::Warn);
    }
    if let Some(ms) = node.recovers_in_ms {
        say("recovers", &format!("tries again in {}, or at once with `koi recover`", span(ms)), Tone::Plain);
    }
    if let Some(failure) = &node.last_failure {
        say("last failure", &last_failure(failure), Tone::Plain);
    }
    say("id", &node.id, Tone::Plain);
    say("address", node.address.as_deref().unwrap_or_default(), Tone::Plain);
    say("version", &node.version, Tone::Plain);
    say("seen", &seen(node.seen_ms), Tone::Plain);
    say("up", &span(node.uptime_ms), Tone::Plain);
    say("action", node.action.as_ref().map(NodeAction::as_str).unwrap_or_default(), Tone::Plain);
    lines
}

fn last_failure(failure: &Failure) -> String {
    let place = [failure.service.as_str(), failure.hook.as_str()].join(" ");
    format!("{} ago, {}: {}", span(failure.ago_ms), place.trim(), failure.message)
}

/// Every service of the node.
pub(crate) fn services(node: &NodeStatus, view: &View) -> String {
    let Some(services) = &node.services else {
        let why = if node.runner { "\nits services are unknown: it did not answer\n" } else { "" };
        return why.to_owned();
    };
    if services.is_empty() {
        return "\nno services\n".to_owned();
    }
    let mut table = Table::new(0, NAME);
    table.heads(&["PRIO", "SERVICE", "STATE", "", "HANDLER", "SCORE", "HOOK"]);
    for service in services {
        table.row(vec![
            Cell::new(service::priority(service)).tone(Tone::Dim),
            Cell::new(&service.name),
            Cell::new(&service.state).tone(service::tone(service)),
            service::mark(service).into(),
            Cell::new(&service.handler).tone(Tone::Dim),
            service.score.map(|score| score.to_string()).unwrap_or_default().into(),
            service::doing(service).into(),
        ]);
    }
    format!("\n{}", with_remarks(&table.draw(view), services, view))
}

/// Puts what each service says below its row: unlike in the overview, all of it.
fn with_remarks(table: &str, services: &[ServiceStatus], view: &View) -> String {
    let mut rows = table.split_inclusive('\n');
    let mut lines = rows.next().unwrap_or_default().to_owned();
    for (row, service) in rows.zip(services) {
        lines.push_str(row);
        let tone = if service.failed { Tone::Bad } else { Tone::Dim };
        lines.push_str(&hanging("      ", &service::remark(service), tone, view));
        lines.push_str(&hanging("      ", &service::held(service), Tone::Warn, view));
        lines.push_str(&hanging("      ", &service::unwatched(service), Tone::Warn, view));
        lines.push_str(&hanging("      ", &service::details(service), Tone::Dim, view));
    }
    lines
}
