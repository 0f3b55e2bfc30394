//! The datagrams and the state on disk of an earlier koi: read now they say the same, and written now they are the same bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use koi_compat_tests::{as_recorded, from_hex, hex};
use koi_core::attributes::{
    AttributeChange, AttributeWrite, Attributes, AttributesCopy, AttributesVersion, AttributesWanted,
    GroupAttributes, WriteNumber, WriteRefusal, WriteRefused,
};
use koi_core::group::GroupName;
use koi_core::message::{
    Answer, Body, FailureNote, Farewell, Heartbeat, Hello, InVain, Lease, Message, NodeInfo, Obituary,
    OtherRun, PreVote, PreVoteAnswer, Recipient, Report, RequestVote, Resign, Restless, RunnerSummary,
    SharedSettings, StaleTerm, Verdict, Vote,
};
use koi_core::placing::{GroupPlacement, PlacementPolicy, Preference};
use koi_core::record::{
    Durable, GroupRecord, MasterEntry, MemberChange, PastMastership, Record, StateOrigin,
};
use koi_core::roster::{RosterEntry, RosterPart};
use koi_core::types::{Epoch, NodeId, NodeState, Session, Term, Version};
use koi_proto::key::{Key, Keyring};
use koi_proto::parts::Opened;
use koi_proto::seal::Sealer;

/// The cluster whose sealed datagram is recorded.
const CLUSTER: u32 = 0x0d0e_0f10;

/// No two values of one type are alike within a message: fields that change places are noticed.
fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

fn session(n: u64) -> Session {
    Session { count: n, random: n + 1 }
}

fn version(n: u64) -> Version {
    Version { term: Term(n), n: n + 1 }
}

fn info() -> NodeInfo {
    NodeInfo {
        name: "db1".to_owned(),
        version: "0.1.0".to_owned(),
        elector: true,
        runner: false,
        priority: -7,
        origin: StateOrigin::Member,
        agreed: SharedSettings {
            electors: 5,
            quorum: 3,
            heartbeat: us(100_001),
            leader_lease: us(500_002),
            master_lease: us(1_000_003),
        },
        rules: 13,
        follows: Some(session(70)),
    }
}

fn record() -> Record {
    let master = MasterEntry {
        node: NodeId(0x1001),
        session: session(80),
        epoch: Epoch(65_537),
        hold: us(1_500_004),
        in_maintenance: true,
        unclean: false,
        name: "db2".to_owned(),
        by_hand: false,
    };
    let main = GroupRecord {
        master: Some(master),
        target: Some(NodeId(0x1002)),
        manual: true,
        stopped: BTreeSet::from([NodeId(0x1003), NodeId(0x1004)]),
        ..GroupRecord::default()
    };
    Record {
        version: version(90),
        main,
        maintenance: false,
        last_epoch: Epoch(65_538),
        members: BTreeSet::from([NodeId(0x1001), NodeId(0x1002), NodeId(0x1003)]),
        change: Some(MemberChange { add: Some(NodeId(0x1005)), remove: Some(NodeId(0x1003)) }),
        ..Record::default()
    }
}

fn runner() -> RunnerSummary {
    RunnerSummary {
        state: NodeState::Standby,
        holds: Some(Epoch(65_539)),
        released: Epoch(65_540),
        maybe_promoted: true,
        promotable: false,
        short_score: Some(-11),
        failure: Some(FailureNote {
            service: "web".to_owned(),
            hook: "promote".to_owned(),
            message: "no disk".to_owned(),
            ago: us(2_000_005),
        }),
        failures: 12,
        unclean: true,
        maintenance: false,
        grace: us(2_000_006),
        services: 14,
        promoted: true,
        reason: "it has failed".to_owned(),
        leaving: false,
        unfit: Some("its clock stands still".to_owned()),
        restless: Some(Restless { service: "mail".to_owned(), times: 15 }),
        in_vain: Some(InVain { times: 16, ago: us(2_000_007) }),
        suspect: true,
        unasked: false,
        long_score: None,
        promoted_under: None,
        placement: GroupPlacement::default(),
        asked: None,
    }
}

