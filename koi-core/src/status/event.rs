//! What people may want to know: each state change once, as data with a sentence.

use std::fmt;
use std::time::Duration;

use crate::group::GroupName;
use crate::io::HookEnd;
use crate::reason::{
    DropReason, FenceCause, GraceOver, IneligibleReason, NodeFailure, ServiceFailure, StepDownReason,
    TakeDownReason, WarnReason,
};
use crate::types::{Epoch, Hook, NodeState, ServiceState, Session, Term};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Info,
    /// Someone should look some time.
    Warning,
    /// Someone should look now.
    Error,
}

/// A mastership that is over once its node is off (R12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FencedMastership {
    /// Its group.
    pub group: GroupName,
    /// Its number.
    pub epoch: Epoch,
}

/// What a fence is about, behind a sentence.
struct Meant<'a>(&'a [FencedMastership]);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meant: Vec<String> = self.0.iter().map(|m| format!("{} epoch {}", m.group, m.epoch.0)).collect();
        if meant.is_empty() { Ok(()) } else { write!(f, " ({})", meant.join(", ")) }
    }
}

/// Something that happened, as this node saw it. Nodes are named by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sentences below say what each field is")]
pub enum Event {
    LeaderElected { leader: String, term: Term },
    LeaderLost { leader: String },
    LeadershipGained { term: Term, votes: usize },
    LeadershipEnded { term: Term, reason: StepDownReason },
    MasterNamed { node: String, epoch: Epoch },
    MasterDropped { node: String, epoch: Epoch, reason: DropReason },
    TargetDropped { node: String, reason: DropReason },
    NodeSeen { node: String },
    NodeLost { node: String },
    NodeLeft { node: String },
    NodeDead { node: String },
    StateChanged { from: NodeState, to: NodeState },
    ServiceChanged { service: String, from: ServiceState, to: ServiceState },
    ServiceFound { service: String },
    ServiceGone { service: String, was: ServiceState },
    ProcessEnded { service: String },
    HookStarted { service: String, hook: Hook },
    HookEnded { service: String, hook: Hook, took: Duration, how: HookEnd, failed: bool },
    LeaseGained { epoch: Epoch },
    LeaseLost { epoch: Epoch },
    LeaseReleased { epoch: Epoch },
    SlowDemote { service: String, took: Duration, grace: Duration },
    Failed { reason: NodeFailure, recovers_in: Option<Duration> },
    Barred { reason: IneligibleReason },
    Recovering { failures: u32 },
    Restarting { failure: ServiceFailure, times: u32, most: u32 },
    Restarted { service: String, took: Duration },
    Unclean { service: String },
    Fenced { reason: GraceOver },
    FenceBegun { node: String, cause: FenceCause, masterships: Vec<FencedMastership> },
    FenceDone { node: String, masterships: Vec<FencedMastership> },
    FenceFailed { node: String, why: String, again_in: Option<Duration> },
    Maintenance { on: bool },
    Manual { on: bool },
    NewCluster { electors: Vec<String> },
    Electors { members: Vec<String> },
    SameId { session: Session, younger: bool },
    Restored { known: u64, own: u64 },
    Joined { votes: bool },
    TakingDown { reason: TakeDownReason },
    Commanded { what: String },
    Warned { what: WarnReason },
}

