//! `koi status NODE`: one node with all its services.

use koi_proto::api::{Failure, GroupOnNode, NodeAction, NodeState, NodeStatus, ServiceStatus};

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
pub(crate) fn tone(state: &NodeState) -> Tone {
    match state {
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
    let state = match runs_several(node) {
        true => {
            let states: Vec<String> =
                node.groups.iter().map(|of| format!("{} {}", of.name, of.state)).collect();
            text::clean(&states.join(", "))
        }
        false => paint.tone(tone(&node.state), &text::clean(node.state.as_str())),
    };
    format!("{name}: {state} {}\n", flags(node))
}

/// Whether it runs more groups than one.
pub(crate) fn runs_several(node: &NodeStatus) -> bool {
    node.groups.len() > 1
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
    for of in node.groups.iter().filter(|of| !of.name.is_main()) {
        lines.push_str(&fact(of.name.as_str(), &group(of), tone(&of.state), view));
    }
    lines
}

/// How a node is in a group other than `main`.
fn group(of: &GroupOnNode) -> String {
    let mut parts = vec![of.state.to_string()];
    if of.stopped {
        parts.push(format!("stopped by hand, until `koi start --group {}`", of.name));
    }
    parts.extend(of.epoch.map(|epoch| format!("epoch {epoch}")));
    parts.extend(of.lease_ms.map(|ms| format!("its lease lasts {} more", span(ms))));
    parts.extend(of.action.as_ref().map(|action| format!("action {action}")));
    if !of.message.is_empty() {
        parts.push(of.message.clone());
    }
    parts.extend(of.recovers_in_ms.map(|ms| format!("tries again in {}", span(ms))));
    parts.join(", ")
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
    let several = runs_several(node);
    let heads = ["PRIO", "SERVICE", "STATE", "", "HANDLER", "SCORE", "HOOK"];
    table.heads(
        &heads
            .into_iter()
            .take(2)
            .chain(several.then_some("GROUP"))
            .chain(heads.into_iter().skip(2))
            .collect::<Vec<_>>(),
    );
    for service in services {
        let mut row = vec![Cell::new(service::priority(service)).tone(Tone::Dim), Cell::new(&service.name)];
        if several {
            row.push(Cell::new(service.group.as_str()));
        }
        row.extend([
            Cell::new(&service.state).tone(service::tone(service)),
            service::mark(service).into(),
            Cell::new(&service.handler).tone(Tone::Dim),
            service.score.map(|score| score.to_string()).unwrap_or_default().into(),
            service::doing(service).into(),
        ]);
        table.row(row);
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
