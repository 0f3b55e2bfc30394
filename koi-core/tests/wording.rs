//! Every text for people that is made of a reason, as a snapshot: a variant without a sample does not compile, or fails here.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::time::Duration;

use koi_core::event::Event;
use koi_core::group::GroupName;
use koi_core::io::{HookEnd, Observed, StatusReport};
use koi_core::reason::{
    AsideCause, AsideReason, CandidateObstacle, DropReason, FailureReason, FoundingWait, GraceOver,
    IneligibleReason, NodeFailure, NotNowReason, RunnerReason, ServiceFailure, ServiceNote, StepDownReason,
    TakeDownReason, UnfitReason, UnsafeReason, WaitReason, WarnReason,
};
use koi_core::types::{Hook, NodeId, NodeState, ServiceState, Term};

/// The samples, of which there must be one for each pattern. A variant without a pattern does not compile.
macro_rules! samples_of {
    ([$($pattern:pat),+ $(,)?], $samples:expr) => {{
        let samples = $samples;
        let pattern_of = |sample: &_| match sample {
            $($pattern => stringify!($pattern),)+
        };
        let seen: BTreeSet<&str> = samples.iter().map(pattern_of).collect();
        $(assert!(seen.contains(stringify!($pattern)), "there is no sample of {}", stringify!($pattern));)+
        samples
    }};
}

fn name(text: &str) -> String {
    text.to_owned()
}

fn b() -> String {
    name("b")
}

fn db() -> String {
    name("db")
}

fn founding() -> Vec<FoundingWait> {
    use FoundingWait as F;
    samples_of!(
        [
            F::RecordElsewhere { .. },
            F::NameNotUnique { .. },
            F::NotConfigured { .. },
            F::MembershipUnknown { .. },
            F::ClusterExists { .. },
            F::TooManyConfigured { .. },
            F::ElectorsMissing { .. },
            F::TooManySeen { .. },
            F::FirstVote,
            F::RecordAwaited
        ],
        vec![
            F::RecordElsewhere { node: b() },
            F::NameNotUnique { name: b() },
            F::NotConfigured { name: b() },
            F::MembershipUnknown { node: b() },
            F::ClusterExists { electors: vec![] },
            F::ClusterExists { electors: vec![name("a"), b()] },
            F::TooManyConfigured { configured: 70 },
            F::ElectorsMissing { configured: 3, missing: 1 },
            F::TooManySeen { seen: 4, configured: 3 },
            F::FirstVote,
            F::RecordAwaited,
        ]
    )
}

fn waits() -> Vec<WaitReason> {
    use WaitReason as W;
    let state = NodeState::Live;
    samples_of!(
        [
            W::Maintenance,
            W::RecordNotCommitted,
            W::Demoting { .. },
            W::Promoting { .. },
            W::TargetNotPromotable { .. },
            W::Founding(_),
            W::NoQuorum { .. },
            W::LeadershipNotConfirmed,
            W::Election,
            W::MasterInMaintenance { .. },
            W::MasterUnclean { .. },
            W::Fencing { .. },
            W::MasterSilent { .. },
            W::RestartedUnclean { .. },
            W::RestartedTakesDown { .. },
            W::DemotedByHand,
            W::NoReportYet { .. },
            W::AskedHowItIs { .. },
            W::StartElectorsUnknown,
            W::StartElectorsMissing { .. },
            W::StartRunnerNotReady { .. },
            W::PromotedUnbidden { .. },
            W::StillPromoted { .. },
            W::CandidateRests { .. },
            W::GroupsUnknown { .. },
            W::AwaitsPartner { .. },
            W::NowhereElse { .. },
            W::FollowerFirst { .. },
            W::NoRunner,
            W::NoCandidate { .. }
        ],
        vec![
            W::Maintenance,
            W::RecordNotCommitted,
            W::Demoting { node: b(), why: DropReason::DemotedByHand },
            W::Promoting { node: b() },
            W::TargetNotPromotable { node: b() },
            W::Founding(FoundingWait::FirstVote),
            W::NoQuorum { seen: 1, configured: 3, needed: 2 },
            W::LeadershipNotConfirmed,
            W::Election,
            W::MasterInMaintenance { node: b() },
            W::MasterUnclean { node: b() },
            W::Fencing { node: b() },
            W::MasterSilent { node: b() },
            W::RestartedUnclean { node: b() },
            W::RestartedTakesDown { node: b() },
            W::DemotedByHand,
            W::NoReportYet { node: b() },
            W::AskedHowItIs { node: b() },
            W::StartElectorsUnknown,
            W::StartElectorsMissing { missing: 1, electors: 3 },
            W::StartRunnerNotReady { node: b(), state },
            W::PromotedUnbidden { node: b(), reason: name("db: start: exit 1") },
            W::StillPromoted { node: b(), state },
            W::CandidateRests { node: b() },
            W::GroupsUnknown { nodes: vec![name("a"), b()] },
            W::AwaitsPartner { with: GroupName::MAIN },
            W::NowhereElse { with: GroupName::MAIN, node: b() },
            W::FollowerFirst {
                follower: GroupName::MAIN,
                node: b(),
                why: DropReason::OtherTarget { node: name("a") },
            },
            W::NoRunner,
            W::NoCandidate { obstacles: obstacles() },
        ]
    )
}

