//! Is all well, and if not, why: the first line of a status and the exit code of `koi status`.

use koi_proto::api::{
    ClusterStatus, NodeAction, NodeState, NodeStatus, ServiceState, ServiceStatus, Status, Waiting,
};

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
    /// A leader, but no master.
    NoMaster,
    /// No leader. Whether there is a master cannot be known from here.
    NoLeader,
}

impl Verdict {
    pub(crate) fn from_status(status: &Status) -> Verdict {
        let cluster = &status.cluster;
        match (&cluster.leader, &cluster.master) {
            (None, _) => Verdict::NoLeader,
            (Some(_), None) => Verdict::NoMaster,
            (Some(_), Some(_)) if cluster.healthy && cluster.warnings.is_empty() => Verdict::Well,
            (Some(_), Some(_)) if cluster.healthy => Verdict::Warned,
            (Some(_), Some(_)) if degraded(status).is_none() && !cluster.warnings.is_empty() => {
                Verdict::Warned
            }
            (Some(_), Some(_)) => Verdict::Degraded,
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
            Verdict::NoMaster if cluster.manual => {
                Reason::own("manual mode, until `koi promote` or `koi elect`")
            }
            Verdict::NoMaster if cluster.maintenance => {
                Reason::own("maintenance, until `koi maintenance off`")
            }
            Verdict::NoMaster => first_wait(cluster).unwrap_or_else(|| no_candidate(&status.nodes)),
            Verdict::NoLeader => {
                let short = short_of_quorum(cluster);
                short.or_else(|| first_wait(cluster)).unwrap_or_else(|| Reason::own("none is elected yet"))
            }
        }
    }
}

fn first_wait(cluster: &ClusterStatus) -> Option<Reason> {
    cluster.waiting.first().map(|wait| Reason { text: waiting(wait), source: Source::FirstWait })
}

fn short_of_quorum(cluster: &ClusterStatus) -> Option<Reason> {
    let (seen, needed) = (cluster.electors_seen, cluster.quorum);
    (seen < needed).then(|| Reason::own(format!("{} heard, {needed} needed", electors(cluster))))
}

fn no_candidate(nodes: &[NodeStatus]) -> Reason {
    if nodes.iter().any(|n| n.runner && n.state == NodeState::Standby) {
        Reason::own("one is about to be chosen")
    } else {
        Reason::own("no runner can be promoted")
    }
}

/// What is amiss beyond what is warned of.
fn degraded(status: &Status) -> Option<Reason> {
    let cluster = &status.cluster;
    let amiss: Vec<String> = status.nodes.iter().filter_map(amiss).collect();
    if !amiss.is_empty() {
        return Some(Reason::own(amiss.join(", ")));
    }
    if cluster.maintenance {
        let text = "maintenance, until `koi maintenance off`".to_owned();
        return Some(Reason { text, source: Source::Maintenance });
    }
    if let Some(target) = &cluster.target {
        return Some(Reason { text: format!("{target} is to become master"), source: Source::Target });
    }
    if let Some(doing) =
        status.nodes.iter().filter(|n| cluster.master.as_ref() == Some(&n.name)).find_map(moving)
    {
        return Some(Reason::own(doing));
    }
    if cluster.electors_seen < cluster.electors {
        return Some(Reason::own(electors(cluster)));
    }
    first_wait(cluster)
}

/// What is wrong with a node, in a few words; none: nothing is.
fn amiss(node: &NodeStatus) -> Option<String> {
    let name = &node.name;
    if node.unclean {
        return Some(format!("{name} is unclean"));
    }
    match node.state {
        NodeState::Failed => Some(format!("{name} has failed{}", failed_services(node))),
        NodeState::Disconnected if node.deaf => Some(format!("{name} hears nobody")),
        NodeState::Disconnected => Some(format!("{name} is missing")),
        NodeState::Live if !node.stopped => Some(format!("{name} is not ready yet")),
        NodeState::Live
        | NodeState::Stopped
        | NodeState::Standby
        | NodeState::Master
        | NodeState::Elector
        | NodeState::Unknown(_) => None,
    }
}

/// ` (vip, db)`.
fn failed_services(node: &NodeStatus) -> String {
    const NAMED: usize = 2;
    let services = node.services.as_deref().unwrap_or_default();
    let failed: Vec<&str> =
        services.iter().filter(|s| s.failed || s.disabled).map(|s| s.name.as_str()).collect();
    match failed.len() {
        0 => String::new(),
        1..=NAMED => format!(" ({})", failed.join(", ")),
        n => format!(" ({} and {} more)", failed[..NAMED].join(", "), n - NAMED),
    }
}

/// What the master is doing before it is one with all its services, or none any more.
fn moving(master: &NodeStatus) -> Option<String> {
    let services = master.services.as_deref().unwrap_or_default();
    if promoted(master) {
        return None;
    }
    let down = master.action == Some(NodeAction::Demote)
        || services.iter().any(|s| s.state == ServiceState::Demoting);
    Some(format!("{} is being {}", master.name, if down { "demoted" } else { "promoted" }))
}

/// Whether a node is master with all its critical services promoted, as far as its services are known.
pub(crate) fn promoted(node: &NodeStatus) -> bool {
    let is_up = |s: &ServiceStatus| s.critical == Some(false) || s.state == ServiceState::Promoted;
    node.state == NodeState::Master && node.services.iter().flatten().all(is_up)
}

/// The node that is master, with all its critical services.
pub(crate) fn master(status: &Status) -> Option<&NodeStatus> {
    let name = status.cluster.master.as_ref()?;
    status.nodes.iter().find(|node| node.name == *name && promoted(node))
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
