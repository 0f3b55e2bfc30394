//! Words for what the next step waits for.

use std::fmt;

use crate::limits;
use crate::reason::{CandidateObstacle, FoundingWait, WaitReason};

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitReason::Maintenance => {
                f.write_str("maintenance mode is on: no hook runs, nobody is elected or demoted")
            }
            WaitReason::RecordNotCommitted => {
                f.write_str("a change of the record waits for the disks of a quorum of electors")
            }
            WaitReason::Demoting { node, why } => write!(f, "{node} is demoting: {why}"),
            WaitReason::Promoting { node } => write!(f, "{node} is promoting its services"),
            WaitReason::TargetNotPromotable { node } => {
                write!(f, "{node} is to be master as soon as it is promotable")
            }
            WaitReason::Founding(wait) => wait.fmt(f),
            WaitReason::NoQuorum { seen, configured, needed } => {
                write!(f, "no quorum: {seen} of {configured} electors are seen, {needed} are needed")
            }
            WaitReason::LeadershipNotConfirmed => {
                f.write_str("this node was elected, and waits for a quorum of electors to answer")
            }
            WaitReason::Election => f.write_str("an election is under way"),
            WaitReason::MasterInMaintenance { node } => {
                write!(f, "{node} was master in maintenance mode, and may still be promoted")
            }
            WaitReason::MasterUnclean { node } | WaitReason::RestartedUnclean { node } => {
                write!(f, "{node} could not stop what it had promoted")
            }
            WaitReason::MasterSilent { node } => {
                write!(f, "{node} is silent, and may be promoted until its lease and its grace are over")
            }
            WaitReason::RestartedTakesDown { node } => {
                write!(f, "{node} was restarted and takes down what its earlier run left")
            }
            WaitReason::Fencing { node } => {
                write!(f, "{node} is being turned off by its fence, and it is looked whether it is off")
            }
            WaitReason::DemotedByHand => f.write_str("the master was demoted by hand, and none is chosen"),
            WaitReason::NoReportYet { node } => {
                write!(f, "the new leader has not heard yet how {node} is")
            }
            WaitReason::AskedHowItIs { node } => {
                write!(f, "{node} is asked how it is now, for scores decide who is next")
            }
            WaitReason::StartElectorsUnknown => {
                f.write_str("the cluster is starting; how many electors it has is not configured")
            }
            WaitReason::StartElectorsMissing { missing, electors } => {
                write!(f, "the cluster is starting; {missing} of {electors} electors are missing")
            }
            WaitReason::StartRunnerNotReady { node, state } => {
                write!(f, "the cluster is starting; {node} is {}", state.as_str())
            }
            WaitReason::PromotedUnbidden { node, reason } => {
                write!(f, "{node} is no master, and its status calls it promoted: {reason}")
            }
            WaitReason::StillPromoted { node, state } => {
                write!(f, "{node} still has something promoted ({})", state.as_str())
            }
            WaitReason::CandidateRests { node } => {
                write!(f, "{node} has been master in vain of late, and rests before the next try")
            }
            WaitReason::GroupsUnknown { nodes } => {
                let nodes = nodes.join(", ");
                write!(f, "not every elector has said that it knows groups of services: {nodes}")
            }
            WaitReason::AwaitsPartner { with } => {
                write!(
                    f,
                    "the group goes together with {with}, and waits until that one has a promoted master"
                )
            }
            WaitReason::NowhereElse { with, node } => write!(
                f,
                "the group goes together with {with}, whose master is {node}: it cannot be promoted there, and is not promoted elsewhere"
            ),
            WaitReason::FollowerFirst { follower, node, why } => {
                write!(
                    f,
                    "{node} is to demote, after the group {follower}, which goes together with this one: {why}"
                )
            }
            WaitReason::NoRunner => f.write_str("no runner is there"),
            WaitReason::NoCandidate { obstacles } => {
                let why: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
                write!(f, "no runner can be promoted: {}", why.join(", "))
            }
        }
    }
}

