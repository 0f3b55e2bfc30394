//! Why something waits, ends or is refused: one variant for each reason, with its facts. The words for people are in `wording`.

use std::time::Duration;

use crate::io::Observed;
use crate::types::{Hook, NodeId, NodeState, Term};

/// Why the next step is not taken yet. Nodes are called by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The cluster is in maintenance mode.
    Maintenance,
    /// The newest record is not on the disks of a quorum yet (R4).
    RecordNotCommitted,
    /// The master was told to demote.
    Demoting {
        /// The master.
        node: String,
        /// Why it has to.
        why: DropReason,
    },
    /// The master promotes its services.
    Promoting {
        /// The master.
        node: String,
    },
    /// An operator's target cannot be promoted yet.
    TargetNotPromotable {
        /// The target.
        node: String,
    },
    /// The cluster has not been founded, or this elector has no record (R10).
    Founding(FoundingWait),
    /// Too few electors are seen for an election (R3).
    NoQuorum {
        /// Electors seen, this one included.
        seen: usize,
        /// Electors of the cluster.
        configured: usize,
        /// A quorum of them.
        needed: usize,
    },
    /// This node has won an election, and no quorum has acknowledged a heartbeat yet (R1).
    LeadershipNotConfirmed,
    /// No leader is known, and enough electors are seen (R1).
    Election,
    /// The master went silent in maintenance mode, where no lease binds it (R6).
    MasterInMaintenance {
        /// The master.
        node: String,
    },
    /// The master is silent, and could not stop what it had promoted (R6).
    MasterUnclean {
        /// The master.
        node: String,
    },
    /// The master is silent, and its lease and grace are not over (R6).
    MasterSilent {
        /// The master.
        node: String,
    },
    /// The master was restarted, and could not stop what it had promoted (R7).
    RestartedUnclean {
        /// The master.
        node: String,
    },
    /// The master was restarted, and takes down what its earlier run left (R8).
    RestartedTakesDown {
        /// The master.
        node: String,
    },
    /// An operator has demoted the master, and none is chosen in manual mode.
    DemotedByHand,
    /// The new leader has no report from a runner yet.
    NoReportYet {
        /// The runner.
        node: String,
    },
    /// The cluster starts, and the number of its electors is not configured.
    StartElectorsUnknown,
    /// The cluster starts, and some electors are missing.
    StartElectorsMissing {
        /// How many.
        missing: usize,
        /// Electors of the cluster.
        electors: usize,
    },
    /// The cluster starts, and a runner cannot be promoted yet.
    StartRunnerNotReady {
        /// The runner.
        node: String,
        /// Its state.
        state: NodeState,
    },
    /// The status of a node that was never master calls something promoted there (R7).
    PromotedUnbidden {
        /// The node.
        node: String,
        /// Why it says that it has failed.
        reason: String,
    },
    /// Another node still has something promoted (R6).
    StillPromoted {
        /// The node.
        node: String,
        /// Its state.
        state: NodeState,
    },
    /// Every candidate was master in vain of late.
    CandidateRests {
        /// The one that is tried next.
        node: String,
    },
    /// No runner reports.
    NoRunner,
    /// No runner can be promoted.
    NoCandidate {
        /// Why not; the first five.
        obstacles: Vec<CandidateObstacle>,
    },
}

/// Why an elector without a record neither gets one nor begins a cluster (R10, R13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundingWait {
    /// An elector nearby has a record, and will give it once it is led.
    RecordElsewhere {
        /// The elector.
        node: String,
    },
    /// Several electors have one name.
    NameNotUnique {
        /// The name.
        name: String,
    },
    /// `cluster.electors` does not name an elector that is there.
    NotConfigured {
        /// The elector.
        name: String,
    },
    /// An elector runs a koid from before R13.
    MembershipUnknown {
        /// The elector.
        node: String,
    },
    /// A cluster exists, and nobody who has its record is heard.
    ClusterExists {
        /// The names of its electors; may be empty.
        electors: Vec<String>,
    },
    /// `cluster.electors` is above the limit.
    TooManyConfigured {
        /// What is configured.
        configured: usize,
    },
    /// Not all configured electors are seen.
    ElectorsMissing {
        /// How many are configured.
        configured: usize,
        /// How many are missing.
        missing: usize,
    },
    /// More electors are seen than are configured.
    TooManySeen {
        /// How many are seen.
        seen: usize,
        /// How many are configured.
        configured: usize,
    },
    /// The founders are chosen; each of them must vote for the first leader.
    FirstVote,
    /// This elector waits for the cluster's record.
    RecordAwaited,
}

