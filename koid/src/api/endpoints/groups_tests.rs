use std::collections::BTreeMap;
use std::time::Duration;

use koi_core::io::HandlerInstance;
use koi_core::reason::WaitReason;
use koi_core::record::{GroupRecord, MasterEntry};
use koi_core::types::{Epoch, NodeId, ServiceState, Session};
use koi_core::view::GroupRunnerView;

use super::super::view::tests::{settings, view};
use super::super::view::{failures, local, status};
use super::*;

fn web() -> GroupName {
    "web".parse().unwrap()
}

/// As `view`, with a second group: `a` is its master.
fn two_groups() -> View {
    let mut view = view();
    let session = Session { count: 1, random: 2 };
    let master = MasterEntry {
        node: NodeId(1),
        session,
        epoch: Epoch(196_608),
        hold: Duration::from_secs(2),
        in_maintenance: false,
        unclean: false,
        name: "a".into(),
        by_hand: false,
    };
    view.record
        .others
        .insert(web(), GroupRecord { master: Some(master), manual: true, ..GroupRecord::default() });
    view.record.last_epoch = Epoch(196_700);
    let mut nginx = view.services[0].clone();
    (nginx.name, nginx.state) = ("nginx".into(), ServiceState::Promoted);
    nginx.instance = HandlerInstance(2);
    let own = GroupRunnerView {
        services: vec![nginx],
        lease: Some(Duration::from_millis(700)),
        holds: Some(Epoch(196_608)),
        ..GroupRunnerView::default()
    };
    view.groups = vec![GroupView {
        name: web(),
        takeover: Some(NodeId(2)),
        waiting: vec![WaitReason::DemotedByHand.into()],
        states: BTreeMap::from([(NodeId(1), NodeState::Master), (NodeId(2), NodeState::Failed)]),
        reasons: BTreeMap::from([(NodeId(2), "nginx: start failed; it waits for `koi recover`".into())]),
        own: Some(own),
    }];
    view
}

#[test]
fn each_group_has_its_own_master_and_the_cluster_has_that_of_main() {
    let status = status(&two_groups(), 13, &settings());
    assert_eq!((status.cluster.master.as_deref(), status.cluster.epoch), (Some("b"), 196_609));
    let [main, web] = &status.groups[..] else { panic!("two groups: {:?}", status.groups) };
    assert_eq!((main.name.as_str(), main.master.as_deref(), main.epoch), ("main", Some("b"), 196_609));
    assert_eq!((web.name.as_str(), web.master.as_deref(), web.epoch), ("web", Some("a"), 196_608));
    assert_eq!((main.manual, web.manual, web.takeover.as_deref()), (false, true, Some("b")));
    assert_eq!(web.waiting[0].hint, "koi promote --group web NODE, or koi elect --group web");
}

#[test]
fn a_node_is_something_else_in_each_group_and_each_service_names_its_own() {
    let status = status(&two_groups(), 13, &settings());
    let [a, b] = &status.nodes[..] else { panic!("two nodes: {:?}", status.nodes) };
    let states = |node: &api::NodeStatus| -> Vec<String> {
        node.groups.iter().map(|of| format!("{} {}", of.name, of.state)).collect()
    };
    assert_eq!(states(a), ["main Standby", "web Master"]);
    assert_eq!(states(b), ["main Master", "web Failed"]);
    assert!(b.groups[1].message.ends_with("it waits for `koi recover --group web`"), "{:?}", b.groups[1]);
    let services: Vec<(&str, &str)> =
        a.services.iter().flatten().map(|s| (s.name.as_str(), s.group.as_str())).collect();
    assert_eq!(services, [("vip", "main"), ("nginx", "web")]);
    let local = local(&two_groups(), 42012, 0, BTreeMap::new());
    assert_eq!((local.epoch, local.node.groups[1].epoch), (None, Some(196_608)));
    assert_eq!(local.node.groups[1].lease_ms, Some(700));
}

#[test]
fn where_there_is_one_group_no_sentence_names_it() {
    let view = view();
    let status = status(&view, 13, &settings());
    assert_eq!(status.groups.len(), 1);
    let text = "b is demoted, until `koi start b`";
    assert_eq!(about(&view, &GroupName::MAIN, text), text);
    assert_eq!(
        about(&two_groups(), &GroupName::MAIN, text),
        "group main: b is demoted, until `koi start --group main b`"
    );
    assert_eq!(
        epoch(
            &View {
                record: koi_core::record::Record { last_epoch: Epoch(7), ..view.record.clone() },
                ..view
            },
            &GroupName::MAIN
        ),
        7
    );
}

#[test]
fn what_is_asked_of_a_group_that_is_not_there_is_refused_with_those_that_are() {
    let view = two_groups();
    assert_eq!(known(&view, "web").unwrap(), api::Group::from(&web()));
    for wrong in ["mail", "", "../web"] {
        let refusal = known(&view, wrong).unwrap_err();
        assert_eq!((refusal.code, refusal.hint.as_str()), (ErrorCode::NotFound, "the groups are main, web"));
    }
    assert_eq!(named("a b").unwrap_err().code, ErrorCode::BadRequest);
}

#[test]
fn failures_are_of_one_group_or_of_all() {
    let mut view = two_groups();
    let mut other = view.failures[0].clone();
    other.group = web();
    view.failures.push(other);
    let count = |group: Option<&api::Group>| failures(&view, group).failures.len();
    assert_eq!((count(None), count(Some(&api::Group::from(&web())))), (2, 1));
}
