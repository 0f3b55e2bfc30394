//! Messages of every kind in a cluster with one group: any, the smallest, and the largest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use koi_core::attributes::{
    AttributeChange, AttributeWrite, Attributes, AttributesCopy, AttributesVersion, AttributesWanted,
    GroupAttributes, WriteNumber, WriteRefusal, WriteRefused,
};
use koi_core::fence::FenceIntent;
use koi_core::group::GroupName;
use koi_core::limits;
use koi_core::message::{
    Answer, Body, FailureNote, Farewell, Heartbeat, Hello, InVain, Lease, Message, NodeInfo, Obituary,
    OtherRun, PreVote, PreVoteAnswer, RULES, Recipient, Report, RequestVote, Resign, Restless, RunnerSummary,
    SharedSettings, StaleTerm, Verdict, Vote,
};
use koi_core::placing::{GroupPlacement, PlacementPolicy, Preference};
use koi_core::record::{GroupRecord, MasterEntry, MemberChange, PastMastership, Record, StateOrigin};
use koi_core::roster::{RosterEntry, RosterPart};
use koi_core::types::{Epoch, NodeId, NodeState, Session, Term, Version};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;

/// A text of up to `bytes` bytes, now and then of all of them.
fn text(bytes: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::string::string_regex("[a-z0-9.é-]{0,20}").unwrap(),
        1 => Just("x".repeat(bytes)),
    ]
}

/// Whatever crosses the wire as microseconds.
fn span() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_micros)
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<u128>().prop_map(NodeId)
}

fn session() -> impl Strategy<Value = Session> {
    any::<(u64, u64)>().prop_map(|(count, random)| Session { count, random })
}

fn term() -> impl Strategy<Value = Term> {
    any::<u64>().prop_map(Term)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch)
}

fn version() -> impl Strategy<Value = Version> {
    (term(), any::<u64>()).prop_map(|(term, n)| Version { term, n })
}

fn address() -> impl Strategy<Value = SocketAddr> {
    any::<SocketAddr>().prop_map(|a| SocketAddr::new(a.ip(), a.port()))
}

prop_compose! {
    fn agreed()(electors: u16, quorum: u16, heartbeat in span(), leader_lease in span(), master_lease in span())
        -> SharedSettings
    {
        SharedSettings { electors, quorum, heartbeat, leader_lease, master_lease }
    }
}

prop_compose! {
    fn info()(
        name in text(limits::NAME_BYTES), version in text(16), elector: bool, runner: bool, priority: i32,
        origin in prop_oneof![Just(StateOrigin::Empty), Just(StateOrigin::Founder), Just(StateOrigin::Member)],
        agreed in agreed(), rules: u16, follows in option::of(session())
    ) -> NodeInfo {
        NodeInfo { name, version, elector, runner, priority, origin, agreed, rules, follows }
    }
}

prop_compose! {
    fn master()(
        node in node(), session in session(), epoch in epoch(), hold in span(), in_maintenance: bool, unclean: bool,
        name in text(limits::NAME_BYTES), by_hand: bool
    ) -> MasterEntry {
        MasterEntry { node, session, epoch, hold, in_maintenance, unclean, name, by_hand }
    }
}

prop_compose! {
    fn group_record()(
        master in option::of(master()), target in option::of(node()), manual: bool,
        stopped in btree_set(node(), 0..=limits::STOPPED), promoted in option::of(epoch()),
        previous in option::of(past()), attributes in option::of(attributes_version())
    ) -> GroupRecord {
        GroupRecord { master, target, manual, stopped, promoted, previous, attributes }
    }
}

prop_compose! {
    fn past()(node in node(), epoch in epoch()) -> PastMastership {
        PastMastership { node, epoch }
    }
}

prop_compose! {
    fn fence()(
        node in node(), session in session(), epochs in btree_set(epoch(), 0..=1), limit in span(), term in term(), number: u64,
        name in text(limits::NAME_BYTES)
    ) -> FenceIntent {
        FenceIntent { node, session, epochs, limit, term, number, name }
    }
}