fn web() -> GroupName {
    "web".parse().expect("it is a name")
}

fn obstacles() -> Vec<CandidateObstacle> {
    use CandidateObstacle as C;
    samples_of!(
        [C::State { .. }, C::NameTaken { .. }, C::NeverHere { .. }],
        vec![
            C::State { node: b(), state: NodeState::Failed },
            C::NameTaken { id: NodeId(7), name: b() },
            C::NeverHere { node: b() }
        ]
    )
}

fn drops() -> Vec<DropReason> {
    use DropReason as D;
    samples_of!(
        [
            D::NotThere,
            D::Stopping,
            D::StoppedByHand,
            D::Failed { .. },
            D::OtherTarget { .. },
            D::DemotedByHand,
            D::CannotPromote { .. },
            D::NotPromotable { .. },
            D::ToBeFenced,
            D::Released,
            D::Preferred { .. },
            D::NeverHere,
            D::GoesTogether { .. }
        ],
        vec![
            D::NotThere,
            D::Stopping,
            D::StoppedByHand,
            D::Failed { reason: name("db: start: exit 1") },
            D::OtherTarget { node: b() },
            D::DemotedByHand,
            D::CannotPromote { why: name("its disk hangs") },
            D::NotPromotable { state: NodeState::Live },
            D::ToBeFenced,
            D::Released,
            D::Preferred { node: name("a") },
            D::NeverHere,
            D::GoesTogether { with: GroupName::MAIN },
        ]
    )
}

fn step_downs() -> Vec<StepDownReason> {
    use StepDownReason as S;
    samples_of!(
        [
            S::NoQuorum,
            S::OtherLeader { .. },
            S::NoElector,
            S::LeaseChanged,
            S::AttributesMissing,
            S::IdNotUnique,
            S::Stopping,
            S::ToBeFenced
        ],
        vec![
            S::NoQuorum,
            S::OtherLeader { node: b(), term: Term(7) },
            S::NoElector,
            S::LeaseChanged,
            S::AttributesMissing,
            S::IdNotUnique,
            S::Stopping,
            S::ToBeFenced,
        ]
    )
}

fn unfit() -> Vec<UnfitReason> {
    use UnfitReason as U;
    samples_of!(
        [U::StateNotWritten { .. }, U::HooksNotRun { .. }, U::DiskHangs],
        vec![
            U::StateNotWritten { why: name("No space left on device") },
            U::HooksNotRun { why: name("Cannot allocate memory") },
            U::DiskHangs,
        ]
    )
}