/// One whose place is configured.
fn placed() -> RunnerSummary {
    let apart = BTreeSet::from([web()]);
    let policy =
        PlacementPolicy::new(apart, Some("db".parse().expect("it is a name")), Some(us(600_000_007)), 16);
    let preference = Preference::new(700).expect("it is in range");
    RunnerSummary { placement: GroupPlacement { preference, policy }, ..runner() }
}

fn hello() -> Hello {
    Hello {
        info: info(),
        heard: vec![17, 18],
        calls: true,
        uptime: us(3_000_008),
        address: Some("10.0.0.1:7777".parse().unwrap()),
        mute: false,
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        info: info(),
        term: Term(20),
        number: 21,
        lease: us(4_000_009),
        record: record(),
        committed: version(22),
        master_address: Some("10.0.0.2:7777".parse().unwrap()),
        address: Some("[fd00::1]:7778".parse().unwrap()),
        other_masters: BTreeMap::new(),
    }
}

fn report() -> Report {
    Report {
        info: info(),
        term: Term(24),
        number: 25,
        acknowledged: Some(26),
        durable: version(27),
        applied: version(29),
        runner: Some(runner()),
        uptime: us(5_000_010),
        address: Some("10.0.0.3:7777".parse().unwrap()),
        heard: Some(31),
        unfit: Some("its disk is full".to_owned()),
        others: BTreeMap::new(),
        picture: None,
    }
}

/// A score beyond 32 bits: who reads only those has the nearest.
fn long_score() -> Report {
    let runner = RunnerSummary { short_score: Some(i32::MAX), long_score: Some(1 << 40), ..runner() };
    Report { runner: Some(runner), ..report() }
}

/// All is promoted, by hooks that were given this epoch.
fn promoted() -> Report {
    Report { runner: Some(RunnerSummary { promoted_under: Some(Epoch(65_545)), ..runner() }), ..report() }
}

/// A record that knows which mastership was promoted in full last, and which was before the one of now.
fn promoted_record() -> Record {
    let previous = PastMastership { node: NodeId(0x1006), epoch: Epoch(65_535) };
    let main = GroupRecord { promoted: Some(Epoch(65_536)), previous: Some(previous), ..record().main };
    Record { main, ..record() }
}

fn roster_entry() -> RosterEntry {
    RosterEntry {
        node: NodeId(0x1007),
        name: "c".to_owned(),
        state: NodeState::Standby,
        promotable: true,
        score: Some(-132),
        address: Some("10.0.0.7".parse().expect("it is an address")),
    }
}

/// A part of what a runner is told of the others.
fn roster() -> RosterPart {
    RosterPart { term: Term(133), picture: 134, part: 1, parts: 2, group: web(), nodes: vec![roster_entry()] }
}

fn web() -> GroupName {
    "web".parse().expect("it is a name")
}

/// A record with another group than `main` (R14).
fn grouped_record() -> Record {
    let group =
        GroupRecord { stopped: BTreeSet::from([NodeId(0x1007)]), manual: false, ..promoted_record().main };
    Record { others: BTreeMap::from([(web(), group)]), needs: 14, ..record() }
}

/// What is said of another group than `main` (R14).
fn grouped() -> Vec<(&'static str, Body)> {
    let verdict = Verdict {
        lease: Some(Lease { epoch: Epoch(65_546), remaining: us(8_000_018), since: None }),
        release: Some(Epoch(65_547)),
        ask: None,
    };
    let address = "192.0.2.9:42004".parse().expect("an address");
    vec![
        (
            "heartbeat-groups",
            Body::Heartbeat(Heartbeat {
                record: grouped_record(),
                other_masters: BTreeMap::from([(web(), address)]),
                ..heartbeat()
            }),
        ),
        ("report-groups", Body::Report(Report { others: BTreeMap::from([(web(), runner())]), ..report() })),
        ("report-placement", Body::Report(Report { runner: Some(placed()), ..report() })),
        (
            "answer-groups",
            Body::Answer(Answer {
                term: Term(37),
                report: 38,
                lease: None,
                release: None,
                record: None,
                others: BTreeMap::from([(web(), verdict)]),
                ask: None,
            }),
        ),
        (
            "farewell-groups",
            Body::Farewell(Farewell { released: None, others: BTreeMap::from([(web(), Epoch(65_548))]) }),
        ),
        ("obituary-groups", Body::Obituary(Obituary { all_down: false, down: BTreeSet::from([web()]) })),
    ]
}

