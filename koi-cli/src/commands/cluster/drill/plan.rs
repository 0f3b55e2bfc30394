//! What a drill would do, and to whom; whether it may be begun.

use std::fmt;
use std::time::Duration;

use koi_proto::api::{
    ErrorCode, Group, Local, NodeState, NodeStatus, Patience, ServiceState, ServiceStatus, Status, Timing,
};

use crate::cli::DrillKind;
use crate::commands::cluster::promotion::is_leaders;
use crate::commands::cluster::show::{self, STATUS};
use crate::commands::plugins::paths::at_node;
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::render::cluster::group::{self, GroupIn};
use crate::render::cluster::verdict::{self, Reason, Verdict};
use crate::render::layout::clock::span;

/// A drill that can be begun.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) fault: Fault,
    /// The group whose role moves.
    pub(crate) group: Group,
    /// Other groups of the same master that move too, and go back.
    pub(crate) also: Vec<Group>,
    /// The master, who gets its role back in the end.
    pub(crate) from: String,
    /// Who takes over by then. A leader may choose otherwise when it comes to it, unless the drill is a switch-over.
    pub(crate) to: String,
    /// The newest mastership by then.
    pub(crate) epoch: u64,
    pub(crate) bounds: Bounds,
}

/// What is brought about.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    SwitchOver,
    DaemonCrash { restarted_by: String },
    ServiceFailure { service: String, patience: Patience },
}

impl Fault {
    /// The word of the command line.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Fault::SwitchOver => "switch-over",
            Fault::DaemonCrash { .. } => "daemon-crash",
            Fault::ServiceFailure { .. } => "service-failure",
        }
    }
}

/// What measured times are compared with: the master's own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) leader_lease: Duration,
    pub(crate) master_lease: Duration,
    pub(crate) demote_grace: Duration,
}

impl From<&Timing> for Bounds {
    fn from(timing: &Timing) -> Bounds {
        Bounds {
            leader_lease: Duration::from_millis(timing.leader_lease_ms),
            master_lease: Duration::from_millis(timing.master_lease_ms),
            demote_grace: Duration::from_millis(timing.demote_grace_ms),
        }
    }
}

/// `drill switch-over of b`, `drill switch-over of b in web`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drill {} of {}", self.fault.as_str(), self.from)?;
        if self.group.is_main() { Ok(()) } else { write!(f, " in {}", self.group) }
    }
}

impl Plan {
    /// Looks at the cluster, and refuses what would not show anything, or would cost more than a drill may. `agreed`: who was said to take over;
    /// of several that are as good the leader names now this one, now that.
    pub(super) async fn make(
        daemon: &Daemon,
        kind: &DrillKind,
        wanted: Option<&Group>,
        agreed: Option<&str>,
    ) -> Result<Plan, CommandError> {
        let status = daemon.get::<Status>(STATUS).await?.value;
        let group = show::group(&status, wanted)?;
        let master = fit(&status, group)?;
        let local = daemon.get::<Local>(&at_node("/v1/local", Some(&master.name))).await?.value;
        let Some(timing) = &local.timing else {
            let message = format!("koid of {} is older than this koi, and knows no drills", master.name);
            return Err(CommandError::local(message, "upgrade it first"));
        };
        let fault = match kind {
            DrillKind::SwitchOver { .. } => Fault::SwitchOver,
            DrillKind::DaemonCrash => crash(&status, master, &local)?,
            DrillKind::ServiceFailure { service } => failure(master, group, service.as_deref())?,
        };
        let wanted = match kind {
            DrillKind::SwitchOver { to } => to.as_deref(),
            DrillKind::DaemonCrash | DrillKind::ServiceFailure { .. } => None,
        };
        // Somebody must be able to take over by now too, whoever was agreed to.
        let named = successor(&status, group, master, wanted)?;
        let to = agreed.map_or(Ok(named), |agreed| successor(&status, group, master, Some(agreed)))?;
        let others = GroupIn::all(&status).into_iter().filter(|other| {
            matches!(fault, Fault::DaemonCrash { .. })
                && other.name() != group.name()
                && other.master() == Some(&master.name)
        });
        let (from, epoch, bounds) = (master.name.clone(), group.epoch(), Bounds::from(timing));
        Ok(Plan {
            also: others.map(|other| other.name()).collect(),
            fault,
            group: group.name(),
            from,
            to,
            epoch,
            bounds,
        })
    }