impl Event {
    /// A word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::LeaderElected { .. } => "leader-elected",
            Event::LeaderLost { .. } => "leader-lost",
            Event::LeadershipGained { .. } => "leadership-gained",
            Event::LeadershipEnded { .. } => "leadership-ended",
            Event::MasterNamed { .. } => "master-named",
            Event::MasterDropped { .. } => "master-dropped",
            Event::TargetDropped { .. } => "target-dropped",
            Event::NodeSeen { .. } => "node-seen",
            Event::NodeLost { .. } => "node-lost",
            Event::NodeLeft { .. } => "node-left",
            Event::NodeDead { .. } => "node-dead",
            Event::StateChanged { .. } => "state-changed",
            Event::ServiceChanged { .. } => "service-changed",
            Event::ServiceFound { .. } => "service-found",
            Event::ServiceGone { .. } => "service-gone",
            Event::ProcessEnded { .. } => "process-ended",
            Event::HookStarted { .. } => "hook-started",
            Event::HookEnded { .. } => "hook-ended",
            Event::LeaseGained { .. } => "lease-gained",
            Event::LeaseLost { .. } => "lease-lost",
            Event::LeaseReleased { .. } => "lease-released",
            Event::SlowDemote { .. } => "slow-demote",
            Event::Failed { .. } => "failed",
            Event::Barred { .. } => "barred",
            Event::Recovering { .. } => "recovering",
            Event::Restarting { .. } => "restarting",
            Event::Restarted { .. } => "restarted",
            Event::Unclean { .. } => "unclean",
            Event::Fenced { .. } => "fenced",
            Event::FenceBegun { .. } => "fence-begun",
            Event::FenceDone { .. } => "fence-done",
            Event::FenceFailed { .. } => "fence-failed",
            Event::Maintenance { .. } => "maintenance",
            Event::Manual { .. } => "manual",
            Event::NewCluster { .. } => "new-cluster",
            Event::Electors { .. } => "electors",
            Event::SameId { .. } => "same-id",
            Event::Restored { .. } => "restored",
            Event::Joined { .. } => "joined",
            Event::TakingDown { .. } => "taking-down",
            Event::Commanded { .. } => "commanded",
            Event::Warned { .. } => "warned",
        }
    }

    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Event::HookEnded { failed: true, .. }
            | Event::Failed { .. }
            | Event::Barred { .. }
            | Event::Unclean { .. }
            | Event::SameId { .. }
            | Event::FenceFailed { .. }
            | Event::Fenced { .. } => Level::Error,
            Event::LeaderLost { .. }
            | Event::LeaseLost { .. }
            | Event::ProcessEnded { .. }
            | Event::SlowDemote { .. }
            | Event::Restarting { .. }
            | Event::NodeLost { .. }
            | Event::NodeDead { .. }
            | Event::TargetDropped { .. }
            | Event::Restored { .. }
            | Event::TakingDown { .. }
            | Event::FenceBegun { .. }
            | Event::FenceDone { .. }
            | Event::Warned { .. } => Level::Warning,
            // Nobody is left who could demote or stop it.
            Event::ServiceGone { was, .. } if *was > ServiceState::Stopped => Level::Warning,
            _ => Level::Info,
        }
    }

    /// The service that it is about.
    pub fn service(&self) -> Option<&str> {
        match self {
            Event::ServiceChanged { service, .. }
            | Event::ServiceFound { service }
            | Event::ServiceGone { service, .. }
            | Event::ProcessEnded { service }
            | Event::HookStarted { service, .. }
            | Event::HookEnded { service, .. }
            | Event::SlowDemote { service, .. }
            | Event::Restarted { service, .. }
            | Event::Restarting { failure: ServiceFailure { service, .. }, .. }
            | Event::Unclean { service } => Some(service),
            _ => None,
        }
    }

    /// Happens all the time, and is only for those who look closely.
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Event::HookStarted { hook: Hook::Status, .. }
                | Event::HookEnded { hook: Hook::Status, failed: false, .. }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::LeaderElected { leader, term } => write!(f, "{leader} leads in term {}", term.0),
            Event::LeaderLost { leader } => write!(f, "the leader {leader} is not heard from any more"),
            Event::LeadershipGained { term, votes } => {
                write!(f, "this node leads in term {}, elected with {votes} votes", term.0)
            }
            Event::LeadershipEnded { term, reason } => {
                write!(f, "this node's leadership of term {} is over: {reason}", term.0)
            }
            Event::MasterNamed { node, epoch } => write!(f, "{node} is to be master, epoch {}", epoch.0),
            Event::MasterDropped { node, epoch, reason } => {
                write!(f, "{node} is to be master no more, epoch {}: {reason}", epoch.0)
            }
            Event::TargetDropped { node, reason } => write!(f, "{node} is no target any more: {reason}"),
            Event::NodeSeen { node } => write!(f, "{node} is there"),
            Event::NodeLost { node } => write!(f, "{node} is not heard from any more"),
            Event::NodeLeft { node } => write!(f, "{node} has said farewell"),
            Event::NodeDead { node } => write!(f, "{node}'s daemon is dead, its guardian says"),
            Event::StateChanged { from, to } => {
                write!(f, "this node was {} and is {}", from.as_str(), to.as_str())
            }
            Event::ServiceChanged { service, from, to } => {
                write!(f, "{service} was {} and is {}", from.as_str(), to.as_str())
            }
            Event::ServiceFound { service } => write!(f, "the service {service} is in the folder"),
            Event::ServiceGone { service, was } => {
                write!(f, "the service {service} has gone from the folder; it was {}", was.as_str())
            }
            Event::ProcessEnded { service } => {
                write!(f, "a process of {service} has ended: its status is asked what that means")
            }
            Event::HookStarted { service, hook } => write!(f, "{service}: {} begins", hook.as_str()),
            Event::HookEnded { service, hook, took, how, .. } => {
                write!(f, "{service}: {} ended after {} ms: {how}", hook.as_str(), took.as_millis())
            }
            Event::LeaseGained { epoch } => write!(f, "this node is master, epoch {}", epoch.0),
            Event::LeaseLost { epoch } => {
                write!(f, "the lease on epoch {} ran out: demoting at once", epoch.0)
            }
            Event::LeaseReleased { epoch } => {
                write!(f, "nothing of epoch {} is promoted here any more", epoch.0)
            }
            Event::SlowDemote { service, took, grace } => write!(
                f,
                "{service} took {} ms to demote, more than half of demote_grace ({} ms): raise it, or make demote faster",
                took.as_millis(),
                grace.as_millis()
            ),
            Event::Failed { reason, recovers_in: Some(wait) } => {
                write!(f, "this node has failed: {reason}; it tries again in {} s", wait.as_secs_f32())
            }
            Event::Failed { reason, recovers_in: None } => {
                write!(f, "this node has failed: {reason}; it waits for `koi recover`")
            }
            Event::Barred { reason } => {
                write!(f, "this node counts as failed while that is so: {reason}")
            }
            Event::Recovering { failures } => {
                write!(f, "this node tries again, after {failures} failures")
            }
            Event::Restarting { failure, times, most } => {
                write!(f, "{failure}; it is restarted in place, restart {times} of {most}")
            }
            Event::Restarted { service, took } => {
                write!(f, "{service} is back after its restart, which took {} ms", took.as_millis())
            }
            Event::Unclean { service } => write!(
                f,
                "{service} could not be stopped: nobody is promoted elsewhere until it is mended and `koi recover` said here, \
                 or `koi confirm-down` said of this node"
            ),
            Event::Fenced { reason } => write!(f, "this node is to be fenced: {reason}"),
            Event::FenceBegun { node, cause, masterships } => {
                write!(f, "{node} is being turned off by its fence: {cause}{}", Meant(masterships))
            }
            Event::FenceDone { node, masterships } => {
                write!(
                    f,
                    "the fence has turned {node} off, and has seen that it is off{}",
                    Meant(masterships)
                )
            }
            Event::FenceFailed { node, why, again_in } => {
                write!(f, "the fence of {node} has failed: {why}; nobody is promoted for that")?;
                match again_in {
                    Some(again_in) => write!(f, ", and it is tried again in {} s", again_in.as_secs()),
                    None => f.write_str("; `koi fence` tries it again"),
                }
            }
            Event::Maintenance { on: true } => f.write_str("maintenance mode is on: no hook runs"),
            Event::Maintenance { on: false } => f.write_str("maintenance mode is off"),
            Event::Manual { on: true } => {
                f.write_str("no master is chosen until `koi promote` or `koi elect`")
            }
            Event::Manual { on: false } => f.write_str("masters are chosen again"),
            Event::NewCluster { electors } if electors.is_empty() => {
                f.write_str("a new cluster begins, without quorum")
            }
            Event::NewCluster { electors } => {
                write!(f, "a new cluster begins, none of its electors has a record: {}", electors.join(", "))
            }
            Event::SameId { session, younger: true } => write!(
                f,
                "another machine has this node's id (run {session}) and runs longer: this one takes part in nothing until \
                 `koi reset-identity` gives it an id of its own"
            ),
            Event::SameId { session, younger: false } => write!(
                f,
                "another machine has this node's id (run {session}): say `koi reset-identity` there"
            ),
            Event::Restored { known, own } => write!(
                f,
                "the others know run {known} of this node, and this is run {own}: its state was restored from a backup. It begins again as \
                 an elector without a record"
            ),
            Event::Electors { members } => write!(f, "the electors are {}", members.join(", ")),
            Event::Joined { votes: true } => {
                f.write_str("this elector has taken the cluster's record and votes from now on")
            }
            Event::Joined { votes: false } => {
                f.write_str("this node has taken the cluster's record; it is no elector of this cluster")
            }
            Event::TakingDown { reason } => {
                write!(f, "taking down what may still run before joining: {reason}")
            }
            Event::Commanded { what } => f.write_str(what),
            Event::Warned { what } => what.fmt(f),
        }
    }
}