/// A record that names attributes of `main` and of another group (R16).
fn attributed_record() -> Record {
    let written = WriteNumber { epoch: Epoch(65_550), n: 120 };
    let mut record = grouped_record();
    record.main.attributes = Some(AttributesVersion { changed: version(121), written });
    let of_web = AttributesVersion { changed: version(123), written };
    record.others.values_mut().for_each(|group| group.attributes = Some(of_web));
    Record { needs: 16, whole: true, known: 16, ..record }
}

fn attribute(key: &str, value: Option<&str>) -> AttributeChange {
    let value = value.map(|text| text.to_owned().try_into().expect("it is short"));
    AttributeChange { key: key.parse().expect("a key"), value }
}

fn attributes_copy() -> AttributesCopy {
    let mut attributes = Attributes::default();
    for (key, value) in [("sync", "db3"), ("alone", "")] {
        attributes.change(attribute(key, Some(value))).expect("there is room");
    }
    AttributesCopy { changed: version(121), attributes }
}

/// What is said of attributes (R16).
fn attributed() -> Vec<(&'static str, Body)> {
    let lease = Lease { epoch: Epoch(65_551), remaining: us(8_000_019), since: Some(version(125)) };
    let number = WriteNumber { epoch: Epoch(65_552), n: 127 };
    let write = |change| Body::AttributeWrite(AttributeWrite { group: web(), number, change });
    let why = WriteRefusal::NoRoom;
    let asks = Verdict { ask: Some(136), ..Verdict::default() };
    let asking = Answer {
        term: Term(138),
        report: 139,
        lease: None,
        release: None,
        record: None,
        others: BTreeMap::new(),
        ask: None,
    };
    vec![
        ("heartbeat-attributes", Body::Heartbeat(Heartbeat { record: attributed_record(), ..heartbeat() })),
        (
            "answer-attributes",
            Body::Answer(Answer {
                term: Term(128),
                report: 129,
                lease: Some(lease),
                release: None,
                record: None,
                others: BTreeMap::new(),
                ask: None,
            }),
        ),
        ("attributes", Body::Attributes(GroupAttributes { group: web(), copy: attributes_copy() })),
        (
            "attributes-wanted",
            Body::AttributesWanted(AttributesWanted { states: BTreeMap::from([(web(), version(130))]) }),
        ),
        ("attribute-write", write(attribute("sync", Some("db2")))),
        ("attribute-write-removes", write(attribute("sync", None))),
        ("write-refused", Body::WriteRefused(WriteRefused { number, why })),
        ("report-picture", Body::Report(Report { picture: Some(131), ..report() })),
        (
            "answer-ask",
            Body::Answer(Answer { ask: Some(135), others: BTreeMap::from([(web(), asks)]), ..asking }),
        ),
        (
            "report-asked",
            Body::Report(Report { runner: Some(RunnerSummary { asked: Some(137), ..runner() }), ..report() }),
        ),
        ("roster", Body::Roster(roster())),
        (
            "roster-bare",
            Body::Roster(RosterPart {
                nodes: vec![RosterEntry { score: None, address: None, ..roster_entry() }],
                ..roster()
            }),
        ),
    ]
}

fn pre_vote_answer() -> PreVoteAnswer {
    PreVoteAnswer {
        term: Term(40),
        granted: true,
        newest: Term(41),
        wait: us(6_000_011),
        record: Some(record()),
        disk: us(6_000_012),
    }
}

