//! Rules that a test build can break, one at a time. Only built with `--cfg koi_mutants`: the simulator must find out that a rule
//! is gone, or the rule is not needed, or not tested.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A rule of docs/protocol.md, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// R1: votes although another leader was promised otherwise.
    PromiseIgnored,
    /// R1: the vote leaves before it is on disk.
    VoteNotDurable,
    /// R1: a restarted elector thinks that it has acknowledged nobody.
    RestartForgetsPromise,
    /// R2: never gives way to a lower rank.
    NeverYields,
    /// R3: the basis is the leader's own last heartbeat, acknowledged or not.
    BasisWithoutQuorum,
    /// R4: an acknowledgement leaves before the record is on disk.
    AcknowledgedNotDurable,
    /// R4: a change takes effect before a quorum has it.
    CommittedAlone,
    /// R4: a new leader keeps its own record instead of its voters' newest.
    OwnRecordKept,
    /// R5: the runner counts its lease from when the answer came.
    LeaseFromAnswer,
    /// R6: a silent master is taken over at once.
    TakeoverAtOnce,
    /// R6: the takeover waits for the lease, and not for the grace.
    TakeoverWithoutGrace,
    /// R6: a new leader does not count what its voters acknowledged before.
    InheritanceIgnored,
    /// R6: a master in maintenance is taken over by time.
    MaintenanceTakenOver,
    /// R6: a released epoch is accepted again.
    ReleasedAccepted,
    /// R7: a lost lease is no reason to demote.
    LostLeaseIgnored,
    /// R7: what could not be stopped is released.
    UncleanReleased,
    /// R8: a start finds the mark and takes nothing down.
    MarkIgnored,
    /// R8: promotes before the mark is on disk.
    MarkNotDurable,
    /// R9: the next mastership has the epoch of the last.
    EpochStands,
    /// R10: an elector without state votes.
    EmptyVotes,
    /// R11: nothing is reported when it happens.
    ChangesUntold,
    /// R11: a leader whose heartbeat is refused does not claim again.
    NoReclaim,
    /// Hooks run in maintenance mode.
    HooksInMaintenance,
    /// R13: the members in the record are not looked at; whoever is configured to vote counts.
    MembersIgnored,
    /// R13: the members after a change are in force at once, without those before.
    ChangeNotJoint,
    /// R13: a node counts its own voice though it is no member.
    OwnVoiceAssumed,
    /// R13: a majority founds a cluster.
    FoundingByMajority,
    /// R10: electors without a record that have followed a cluster begin another when they do not hear it any more.
    FoundsBesideCluster,
    /// R13: one that is no member refuses leaders of terms before its own vote.
    OutsiderMeasuresByVote,
    /// Identities: a run begins to take part without calling for its own id.
    NeverCalls,
    /// Identities: of two machines with one id both go on.
    TwinsSpeak,
    /// Identities: a newer run of a node is proof that the older one is over.
    NewerRunFrees,
    /// Identities: what an earlier run left promoted is adopted in maintenance by whoever has its disk.
    CopyAdopts,
    /// Freshness: a message counts though it may have been recorded.
    OldIsNews,
    /// Numbers: whatever an authenticated peer says is taken.
    ImplausibleTaken,
    /// Patience: what repeats itself does not wait.
    NoBackOff,
    /// Patience: what status says against a hook that has just ended is no failure, however often.
    ContradictionIgnored,
    /// Tolerance: a service whose status is bad for ever is borne with for ever.
    BadStatusesUncounted,
    /// Tolerance: a node fails with whatever service fails.
    AllCritical,
    /// Tolerance: a service is restarted in place however often it was.
    RestartsUncounted,
    /// Tolerance: a restart may take as long as it takes.
    RestartUnbounded,
    /// Tolerance: the end of a process is known at the next status, and not before.
    ProcessEndIgnored,
    /// R7: what status calls promoted after its stop is taken for down.
    DoubtedTaken,
    /// What was demoted is a candidate before its status has said how it is.
    DemotedTrusted,
    /// A node that cannot write its mark is named master.
    UnfitNamed,
    /// A node that does not hear the leader counts as if it did.
    DeafUnsaid,
    /// R1: a resignation frees what was promised to a later term of the same run.
    ResignUnbound,
    /// A campaign does not wait for slow disks.
    DisksHurried,
    /// What comes out of maintenance is well before its status has said so.
    MaintenanceTrusted,
    /// A report waits for a disk that hangs, and with it a sitting master's lease.
    ReportAwaitsDisk,
    /// R14: a leader, a vote or a copy of a koid that knows no groups counts like any other.
    GroupsForgotten,
    /// R6: what a runner has released of one group counts as released of another.
    ReleaseOfAnyGroup,
    /// R5: a lease on the mastership of one group prolongs that of another.
    LeaseOfAnyGroup,
    /// R6: a guardian's word that one group is down counts for another.
    ObituaryOfAnyGroup,
    /// R6: what a run that leaves gives back of one group counts for another.
    FarewellOfAnyGroup,
    /// R8: the mark of one group is cleared when another group is down.
    MarkOfAnyGroup,
    /// R9: each group counts its epochs for itself.
    EpochOfGroup,
    /// R15: a node of preference 0 is named master.
    PreferenceZeroIgnored,
    /// R15: a group is promoted where it does not go together with another.
    TogetherIgnored,
    /// R15: a master is demoted in order before what goes together with it.
    FollowerLast,
    /// R15: a master moves back from where an operator has put it.
    FailbackUnpins,
    /// R15: a master moves back to where it failed of late.
    FailbackToFailed,
    /// R15: a master moves back to where it is not apart.
    FailbackBreaksApart,
    /// R15: a master moves to a node that is preferred no more than its own.
    FailbackSwaps,
    /// R12: a fence begins before it counts in the record.
    FenceUncounted,
    /// R12: a fence frees whatever its node is master of.
    FenceFreesAll,
    /// R12: the success of a fence counts in a later term.
    FenceOfAnyTerm,
    /// R12: the success of a fence counts though its node was started anew, or is heard again.
    FenceOfAnotherRun,
    /// R12: whoever leads no more does not kill what it began.
    FenceGoesOn,
    /// R12: a node that is heard is fenced.
    HeardFenced,
    /// R12: a node that is being fenced is made master.
    FencedIsCandidate,
    /// R16: a record is taken, and counts as a copy, without the attributes that it names.
    CopyWithoutAttributes,
    /// R16: a promote does not wait for the version of the record that gave the lease.
    PromoteActsOnOld,
    /// R16: a write is made though a later one was.
    LowerWriteTaken,
    /// R16: whoever has been master writes.
    OldEpochWrites,
    /// R16: what waits to be written is made before anything is decided.
    WritesFirst,
    /// R16: a write is answered before it counts.
    WriteAnsweredAlone,
    /// R16: a write waits on when the lease is lost.
    WritesOutliveLease,
    /// R16: a leader, a vote or a copy of a koid that knows no attributes counts like any other.
    AttributesForgotten,
    /// R9: candidates are not asked how they are before one is chosen by its score.
    OldScoresDecide,
    /// R7: a node that cannot stop a service leaves without a word, because a record from before its mastership does not name it.
    OlderRecordHeard,
    /// A `changed` that runs is waited for by every other hook.
    ChangesHoldUp,
    /// A `changed` that was ended early counts as told.
    EndedEarlyIsTold,
    /// What was told before one that was cut off or failed counts as told still.
    CutOffLeavesTold,
}

