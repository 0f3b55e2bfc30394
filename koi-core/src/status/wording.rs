//! The words for people: sentences, rules and hints, made from the reasons that the core decides by.

use std::fmt;

use crate::io::{HookEnd, Observed};
use crate::limits;
use crate::reason::{
    BarReason, CandidateObstacle, DropReason, FoundingWait, GraceOver, NewcomerTrouble, NodeFailure,
    NotNowReason, RunnerTrouble, ServiceFailure, ServiceFault, ServiceNote, StepDownReason, TakeDownReason,
    UnfitReason, UnsafeReason, WaitReason, WarnReason,
};

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
            WaitReason::DemotedByHand => f.write_str("the master was demoted by hand, and none is chosen"),
            WaitReason::NoReportYet { node } => {
                write!(f, "the new leader has not heard yet how {node} is")
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
            | WaitReason::PromotedUnbidden { node, .. }
            | WaitReason::StillPromoted { node, .. }
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
            WaitReason::Maintenance
            | WaitReason::Demoting { .. }
            | WaitReason::Promoting { .. }
            | WaitReason::TargetNotPromotable { .. }
            | WaitReason::DemotedByHand
            | WaitReason::NoReportYet { .. }
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
            WaitReason::NoRunner => "start koid on a machine with node.runner = true",
            WaitReason::NoCandidate { .. } => "koi status NODE says what each waits for",
            WaitReason::MasterInMaintenance { node }
            | WaitReason::MasterUnclean { node }
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
            WaitReason::RecordNotCommitted
            | WaitReason::Demoting { .. }
            | WaitReason::Promoting { .. }
            | WaitReason::LeadershipNotConfirmed
            | WaitReason::Election
            | WaitReason::RestartedTakesDown { .. }
            | WaitReason::NoReportYet { .. }
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
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropReason::NotThere => f.write_str("it is not there"),
            DropReason::Stopping => f.write_str("it is stopping"),
            DropReason::StoppedByHand => f.write_str("it was stopped by hand"),
            DropReason::Failed { reason } => write!(f, "it has failed: {reason}"),
            DropReason::OtherTarget { node } => write!(f, "{node} is to be master"),
            DropReason::DemotedByHand => f.write_str("it was demoted by hand"),
            DropReason::CannotPromote { why } => write!(f, "it cannot promote anything: {why}"),
            DropReason::NotPromotable { state } => write!(f, "it is {}, not promotable", state.as_str()),
            DropReason::Released => f.write_str("it is released"),
        }
    }
}

impl fmt::Display for UnfitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnfitReason::StateNotWritten { why } => write!(f, "its state cannot be written: {why}"),
            UnfitReason::HooksNotRun { why } => write!(f, "its hooks cannot be run: {why}"),
            UnfitReason::DiskHangs => f.write_str("its disk hangs: its state is not written in time"),
        }
    }
}

impl fmt::Display for StepDownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepDownReason::NoQuorum => f.write_str("no quorum of electors answers"),
            StepDownReason::OtherLeader { node, term } => write!(f, "{node} leads in term {}", term.0),
            StepDownReason::NoElector => f.write_str("this node is no elector any more"),
            StepDownReason::LeaseChanged => f.write_str("the leader lease was changed"),
            StepDownReason::IdNotUnique => f.write_str("another machine has this node's id"),
            StepDownReason::Stopping => f.write_str("this node is stopping"),
        }
    }
}