prop_compose! {
    fn record()(
        version in version(), main in group_record(),
        maintenance: bool, last_epoch in epoch(), members in btree_set(node(), 0..=limits::MEMBERS),
        add in option::of(node()), remove in option::of(node()), needs: u16, whole: bool,
        fence in option::of(fence()), known: u16
    ) -> Record {
        let change = Some(MemberChange { add, remove }).filter(|_| main.manual);
        let others = BTreeMap::new();
        Record { version, main, others, maintenance, last_epoch, members, change, needs, whole, fence, known }
    }
}

prop_compose! {
    fn hello()(
        info in info(), heard in vec(any::<u64>(), 0..=limits::NODES), calls: bool, uptime in span(),
        address in option::of(address()), mute: bool
    ) -> Hello {
        Hello { info, heard, calls, uptime, address, mute }
    }
}

prop_compose! {
    fn heartbeat()(
        info in info(), term in term(), number: u64, lease in span(), record in record(), committed in version(),
        master_address in option::of(address()), address in option::of(address())
    ) -> Heartbeat {
        let other_masters = BTreeMap::new();
        Heartbeat { info, term, number, lease, record, committed, master_address, address, other_masters }
    }
}

prop_compose! {
    fn failure()(
        service in text(limits::NAME_BYTES), hook in text(7), message in text(limits::REASON_BYTES), ago in span()
    ) -> FailureNote {
        FailureNote { service, hook, message, ago }
    }
}

prop_compose! {
    fn summary()(
        (state, score, failure, failures, reason) in
            (node_state(), any::<Option<i64>>(), option::of(failure()), any::<u32>(), text(limits::REASON_BYTES)),
        holds in option::of(epoch()), released in epoch(), maybe_promoted: bool, promotable: bool, unclean: bool,
        maintenance: bool, grace in span(), services: u16, promoted: bool,
        (leaving, suspect, unasked) in any::<(bool, bool, bool)>(), unfit in option::of(text(limits::UNFIT_BYTES)),
        restless in option::of(restless()), in_vain in option::of(in_vain()), promoted_under in option::of(epoch()),
        placement in placement().boxed(), asked: Option<u64>
    ) -> RunnerSummary {
        let (short_score, long_score) = RunnerSummary::score_fields(score);
        RunnerSummary {
            state, holds, released, maybe_promoted, promotable, short_score, failure, failures, unclean, maintenance,
            grace, services, promoted, reason, leaving, unfit, restless, in_vain, suspect, unasked, long_score, promoted_under,
            placement, asked,
        }
    }
}

prop_compose! {
    fn placement()(
        preference in 0..=u64::from(Preference::MOST), apart in prop::bool::ANY, together in prop::bool::ANY,
        failback in option::of(span()), slack: u64
    ) -> GroupPlacement {
        let other: GroupName = "other".parse().unwrap();
        let apart_from = apart.then(|| other.clone()).into_iter().collect();
        let policy = PlacementPolicy::new(apart_from, together.then_some(other), failback, slack);
        GroupPlacement { preference: Preference::new(preference).unwrap(), policy }
    }
}

prop_compose! {
    fn restless()(service in text(limits::NAME_BYTES), times: u32) -> Restless {
        Restless { service, times }
    }
}

prop_compose! {
    fn in_vain()(times: u32, ago in span()) -> InVain {
        InVain { times, ago }
    }
}

fn node_state() -> impl Strategy<Value = NodeState> {
    prop::sample::select(vec![
        NodeState::Failed,
        NodeState::Disconnected,
        NodeState::Stopped,
        NodeState::Live,
        NodeState::Standby,
        NodeState::Master,
        NodeState::Elector,
    ])
}

prop_compose! {
    fn report()(
        info in info(), term in term(), number: u64, acknowledged: Option<u64>, durable in version(),
        applied in version(), runner in option::of(summary().boxed()), uptime in span(),
        (address, heard, picture) in (option::of(address()), any::<Option<u64>>(), any::<Option<u32>>()),
        unfit in option::of(text(limits::UNFIT_BYTES))
    ) -> Report {
        let others = BTreeMap::new();
        Report { info, term, number, acknowledged, durable, applied, runner, uptime, address, heard, unfit, others, picture }
    }
}

