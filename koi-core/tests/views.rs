//! What people are told: what is waited for, and what is wrong.

use koi_core::io::{Command, Observed};
use koi_core::message::Body;
use koi_core::reason::{CandidateObstacle, WaitReason};
use koi_core::settings::Electors;
use koi_core::types::{Hook, NodeState};
use koi_core::view::Waiting;
use koi_sim::scripted::{Cluster, fails, ms, saw, service, settings};

fn warns(cluster: &Cluster, m: usize, what: &str) -> bool {
    cluster.view(m).warnings.iter().any(|w| w.contains(what))
}

fn advises(cluster: &Cluster, m: usize, what: &str) -> bool {
    cluster.view(m).advice.iter().any(|a| a.contains(what))
}

fn waits(cluster: &Cluster, m: usize) -> Waiting {
    cluster.view(m).waiting.first().cloned().expect("it waits for something")
}

#[test]
fn a_healthy_cluster_says_so_and_waits_for_nothing() {
    let cluster = Cluster::with_master(3);
    let view = cluster.view(cluster.leader().expect("someone leads"));
    assert!(view.healthy, "{view:?}");
    assert_eq!((view.waiting.len(), view.warnings.len(), view.electors_seen), (0, 0, 3));
}

#[test]
fn without_quorum_it_says_how_many_are_needed() {
    let mut cluster = Cluster::with_master(3);
    cluster.lose_power(1);
    cluster.lose_power(2);
    cluster.run(3000);
    let reason = waits(&cluster, 0).reason;
    assert_eq!(reason, WaitReason::NoQuorum { seen: 1, configured: 3, needed: 2 });
    assert!(!cluster.view(0).healthy);
}

#[test]
fn a_takeover_says_for_whom_it_waits_and_how_long() {
    let (mut cluster, leader, other) = Cluster::apart(3);
    cluster.lose_power(other);
    cluster.run(700);
    let (first, name) = (waits(&cluster, leader), cluster.name(other));
    assert_eq!(first.reason, WaitReason::MasterSilent { node: name });
    cluster.run(300);
    let second = waits(&cluster, leader);
    assert_eq!(first.remaining.map(|r| r - ms(300)), second.remaining);
}

#[test]
fn manual_mode_and_maintenance_say_how_to_leave_them() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    cluster.order(Command::Demote);
    cluster.run(1000);
    assert_eq!(waits(&cluster, leader).reason, WaitReason::DemotedByHand);
    cluster.order(Command::Maintenance(true));
    assert_eq!(waits(&cluster, leader).reason, WaitReason::Maintenance);
}

#[test]
fn a_starting_cluster_says_who_is_missing() {
    let mut cluster = Cluster::with_master(3);
    (0..3).for_each(|m| cluster.shut_down(m));
    cluster.run(1000);
    cluster.start(0);
    cluster.start(1);
    cluster.run(2000);
    let leader = cluster.leader().expect("someone leads");
    let waiting = waits(&cluster, leader);
    assert_eq!(waiting.reason, WaitReason::StartElectorsMissing { missing: 1, electors: 3 });
    assert!(waiting.remaining.is_some_and(|r| r <= ms(5000)));
}

#[test]
fn a_target_that_is_not_promotable_yet_is_waited_for() {
    let mut cluster = Cluster::with_master(3);
    let other = cluster.standby();
    cluster.ending(other, "web", Hook::Status, saw(Observed::Live));
    cluster.run(10_500);
    cluster.promote(&cluster.name(other)).expect("it is wanted");
    cluster.run(500);
    let leader = cluster.leader().expect("someone leads");
    let node = cluster.name(other);
    assert_eq!(waits(&cluster, leader).reason, WaitReason::TargetNotPromotable { node });
    assert!(cluster.master().is_some(), "meanwhile things stay as they are");
}