impl fmt::Display for NotNowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotNowReason::TooManyCommands => {
                f.write_str("too many commands are waiting for a quorum of electors")
            }
            NotNowReason::Maintenance => {
                f.write_str("maintenance mode is on: nothing is promoted or demoted")
            }
            NotNowReason::NoRunner { node } | NotNowReason::NothingToRecover { node } => {
                write!(f, "{node} runs no services")
            }
            NotNowReason::NotThere { node } => write!(f, "{node} is not there"),
            NotNowReason::StoppedByHand { node } => write!(f, "{node} was stopped by hand"),
            NotNowReason::Failed { node, reason } => write!(f, "{node} has failed: {reason}"),
            NotNowReason::Stopping { node } => write!(f, "{node} is stopping"),
            NotNowReason::TooManyStopped => f.write_str("too many nodes are stopped by hand"),
            NotNowReason::NoElector => f.write_str("this node is no elector"),
            NotNowReason::HasRecord => {
                f.write_str("this elector has a record already: there is nothing to begin")
            }
            NotNowReason::LeaderThere => f.write_str("a leader is there and gives this elector its state"),
            NotNowReason::TooManyFounders { electors } => {
                write!(f, "{electors} electors are there, and a cluster has at most {}", limits::MEMBERS)
            }
            NotNowReason::RecordElsewhere { node } => {
                write!(f, "{node} has the record of a cluster, or runs a koid that knows no membership")
            }
            NotNowReason::QuorumOff => f.write_str("quorum is off: the electors are not counted"),
            NotNowReason::ElectorsNotRecorded => f.write_str("the electors are not in the record yet"),
            NotNowReason::ElectorsChanging => f.write_str("another change of the electors is under way"),
            NotNowReason::RecordNotCommitted => {
                f.write_str("the last change does not count yet: it waits for a quorum of electors")
            }
            NotNowReason::NoSuchElector { name, .. } => write!(f, "no elector is called {name}"),
            NotNowReason::NoAnswer { name } => write!(f, "no node called {name} answers"),
            NotNowReason::ElectorAlready { name } => write!(f, "{name} is an elector already"),
            NotNowReason::ConfiguredNotToVote { node } => write!(f, "{node} is configured not to vote"),
            NotNowReason::MembershipUnknown { node } => {
                write!(f, "{node} runs a koid that does not know who the electors are")
            }
            NotNowReason::RecordNotThere { node } => {
                write!(f, "{node} does not have the cluster's record on its disk yet")
            }
            NotNowReason::LastElector => f.write_str("the last elector cannot be removed"),
            NotNowReason::TooManyElectors => {
                write!(f, "a cluster has at most {} electors", limits::MEMBERS)
            }
            NotNowReason::NameNotUnique { name, ids } => {
                let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
                write!(f, "{} nodes are called {name}: {}", ids.len(), all.join(", "))
            }
        }
    }
}

impl NotNowReason {
    /// What an operator can do; may be empty.
    pub fn hint(&self) -> String {
        let hint = match self {
            NotNowReason::TooManyCommands | NotNowReason::RecordNotThere { .. } => "try again in a moment",
            NotNowReason::Maintenance => "koi maintenance off",
            NotNowReason::NoRunner { .. } => "promote a runner; koi status lists them",
            NotNowReason::Stopping { .. } => "promote another",
            NotNowReason::TooManyStopped => "koi start those that are to run",
            NotNowReason::NoElector => "say it on an elector",
            NotNowReason::LeaderThere => "wait a moment; koi status",
            NotNowReason::TooManyFounders { .. } => "stop koid on some, or set node.elector = false there",
            NotNowReason::RecordElsewhere { .. } => {
                "it gives this elector its record once it is led; koi status there"
            }
            NotNowReason::QuorumOff => "set cluster.electors and cluster.quorum first",
            NotNowReason::ElectorsNotRecorded => {
                "that is so once all configured electors are there, agree on cluster.electors, and run a koid that knows it"
            }
            NotNowReason::ElectorsChanging => "try again when it is done: koi electors list",
            NotNowReason::RecordNotCommitted => "try again in a moment; koi status",
            NotNowReason::ElectorAlready { .. } => "koi electors list",
            NotNowReason::LastElector => "stop the cluster instead",
            NotNowReason::TooManyElectors => "replace one: koi electors replace OLD NEW",
            NotNowReason::NameNotUnique { .. } => "say which by its id; give each its own node.name",
            NotNowReason::HasRecord | NotNowReason::NothingToRecover { .. } => "",
            NotNowReason::NotThere { node } => {
                return format!("start koid on {node}, or promote another");
            }
            NotNowReason::StoppedByHand { node } => return format!("koi start {node}"),
            NotNowReason::Failed { node, .. } => return format!("mend it, then: koi recover {node}"),
            NotNowReason::NoSuchElector { electors, .. } => {
                return format!("the electors are {}", electors.join(", "));
            }
            NotNowReason::NoAnswer { name } => {
                return format!(
                    "start koid on {name} with this cluster's key and addresses, then say it again"
                );
            }
            NotNowReason::ConfiguredNotToVote { node } => {
                return format!("set node.elector = true on {node}, and restart koid there");
            }
            NotNowReason::MembershipUnknown { node } => return format!("upgrade {node}"),
        };
        hint.to_owned()
    }
}

impl fmt::Display for UnsafeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnsafeReason::NodeAnswers { node } => {
                write!(f, "{node} is alive and answers: its own word counts")
            }
            UnsafeReason::QuorumLost { afterwards, missing } => {
                let when = if *afterwards { "afterwards" } else { "now" };
                let missing = missing.join(", ");
                write!(f, "the electors that answer would be no quorum {when}: {missing} must answer first")
            }
        }
    }
}

