//! `koi status`: first whether all is well and if not, why; then the nodes; then what is wrong with them. It fits
//! one screen, however many services there are.

use koi_proto::api::{NodeState, NodeStatus, Status};

use super::problems::problems;
use super::verdict::{Reason, Source, Verdict, electors, waiting};
use super::{node, service};
use crate::render::layout::Tone;
use crate::render::layout::View;
use crate::render::layout::clock::{seen, span};
use crate::render::layout::table::{Cell, Table, hanging, paragraph};

/// Warnings that are shown.
const WARNINGS: usize = 6;
/// Waits that are shown.
const WAITS: usize = 4;
/// Columns of a node's name.
const NAME: usize = 20;

const MAINTENANCE: &str = "maintenance: no hook runs until `koi maintenance off`";

/// The whole of a status.
pub(crate) fn status(status: &Status, view: &View) -> String {
    let verdict = Verdict::from_status(status);
    let reason = Reason::for_verdict(status, verdict);
    let mut page = headline(status, verdict, &reason, view);
    page.push_str(&standing(status, verdict, &reason, view));
    page.push_str(&warnings(status, view));
    page.push_str(&advice(status, view));
    page.push_str(&waits(status, &reason, view));
    page.push('\n');
    page.push_str(&nodes(status, view));
    page.push_str(&problems(status, view));
    page
}

fn headline(status: &Status, verdict: Verdict, reason: &Reason, view: &View) -> String {
    let cluster = &status.cluster;
    let (word, tone) = match verdict {
        Verdict::Well => ("all is well", Tone::Good),
        Verdict::Warned => ("works, with warnings", Tone::Warn),
        Verdict::Degraded if reason.source == Source::Maintenance => ("MAINTENANCE", Tone::Warn),
        Verdict::Degraded => ("DEGRADED", Tone::Warn),
        Verdict::NoMaster => ("NO MASTER", Tone::Bad),
        Verdict::NoLeader => ("NO LEADER", Tone::Bad),
    };
    let why = match verdict {
        Verdict::Well | Verdict::Warned => roles(status),
        Verdict::Degraded if reason.source == Source::Maintenance => {
            "no hook runs until `koi maintenance off`, and nobody could take over".to_owned()
        }
        Verdict::Degraded | Verdict::NoMaster | Verdict::NoLeader => reason.text.clone(),
    };
    let mut line = paragraph("", 4, &format!("cluster {}: {word} — {why}", cluster.id), tone, view);
    if let Some(wait) = cluster.waiting.first().filter(|_| reason.source == Source::FirstWait) {
        line.push_str(&hanging("  hint: ", &wait.hint, Tone::Plain, view));
    }
    line
}

/// `b is master (epoch 65537), a leads, 3 of 3 electors`.
fn roles(status: &Status) -> String {
    let cluster = &status.cluster;
    let mut parts = Vec::new();
    if let Some(master) = &cluster.master {
        parts.push(format!("{master} is master (epoch {})", cluster.epoch));
    }
    if let Some(leader) = &cluster.leader {
        parts.push(format!("{leader} leads"));
    }
    parts.push(electors(cluster));
    parts.join(", ")
}

/// Who is what, where the headline had no room for it, and the modes that an operator has set.
fn standing(status: &Status, verdict: Verdict, reason: &Reason, view: &View) -> String {
    let cluster = &status.cluster;
    let mut lines = match verdict {
        Verdict::Well | Verdict::Warned => String::new(),
        Verdict::Degraded | Verdict::NoMaster => hanging("  ", &roles(status), Tone::Plain, view),
        Verdict::NoLeader => {
            let master = cluster.master.as_ref().map(|name| format!("; it takes {name} for the master"));
            let alone = format!("this is what {} alone sees{}", cluster.seen_by, master.unwrap_or_default());
            hanging("  ", &alone, Tone::Plain, view)
        }
    };
    if cluster.maintenance && reason.source != Source::Maintenance {
        lines.push_str(&hanging("  ", MAINTENANCE, Tone::Warn, view));
    }
    if cluster.manual && verdict != Verdict::NoMaster {
        let text = "manual mode: no other master is chosen until `koi promote` or `koi elect`";
        lines.push_str(&hanging("  ", text, Tone::Warn, view));
    }
    if let Some(target) = cluster.target.as_ref().filter(|_| reason.source != Source::Target) {
        lines.push_str(&hanging("  ", &format!("target: {target} is to become master"), Tone::Plain, view));
    }
    lines
}

fn warnings(status: &Status, view: &View) -> String {
    let warnings = &status.cluster.warnings;
    let shown = warnings.iter().take(WARNINGS);
    let mut lines: String = shown.map(|warning| hanging("  ! ", warning, Tone::Warn, view)).collect();
    lines.push_str(&and_more(warnings.len().saturating_sub(WARNINGS)));
    lines
}

/// What the configuration means for a bad day: it may stand below "all is well".
fn advice(status: &Status, view: &View) -> String {
    status.cluster.advice.iter().map(|advice| hanging("  note: ", advice, Tone::Plain, view)).collect()
}

fn waits(status: &Status, reason: &Reason, view: &View) -> String {
    let said = usize::from(reason.source == Source::FirstWait);
    let waits = status.cluster.waiting.get(said..).unwrap_or_default();
    let mut lines = String::new();
    for wait in waits.iter().take(WAITS) {
        lines.push_str(&hanging("  waiting: ", &waiting(wait), Tone::Plain, view));
        lines.push_str(&hanging("           ", &wait.hint, Tone::Dim, view));
    }
    lines.push_str(&and_more(waits.len().saturating_sub(WAITS)));
    lines
}

fn and_more(n: usize) -> String {
    if n == 0 { String::new() } else { format!("  and {n} more: `koi -o json status` has them all\n") }
}

fn nodes(status: &Status, view: &View) -> String {
    let mut table = Table::new(0, NAME);
    table.heads(&["NODE", "FLAGS", "STATE", "SEEN", "UP", "SERVICES"]);
    for node in &status.nodes {
        let missing = node.state == NodeState::Disconnected;
        table.row(vec![
            Cell::new(&node.name).tone(Tone::Head),
            node::flags(node).into(),
            Cell::new(&node.state).tone(node::tone(node)),
            Cell::new(seen(node.seen_ms)).tone(if missing { Tone::Bad } else { Tone::Plain }),
            if missing { String::new() } else { span(node.uptime_ms) }.into(),
            summary(node, status.cluster.maintenance).into(),
        ]);
    }
    table.draw(view)
}

/// What is to be known of a node in a few words.
fn summary(node: &NodeStatus, all_in_maintenance: bool) -> String {
    let mut parts = Vec::new();
    if node.unclean {
        parts.push("UNCLEAN".to_owned());
    }
    if node.stopped {
        parts.push("stopped by hand".to_owned());
    }
    if node.maintenance && !all_in_maintenance {
        parts.push("in maintenance".to_owned());
    }
    match &node.services {
        Some(services) => parts.push(service::counts(services)),
        None if node.runner => parts.push("services unknown".to_owned()),
        None => {}
    }
    parts.join("; ")
}