prop_compose! {
    fn roster_entry()(
        node in node(), name in text(limits::NAME_BYTES), state in node_state(), promotable: bool, score: Option<i64>,
        address in option::of(address())
    ) -> RosterEntry {
        RosterEntry { node, name, state, promotable, score, address: address.map(|address| address.ip()) }
    }
}

prop_compose! {
    fn roster()(
        term in term(), picture: u32, part: u16, parts: u16, nodes in vec(roster_entry(), 0..=4)
    ) -> RosterPart {
        RosterPart { term, picture, part, parts, group: GroupName::MAIN, nodes }
    }
}

prop_compose! {
    fn lease()(epoch in epoch(), remaining in span(), since in option::of(version())) -> Lease {
        Lease { epoch, remaining, since }
    }
}

prop_compose! {
    fn answer()(
        term in term(), report: u64, lease in option::of(lease()), release in option::of(epoch()),
        record in option::of(record()), ask: Option<u64>
    ) -> Answer {
        let others = BTreeMap::new();
        Answer { term, report, lease, release, record, others, ask }
    }
}

prop_compose! {
    fn vote()(
        term in term(), granted: bool, newest in term(), record in record(), acknowledged_ago_us: Option<u64>,
        followed: bool, wait in span()
    ) -> Vote {
        Vote { term, granted, newest, record, acknowledged_ago_us, followed, wait }
    }
}

prop_compose! {
    fn write_number()(epoch in epoch(), n: u64) -> WriteNumber {
        WriteNumber { epoch, n }
    }
}

prop_compose! {
    fn attributes_version()(changed in version(), written in write_number()) -> AttributesVersion {
        AttributesVersion { changed, written }
    }
}

prop_compose! {
    fn change()(key in "[a-z0-9._-]{1,64}", value in option::of(text(limits::ATTRIBUTE_VALUE_BYTES))) -> AttributeChange {
        AttributeChange { key: key.parse().unwrap(), value: value.map(|text| text.try_into().unwrap()) }
    }
}

fn refusal() -> impl Strategy<Value = WriteRefusal> {
    prop::sample::select(vec![
        WriteRefusal::NotMaster,
        WriteRefusal::NoRoom,
        WriteRefusal::Unknown,
        WriteRefusal::QuorumOff,
    ])
}

/// As many attributes as a group may have, each as long as it may be.
fn largest_attributes() -> GroupAttributes {
    let mut attributes = Attributes::default();
    for n in 0..limits::ATTRIBUTES {
        let key = format!("{n:0width$}", width = limits::ATTRIBUTE_KEY_BYTES).parse().unwrap();
        let value = Some("v".repeat(limits::ATTRIBUTE_VALUE_BYTES).try_into().unwrap());
        attributes.change(AttributeChange { key, value }).unwrap();
    }
    let group = longest_names().next().unwrap();
    GroupAttributes { group, copy: AttributesCopy { changed: VERSION, attributes } }
}

fn members() -> impl Strategy<Value = BTreeSet<NodeId>> {
    btree_set(node(), 0..=limits::MEMBERS)
}

fn body() -> impl Strategy<Value = Body> {
    Union::new([
        hello().prop_map(Body::Hello).boxed(),
        heartbeat().prop_map(Body::Heartbeat).boxed(),
        report().prop_map(Body::Report).boxed(),
        answer().prop_map(Body::Answer).boxed(),
        (info(), term(), members())
            .prop_map(|(info, term, founding)| Body::PreVote(PreVote { info, term, founding }))
            .boxed(),
        (term(), any::<bool>(), term(), span(), option::of(record()), span())
            .prop_map(|(term, granted, newest, wait, record, disk)| {
                Body::PreVoteAnswer(PreVoteAnswer { term, granted, newest, wait, record, disk })
            })
            .boxed(),
        (info(), term(), members())
            .prop_map(|(info, term, founding)| Body::RequestVote(RequestVote { info, term, founding }))
            .boxed(),
        vote().prop_map(Body::Vote).boxed(),
        term().prop_map(|newest| Body::StaleTerm(StaleTerm { newest })).boxed(),
        term().prop_map(|term| Body::Resign(Resign { term })).boxed(),
        option::of(epoch())
            .prop_map(|released| Body::Farewell(Farewell { released, ..Farewell::default() }))
            .boxed(),
        any::<bool>()
            .prop_map(|all_down| Body::Obituary(Obituary { all_down, ..Obituary::default() }))
            .boxed(),
        (session(), span(), span())
            .prop_map(|(session, uptime, silent)| Body::OtherRun(OtherRun { session, uptime, silent }))
            .boxed(),
        (version(), vec(change(), 0..3))
            .prop_map(|(changed, changes)| {
                let mut attributes = Attributes::default();
                changes.into_iter().for_each(|change| attributes.change(change).unwrap());
                let copy = AttributesCopy { changed, attributes };
                Body::Attributes(GroupAttributes { group: GroupName::MAIN, copy })
            })
            .boxed(),
        version()
            .prop_map(|version| {
                Body::AttributesWanted(AttributesWanted {
                    states: BTreeMap::from([(GroupName::MAIN, version)]),
                })
            })
            .boxed(),
        (write_number(), change())
            .prop_map(|(number, change)| {
                Body::AttributeWrite(AttributeWrite { group: GroupName::MAIN, number, change })
            })
            .boxed(),
        (write_number(), refusal())
            .prop_map(|(number, why)| Body::WriteRefused(WriteRefused { number, why }))
            .boxed(),
        roster().prop_map(Body::Roster).boxed(),
    ])
}