fn vote() -> Vote {
    Vote {
        term: Term(43),
        granted: true,
        newest: Term(44),
        record: record(),
        acknowledged_ago_us: Some(45),
        followed: false,
        wait: us(7_000_013),
    }
}

/// Every kind of message with everything in it, and those kinds that may leave something out without it.
fn bodies() -> Vec<(&'static str, Body)> {
    let founding = BTreeSet::from([NodeId(0x2001), NodeId(0x2002)]);
    let lease = Lease { epoch: Epoch(65_541), remaining: us(8_000_014), since: None };
    let answer = Answer {
        term: Term(33),
        report: 34,
        lease: Some(lease),
        release: Some(Epoch(65_542)),
        record: Some(record()),
        others: BTreeMap::new(),
        ask: None,
    };
    let bare =
        Report { acknowledged: None, runner: None, address: None, heard: None, unfit: None, ..report() };
    let other_run = OtherRun { session: session(50), uptime: us(9_000_015), silent: us(9_000_016) };
    vec![
        ("hello", Body::Hello(hello())),
        (
            "hello-bare",
            Body::Hello(Hello { info: NodeInfo::default(), heard: Vec::new(), address: None, ..hello() }),
        ),
        ("heartbeat", Body::Heartbeat(heartbeat())),
        (
            "heartbeat-bare",
            Body::Heartbeat(Heartbeat {
                record: Record::default(),
                master_address: None,
                address: None,
                ..heartbeat()
            }),
        ),
        ("report", Body::Report(report())),
        ("report-bare", Body::Report(bare)),
        ("report-long-score", Body::Report(long_score())),
        ("report-promoted", Body::Report(promoted())),
        ("heartbeat-promoted", Body::Heartbeat(Heartbeat { record: promoted_record(), ..heartbeat() })),
        ("answer", Body::Answer(answer)),
        (
            "answer-bare",
            Body::Answer(Answer {
                term: Term(35),
                report: 36,
                lease: None,
                release: None,
                record: None,
                others: BTreeMap::new(),
                ask: None,
            }),
        ),
        ("pre-vote", Body::PreVote(PreVote { info: info(), term: Term(38), founding: founding.clone() })),
        ("pre-vote-answer", Body::PreVoteAnswer(pre_vote_answer())),
        ("pre-vote-answer-bare", Body::PreVoteAnswer(PreVoteAnswer { record: None, ..pre_vote_answer() })),
        ("request-vote", Body::RequestVote(RequestVote { info: info(), term: Term(42), founding })),
        ("vote", Body::Vote(vote())),
        ("vote-bare", Body::Vote(Vote { acknowledged_ago_us: None, ..vote() })),
        ("stale-term", Body::StaleTerm(StaleTerm { newest: Term(46) })),
        ("resign", Body::Resign(Resign { term: Term(47) })),
        ("farewell", Body::Farewell(Farewell { released: Some(Epoch(65_543)), ..Farewell::default() })),
        ("farewell-bare", Body::Farewell(Farewell { released: None, ..Farewell::default() })),
        ("obituary", Body::Obituary(Obituary { all_down: true, ..Obituary::default() })),
        ("other-run", Body::OtherRun(other_run)),
    ]
}

fn message(body: Body) -> Message {
    let to = Some(Recipient { node: NodeId(0x3002), session: session(62) });
    Message { from: NodeId(0x3001), session: session(60), seq: 64, to, body }
}

/// Every state, one in each report.
fn states() -> Vec<(String, Message)> {
    let all = [
        NodeState::Failed,
        NodeState::Disconnected,
        NodeState::Stopped,
        NodeState::Live,
        NodeState::Standby,
        NodeState::Master,
        NodeState::Elector,
    ];
    let report = |state| Report { runner: Some(RunnerSummary { state, ..runner() }), ..report() };
    all.into_iter()
        .map(|state| (format!("report-{state:?}").to_lowercase(), message(Body::Report(report(state)))))
        .collect()
}