    /// The groups that move, and go back.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        [&self.group].into_iter().chain(&self.also)
    }

    /// What `koi promote` needs for the group; empty: it is `main`, and perhaps the only one.
    pub(super) fn option(&self) -> String {
        if self.group.is_main() { String::new() } else { format!(" --group {}", self.group) }
    }

    /// Whether the role is to move to another node, and back.
    pub(super) fn moves(&self) -> bool {
        !matches!(&self.fault, Fault::ServiceFailure { patience, .. } if patience.restarts > 0)
    }

    /// What it does, one thing after the other.
    pub(super) fn steps(&self) -> Vec<String> {
        let Plan { from, to, .. } = self;
        let mut steps = match &self.fault {
            Fault::SwitchOver => {
                vec![format!("{to} is made the target: {from}, the master, demotes its services")]
            }
            Fault::DaemonCrash { restarted_by } => vec![
                format!("koid of {from}, the master, kills itself with SIGKILL"),
                format!("its guardian takes the services down; {restarted_by} starts koid there again"),
            ],
            Fault::ServiceFailure { service, patience } => {
                let interval = span(patience.status_interval_ms);
                let which = match patience.status_failures {
                    0 | 1 => {
                        format!("the next status of {service} on {from}, the master, is counted as failed")
                    }
                    n => format!(
                        "the next {n} statuses of {service} on {from}, the master, are counted as failed, by its [policy]"
                    ),
                };
                let then = match patience.restarts {
                    0 => format!("{from} has failed: it runs `failed` and `stop` of all its services"),
                    1 => format!(
                        "{service} is restarted in place, by its [policy], which allows one restart; {from} stays master"
                    ),
                    n => format!(
                        "{service} is restarted in place, by its [policy], which allows {n} restarts; {from} stays master"
                    ),
                };
                vec![format!("{which}; one is due every {interval}"), then]
            }
        };
        if !self.moves() {
            return steps;
        }
        steps.push(match self.fault {
            Fault::SwitchOver => format!("{to} becomes master and promotes its services"),
            Fault::DaemonCrash { .. } | Fault::ServiceFailure { .. } => {
                format!("another node, {to} as things are, becomes master and promotes its services")
            }
        });
        let mut back = format!("{from} is made master again");
        if !self.also.is_empty() {
            let also: Vec<&str> = self.also.iter().map(Group::as_str).collect();
            let also = also.join(", ");
            steps.push(format!("the other groups of {from} move as well: {also}"));
            back.push_str(&format!(", of these groups too: {also}"));
        }
        steps.push(match self.fault {
            Fault::SwitchOver => back,
            Fault::DaemonCrash { .. } => format!("when {from} is standby, {back}"),
            Fault::ServiceFailure { .. } => format!("{from} is recovered, and {back}"),
        });
        steps
    }

    /// What it costs whoever uses the services.
    pub(super) fn cost(&self) -> &'static str {
        match self.moves() {
            true => "Whoever uses the services is interrupted twice.",
            false => "Whoever uses the services is interrupted once.",
        }
    }
}

fn refused(message: impl Into<String>, remedy: impl Into<String>) -> CommandError {
    CommandError::new(exit::FAILED, ErrorCode::Refused, message, remedy)
}

/// The master of a cluster in which a drill may be begun: all is well.
fn fit<'s>(status: &'s Status, group: GroupIn<'s>) -> Result<&'s NodeStatus, CommandError> {
    let cluster = &status.cluster;
    if cluster.leader.is_none() || !is_leaders(status) {
        let message = "no node leads now: a drill needs a cluster that is well";
        return Err(CommandError::new(
            exit::NO_ANSWER,
            ErrorCode::NoLeader,
            message,
            "`koi status` says what is waited for",
        ));
    }
    if cluster.maintenance {
        return Err(refused(
            "the cluster is in maintenance mode, in which nobody takes over",
            "`koi maintenance off` first",
        ));
    }
    let option = group::option(status, group);
    if group.manual() {
        let what = match group::are_several(status) {
            true => format!("the group {}", group.name()),
            false => "the cluster".to_owned(),
        };
        return Err(refused(
            format!("{what} is in manual mode, in which nobody takes over"),
            format!("`koi elect{option}` or `koi promote{option}` first"),
        ));
    }
    if let Some(target) = group.target() {
        return Err(refused(
            format!("{target} is to become master, and is not yet"),
            format!("`koi wait --for healthy` first, or `koi elect{option}`"),
        ));
    }
    let missing = |node: &&NodeStatus| node.state == NodeState::Disconnected;
    if let Some(node) = status.nodes.iter().find(missing) {
        return Err(refused(
            format!("{} is missing", node.name),
            "start koid there, or mend its network, first",
        ));
    }
    if cluster.electors_seen < cluster.electors {
        return Err(refused(
            format!("only {} are there", verdict::electors(cluster)),
            "start koid on the others first",
        ));
    }
    let found = Verdict::from_status(status);
    let Some(master) = group.promoted_master().filter(|_| found == Verdict::Well) else {
        let why = Reason::for_verdict(status, found).text;
        return Err(refused(
            format!("the cluster is not well: {why}"),
            "`koi status` says more; mend it first",
        ));
    };
    Ok(master)
}