prop_compose! {
    /// Any message.
    pub(crate) fn any_message()(
        from in node(), session in session(), seq: u64, to in option::of((node(), session())), body in body()
    ) -> Message {
        Message { from, session, seq, to: to.map(|(node, session)| Recipient { node, session }), body }
    }
}

/// A message with little in it.
pub(crate) fn smallest() -> Message {
    let session = Session { count: 1, random: 2 };
    Message { from: NodeId(3), session, seq: 4, to: None, body: Body::Resign(Resign { term: Term(5) }) }
}

/// A hello of a node with this name.
pub(crate) fn hello_from(name: String) -> Message {
    let info = NodeInfo { name, ..NodeInfo::default() };
    Message {
        body: Body::Hello(Hello {
            info,
            heard: Vec::new(),
            calls: false,
            uptime: Duration::ZERO,
            address: None,
            mute: false,
        }),
        ..smallest()
    }
}

const LONGEST: Duration = Duration::from_micros(u64::MAX);
const SESSION: Session = Session { count: u64::MAX, random: u64::MAX };
const VERSION: Version = Version { term: Term(u64::MAX), n: u64::MAX };
const WRITE: WriteNumber = WriteNumber { epoch: Epoch(u64::MAX), n: u64::MAX };

fn largest_card() -> NodeInfo {
    NodeInfo {
        name: "n".repeat(limits::NAME_BYTES),
        version: "100.100.100-rc.1".into(),
        elector: true,
        runner: true,
        priority: i32::MIN,
        origin: StateOrigin::Member,
        agreed: SharedSettings {
            electors: u16::MAX,
            quorum: u16::MAX,
            heartbeat: LONGEST,
            leader_lease: LONGEST,
            master_lease: LONGEST,
        },
        rules: u16::MAX,
        follows: Some(SESSION),
    }
}

fn largest_record() -> Record {
    let master = MasterEntry {
        node: NodeId(u128::MAX),
        session: SESSION,
        epoch: Epoch(u64::MAX),
        hold: LONGEST,
        in_maintenance: true,
        unclean: true,
        name: "m".repeat(limits::NAME_BYTES),
        by_hand: true,
    };
    let main = GroupRecord {
        master: Some(master),
        target: Some(NodeId(u128::MAX)),
        manual: true,
        stopped: (0..limits::STOPPED as u128).map(|n| NodeId(u128::MAX - n)).collect::<BTreeSet<_>>(),
        promoted: Some(Epoch(u64::MAX)),
        previous: Some(PastMastership { node: NodeId(u128::MAX), epoch: Epoch(u64::MAX) }),
        // A record that names some may need a second datagram, if many nodes are stopped by hand.
        attributes: None,
    };
    Record {
        version: VERSION,
        main,
        maintenance: true,
        last_epoch: Epoch(u64::MAX),
        members: largest_members(),
        change: Some(MemberChange { add: Some(NodeId(u128::MAX)), remove: Some(NodeId(u128::MAX)) }),
        needs: u16::MAX,
        whole: true,
        known: RULES,
        ..Record::default()
    }
}