#[test]
fn no_candidate_says_how_each_runner_is() {
    let mut cluster = Cluster::off(3);
    (0..3).for_each(|m| cluster.ending(m, "web", Hook::Status, saw(Observed::Live)));
    cluster.start_all();
    cluster.run(8000);
    let leader = cluster.leader().expect("someone leads");
    let live = |name: &str| CandidateObstacle::State { node: name.to_owned(), state: NodeState::Live };
    let obstacles = vec![live("a"), live("b"), live("c")];
    assert_eq!(waits(&cluster, leader).reason, WaitReason::NoCandidate { obstacles });
}

#[test]
fn quorum_off_is_told_by_everyone() {
    let mut cluster = Cluster::off(2);
    for machine in &mut cluster.machines {
        (machine.settings.electors, machine.settings.quorum) = (Electors::Unknown, 0);
    }
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    assert!((0..2).all(|m| advises(&cluster, m, "split brain")));
    assert!(advises(&cluster, 0, "cluster.electors is not set"));
    cluster.run(500);
    let leader = cluster.leader().expect("someone leads");
    assert!(cluster.view(leader).healthy, "it was chosen so: {:?}", cluster.view(leader).concerns);
}

#[test]
fn a_majority_of_two_is_told() {
    let cluster = Cluster::with_master(2);
    assert!((0..2).all(|m| advises(&cluster, m, "two electors need each other")));
}

#[test]
fn a_node_that_is_configured_to_vote_and_is_no_member_is_named() {
    let mut cluster = Cluster::with_master(3);
    cluster.add(50, settings("extra", 3), &[service("web")]);
    cluster.start(3);
    cluster.run(3000);
    let leader = cluster.leader().expect("someone leads");
    assert!(
        warns(&cluster, leader, "is no elector of this cluster: koi electors add extra"),
        "{:?}",
        cluster.view(leader).warnings
    );
    assert_eq!(cluster.record().members.len(), 3);
    assert_eq!(cluster.node_state(3), koi_core::types::NodeState::Standby, "it runs services all the same");
}

#[test]
fn settings_that_disagree_are_named_until_they_agree() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let other = (leader + 1) % 3;
    let good = cluster.machines[other].settings.clone();
    let mut bad = good.clone();
    bad.master_lease = ms(1500);
    cluster.input(other, koi_core::io::Input::Configure(Box::new(bad)));
    cluster.run(500);
    let both =
        format!("{} and {} disagree on timing.master_lease", cluster.name(leader), cluster.name(other));
    assert!(warns(&cluster, leader, &both), "{:?}", cluster.view(leader).warnings);
    cluster.input(other, koi_core::io::Input::Configure(Box::new(good)));
    cluster.run(500);
    assert!(!warns(&cluster, leader, "disagree"));
}

#[test]
fn two_nodes_with_the_same_name_are_named() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.shut_down(other);
    cluster.run(500);
    cluster.machines[other].settings.name = cluster.name(one);
    cluster.start(other);
    cluster.run(2000);
    let twice = format!("two nodes are called {}", cluster.name(one));
    assert!(warns(&cluster, leader, &twice), "{:?}", cluster.view(leader).warnings);
}

#[test]
fn a_report_that_was_overtaken_changes_nothing() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let master = cluster.master().expect("someone is master");
    let other = (0..3).find(|m| *m != leader && *m != master).unwrap_or((leader + 1) % 3);
    let late =
        cluster.sent().iter().rev().find(|(from, m)| *from == other && matches!(m.body, Body::Report(_)));
    let late = late.map(|(_, message)| message.clone()).expect("it has reported");
    cluster.ending(other, "web", Hook::Status, fails());
    let id = cluster.id(other);
    let state = |c: &Cluster| c.view(leader).nodes.iter().find(|n| n.id == id).map(|n| n.state);
    cluster.run_until(11_000, "it fails", |c| state(c) == Some(NodeState::Failed));
    cluster.deliver_later(leader, late, 0);
    cluster.run(1);
    assert_eq!(state(&cluster), Some(NodeState::Failed), "what it said before says nothing of now");
}