/// Who takes over.
fn successor(
    status: &Status,
    group: GroupIn<'_>,
    master: &NodeStatus,
    wanted: Option<&str>,
) -> Result<String, CommandError> {
    let remedy = "`koi status` says what it waits for";
    let name = match wanted {
        Some(wanted) => {
            let node = status.nodes.iter().find(|node| show::is(node, wanted));
            &node.ok_or_else(|| show::unknown(&status.nodes, wanted))?.name
        }
        None => group.takeover().ok_or_else(|| refused("no other node could take over", remedy))?,
    };
    if *name == master.name {
        return Err(refused(format!("{name} is master already"), "name another node, or none"));
    }
    let ready = status
        .nodes
        .iter()
        .find(|node| node.name == *name)
        .filter(|node| group.state(node) == Some(&NodeState::Standby));
    match ready {
        Some(_) => Ok(name.clone()),
        None => Err(refused(format!("{name} could not take over: it is no standby"), remedy)),
    }
}

fn crash(status: &Status, master: &NodeStatus, local: &Local) -> Result<Fault, CommandError> {
    let (name, cluster) = (&master.name, &status.cluster);
    if master.elector && cluster.electors_seen <= cluster.quorum {
        let message = format!(
            "without {name} no quorum of the electors would be left: {} are there and {} are needed",
            cluster.electors_seen, cluster.quorum
        );
        return Err(refused(message, "a third elector makes one to spare (docs/safety.md)"));
    }
    let Some(restarted_by) = local.restarted_by.clone() else {
        let message = format!("nothing is known that would start koid of {name} again");
        let remedy = "run it by systemd as contrib/koid.service does, or set KOI_RESTARTED_BY in koid's environment where something else restarts it";
        return Err(refused(message, remedy));
    };
    Ok(Fault::DaemonCrash { restarted_by })
}

fn failure(master: &NodeStatus, group: GroupIn<'_>, wanted: Option<&str>) -> Result<Fault, CommandError> {
    let name = &master.name;
    let services = || group.services(master).into_iter();
    let drillable = |service: &ServiceStatus| service.patience.clone().filter(|_| why_not(service).is_none());
    if let Some(wanted) = wanted {
        let Some(service) = services().find(|service| service.name == *wanted) else {
            let names: Vec<&str> = services().map(|service| service.name.as_str()).collect();
            return Err(refused(
                format!("{name} has no service {wanted}"),
                format!("it has {}", names.join(", ")),
            ));
        };
        return match (why_not(service), drillable(service)) {
            (None, Some(patience)) => Ok(Fault::ServiceFailure { service: service.name.clone(), patience }),
            (why, _) => Err(refused(
                format!(
                    "{wanted} cannot be drilled: {}",
                    why.unwrap_or("it has no status, and its failure would not be seen")
                ),
                "--service names another one",
            )),
        };
    }
    let known = services().filter_map(|service| Some((service.name.clone(), drillable(service)?)));
    let soonest = known.min_by_key(|(_, patience)| (patience.restarts > 0, patience.status_interval_ms));
    match soonest {
        Some((service, patience)) => Ok(Fault::ServiceFailure { service, patience }),
        None => Err(refused(
            format!("{name} has no critical service with a status"),
            "docs/handlers.md says how to write one",
        )),
    }
}

/// Why the failure of a service would move nothing.
fn why_not(service: &ServiceStatus) -> Option<&'static str> {
    if service.critical == Some(false) {
        return Some("it is not critical, and its failure concerns nobody else");
    }
    if service.state != ServiceState::Promoted {
        return Some("it is not promoted");
    }
    None
}

#[cfg(test)]
mod tests {
    use koi_proto::api::ClusterStatus;

    use super::*;

    fn node(name: &str, state: &str) -> NodeStatus {
        let service = |name: &str, interval_ms| ServiceStatus {
            name: name.into(),
            state: if state == "Master" { "Promoted".into() } else { "Started".into() },
            critical: Some(name != "mail"),
            patience: Some(Patience {
                status_interval_ms: interval_ms,
                status_failures: 1,
                ..Patience::default()
            }),
            ..ServiceStatus::default()
        };
        NodeStatus {
            name: name.into(),
            state: state.into(),
            elector: true,
            runner: true,
            services: Some(vec![service("vip", 10_000), service("db", 1_000), service("mail", 100)]),
            ..NodeStatus::default()
        }
    }