/// Why a runner that reports is no candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateObstacle {
    /// Its state does not allow it.
    State {
        /// The runner.
        node: String,
        /// Its state.
        state: NodeState,
    },
    /// Another node has its name, and comes first.
    NameTaken {
        /// The runner.
        id: NodeId,
        /// The name.
        name: String,
    },
}

/// Why a node is not to be master, or not an operator's target, any longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It is not heard from.
    NotThere,
    /// Its daemon is stopping.
    Stopping,
    /// An operator has stopped its services.
    StoppedByHand,
    /// It has failed.
    Failed {
        /// What its report says.
        reason: String,
    },
    /// Another node was chosen by an operator.
    OtherTarget {
        /// The target.
        node: String,
    },
    /// An operator has demoted it.
    DemotedByHand,
    /// It is promoted nowhere, and says that it cannot promote anything.
    CannotPromote {
        /// What its report says.
        why: String,
    },
    /// Its services cannot be promoted.
    NotPromotable {
        /// Its state.
        state: NodeState,
    },
    /// The record names it no more.
    Released,
}

/// Why a leader leads no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepDownReason {
    /// No quorum acknowledges its heartbeats (R3).
    NoQuorum,
    /// Another node leads in the same term or a later one.
    OtherLeader {
        /// The other.
        node: String,
        /// Its term.
        term: Term,
    },
    /// It does not vote any longer, by its configuration or by the record (R13).
    NoElector,
    /// Its leader lease was changed, and electors have promised the old one.
    LeaseChanged,
    /// Another machine has its id.
    IdNotUnique,
    /// Its daemon is stopping (R11).
    Stopping,
}

/// Why a node cannot do now what a new master must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitReason {
    /// Its disk refuses its state.
    StateNotWritten {
        /// What the disk says.
        why: String,
    },
    /// The machine has no room for its hooks.
    HooksNotRun {
        /// What the machine says.
        why: String,
    },
    /// Its disk does not answer.
    DiskHangs,
}

/// Why the state of things does not allow a command. Nodes are called by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotNowReason {
    /// As many commands wait for a quorum as may.
    TooManyCommands,
    /// Promote: the cluster is in maintenance mode.
    Maintenance,
    /// Promote: the node runs no services.
    NoRunner {
        /// The node.
        node: String,
    },
    /// Promote: the node is not heard from.
    NotThere {
        /// The node.
        node: String,
    },
    /// Promote: an operator has stopped the node's services.
    StoppedByHand {
        /// The node.
        node: String,
    },
    /// Promote: the node has failed.
    Failed {
        /// The node.
        node: String,
        /// What its report says.
        reason: String,
    },
    /// Promote: the node's daemon is stopping.
    Stopping {
        /// The node.
        node: String,
    },
    /// Stop: as many nodes are stopped as may.
    TooManyStopped,
    /// Recover: this node runs no services.
    NothingToRecover {
        /// This node.
        node: String,
    },
    /// Bootstrap: this node does not vote.
    NoElector,
    /// Bootstrap: this elector has a record.
    HasRecord,
    /// Bootstrap: a leader gives this elector the record.
    LeaderThere,
    /// Bootstrap: more electors are there than a cluster may have.
    TooManyFounders {
        /// How many.
        electors: usize,
    },
    /// Bootstrap: another elector has a record, or knows no membership.
    RecordElsewhere {
        /// The other.
        node: String,
    },
    /// Electors: quorum is off.
    QuorumOff,
    /// Electors: the record has no members yet.
    ElectorsNotRecorded,
    /// Electors: one change at a time.
    ElectorsChanging,
    /// Electors: the newest record is not on the disks of a quorum yet.
    RecordNotCommitted,
    /// Electors: none of them is called so.
    NoSuchElector {
        /// The name that was given.
        name: String,
        /// The electors' names, with their ids.
        electors: Vec<String>,
    },
    /// Electors: no node that answers is called so.
    NoAnswer {
        /// The name that was given.
        name: String,
    },
    /// Electors: the node is one already.
    ElectorAlready {
        /// The name that was given.
        name: String,
    },
    /// Electors: the node is configured not to vote.
    ConfiguredNotToVote {
        /// The node.
        node: String,
    },
    /// Electors: the node runs a koid from before R13.
    MembershipUnknown {
        /// The node.
        node: String,
    },
    /// Electors: the node does not have the record that counts on its disk yet.
    RecordNotThere {
        /// The node.
        node: String,
    },
    /// Electors: one must stay.
    LastElector,
    /// Electors: the limit is reached.
    TooManyElectors,
    /// Several nodes have the name that was given.
    NameNotUnique {
        /// The name.
        name: String,
        /// The nodes.
        ids: Vec<NodeId>,
    },
}

