use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use koi_core::io::HandlerInstance;
use koi_core::record::{GroupRecord, MasterEntry, Record, StateOrigin};
use koi_core::settings::Electors;
use koi_core::types::{Epoch, Hook, NodeState, ServiceState, Session, Term, Version};
use koi_core::view::Action;

use super::*;

/// `a` leads; `b` is master and has failed once.
pub(crate) fn view() -> View {
    let session = Session { count: 1, random: 2 };
    View {
        id: NodeId(1),
        session,
        term: Term(3),
        origin: StateOrigin::Member,
        leader: Some(NodeId(1)),
        acting: true,
        record: Record {
            version: Version { term: Term(3), n: 4 },
            main: GroupRecord {
                master: Some(MasterEntry {
                    node: NodeId(2),
                    session,
                    epoch: Epoch(196_609),
                    hold: Duration::from_secs(2),
                    in_maintenance: false,
                    unclean: false,
                    name: "b".into(),
                    by_hand: false,
                }),
                target: Some(NodeId(9)),
                ..GroupRecord::default()
            },
            last_epoch: Epoch(196_609),
            ..Record::default()
        },
        quorum: 2,
        electors_known: 3,
        electors: Vec::new(),
        electors_seen: 2,
        nodes: vec![node_view(1, "a", NodeState::Standby), node_view(2, "b", NodeState::Master)],
        services: vec![ServiceView {
            name: "vip".into(),
            priority: Some(10),
            handler: "shell".into(),
            instance: HandlerInstance(1),
            down: false,
            maybe_promoted: false,
            state: ServiceState::Started,
            hook: Some((Hook::Status, Duration::from_millis(7))),
            failed: false,
            critical: true,
            disabled: false,
            promotable: true,
            score: Some(5),
            message: None,
        }],
        groups: vec![],
        concerns: vec![],
        warnings: vec![],
        advice: vec![],
        takeover: None,
        waiting: vec![],
        lease: None,
        holds: None,
        action: Some(Action::Start),
        reason: String::new(),
        recovers_in: None,
        slowest_demote: None,
        failures: vec![FailureView {
            node: "b".into(),
            group: GroupName::MAIN,
            message: "vip: start failed".into(),
            service: "vip".into(),
            hook: "start".into(),
            ago: Duration::from_secs(9),
        }],
        healthy: true,
    }
}

fn node_view(id: u128, name: &str, state: NodeState) -> NodeView {
    NodeView {
        id: NodeId(id),
        name: name.into(),
        version: "0.1.0".into(),
        elector: true,
        runner: true,
        state,
        address: (id != 1).then(|| ([127, 0, 0, 1], 42012).into()),
        seen: Duration::from_millis(40),
        uptime: Duration::from_secs(60),
        stopped: false,
        maintenance: false,
        unclean: false,
        deaf: false,
        reason: String::new(),
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        name: "a".into(),
        version: "0.1.0".into(),
        elector: true,
        runner: true,
        priority: 0,
        maintenance: false,
        electors: Electors::Count(3),
        quorum: 2,
        heartbeat: Duration::from_millis(100),
        leader_lease: Duration::from_millis(500),
        master_lease: Duration::from_secs(1),
        demote_grace: Duration::from_secs(1),
        initial_promotion_delay: Duration::from_secs(5),
        failure_promotion_timeout: Duration::from_secs(60),
        auto_recover: 120,
        auto_recover_time: Duration::from_secs(10),
        auto_recover_wait_factor: 1,
        failcount_reset: Duration::from_secs(1800),
        block_on_stop_failure: true,
        max_parallel: 64,
        fenced: false,
        arms: false,
        groups: BTreeSet::new(),
        placement: BTreeMap::new(),
        fences: BTreeMap::new(),
    }
}

