//! Reasons of what the next step waits for.

use super::DropReason;

use crate::group::GroupName;
use crate::types::{NodeId, NodeState};

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
    /// A candidate was asked how its services are now: its score may decide.
    AskedHowItIs {
        /// The candidate.
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
    /// A node is being turned off by its fence (R12).
    Fencing {
        /// The node.
        node: String,
    },
    /// Electors run a koid that knows no groups, or were not heard since this node leads (R14).
    GroupsUnknown {
        /// Their names.
        nodes: Vec<String>,
    },
    /// The group goes together with another, which has no promoted master that stays where it is (R15).
    AwaitsPartner {
        /// The other group.
        with: GroupName,
    },
    /// The group goes together with another, and cannot have its master where that one's is (R15).
    NowhereElse {
        /// The other group.
        with: GroupName,
        /// Where that one's master is.
        node: String,
    },
    /// The master is to be demoted, after that of a group that goes together with this one (R15).
    FollowerFirst {
        /// The other group.
        follower: GroupName,
        /// The master of both.
        node: String,
        /// Why this one has to be demoted.
        why: DropReason,
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
    /// Its preference is 0 (R15).
    NeverHere {
        /// The runner.
        node: String,
    },
}