impl Mutant {
    /// Every one.
    pub const ALL: [Mutant; 84] = [
        Mutant::PromiseIgnored,
        Mutant::VoteNotDurable,
        Mutant::RestartForgetsPromise,
        Mutant::NeverYields,
        Mutant::BasisWithoutQuorum,
        Mutant::AcknowledgedNotDurable,
        Mutant::CommittedAlone,
        Mutant::OwnRecordKept,
        Mutant::LeaseFromAnswer,
        Mutant::TakeoverAtOnce,
        Mutant::TakeoverWithoutGrace,
        Mutant::InheritanceIgnored,
        Mutant::MaintenanceTakenOver,
        Mutant::ReleasedAccepted,
        Mutant::LostLeaseIgnored,
        Mutant::UncleanReleased,
        Mutant::MarkIgnored,
        Mutant::MarkNotDurable,
        Mutant::EpochStands,
        Mutant::EmptyVotes,
        Mutant::ChangesUntold,
        Mutant::NoReclaim,
        Mutant::HooksInMaintenance,
        Mutant::MembersIgnored,
        Mutant::ChangeNotJoint,
        Mutant::OwnVoiceAssumed,
        Mutant::FoundingByMajority,
        Mutant::FoundsBesideCluster,
        Mutant::OutsiderMeasuresByVote,
        Mutant::NeverCalls,
        Mutant::TwinsSpeak,
        Mutant::NewerRunFrees,
        Mutant::CopyAdopts,
        Mutant::OldIsNews,
        Mutant::ImplausibleTaken,
        Mutant::NoBackOff,
        Mutant::ContradictionIgnored,
        Mutant::BadStatusesUncounted,
        Mutant::AllCritical,
        Mutant::RestartsUncounted,
        Mutant::RestartUnbounded,
        Mutant::ProcessEndIgnored,
        Mutant::DoubtedTaken,
        Mutant::DemotedTrusted,
        Mutant::UnfitNamed,
        Mutant::DeafUnsaid,
        Mutant::ResignUnbound,
        Mutant::DisksHurried,
        Mutant::MaintenanceTrusted,
        Mutant::ReportAwaitsDisk,
        Mutant::GroupsForgotten,
        Mutant::ReleaseOfAnyGroup,
        Mutant::LeaseOfAnyGroup,
        Mutant::ObituaryOfAnyGroup,
        Mutant::FarewellOfAnyGroup,
        Mutant::MarkOfAnyGroup,
        Mutant::EpochOfGroup,
        Mutant::PreferenceZeroIgnored,
        Mutant::TogetherIgnored,
        Mutant::FollowerLast,
        Mutant::FailbackUnpins,
        Mutant::FailbackToFailed,
        Mutant::FailbackBreaksApart,
        Mutant::FailbackSwaps,
        Mutant::FenceUncounted,
        Mutant::FenceFreesAll,
        Mutant::FenceOfAnyTerm,
        Mutant::FenceOfAnotherRun,
        Mutant::FenceGoesOn,
        Mutant::HeardFenced,
        Mutant::FencedIsCandidate,
        Mutant::CopyWithoutAttributes,
        Mutant::PromoteActsOnOld,
        Mutant::LowerWriteTaken,
        Mutant::OldEpochWrites,
        Mutant::WritesFirst,
        Mutant::WriteAnsweredAlone,
        Mutant::WritesOutliveLease,
        Mutant::AttributesForgotten,
        Mutant::OldScoresDecide,
        Mutant::OlderRecordHeard,
        Mutant::ChangesHoldUp,
        Mutant::EndedEarlyIsTold,
        Mutant::CutOffLeavesTold,
    ];
}

static BROKEN: AtomicUsize = AtomicUsize::new(0);

/// Breaks this rule, in the whole process; none: mends it.
pub fn break_rule(mutant: Option<Mutant>) {
    BROKEN.store(mutant.map_or(0, |m| m as usize + 1), Ordering::SeqCst);
}

pub(crate) fn is_broken(mutant: Mutant) -> bool {
    BROKEN.load(Ordering::Relaxed) == mutant as usize + 1
}
