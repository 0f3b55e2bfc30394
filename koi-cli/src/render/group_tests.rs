//! What people see of a cluster with several groups.

use insta::assert_snapshot;
use koi_proto::api::{
    Failures, Group, GroupOnNode, GroupStatus, Local, NodeStatus, ServiceStatus, Status, WaitReason, Waiting,
};

use super::cluster::{failures, local, node, promoted, tree};
use super::tests::{PLAIN, failure, fits, healthy, seen, service};
use crate::commands::cluster::promotion::{Promoted, Times};

fn web() -> Group {
    "web".parse().unwrap()
}

fn on_node(name: Group, state: &str) -> GroupOnNode {
    GroupOnNode { name, state: state.into(), ..GroupOnNode::default() }
}

/// A node runs `web`, too.
fn runs_web(node: &mut NodeStatus, state: &str, of_service: &str) {
    node.groups = vec![on_node(Group::default(), node.state.as_str()), on_node(web(), state)];
    let nginx = ServiceStatus { group: web(), ..service(10, "nginx", of_service) };
    node.services.as_mut().unwrap().push(nginx);
}

/// `b` is master of `main`, `c` of `web`; `a` runs `main` alone.
fn two_groups() -> Status {
    let mut status = healthy();
    let main = GroupStatus { master: Some("b".into()), epoch: 65_537, ..GroupStatus::default() };
    let second =
        GroupStatus { name: web(), master: Some("c".into()), epoch: 65_538, ..GroupStatus::default() };
    status.groups = vec![main, second];
    status.nodes[0].groups = vec![on_node(Group::default(), "Standby")];
    runs_web(&mut status.nodes[1], "Standby", "Started");
    runs_web(&mut status.nodes[2], "Master", "Promoted");
    status
}

#[test]
fn all_groups_are_well() {
    assert_snapshot!(seen(&two_groups()));
}

#[test]
fn one_group_waits_for_its_master_to_be_surely_down() {
    let mut status = two_groups();
    status.cluster.healthy = false;
    status.groups[1].master = None;
    status.groups[1].waiting = vec![Waiting {
        what: "c may still be promoted: it is lost, and its lease and grace are not over.".into(),
        node: Some("c".into()),
        remaining_ms: Some(1_430),
        rule: Some("R6".into()),
        hint: "koi confirm-down c, if it is certain that c is off".into(),
        reason: Some(WaitReason::MasterSilent),
    }];
    let c = &mut status.nodes[2];
    (c.state, c.services) = ("Disconnected".into(), None);
    c.groups.iter_mut().for_each(|of| of.state = "Disconnected".into());
    assert_snapshot!(seen(&status));
}

#[test]
fn one_group_is_in_manual_mode_and_one_is_to_move() {
    let mut status = two_groups();
    status.cluster.healthy = false;
    status.cluster.target = Some("c".into());
    status.groups[0].target = Some("c".into());
    (status.groups[1].manual, status.groups[1].master) = (true, None);
    status.nodes[2].groups[1].state = "Standby".into();
    status.nodes[2].services.as_mut().unwrap()[3].state = "Started".into();
    status.nodes[1].groups[1].stopped = true;
    assert_snapshot!(seen(&status));
}

/// `nginx` has failed on b, which is master of `main` all the same.
fn failed_in_web() -> Status {
    let mut status = two_groups();
    status.cluster.healthy = false;
    let b = &mut status.nodes[1];
    b.groups[1] = GroupOnNode {
        message: "nginx: start failed: exit 1: address in use".into(),
        recovers_in_ms: Some(8_200),
        ..on_node(web(), "Failed")
    };
    let nginx = b.services.as_mut().unwrap().last_mut().unwrap();
    (nginx.state, nginx.failed, nginx.message) =
        ("Failed".into(), true, Some("exit 1: address in use".into()));
    status
}

#[test]
fn a_node_has_failed_in_one_group_and_is_master_of_another() {
    assert_snapshot!(seen(&failed_in_web()));
}

#[test]
fn a_node_that_runs_several_groups() {
    let mut status = failed_in_web();
    assert_snapshot!(fits(node::node(&status.nodes[1], &PLAIN)));
    assert_snapshot!("several_groups_in_the_tree", fits(tree::tree(&status, &PLAIN)));
    let mut own = std::mem::take(&mut status.nodes[2]);
    (own.groups[1].epoch, own.groups[1].lease_ms) = (Some(65_538), Some(870));
    let own = Local { node: own, ..Local::default() };
    assert_snapshot!("several_groups_on_the_node_itself", fits(local::local(&own, &PLAIN)));
}

#[test]
fn without_a_leader_masters_are_what_one_node_takes_for_them() {
    let mut status = two_groups();
    (status.cluster.leader, status.cluster.healthy, status.cluster.electors_seen) = (None, false, 1);
    assert_snapshot!(seen(&status));
}

#[test]
fn failures_and_promotions_name_their_group() {
    let mut list = vec![failure("a", "db", 7_300_000), failure("c", "nginx", 1_800)];
    list[1].group = web();
    let times = Times::default();
    let promoted = Promoted { node: "c".into(), group: web(), epoch: 7, from: None, already: true, times };
    assert_snapshot!(fits(
        failures::failures(&Failures { failures: list }, &PLAIN) + &promoted::promoted(&promoted, &PLAIN)
    ));
}