/// Of one mastership: a node has no more in a cluster with one group.
fn largest_roster() -> RosterPart {
    let entry = RosterEntry {
        node: NodeId(u128::MAX),
        name: "n".repeat(limits::NAME_BYTES),
        state: NodeState::Disconnected,
        promotable: true,
        score: Some(i64::MIN),
        address: longest_address().map(|address| address.ip()),
    };
    RosterPart {
        term: Term(u64::MAX),
        picture: u32::MAX,
        part: u16::MAX,
        parts: u16::MAX,
        group: longest_names().next().unwrap(),
        nodes: vec![entry; limits::NODES],
    }
}

fn largest_fence() -> FenceIntent {
    FenceIntent {
        node: NodeId(u128::MAX),
        session: SESSION,
        epochs: BTreeSet::from([Epoch(u64::MAX)]),
        limit: LONGEST,
        term: Term(u64::MAX),
        number: u64::MAX,
        name: "n".repeat(limits::NAME_BYTES),
    }
}

fn largest_members() -> BTreeSet<NodeId> {
    (0..limits::MEMBERS as u128).map(|n| NodeId(u128::MAX - n)).collect()
}

fn largest_summary() -> RunnerSummary {
    RunnerSummary {
        state: NodeState::Elector,
        holds: Some(Epoch(u64::MAX)),
        released: Epoch(u64::MAX),
        maybe_promoted: true,
        promotable: true,
        short_score: Some(i32::MIN),
        failure: Some(FailureNote {
            service: "s".repeat(limits::NAME_BYTES),
            hook: "promote".into(),
            message: "f".repeat(limits::REASON_BYTES),
            ago: LONGEST,
        }),
        failures: u32::MAX,
        unclean: true,
        maintenance: true,
        grace: LONGEST,
        services: u16::MAX,
        promoted: true,
        reason: "r".repeat(limits::REASON_BYTES),
        leaving: true,
        unfit: Some("u".repeat(limits::UNFIT_BYTES)),
        restless: Some(Restless { service: "s".repeat(limits::NAME_BYTES), times: u32::MAX }),
        in_vain: Some(InVain { times: u32::MAX, ago: LONGEST }),
        suspect: true,
        unasked: true,
        long_score: Some(i64::MIN),
        promoted_under: Some(Epoch(u64::MAX)),
        // It grows with the number of groups, and a cluster with several does not fit one datagram anyway.
        placement: GroupPlacement {
            preference: Preference::NEVER,
            policy: PlacementPolicy::new(BTreeSet::new(), None, Some(LONGEST), u64::MAX),
        },
        asked: Some(u64::MAX),
    }
}

/// The names of all groups beside `main` that there may be, each as long as it may be.
fn longest_names() -> impl Iterator<Item = GroupName> {
    (1..limits::GROUPS).map(|n| format!("{n:0width$}", width = limits::GROUP_NAME_BYTES).parse().unwrap())
}

/// The largest messages of those kinds that grow with the number of groups.
pub(crate) fn largest_of_many_groups() -> Vec<Message> {
    let mut record = Record { fence: Some(largest_fence()), ..largest_record() };
    record.main.attributes = Some(AttributesVersion { changed: VERSION, written: WRITE });
    record.others = longest_names().map(|name| (name, record.main.clone())).collect();
    let mut summary = largest_summary();
    let mut all = largest();
    for message in &mut all {
        match &mut message.body {
            Body::Heartbeat(heartbeat) => {
                heartbeat.record = record.clone();
                let addresses = longest_names().filter_map(|name| Some((name, longest_address()?)));
                heartbeat.other_masters = addresses.collect();
            }
            Body::Report(report) => {
                summary.grace = LONGEST;
                report.others = longest_names().map(|name| (name, summary.clone())).collect();
            }
            Body::Answer(answer) => {
                answer.record = Some(record.clone());
                let verdict = Verdict { lease: answer.lease, release: answer.release, ask: answer.ask };
                answer.others = longest_names().map(|name| (name, verdict)).collect();
            }
            Body::PreVoteAnswer(answer) => answer.record = Some(record.clone()),
            Body::Vote(vote) => vote.record = record.clone(),
            _ => {}
        }
    }
    for body in [Body::Attributes(largest_attributes()), Body::Roster(largest_roster())] {
        all.push(Message { body, ..all[0].clone() });
    }
    let fits = |body: &Body| {
        matches!(
            body,
            Body::Hello(_)
                | Body::PreVote(_)
                | Body::RequestVote(_)
                | Body::AttributesWanted(_)
                | Body::AttributeWrite(_)
        )
    };
    all.retain(|message| !fits(&message.body));
    all
}

