//! `koi status`: first whether all is well and if not, why; then the nodes; then what is wrong with them. It fits
//! one screen, however many services there are.

use koi_proto::api::{NodeState, NodeStatus, Status};

use super::group::{GroupIn, are_several, option};
use super::problems::problems;
use super::verdict::{Reason, Source, Verdict, electors, moving, no_candidate, waiting};
use super::{node, service};
use crate::render::layout::Tone;
use crate::render::layout::clock::{seen, span};
use crate::render::layout::table::{Cell, Table, hanging, paragraph};
use crate::render::layout::{View, text};

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
    if are_several(status) {
        page.push_str(&groups(status, verdict, view));
    }
    page.push_str(&standing(status, verdict, &reason, view));
    page.push_str(&warnings(status, view));
    page.push_str(&advice(status, view));
    page.push_str(&attributes(status, view));
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
    if let Some(master) = cluster.master.as_ref().filter(|_| !are_several(status)) {
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
            let master = cluster.master.as_ref().filter(|_| !are_several(status));
            let master = master.map(|name| format!("; it takes {name} for the master"));
            let alone = format!("this is what {} alone sees{}", cluster.seen_by, master.unwrap_or_default());
            hanging("  ", &alone, Tone::Plain, view)
        }
    };
    if cluster.maintenance && reason.source != Source::Maintenance {
        lines.push_str(&hanging("  ", MAINTENANCE, Tone::Warn, view));
    }
    if are_several(status) {
        return lines;
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

/// A line for each group: its master, and why nothing happens.
fn groups(status: &Status, verdict: Verdict, view: &View) -> String {
    let all = GroupIn::all(status);
    let widest = all.iter().map(|group| text::width(group.name().as_str())).max().unwrap_or(0);
    let mut lines = String::new();
    for group in all {
        let mark = format!("  {}  ", text::pad(group.name().as_str(), widest));
        let (said, tone) = group_line(status, verdict, group);
        lines.push_str(&hanging(&mark, &said, tone, view));
        if says_all_of_them(status, verdict, group) {
            continue;
        }
        let indent = " ".repeat(text::width(&mark));
        for wait in group.waiting().iter().take(WAITS) {
            lines.push_str(&hanging(&format!("{indent}waiting: "), &waiting(wait), Tone::Plain, view));
            lines.push_str(&hanging(&format!("{indent}         "), &wait.hint, Tone::Dim, view));
        }
        lines.push_str(&and_more(group.waiting().len().saturating_sub(WAITS)));
    }
    lines
}

/// What `main` waits for stands below all groups where all of them wait for it.
fn says_all_of_them(status: &Status, verdict: Verdict, group: GroupIn<'_>) -> bool {
    group.name().is_main() && (verdict == Verdict::NoLeader || status.cluster.maintenance)
}

fn group_line(status: &Status, verdict: Verdict, group: GroupIn<'_>) -> (String, Tone) {
    let option = option(status, group);
    let epoch = group.epoch();
    let mut parts = Vec::new();
    let mut tone = Tone::Plain;
    match (group.master(), moving(status, group)) {
        (Some(master), _) if verdict == Verdict::NoLeader => {
            parts.push(format!("{master} is taken for the master (epoch {epoch})"));
        }
        (Some(master), None) => parts.push(format!("{master} is master (epoch {epoch})")),
        (Some(_), Some(doing)) => {
            parts.push(format!("{doing} (epoch {epoch})"));
            tone = Tone::Warn;
        }
        (None, _) => {
            parts.push("no master".to_owned());
            if group.waiting().is_empty() && !group.manual() && !status.cluster.maintenance {
                parts.push(no_candidate(status, group).to_owned());
            }
            tone = Tone::Bad;
        }
    }
    if group.manual() {
        parts.push(format!("manual mode: none is chosen until `koi promote{option}` or `koi elect{option}`"));
        tone = if tone == Tone::Bad { tone } else { Tone::Warn };
    }
    if let Some(target) = group.target() {
        parts.push(format!("{target} is to become master"));
    }
    (parts.join(", "), tone)
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

/// Which attributes each group has: what they say is for those that act on it.
fn attributes(status: &Status, view: &View) -> String {
    let mut lines = String::new();
    for group in &status.groups {
        let Some(state) = &group.attributes else { continue };
        let keys: Vec<&str> = state.values.keys().map(String::as_str).collect();
        let of = if are_several(status) { format!(" of {}", group.name) } else { String::new() };
        let said = format!("{} (version {})", keys.join(", "), state.version);
        lines.push_str(&hanging(&format!("  attributes{of}: "), &said, Tone::Plain, view));
    }
    lines
}

fn waits(status: &Status, reason: &Reason, view: &View) -> String {
    let main = GroupIn::main(status);
    if are_several(status) && !says_all_of_them(status, Verdict::from_status(status), main) {
        return String::new();
    }
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
    let several = are_several(status);
    let mut table = Table::new(0, NAME);
    match several {
        true => table.heads(&["NODE", "FLAGS", "GROUP", "STATE", "SEEN", "UP", "SERVICES"]),
        false => table.heads(&["NODE", "FLAGS", "STATE", "SEEN", "UP", "SERVICES"]),
    }
    for node in &status.nodes {
        let missing = node.state == NodeState::Disconnected;
        let head = [Cell::new(&node.name).tone(Tone::Head), node::flags(node).into()];
        let seen = Cell::new(seen(node.seen_ms)).tone(if missing { Tone::Bad } else { Tone::Plain });
        let up = Cell::new(if missing { String::new() } else { span(node.uptime_ms) });
        let groups = GroupIn::all(status).into_iter().filter(|group| group.of(node).is_some());
        let mut groups = groups.filter(|_| several);
        let first = groups.next();
        let in_first = first.unwrap_or_else(|| GroupIn::main(status));
        let mut row = head.to_vec();
        if several {
            row.push(first.map(|group| group.name().to_string()).unwrap_or_default().into());
        }
        row.push(state(node, in_first));
        row.extend([seen, up, summary(status, node, first, true).into()]);
        table.row(row);
        for group in groups {
            let blank = || Cell::new("");
            let summary = summary(status, node, Some(group), false);
            let name = Cell::new(group.name().as_str());
            table.row(vec![blank(), blank(), name, state(node, group), blank(), blank(), summary.into()]);
        }
    }
    table.draw(view)
}

fn state(node: &NodeStatus, group: GroupIn<'_>) -> Cell {
    let state = group.state(node).unwrap_or(&node.state);
    Cell::new(state).tone(node::tone(state))
}

/// What is to be known of a node in a few words: of a group, or of all. What goes for the whole node stands in its first row.
fn summary(status: &Status, node: &NodeStatus, group: Option<GroupIn<'_>>, first: bool) -> String {
    let mut parts = Vec::new();
    if node.unclean && first {
        parts.push("UNCLEAN".to_owned());
    }
    if group.and_then(|group| group.of(node)).map_or(node.stopped, |of| of.stopped) {
        parts.push("stopped by hand".to_owned());
    }
    if node.maintenance && !status.cluster.maintenance && first {
        parts.push("in maintenance".to_owned());
    }
    let services = node.services.as_ref().map(|all| match group {
        Some(group) => group.services(node),
        None => all.iter().collect(),
    });
    match services {
        Some(services) => parts.push(service::counts(&services)),
        None if node.runner && first => parts.push("services unknown".to_owned()),
        None => {}
    }
    parts.join("; ")
}
