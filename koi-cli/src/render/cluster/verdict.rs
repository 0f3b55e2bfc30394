//! Is all well, and if not, why: the first line of a status and the exit code of `koi status`.

use koi_proto::api::{ClusterStatus, NodeAction, NodeState, NodeStatus, ServiceState, Status, Waiting};

use super::group::{self, GroupIn, are_several};

use crate::render::layout::clock::span;
use crate::render::layout::text;

/// How the cluster is, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A master is promoted, nothing is amiss.
    Well,
    /// There is a master, nothing is amiss yet, and something is warned of.
    Warned,
    /// There is a master, and something is amiss.
    Degraded,
    /// A leader, and a group without a master.
    NoMaster,
    /// No leader. Whether there is a master cannot be known from here.
    NoLeader,
}

impl Verdict {
    pub(crate) fn from_status(status: &Status) -> Verdict {
        let cluster = &status.cluster;
        let all_have_one = GroupIn::all(status).iter().all(|group| group.master().is_some());
        match (&cluster.leader, all_have_one) {
            (None, _) => Verdict::NoLeader,
            (Some(_), false) => Verdict::NoMaster,
            (Some(_), true) if cluster.healthy && cluster.warnings.is_empty() => Verdict::Well,
            (Some(_), true) if cluster.healthy => Verdict::Warned,
            (Some(_), true) if degraded(status).is_none() && !cluster.warnings.is_empty() => Verdict::Warned,
            (Some(_), true) => Verdict::Degraded,
        }
    }
}

/// The reason for a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// What is said on the first line.
    pub(crate) text: String,
    /// Where it comes from: that need not be said again.
    pub(crate) source: Source,
}

/// Where a reason comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From several things in the status.
    Whole,
    /// From [`ClusterStatus::target`].
    Target,
    /// From the first of [`ClusterStatus::waiting`].
    FirstWait,
    /// From [`ClusterStatus::maintenance`].
    Maintenance,
}

impl Reason {
    fn own(text: impl Into<String>) -> Reason {
        Reason { text: text.into(), source: Source::Whole }
    }

    /// Why the verdict on `status` is not [`Verdict::Well`].
    pub(crate) fn for_verdict(status: &Status, verdict: Verdict) -> Reason {
        let cluster = &status.cluster;
        match verdict {
            Verdict::Well => Reason::own(""),
            Verdict::Warned => {
                Reason::own(cluster.warnings.first().map(|w| text::open(w)).unwrap_or_default())
            }
            Verdict::Degraded => {
                degraded(status).unwrap_or_else(|| Reason::own("the cluster is not as it should be"))
            }
            Verdict::NoMaster => {
                let without = GroupIn::all(status).into_iter().find(|group| group.master().is_none());
                no_master(status, without.unwrap_or_else(|| GroupIn::main(status)))
            }
            Verdict::NoLeader => {
                let short = short_of_quorum(cluster);
                short.or_else(|| first_wait(cluster)).unwrap_or_else(|| Reason::own("none is elected yet"))
            }
        }
    }
}

/// Why a group has no master.
fn no_master(status: &Status, group: GroupIn<'_>) -> Reason {
    let mark = group::mark(status, group);
    if group.manual() {
        let option = group::option(status, group);
        return Reason::own(format!("{mark}manual mode, until `koi promote{option}` or `koi elect{option}`"));
    }
    if status.cluster.maintenance {
        return Reason::own("maintenance, until `koi maintenance off`");
    }
    let reason = match are_several(status) {
        false => first_wait(&status.cluster),
        // The group's own line has the hint.
        true => group.waiting().first().map(|wait| Reason::own(format!("{mark}{}", waiting(wait)))),
    };
    reason.unwrap_or_else(|| Reason::own(format!("{mark}{}", no_candidate(status, group))))
}

fn first_wait(cluster: &ClusterStatus) -> Option<Reason> {
    cluster.waiting.first().map(|wait| Reason { text: waiting(wait), source: Source::FirstWait })
}

fn short_of_quorum(cluster: &ClusterStatus) -> Option<Reason> {
    let (seen, needed) = (cluster.electors_seen, cluster.quorum);
    (seen < needed).then(|| Reason::own(format!("{} heard, {needed} needed", electors(cluster))))
}