    fn well() -> Status {
        Status {
            cluster: ClusterStatus {
                leader: Some("a".into()),
                seen_by: "a".into(),
                master: Some("b".into()),
                takeover: Some("c".into()),
                quorum: 2,
                electors: 3,
                electors_seen: 3,
                healthy: true,
                ..ClusterStatus::default()
            },
            nodes: vec![node("a", "Standby"), node("b", "Master"), node("c", "Standby")],
            groups: Vec::new(),
        }
    }

    fn said<T>(result: Result<T, CommandError>) -> String {
        match result {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn what_is_not_well_is_named_before_anything_is_begun() {
        let with = |change: &dyn Fn(&mut Status)| {
            let mut status = well();
            change(&mut status);
            said(fit(&status, GroupIn::main(&status)))
        };
        assert_eq!(with(&|_| ()), "nothing");
        let leaderless = with(&|s| s.cluster.leader = None);
        assert_eq!(leaderless, "no node leads now: a drill needs a cluster that is well");
        let maintained = with(&|s| s.cluster.maintenance = true);
        assert_eq!(maintained, "the cluster is in maintenance mode, in which nobody takes over");
        let manual = with(&|s| s.cluster.manual = true);
        assert_eq!(manual, "the cluster is in manual mode, in which nobody takes over");
        let moving = with(&|s| s.cluster.target = Some("c".into()));
        assert_eq!(moving, "c is to become master, and is not yet");
        assert_eq!(with(&|s| s.nodes[2].state = "Disconnected".into()), "c is missing");
        assert_eq!(with(&|s| s.cluster.electors_seen = 2), "only 2 of 3 electors are there");
        let failed = with(&|s| {
            s.cluster.healthy = false;
            s.nodes[2].state = "Failed".into();
        });
        assert_eq!(failed, "the cluster is not well: c has failed");
    }

    #[test]
    fn the_next_one_is_a_standby_and_not_the_master() {
        let status = well();
        let next =
            |wanted: Option<&str>| successor(&status, GroupIn::main(&status), &status.nodes[1], wanted);
        assert_eq!(next(None).ok().as_deref(), Some("c"));
        assert_eq!(next(Some("a")).ok().as_deref(), Some("a"));
        assert_eq!(said(next(Some("b"))), "b is master already");
        assert_eq!(said(next(Some("x"))), "no node x is known");
        let mut status = well();
        status.nodes[2].state = "Live".into();
        assert_eq!(
            said(successor(&status, GroupIn::main(&status), &status.nodes[1], None)),
            "c could not take over: it is no standby"
        );
        status.cluster.takeover = None;
        assert_eq!(
            said(successor(&status, GroupIn::main(&status), &status.nodes[1], None)),
            "no other node could take over"
        );
    }

    #[test]
    fn a_crash_leaves_a_quorum_and_comes_back() {
        let mut status = well();
        let by = |by: Option<&str>| Local { restarted_by: by.map(str::to_owned), ..Local::default() };
        assert!(crash(&status, &status.nodes[1], &by(Some("systemd"))).is_ok());
        let alone = said(crash(&status, &status.nodes[1], &by(None)));
        assert_eq!(alone, "nothing is known that would start koid of b again");
        status.cluster.electors_seen = 2;
        let short = said(crash(&status, &status.nodes[1], &by(Some("systemd"))));
        assert_eq!(short, "without b no quorum of the electors would be left: 2 are there and 2 are needed");
        status.nodes[1].elector = false;
        assert!(crash(&status, &status.nodes[1], &by(Some("systemd"))).is_ok());
    }

    #[test]
    fn the_service_is_one_whose_failure_moves_the_role() {
        let status = well();
        let main = GroupIn::main(&status);
        let chosen = |wanted: Option<&str>| match failure(&node("b", "Master"), main, wanted) {
            Ok(Fault::ServiceFailure { service, .. }) => service,
            Ok(other) => other.as_str().to_owned(),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(chosen(None), "db", "it is asked most often, but for one that is not critical");
        assert_eq!(chosen(Some("vip")), "vip");
        assert_eq!(
            chosen(Some("mail")),
            "mail cannot be drilled: it is not critical, and its failure concerns nobody else"
        );
        assert_eq!(chosen(Some("x")), "b has no service x");
    }
}