fn messages() -> Vec<(String, Message)> {
    let all = bodies().into_iter().chain(grouped()).chain(attributed());
    let kinds = all.map(|(name, body)| (name.to_owned(), message(body)));
    let to_all = Message { to: None, ..message(Body::Resign(Resign { term: Term(48) })) };
    kinds.chain(states()).chain([("to-everyone".to_owned(), to_all)]).collect()
}

fn durable() -> Durable {
    Durable {
        term: Term(100),
        vote: Some((NodeId(0x4001), session(101))),
        record: record(),
        applied: Record { version: version(110), change: None, ..record() },
        promised_lease: us(10_000_017),
        origin: StateOrigin::Founder,
        held: Some(Epoch(65_544)),
        followed: Term(112),
        names: BTreeMap::from([(NodeId(0x4002), "db3".to_owned())]),
        mute: Some(session(113)),
        ..Durable::default()
    }
}

fn recorded(file: &str, name: &str, now: &str) -> String {
    as_recorded(file, name, &now.into()).as_str().expect("bytes are recorded as digits").to_owned()
}

/// Written now it is what was recorded, and that is read as what was written.
fn is_as_ever<T>(file: &str, name: &str, value: &T, wrong: &mut Vec<String>)
where
    T: Debug + PartialEq + minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
{
    let now = hex(&minicbor::to_vec(value).unwrap());
    let then = recorded(file, name, &now);
    if now != then {
        wrong.push(format!("{name}: is encoded as\n{now}\nand was as\n{then}"));
    }
    match minicbor::decode::<T>(&from_hex(&then)) {
        Ok(read) if read == *value => {}
        Ok(read) => wrong.push(format!("{name}: was {value:?}\nand is read as {read:?}")),
        Err(error) => wrong.push(format!("{name}: cannot be read any more: {error}")),
    }
}

#[test]
fn datagrams_of_every_kind_are_what_they_were() {
    let mut wrong = Vec::new();
    for (name, message) in messages() {
        is_as_ever("datagrams.json", &name, &message, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_state_on_disk_is_what_it_was() {
    let mut wrong = Vec::new();
    is_as_ever("state-on-disk.json", "durable", &durable(), &mut wrong);
    let grouped = Durable {
        record: grouped_record(),
        applied: grouped_record(),
        held_elsewhere: BTreeMap::from([(web(), Epoch(65_549))]),
        rules: 14,
        ..durable()
    };
    is_as_ever("state-on-disk.json", "durable-groups", &grouped, &mut wrong);
    let mut by_hand = record();
    by_hand.main.master.iter_mut().for_each(|master| master.by_hand = true);
    let by_hand = Durable { record: by_hand.clone(), applied: by_hand, ..durable() };
    is_as_ever("state-on-disk.json", "durable-by-hand", &by_hand, &mut wrong);
    let attributed = Durable {
        record: attributed_record(),
        applied: attributed_record(),
        rules: 16,
        attributes: BTreeMap::from([(web(), vec![attributes_copy()])]),
        ..durable()
    };
    is_as_ever("state-on-disk.json", "durable-attributes", &attributed, &mut wrong);
    is_as_ever("state-on-disk.json", "durable-new", &Durable::default(), &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With a key of 32 bytes, and with a password as classic koi has it.
#[test]
fn a_sealed_datagram_of_then_is_opened_and_its_header_is_what_it_was() {
    const HEADER_BYTES: usize = 16;
    let keys = [
        ("key", Key::new([9; 32])),
        ("password", Key::from_password("correct horse battery staple", CLUSTER).unwrap()),
    ];
    for (name, key) in keys {
        let sealer = Sealer::new(CLUSTER, &Keyring::single(key));
        let message = message(Body::Resign(Resign { term: Term(47) }));
        let now = sealer.seal(&message).unwrap();
        let then = from_hex(&recorded("sealed.json", &format!("with-{name}"), &hex(&now)));
        assert_eq!(sealer.open(&then), Ok(Opened::Message(Box::new(message))), "{name}");
        assert_eq!(now[..HEADER_BYTES], then[..HEADER_BYTES], "{name}");
        assert_eq!(now.len(), then.len(), "{name}");
    }
}