/// Why there is none, where nothing is waited for.
pub(crate) fn no_candidate(status: &Status, group: GroupIn<'_>) -> &'static str {
    if status.nodes.iter().any(|n| n.runner && group.state(n) == Some(&NodeState::Standby)) {
        "one is about to be chosen"
    } else {
        "no runner can be promoted"
    }
}

/// What is amiss beyond what is warned of.
fn degraded(status: &Status) -> Option<Reason> {
    let cluster = &status.cluster;
    let groups = GroupIn::all(status);
    let amiss: Vec<String> = status.nodes.iter().filter_map(|node| amiss(status, node, &groups)).collect();
    if !amiss.is_empty() {
        return Some(Reason::own(amiss.join(", ")));
    }
    if cluster.maintenance {
        let text = "maintenance, until `koi maintenance off`".to_owned();
        return Some(Reason { text, source: Source::Maintenance });
    }
    for group in &groups {
        if let Some(target) = group.target() {
            let text = format!("{}{target} is to become master", group::mark(status, *group));
            return Some(Reason { text, source: Source::Target });
        }
    }
    for group in &groups {
        if let Some(doing) = moving(status, *group) {
            return Some(Reason::own(format!("{}{doing}", group::mark(status, *group))));
        }
    }
    if cluster.electors_seen < cluster.electors {
        return Some(Reason::own(electors(cluster)));
    }
    if !are_several(status) {
        return first_wait(cluster);
    }
    let waits = |group: &GroupIn<'_>| {
        let first = group.waiting().first()?;
        Some(Reason::own(format!("{}{}", group::mark(status, *group), waiting(first))))
    };
    groups.iter().find_map(waits)
}

/// What is wrong with a node, in a few words; none: nothing is.
fn amiss(status: &Status, node: &NodeStatus, groups: &[GroupIn<'_>]) -> Option<String> {
    let name = &node.name;
    if node.unclean {
        return Some(format!("{name} is unclean"));
    }
    if node.state == NodeState::Disconnected {
        return Some(format!("{name} {}", if node.deaf { "hears nobody" } else { "is missing" }));
    }
    let amiss: Vec<String> = groups.iter().filter_map(|group| amiss_in(status, node, *group)).collect();
    (!amiss.is_empty()).then(|| amiss.join(", "))
}

/// What is wrong with a node as far as a group goes.
fn amiss_in(status: &Status, node: &NodeStatus, group: GroupIn<'_>) -> Option<String> {
    let name = &node.name;
    let place = if are_several(status) { format!(" in {}", group.name()) } else { String::new() };
    let stopped = group.of(node).map_or(node.stopped, |of| of.stopped);
    match group.state(node)? {
        NodeState::Failed => Some(format!("{name} has failed{place}{}", failed_services(node, group))),
        NodeState::Live if !stopped => Some(format!("{name} is not ready yet{place}")),
        NodeState::Live
        | NodeState::Disconnected
        | NodeState::Stopped
        | NodeState::Standby
        | NodeState::Master
        | NodeState::Elector
        | NodeState::Unknown(_) => None,
    }
}

/// ` (vip, db)`.
fn failed_services(node: &NodeStatus, group: GroupIn<'_>) -> String {
    const NAMED: usize = 2;
    let services = group.services(node);
    let failed: Vec<&str> =
        services.iter().filter(|s| s.failed || s.disabled).map(|s| s.name.as_str()).collect();
    match failed.len() {
        0 => String::new(),
        1..=NAMED => format!(" ({})", failed.join(", ")),
        n => format!(" ({} and {} more)", failed[..NAMED].join(", "), n - NAMED),
    }
}

/// What the master of a group is doing before it is one with all its services, or none any more.
pub(crate) fn moving(status: &Status, group: GroupIn<'_>) -> Option<String> {
    let master = status.nodes.iter().find(|node| group.master() == Some(&node.name))?;
    if group.is_promoted(master) {
        return None;
    }
    let action = group.action(master);
    let down = action == Some(&NodeAction::Demote)
        || group.services(master).iter().any(|s| s.state == ServiceState::Demoting);
    let doing = if down { "demoted" } else { "promoted" };
    Some(format!("{} is being {doing}", master.name))
}

/// The node that is master of `main`, with all its critical services.
pub(crate) fn master(status: &Status) -> Option<&NodeStatus> {
    GroupIn::main(status).promoted_master()
}

/// What is waited for: `b may still be promoted — 1.4s left (R6)`.
pub(crate) fn waiting(wait: &Waiting) -> String {
    let mut said = text::open(&wait.what).to_owned();
    if let Some(ms) = wait.remaining_ms {
        said.push_str(&format!(" — {} left", span(ms)));
    }
    if let Some(rule) = &wait.rule {
        said.push_str(&format!(" ({rule})"));
    }
    said
}

/// `3 of 3 electors`, and whether quorum is off.
pub(crate) fn electors(cluster: &ClusterStatus) -> String {
    let ClusterStatus { electors, electors_seen: seen, quorum, .. } = *cluster;
    let off = if quorum == 0 { ", quorum off" } else { "" };
    let noun = if electors.max(seen) == 1 { "elector" } else { "electors" };
    if electors == 0 {
        format!("{seen} {noun} seen{off}")
    } else {
        format!("{seen} of {electors} {noun}{off}")
    }
}