impl WaitReason {
    /// The node waited for.
    pub fn node(&self) -> Option<&str> {
        match self {
            WaitReason::Demoting { node, .. }
            | WaitReason::Promoting { node }
            | WaitReason::TargetNotPromotable { node }
            | WaitReason::MasterInMaintenance { node }
            | WaitReason::MasterUnclean { node }
            | WaitReason::MasterSilent { node }
            | WaitReason::RestartedUnclean { node }
            | WaitReason::RestartedTakesDown { node }
            | WaitReason::NoReportYet { node }
            | WaitReason::AskedHowItIs { node }
            | WaitReason::PromotedUnbidden { node, .. }
            | WaitReason::StillPromoted { node, .. }
            | WaitReason::NowhereElse { node, .. }
            | WaitReason::FollowerFirst { node, .. }
            | WaitReason::Fencing { node }
            | WaitReason::CandidateRests { node } => Some(node),
            WaitReason::Maintenance
            | WaitReason::RecordNotCommitted
            | WaitReason::Founding(_)
            | WaitReason::NoQuorum { .. }
            | WaitReason::LeadershipNotConfirmed
            | WaitReason::Election
            | WaitReason::DemotedByHand
            | WaitReason::StartElectorsUnknown
            | WaitReason::StartElectorsMissing { .. }
            | WaitReason::StartRunnerNotReady { .. }
            | WaitReason::GroupsUnknown { .. }
            | WaitReason::AwaitsPartner { .. }
            | WaitReason::NoRunner
            | WaitReason::NoCandidate { .. } => None,
        }
    }

    /// The rule that demands the wait.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            WaitReason::LeadershipNotConfirmed | WaitReason::Election => Some("R1"),
            WaitReason::NoQuorum { .. } => Some("R3"),
            WaitReason::RecordNotCommitted => Some("R4"),
            WaitReason::MasterInMaintenance { .. }
            | WaitReason::MasterUnclean { .. }
            | WaitReason::MasterSilent { .. }
            | WaitReason::StillPromoted { .. } => Some("R6"),
            WaitReason::RestartedUnclean { .. } | WaitReason::PromotedUnbidden { .. } => Some("R7"),
            WaitReason::RestartedTakesDown { .. } => Some("R8"),
            WaitReason::Founding(_) => Some("R10"),
            WaitReason::Fencing { .. } => Some("R12"),
            WaitReason::GroupsUnknown { .. } => Some("R14"),
            WaitReason::AwaitsPartner { .. }
            | WaitReason::NowhereElse { .. }
            | WaitReason::FollowerFirst { .. } => Some("R15"),
            WaitReason::Maintenance
            | WaitReason::Demoting { .. }
            | WaitReason::Promoting { .. }
            | WaitReason::TargetNotPromotable { .. }
            | WaitReason::DemotedByHand
            | WaitReason::NoReportYet { .. }
            | WaitReason::AskedHowItIs { .. }
            | WaitReason::StartElectorsUnknown
            | WaitReason::StartElectorsMissing { .. }
            | WaitReason::StartRunnerNotReady { .. }
            | WaitReason::CandidateRests { .. }
            | WaitReason::NoRunner
            | WaitReason::NoCandidate { .. } => None,
        }
    }

    /// What an operator can do; may be empty.
    pub fn hint(&self) -> String {
        let hint = match self {
            WaitReason::Maintenance => "koi maintenance off",
            WaitReason::TargetNotPromotable { .. } => "koi elect drops that wish",
            WaitReason::Founding(_) => {
                "for a new cluster without them: koi bootstrap, on each elector that is there"
            }
            WaitReason::NoQuorum { .. } => "start koid on the others, or mend the network between them",
            WaitReason::DemotedByHand => "koi promote NODE, or koi elect",
            WaitReason::StartElectorsUnknown
            | WaitReason::StartElectorsMissing { .. }
            | WaitReason::StartRunnerNotReady { .. } => "it is cut short by `koi promote NODE`",
            WaitReason::GroupsUnknown { .. } => "upgrade koid there, and start it",
            WaitReason::NoRunner => "start koid on a machine with node.runner = true",
            WaitReason::NoCandidate { .. } => "koi status NODE says what each waits for",
            WaitReason::MasterInMaintenance { node }
            | WaitReason::MasterUnclean { node }
            | WaitReason::Fencing { node }
            | WaitReason::MasterSilent { node } => {
                return format!("if it is surely down: koi confirm-down {node}");
            }
            WaitReason::RestartedUnclean { node } => {
                return format!("mend it and say `koi recover {node}`, or `koi confirm-down {node}`");
            }
            WaitReason::PromotedUnbidden { node, .. } => {
                return format!("mend that, and say `koi recover {node}`; or stop koid on {node}");
            }
            WaitReason::CandidateRests { node } => {
                return format!("koi promote {node} does not wait; koi failures");
            }
            WaitReason::AwaitsPartner { with } => {
                return format!(
                    "see what group {with} waits for; without together_with it waits for nothing"
                );
            }
            WaitReason::NowhereElse { with, node } => {
                return format!("mend it on {node}, or move group {with} with koi promote");
            }
            WaitReason::RecordNotCommitted
            | WaitReason::FollowerFirst { .. }
            | WaitReason::Demoting { .. }
            | WaitReason::Promoting { .. }
            | WaitReason::LeadershipNotConfirmed
            | WaitReason::Election
            | WaitReason::RestartedTakesDown { .. }
            | WaitReason::NoReportYet { .. }
            | WaitReason::AskedHowItIs { .. }
            | WaitReason::StillPromoted { .. } => "",
        };
        hint.to_owned()
    }
}

