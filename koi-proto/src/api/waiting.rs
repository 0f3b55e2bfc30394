//! What the cluster waits for.

use serde::{Deserialize, Serialize};

use super::word::words;

/// Something that must happen, or a time that must pass, before the next step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// A sentence for people. It names the node, if there is one.
    pub what: String,
    /// What kind of wait it is, for programs; none: an older koid does not say.
    pub reason: Option<WaitReason>,
    /// The node waited for, if it is one.
    pub node: Option<String>,
    /// Milliseconds until the wait is over by itself; none: it is not.
    pub remaining_ms: Option<u64>,
    /// The rule of docs/protocol.md that demands it (`R6`), if one does.
    pub rule: Option<String>,
    /// What an operator can do to shorten it; may be empty.
    pub hint: String,
}

words! {
    /// Why the next step is not taken yet.
    pub enum WaitReason {
        /// The cluster is in maintenance mode.
        Maintenance = "maintenance",
        /// The newest record is not on the disks of a quorum yet (R4).
        RecordNotCommitted = "record-not-committed",
        /// The master was told to demote.
        Demoting = "demoting",
        /// The master promotes its services.
        Promoting = "promoting",
        /// An operator's target cannot be promoted yet.
        TargetNotPromotable = "target-not-promotable",
        /// The cluster has not been founded, or the asked elector has no record (R10).
        Founding = "founding",
        /// Too few electors are seen for an election (R3).
        NoQuorum = "no-quorum",
        /// The asked node has won an election, and no quorum has acknowledged a heartbeat yet (R1).
        LeadershipNotConfirmed = "leadership-not-confirmed",
        /// No leader is known, and enough electors are seen (R1).
        Election = "election",
        /// The master went silent in maintenance mode, where no lease binds it (R6).
        MasterInMaintenance = "master-in-maintenance",
        /// The master is silent, and could not stop what it had promoted (R6).
        MasterUnclean = "master-unclean",
        /// The master is silent, and its lease and grace are not over (R6).
        MasterSilent = "master-silent",
        /// The master was restarted, and could not stop what it had promoted (R7).
        RestartedUnclean = "restarted-unclean",
        /// The master was restarted, and takes down what its earlier run left (R8).
        RestartedTakesDown = "restarted-takes-down",
        /// An operator has demoted the master, and none is chosen in manual mode.
        DemotedByHand = "demoted-by-hand",
        /// The new leader has no report from a runner yet.
        NoReportYet = "no-report-yet",
        /// A candidate was asked how its services are now: its score may decide.
        AskedHowItIs = "asked-how-it-is",
        /// The cluster starts, and the number of its electors is not configured.
        StartElectorsUnknown = "start-electors-unknown",
        /// The cluster starts, and some electors are missing.
        StartElectorsMissing = "start-electors-missing",
        /// The cluster starts, and a runner cannot be promoted yet.
        StartRunnerNotReady = "start-runner-not-ready",
        /// The status of a node that was never master calls something promoted there (R7).
        PromotedUnbidden = "promoted-unbidden",
        /// Another node still has something promoted (R6).
        StillPromoted = "still-promoted",
        /// Every candidate was master in vain of late.
        CandidateRests = "candidate-rests",
        /// Not every elector has said that it knows groups of services (R14).
        GroupsUnknown = "groups-unknown",
        /// The group goes together with another, which has no promoted master that stays where it is (R15).
        AwaitsPartner = "awaits-partner",
        /// The group goes together with another, and cannot have its master where that one's is (R15).
        NowhereElse = "nowhere-else",
        /// The master is to be demoted, after that of a group that goes together with this one (R15).
        FollowerFirst = "follower-first",
        /// A node is being turned off by its fence (R12).
        Fencing = "fencing",
        /// No runner reports.
        NoRunner = "no-runner",
        /// No runner can be promoted.
        NoCandidate = "no-candidate",
    }
}