fn not_now() -> Vec<NotNowReason> {
    use NotNowReason as N;
    samples_of!(
        [
            N::TooManyCommands,
            N::Maintenance,
            N::NoRunner { .. },
            N::NotThere { .. },
            N::StoppedByHand { .. },
            N::Failed { .. },
            N::Stopping { .. },
            N::TooManyStopped,
            N::NothingToRecover { .. },
            N::NoSuchGroup { .. },
            N::NeverHere { .. },
            N::GoesTogether { .. },
            N::GroupsUnknown { .. },
            N::UnknownGroup { .. },
            N::NoElector,
            N::HasRecord,
            N::OtherElectors { .. },
            N::LeaderThere,
            N::TooManyFounders { .. },
            N::RecordElsewhere { .. },
            N::QuorumOff,
            N::ElectorsNotRecorded,
            N::ElectorsChanging,
            N::RecordNotCommitted,
            N::NoSuchElector { .. },
            N::NoAnswer { .. },
            N::ElectorAlready { .. },
            N::ConfiguredNotToVote { .. },
            N::MembershipUnknown { .. },
            N::RecordNotThere { .. },
            N::LastElector,
            N::TooManyElectors,
            N::NotMaster { .. },
            N::TooManyWrites,
            N::TooManyAttributes,
            N::AttributesUnknown { .. },
            N::NameNotUnique { .. },
            N::FenceNeedsQuorum,
            N::NoFence { .. },
            N::FencesUnknown { .. },
            N::FenceRuns { .. }
        ],
        vec![
            N::TooManyCommands,
            N::Maintenance,
            N::NoRunner { node: b() },
            N::NotThere { node: b() },
            N::StoppedByHand { node: b() },
            N::Failed { node: b(), reason: name("db: start: exit 1") },
            N::Stopping { node: b() },
            N::TooManyStopped,
            N::NothingToRecover { node: b() },
            N::GroupsUnknown { nodes: vec![name("a"), b()] },
            N::GroupsUnknown { nodes: Vec::new() },
            N::NeverHere { node: b() },
            N::GoesTogether { group: "web".parse().expect("it is a name"), with: GroupName::MAIN, node: b() },
            N::NoSuchGroup { node: b(), group: web() },
            N::UnknownGroup { group: web(), known: vec![GroupName::MAIN, web()] },
            N::NoElector,
            N::HasRecord,
            N::OtherElectors { electors: vec![name("a"), b()] },
            N::LeaderThere,
            N::TooManyFounders { electors: 70 },
            N::RecordElsewhere { node: b() },
            N::QuorumOff,
            N::ElectorsNotRecorded,
            N::ElectorsChanging,
            N::RecordNotCommitted,
            N::NoSuchElector { name: name("x"), electors: vec![name("a"), b()] },
            N::NoAnswer { name: name("x") },
            N::ElectorAlready { name: b() },
            N::ConfiguredNotToVote { node: b() },
            N::MembershipUnknown { node: b() },
            N::RecordNotThere { node: b() },
            N::LastElector,
            N::TooManyElectors,
            N::NotMaster { group: web() },
            N::TooManyWrites,
            N::TooManyAttributes,
            N::AttributesUnknown { nodes: vec![name("a"), b()] },
            N::AttributesUnknown { nodes: Vec::new() },
            N::NameNotUnique { name: b(), ids: vec![NodeId(7), NodeId(8)] },
            N::FenceNeedsQuorum,
            N::NoFence { node: b(), leader: name("a") },
            N::FencesUnknown { nodes: vec![b()] },
            N::FencesUnknown { nodes: Vec::new() },
            N::FenceRuns { node: b() },
        ]
    )
}

fn risky() -> Vec<UnsafeReason> {
    samples_of!(
        [
            UnsafeReason::NodeAnswers { .. },
            UnsafeReason::QuorumLost { .. },
            UnsafeReason::FencedAnswers { .. }
        ],
        vec![
            UnsafeReason::NodeAnswers { node: b() },
            UnsafeReason::FencedAnswers { node: b() },
            UnsafeReason::QuorumLost { afterwards: false, missing: vec![name("a"), b()] },
            UnsafeReason::QuorumLost { afterwards: true, missing: vec![b()] },
        ]
    )
}

fn said() -> FailureReason {
    FailureReason::HookFailed { message: name("exit 1") }
}

fn over() -> GraceOver {
    GraceOver { grace: Duration::from_millis(1500) }
}

fn failure() -> ServiceFailure {
    ServiceFailure { service: db(), hook: Hook::Start, reason: said() }
}