fn longest_address() -> Option<SocketAddr> {
    Some("[fe80:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535".parse().unwrap())
}

/// The largest message of every kind that can grow, of a cluster with one group.
/// What carries the record, while a node is fenced.
pub(crate) fn largest_while_fencing() -> Vec<Message> {
    let mut all = largest();
    all.retain_mut(|message| {
        let record = match &mut message.body {
            Body::Heartbeat(heartbeat) => Some(&mut heartbeat.record),
            Body::Answer(answer) => answer.record.as_mut(),
            Body::PreVoteAnswer(answer) => answer.record.as_mut(),
            Body::Vote(vote) => Some(&mut vote.record),
            _ => None,
        };
        record.map(|record| record.fence = Some(largest_fence())).is_some()
    });
    all
}

pub(crate) fn largest() -> Vec<Message> {
    let (info, record, term) = (largest_card(), largest_record(), Term(u64::MAX));
    let bodies = [
        Body::Hello(Hello {
            info: info.clone(),
            heard: vec![u64::MAX; limits::NODES],
            calls: true,
            uptime: LONGEST,
            address: longest_address(),
            mute: true,
        }),
        Body::Heartbeat(Heartbeat {
            info: info.clone(),
            term,
            number: u64::MAX,
            lease: LONGEST,
            record: record.clone(),
            committed: VERSION,
            master_address: longest_address(),
            address: longest_address(),
            other_masters: BTreeMap::new(),
        }),
        Body::Report(Report {
            info: info.clone(),
            term,
            number: u64::MAX,
            acknowledged: Some(u64::MAX),
            durable: VERSION,
            applied: VERSION,
            runner: Some(largest_summary()),
            uptime: LONGEST,
            address: longest_address(),
            heard: Some(u64::MAX),
            // Said only where there is no summary, which is longer.
            unfit: None,
            others: BTreeMap::new(),
            picture: Some(u32::MAX),
        }),
        Body::Answer(Answer {
            term,
            report: u64::MAX,
            lease: Some(Lease { epoch: Epoch(u64::MAX), remaining: LONGEST, since: Some(VERSION) }),
            release: Some(Epoch(u64::MAX)),
            record: Some(record.clone()),
            others: BTreeMap::new(),
            ask: Some(u64::MAX),
        }),
        Body::AttributesWanted(AttributesWanted {
            states: longest_names().chain([GroupName::MAIN]).map(|name| (name, VERSION)).collect(),
        }),
        Body::AttributeWrite(AttributeWrite {
            group: longest_names().next().unwrap(),
            number: WRITE,
            change: AttributeChange {
                key: "k".repeat(limits::ATTRIBUTE_KEY_BYTES).parse().unwrap(),
                value: Some("v".repeat(limits::ATTRIBUTE_VALUE_BYTES).try_into().unwrap()),
            },
        }),
        Body::PreVote(PreVote { info: info.clone(), term, founding: largest_members() }),
        Body::RequestVote(RequestVote { info, term, founding: largest_members() }),
        Body::PreVoteAnswer(PreVoteAnswer {
            term,
            granted: true,
            newest: term,
            wait: LONGEST,
            record: Some(record.clone()),
            disk: LONGEST,
        }),
        Body::Vote(Vote {
            term,
            granted: true,
            newest: term,
            record,
            acknowledged_ago_us: Some(u64::MAX),
            followed: true,
            wait: LONGEST,
        }),
    ];
    let to = Some(Recipient { node: NodeId(u128::MAX), session: SESSION });
    bodies.map(|body| Message { from: NodeId(u128::MAX), session: SESSION, seq: u64::MAX, to, body }).into()
}