impl fmt::Display for FoundingWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FoundingWait::RecordElsewhere { node } => {
                write!(f, "{node} has the record of a cluster: this elector waits to be given it")
            }
            FoundingWait::NameNotUnique { name } => {
                write!(f, "several electors are called {name}: give each its own node.name")
            }
            FoundingWait::NotConfigured { name } => {
                write!(f, "{name} is configured to vote, and cluster.electors does not name it")
            }
            FoundingWait::MembershipUnknown { node } => {
                write!(f, "{node} runs a koid that does not know membership: upgrade it")
            }
            FoundingWait::ClusterExists { electors } => {
                let whose = match electors[..] {
                    [] => String::new(),
                    [..] => format!(" of {}", electors.join(", ")),
                };
                write!(
                    f,
                    "this elector has no record, and knows that there is a cluster{whose}: it waits to be given the record"
                )
            }
            FoundingWait::TooManyConfigured { configured } => write!(
                f,
                "cluster.electors is {configured}, and a cluster has at most {} electors: set it right everywhere",
                limits::MEMBERS
            ),
            FoundingWait::ElectorsMissing { configured, missing } => write!(
                f,
                "this elector has no record: it waits for a leader, or until all {configured} electors are seen ({missing} missing)"
            ),
            FoundingWait::TooManySeen { seen, configured } => write!(
                f,
                "{seen} electors without a record are seen and cluster.electors is {configured}: set it right everywhere, or stop those that \
                 are not to vote"
            ),
            FoundingWait::FirstVote => {
                f.write_str("a cluster begins: its first leader needs the vote of every one of its electors")
            }
            FoundingWait::RecordAwaited => {
                f.write_str("this elector has no record yet, and waits to be given the cluster's")
            }
        }
    }
}

impl fmt::Display for CandidateObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CandidateObstacle::State { node, state } => write!(f, "{node} is {}", state.as_str()),
            CandidateObstacle::NameTaken { id, name } => write!(f, "{id} is called {name} as another is"),
            CandidateObstacle::NeverHere { node } => write!(f, "{node} is never master (preference = 0)"),
        }
    }
}