fn bars() -> Vec<IneligibleReason> {
    use IneligibleReason as B;
    samples_of!(
        [B::Disabled { .. }, B::Unusable { .. }],
        vec![
            B::Disabled { service: db() },
            B::Unusable { service: db(), problem: name("its service.toml cannot be read") },
        ]
    )
}

fn bar() -> IneligibleReason {
    IneligibleReason::Disabled { service: db() }
}

fn faults() -> Vec<FailureReason> {
    use FailureReason as F;
    let contradicted = |seen| F::Contradicted { seen, hook: Hook::Promote };
    samples_of!(
        [
            F::HookFailed { .. },
            F::NoRoom { .. },
            F::Contradicted { .. },
            F::StatusSilent,
            F::Killed,
            F::EndedEarly,
            F::NotStopped { .. },
            F::GraceOver(_),
            F::TakenDownWith { .. },
            F::RestartTooLong { .. },
            F::RestartInterrupted { .. },
            F::Barred(_),
            F::NodeFailed
        ],
        vec![
            said(),
            F::NoRoom { why: name("Cannot allocate memory") },
            contradicted(Observed::Healthy),
            contradicted(Observed::Promoted),
            contradicted(Observed::Standby),
            contradicted(Observed::Stopped),
            contradicted(Observed::Live),
            F::StatusSilent,
            F::Killed,
            F::EndedEarly,
            F::NotStopped { service: db() },
            F::GraceOver(over()),
            F::TakenDownWith { service: db(), reason: Box::new(said()) },
            F::RestartTooLong { limit: Duration::from_secs(30), reason: Box::new(said()) },
            F::RestartInterrupted { reason: Box::new(said()) },
            F::Barred(bar()),
            F::NodeFailed,
        ]
    )
}

fn node_failures() -> Vec<NodeFailure> {
    use NodeFailure as N;
    samples_of!(
        [
            N::Service(_),
            N::AwaitsRecover(_),
            N::NotStopped { .. },
            N::GraceOver(_),
            N::Barred(_),
            N::FolderUnreadable { .. },
            N::TakesDown { .. }
        ],
        vec![
            N::Service(failure()),
            N::AwaitsRecover(failure()),
            N::NotStopped { service: db() },
            N::GraceOver(over()),
            N::Barred(bar()),
            N::FolderUnreadable { why: name("/etc/koi/services cannot be read") },
            N::TakesDown { service: db() },
        ]
    )
}

fn asides() -> Vec<AsideReason> {
    use AsideReason as A;
    samples_of!(
        [A::Newcomer(_), A::NotCritical(_)],
        vec![A::Newcomer(AsideCause::Barred(bar())), A::NotCritical(AsideCause::Failed(failure()))]
    )
}

fn runners() -> Vec<RunnerReason> {
    use RunnerReason as R;
    samples_of!(
        [R::Failed(_), R::Unarmed { .. }, R::Unguarded { .. }, R::Aside(_)],
        vec![
            R::Failed(NodeFailure::Service(failure())),
            R::Unarmed { why: name("the watchdog is not armed yet") },
            R::Unguarded { why: name("the guardian does not answer") },
            R::Aside(AsideReason::Newcomer(AsideCause::Failed(failure()))),
        ]
    )
}

fn notes() -> Vec<ServiceNote> {
    use ServiceNote as S;
    samples_of!(
        [
            S::Status { .. },
            S::BadStatus { .. },
            S::Restarts(_),
            S::Restarted { .. },
            S::Failed(_),
            S::NotStopped(_),
            S::Barred(_),
            S::Deaf(_),
            S::Rests { .. }
        ],
        vec![
            S::Status { message: name("in sync") },
            S::BadStatus { times: 2, most: 3, reason: said() },
            S::Restarts(said()),
            S::Restarted { times: 2, window: Duration::from_mins(10) },
            S::Restarted { times: 3, window: Duration::from_secs(90) },
            S::Failed(said()),
            S::NotStopped(said()),
            S::Barred(bar()),
            S::Deaf(said()),
            S::Rests { times: 4, left: Duration::from_millis(2300) },
        ]
    )
}

