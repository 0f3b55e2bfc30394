//! `koi local`: the asked node as it sees itself.

use koi_proto::api::{Local, StateOrigin};

use super::node;
use crate::render::layout::Tone;
use crate::render::layout::clock::{instant, span};
use crate::render::layout::table::fact;
use crate::render::layout::{View, text};

/// The whole of it.
pub(crate) fn local(local: &Local, view: &View) -> String {
    let mut page = node::title(&local.node, view);
    page.push_str(&node::facts(&local.node, view));
    page.push_str(&facts(local, view));
    page.push_str(&node::services(&local.node, view));
    page
}

fn facts(local: &Local, view: &View) -> String {
    let mut lines = String::new();
    let mut say = |name: &str, value: &str, tone: Tone| lines.push_str(&fact(name, value, tone, view));
    say("port", &local.port.to_string(), Tone::Plain);
    say("started", &instant(local.started_at), Tone::Plain);
    say("hears", &format!("{}, itself included", text::count(local.nodes, "node")), Tone::Plain);
    match &local.leader {
        Some(leader) => say("leader", &leader_line(leader, local), Tone::Plain),
        None => say("leader", "none is known", Tone::Warn),
    }
    say("term", &local.term.to_string(), Tone::Plain);
    if let Some(epoch) = local.epoch {
        let lease =
            local.lease_ms.map(|ms| format!(", its lease lasts {} more", span(ms))).unwrap_or_default();
        say("mastership", &format!("epoch {epoch}{lease}"), Tone::Plain);
    }
    say("state on disk", &state_origin(&local.standing), Tone::Plain);
    if let Some(ms) = local.slowest_demote_ms {
        say("demotes", &format!("the slowest of late took {}", span(ms)), Tone::Plain);
    }
    let dropped: Vec<String> = local.dropped.iter().map(|(why, n)| format!("{why}: {n}")).collect();
    say("dropped", &dropped.join(", "), Tone::Warn);
    local.warnings.iter().for_each(|warning| say("warning", warning, Tone::Warn));
    local.advice.iter().for_each(|advice| say("note", advice, Tone::Plain));
    lines
}

fn leader_line(leader: &str, local: &Local) -> String {
    if leader == local.node.name {
        return format!("{leader}, this node");
    }
    match &local.leader_address {
        Some(address) => format!("{leader} at {address}"),
        None => leader.to_owned(),
    }
}

/// R10 in words.
fn state_origin(origin: &StateOrigin) -> String {
    match origin {
        StateOrigin::Empty => {
            "empty: it neither votes nor leads until a leader has given it the record (R10)".to_owned()
        }
        StateOrigin::Founder => "founder: it began with a new cluster".to_owned(),
        StateOrigin::Member | StateOrigin::Unknown(_) => origin.to_string(),
    }
}