/// Why a command would risk two masters. Nodes are called by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnsafeReason {
    /// Confirm-down: the node answers, and has not said that something could not be stopped (R6).
    NodeAnswers {
        /// The node.
        node: String,
    },
    /// Electors: those that answer are no quorum (R13).
    QuorumLost {
        /// No quorum of the electors after the change; otherwise of those before it.
        afterwards: bool,
        /// The electors that do not answer.
        missing: Vec<String>,
    },
}

/// Why a service is taken down as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceFault {
    /// A hook ended badly.
    HookFailed {
        /// What it said.
        message: String,
    },
    /// The machine had no room for a hook that takes down.
    NoRoom {
        /// What the machine says.
        why: String,
    },
    /// A hook said that it was done, and status says otherwise.
    Contradicted {
        /// What status says.
        seen: Observed,
        /// The hook.
        hook: Hook,
    },
    /// Status does not say in time whether the service is still promoted after its stop (R7).
    StatusSilent,
    /// A hook was killed: the grace was over (R7).
    Killed,
    /// A hook ended early, because it was asked to.
    EndedEarly,
    /// A service could not be stopped (R7).
    NotStopped {
        /// The service.
        service: String,
    },
    /// Something was still promoted when the grace was over (R7).
    GraceOver(GraceOver),
    /// Another service has failed, and this one is taken down with it.
    TakenDownWith {
        /// The other.
        service: String,
        /// Why the other has failed.
        fault: Box<ServiceFault>,
    },
    /// A service cannot run at all.
    Barred(BarReason),
    /// The node has failed, and nothing better is known.
    NodeFailed,
}

/// Something was still promoted when the lease and its grace were over (R7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraceOver {
    /// The grace.
    pub grace: Duration,
}

/// A service has failed, and by which hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFailure {
    /// The service.
    pub service: String,
    /// The hook.
    pub hook: Hook,
    /// Why.
    pub fault: ServiceFault,
}

/// Why a service cannot run at all. The node counts as failed while that is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BarReason {
    /// `disabled` lies in its folder.
    Disabled {
        /// The service.
        service: String,
    },
    /// Its folder or its handler cannot be used.
    Unusable {
        /// The service.
        service: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Why a node counts as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFailure {
    /// A service has failed.
    Service(ServiceFailure),
    /// A service has failed, and only an operator lets the node try again.
    AwaitsRecover(ServiceFailure),
    /// A service could not be stopped (R7).
    NotStopped {
        /// The service.
        service: String,
    },
    /// Something was still promoted when the grace was over (R7).
    GraceOver(GraceOver),
    /// A service cannot run at all.
    Barred(BarReason),
    /// The services folder was never read.
    FolderUnreadable {
        /// What the system says.
        why: String,
    },
    /// An operator said `recover`, and a service that has failed is not down yet.
    TakesDown {
        /// The service.
        service: String,
    },
}

/// Why a service that is new beside a master does not run. What ran before goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewcomerTrouble {
    /// It cannot run at all.
    Barred(BarReason),
    /// It has failed.
    Failed(ServiceFailure),
}

/// What is wrong with a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerTrouble {
    /// It counts as failed.
    Failed(NodeFailure),
    /// Its fence is not armed (R7).
    Unarmed {
        /// What whoever tried says of it.
        why: String,
    },
    /// No guardian stands (R8).
    Unguarded {
        /// What whoever tried says of it.
        why: String,
    },
    /// A new service does not run.
    Newcomer(NewcomerTrouble),
}

/// What is to be known of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceNote {
    /// Its status said this.
    Status {
        /// What it said.
        message: String,
    },
    /// It is taken down as failed.
    Failed(ServiceFault),
    /// It cannot be stopped (R7).
    NotStopped(ServiceFault),
    /// It cannot run at all.
    Barred(BarReason),
    /// It has changed by itself again and again, and waits before it is started.
    Rests {
        /// How often it has changed.
        times: u32,
        /// How long it still waits.
        left: Duration,
    },
}

/// Why services are taken down before a node takes part in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeDownReason {
    /// The last run of the daemon did not end cleanly (R8).
    UncleanEnd,
}

/// What a node warns of in its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarnReason {
    /// `node.runner` was changed, which counts from the next start on.
    RunnerChanged,
    /// Someone says what no node of this cluster can have come to.
    Implausible {
        /// A sentence that names the node and what it says.
        what: String,
    },
    /// A new service does not run.
    Newcomer(NewcomerTrouble),
}