impl UnsafeReason {
    /// What an operator can do.
    pub fn hint(&self) -> String {
        match self {
            UnsafeReason::NodeAnswers { node } => format!("koi stop {node} takes its services down"),
            UnsafeReason::QuorumLost { .. } => {
                "start koid there, or mend the network; koi electors list".to_owned()
            }
        }
    }
}

impl fmt::Display for ServiceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceFault::HookFailed { message } => f.write_str(message),
            ServiceFault::NoRoom { why } => f.write_str(why),
            ServiceFault::Contradicted { seen, hook } => {
                let word = match seen {
                    Observed::Healthy => "healthy (0)",
                    Observed::Promoted => "promoted (90)",
                    Observed::Standby => "standby (91)",
                    Observed::Stopped => "stopped (92)",
                    Observed::Live => "live (93)",
                };
                write!(f, "status says {word} after {}", hook.as_str())
            }
            ServiceFault::StatusSilent => {
                f.write_str("status does not say in time whether it is still promoted")
            }
            ServiceFault::Killed => f.write_str("killed: demote_grace was over"),
            ServiceFault::EndedEarly => f.write_str("ended early"),
            ServiceFault::NotStopped { service } => write!(f, "{service} could not be stopped"),
            ServiceFault::GraceOver(over) => over.fmt(f),
            ServiceFault::TakenDownWith { service, fault } => write!(f, "{service}: {fault}"),
            ServiceFault::Barred(bar) => bar.fmt(f),
            ServiceFault::NodeFailed => f.write_str("the node has failed"),
        }
    }
}

impl fmt::Display for GraceOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "something was still promoted {:?} after the lease ran out", self.grace)
    }
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.service, self.hook.as_str(), self.fault)
    }
}

impl fmt::Display for BarReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BarReason::Disabled { service } => {
                write!(f, "{service} is disabled: remove the file `disabled` from its folder")
            }
            BarReason::Unusable { service, problem } => write!(f, "{service}: {problem}"),
        }
    }
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeFailure::Service(failure) => failure.fmt(f),
            NodeFailure::AwaitsRecover(failure) => write!(f, "{failure}; it waits for `koi recover`"),
            NodeFailure::NotStopped { service } => write!(
                f,
                "{service} could not be stopped: mend it and say `koi recover`, or `koi confirm-down` if it is surely down"
            ),
            NodeFailure::GraceOver(over) => over.fmt(f),
            NodeFailure::Barred(bar) => bar.fmt(f),
            NodeFailure::FolderUnreadable { why } => f.write_str(why),
            NodeFailure::TakesDown { service } => write!(f, "{service} is being taken down"),
        }
    }
}

impl fmt::Display for NewcomerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a new service cannot run here, and what runs goes on: ")?;
        match self {
            NewcomerTrouble::Barred(bar) => bar.fmt(f),
            NewcomerTrouble::Failed(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Display for RunnerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunnerTrouble::Failed(failure) => failure.fmt(f),
            RunnerTrouble::Unarmed { why } | RunnerTrouble::Unguarded { why } => f.write_str(why),
            RunnerTrouble::Newcomer(trouble) => trouble.fmt(f),
        }
    }
}

impl fmt::Display for ServiceNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceNote::Status { message } => f.write_str(message),
            ServiceNote::Failed(fault) => fault.fmt(f),
            ServiceNote::NotStopped(fault) => write!(f, "cannot be stopped: {fault}"),
            ServiceNote::Barred(bar) => bar.fmt(f),
            ServiceNote::Rests { times, left } => write!(
                f,
                "it has changed by itself {times} times of late, and rests for {:.0} s",
                left.as_secs_f32().ceil()
            ),
        }
    }
}

impl fmt::Display for TakeDownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeDownReason::UncleanEnd => f.write_str("the last run of this daemon did not end cleanly"),
        }
    }
}

impl fmt::Display for WarnReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WarnReason::RunnerChanged => f.write_str("node.runner has changed: restart koid for that"),
            WarnReason::Implausible { what } => f.write_str(what),
            WarnReason::Newcomer(trouble) => trouble.fmt(f),
        }
    }
}

impl fmt::Display for HookEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookEnd::Done => f.write_str("done"),
            HookEnd::Status(report) => f.write_str(match report.observed {
                Observed::Healthy => "healthy",
                Observed::Promoted => "healthy, promoted",
                Observed::Standby => "healthy, standby",
                Observed::Stopped => "stopped",
                Observed::Live => "live, not promotable now",
            }),
            HookEnd::Failed { message, .. } => f.write_str(message),
            HookEnd::Aborted => f.write_str("ended early, as asked"),
            HookEnd::NoRoom(why) => write!(f, "was not run: {why}"),
        }
    }
}