fn take_downs() -> Vec<TakeDownReason> {
    samples_of!([TakeDownReason::UncleanEnd], vec![TakeDownReason::UncleanEnd])
}

fn warnings() -> Vec<WarnReason> {
    use WarnReason as W;
    samples_of!(
        [W::RunnerChanged, W::Implausible { .. }, W::Aside(_)],
        vec![
            W::RunnerChanged,
            W::Implausible { what: name("b says what cannot be") },
            W::Aside(AsideReason::Newcomer(AsideCause::Barred(bar()))),
        ]
    )
}

fn hook_ends() -> Vec<HookEnd> {
    use HookEnd as H;
    let status = |seen: Observed| H::Status(StatusReport::from(seen));
    samples_of!(
        [H::Done, H::Status(_), H::Failed { .. }, H::Aborted, H::NoRoom(_)],
        vec![
            H::Done,
            status(Observed::Healthy),
            status(Observed::Promoted),
            status(Observed::Standby),
            status(Observed::Stopped),
            status(Observed::Live),
            H::Failed { message: name("exit 1"), timed_out: false, lasting: false },
            H::Aborted,
            H::NoRoom(name("Cannot allocate memory")),
        ]
    )
}

/// A reason with its text, and what is said besides.
fn told<R: Debug + Display>(reasons: &[R], besides: impl Fn(&R) -> Vec<(&'static str, String)>) -> String {
    let kind = std::any::type_name::<R>().rsplit("::").next().unwrap_or_default();
    let mut page = format!("# {kind}\n");
    for reason in reasons {
        page.push_str(&format!("{reason:?}\n    {reason}\n"));
        for (what, text) in besides(reason).into_iter().filter(|(_, text)| !text.is_empty()) {
            page.push_str(&format!("    {what}: {text}\n"));
        }
    }
    page + "\n"
}

fn text_alone<R>(_: &R) -> Vec<(&'static str, String)> {
    Vec::new()
}

#[test]
fn every_reason_has_its_words() {
    let page = [
        told(&waits(), |wait| {
            vec![
                ("node", wait.node().unwrap_or_default().to_owned()),
                ("rule", wait.rule().unwrap_or_default().to_owned()),
                ("hint", wait.hint()),
            ]
        }),
        told(&founding(), text_alone),
        told(&obstacles(), text_alone),
        told(&drops(), text_alone),
        told(&step_downs(), text_alone),
        told(&unfit(), text_alone),
        told(&not_now(), |reason| vec![("hint", reason.hint())]),
        told(&risky(), |reason| vec![("hint", reason.hint())]),
        told(&faults(), text_alone),
        told(&bars(), text_alone),
        told(&node_failures(), text_alone),
        told(&asides(), text_alone),
        told(&runners(), text_alone),
        told(&notes(), text_alone),
        told(&take_downs(), text_alone),
        told(&warnings(), text_alone),
        told(&hook_ends(), text_alone),
    ];
    insta::assert_snapshot!(page.concat());
}

/// Clients show the sentences alone.
#[test]
fn a_sentence_names_the_node_or_the_service_that_it_is_about() {
    let named = |text: &str, name: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
    for wait in waits() {
        assert!(wait.node().is_none_or(|node| named(&wait.to_string(), node)), "{wait}");
    }
    let (took, grace) = (Duration::from_secs(1), Duration::from_secs(1));
    let (from, to) = (ServiceState::Stopped, ServiceState::Started);
    let events = [
        Event::ServiceChanged { service: db(), from, to },
        Event::ServiceFound { service: db() },
        Event::ServiceGone { service: db(), was: to },
        Event::HookStarted { service: db(), hook: Hook::Start },
        Event::HookEnded { service: db(), hook: Hook::Start, took, how: HookEnd::Done, failed: false },
        Event::SlowDemote { service: db(), took, grace },
        Event::ProcessEnded { service: db() },
        Event::Restarting { failure: failure(), times: 1, most: 2 },
        Event::Restarted { service: db(), took },
        Event::Unclean { service: db() },
    ];
    for event in events {
        assert!(event.service().is_some_and(|service| named(&event.to_string(), service)), "{event}");
    }
}