#[test]
fn the_leader_tells_of_everyone_and_of_its_own_services() {
    let status = status(&view(), 13, &settings());
    let cluster = &status.cluster;
    assert_eq!((cluster.id, cluster.quorum, cluster.electors, cluster.electors_seen), (13, 2, 3, 2));
    assert_eq!((cluster.leader.as_deref(), cluster.master.as_deref()), (Some("a"), Some("b")));
    assert_eq!(
        cluster.target.as_deref(),
        Some("00000000-0000-0000-0000-000000000009"),
        "not heard from: its UUID"
    );
    assert_eq!((cluster.epoch, cluster.term, cluster.record.as_str()), (196_609, 3, "3.4"));

    let [a, b] = &status.nodes[..] else { panic!("two nodes: {:?}", status.nodes) };
    assert!(a.leader && !b.leader);
    assert_eq!((a.state.as_str(), b.state.as_str()), ("Standby", "Master"));
    assert_eq!(b.address.as_deref(), Some("127.0.0.1:42012"));
    assert_eq!(b.last_failure.as_ref().map(|f| (f.hook.as_str(), f.ago_ms)), Some(("start", 9000)));
    assert_eq!(b.services, None, "to be asked of b");
    assert_eq!((&a.action, &b.action), (&Some(api::NodeAction::Start), &None));
    let vip = &a.services.as_ref().unwrap()[0];
    assert_eq!((vip.state.as_str(), &vip.hook, vip.hook_ms), ("Started", &Some(api::Hook::Status), Some(7)));
}

#[test]
fn a_leader_whose_lease_ran_out_is_no_leader() {
    let mut view = view();
    view.acting = false;
    let status = status(&view, 13, &settings());
    assert_eq!(status.cluster.leader, None);
    assert!(status.nodes.iter().all(|n| !n.leader));
}

#[test]
fn a_node_is_found_by_name_and_by_uuid() {
    let view = view();
    assert_eq!(find(&view, "b").map(|n| n.id), Some(NodeId(2)));
    assert_eq!(find(&view, &NodeId(2).to_string()).map(|n| n.name.as_str()), Some("b"));
    assert!(find(&view, "c").is_none());
}

#[test]
fn local_says_what_only_the_node_itself_knows() {
    let mut view = view();
    (view.leader, view.lease, view.holds) =
        (Some(NodeId(2)), Some(Duration::from_millis(900)), Some(Epoch(7)));
    let local = local(&view, 42012, 1_700_000_000, [("unknown-key".to_owned(), 3)].into());
    assert_eq!((local.node.name.as_str(), local.nodes, local.standing.as_str()), ("a", 2, "member"));
    assert_eq!(
        (local.leader.as_deref(), local.leader_address.as_deref()),
        (Some("b"), Some("127.0.0.1:42012"))
    );
    assert_eq!((local.lease_ms, local.epoch, local.dropped["unknown-key"]), (Some(900), Some(7), 3));
}

#[test]
fn nothing_is_well_where_koid_itself_warns() {
    let view = View { healthy: true, ..view() };
    let mut status = status(&view, 13, &settings());
    warn(&mut status, []);
    assert!(status.cluster.healthy);
    warn(&mut status, ["db on b goes on as it was until it is stopped: its plugin is gone".to_owned()]);
    assert!(!status.cluster.healthy);
    assert_eq!(status.cluster.warnings.len(), 1);
}

#[test]
fn a_wait_has_a_sentence_for_people_and_a_word_for_programs() {
    let silent = koi_core::reason::WaitReason::MasterSilent { node: "b".into() };
    let view =
        View { waiting: vec![Waiting { reason: silent, remaining: Some(Duration::from_secs(1)) }], ..view() };
    let waiting = &status(&view, 13, &settings()).cluster.waiting[0];
    assert_eq!(waiting.reason, Some(api::WaitReason::MasterSilent));
    assert_eq!((waiting.node.as_deref(), waiting.rule.as_deref()), (Some("b"), Some("R6")));
    assert!(waiting.what.starts_with("b is silent"), "{}", waiting.what);
}
