//! What hooks are told of the other nodes of their group.

use koi_core::group::GroupName;
use koi_core::io::Observed;
use koi_core::roster::RosterEntry;
use koi_core::types::{Hook, NodeState};
use koi_sim::scripted::{Cluster, saw, scores, service};

/// The others that run `main`, by a machine's knowledge; none: it knows nothing of them.
fn peers(cluster: &Cluster, m: usize) -> Option<Vec<RosterEntry>> {
    let core = cluster.machines[m].core.as_ref().expect("its daemon runs");
    core.roster(&GroupName::MAIN)
}

/// What it knows of one of them.
fn peer(cluster: &Cluster, m: usize, of: usize) -> RosterEntry {
    let id = cluster.id(of);
    let all = peers(cluster, m).unwrap_or_default();
    all.iter().find(|entry| entry.node == id).cloned().unwrap_or_else(|| panic!("{of} is not in {all:?}"))
}

fn states(cluster: &Cluster, m: usize) -> Vec<(String, NodeState, bool)> {
    let all = peers(cluster, m).unwrap_or_default();
    all.into_iter().map(|entry| (entry.name, entry.state, entry.promotable)).collect()
}

#[test]
fn every_runner_is_told_who_the_others_are_and_how() {
    let (mut cluster, _, master) = Cluster::apart(3);
    cluster.run(300);
    for m in 0..3 {
        let others: Vec<usize> = (0..3).filter(|other| *other != m).collect();
        let expected: Vec<_> = others
            .iter()
            .map(|other| match *other == master {
                true => (cluster.name(*other), NodeState::Master, true),
                false => (cluster.name(*other), NodeState::Standby, true),
            })
            .collect();
        assert_eq!(states(&cluster, m), expected, "what {m} knows");
    }
}

#[test]
fn hooks_are_handed_what_the_node_knows() {
    let (mut cluster, _, master) = Cluster::apart(3);
    cluster.run(300);
    let next = cluster.standby();
    cluster.promote(&cluster.name(next)).expect("it is done");
    cluster.run_until(2000, "the new master", |c| c.master() == Some(next));
    let calls = &cluster.seen(next).calls;
    let promote = calls.iter().rev().find(|call| call.hook == Hook::Promote).expect("it was promoted");
    let told = promote.peers.as_ref().expect("the leader has told it");
    let mut names: Vec<_> = told.iter().map(|entry| entry.name.clone()).collect();
    names.sort();
    let mut others: Vec<_> = (0..3).filter(|m| *m != next).map(|m| cluster.name(m)).collect();
    others.sort();
    assert_eq!(names, others);
    assert!(told.iter().any(|entry| entry.node == cluster.id(master)));
}

#[test]
fn scores_and_what_keeps_a_node_from_being_promoted_are_told() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.ending(third, "web", Hook::Status, scores(-7));
    cluster.run_until(15_000, "the score", |c| peer(c, master, third).score == Some(-7));
    cluster.ending(third, "web", Hook::Status, saw(Observed::Live));
    cluster.run_until(15_000, "it synchronises", |c| peer(c, master, third).state == NodeState::Live);
    assert!(!peer(&cluster, master, third).promotable);
}

#[test]
fn who_is_silent_is_told_as_disconnected_and_comes_back() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.run(300);
    cluster.lose_power(third);
    cluster.run_until(3000, "it is gone", |c| peer(c, master, third).state == NodeState::Disconnected);
    let gone = peer(&cluster, master, third);
    assert!(!gone.promotable && gone.score.is_none(), "{gone:?}");
    cluster.start(third);
    cluster.run_until(5000, "it is back", |c| peer(c, master, third).state == NodeState::Standby);
}

#[test]
fn a_new_leader_lets_nobody_disappear_before_it_knows_everyone() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.run(300);
    cluster.lose_power(leader);
    let end = cluster.now + 5_000_000;
    while cluster.now < end {
        cluster.run(10);
        let known = peers(&cluster, master).map(|all| all.iter().any(|e| e.node == cluster.id(third)));
        assert_ne!(known, Some(false), "the other was forgotten for a moment");
    }
    assert_eq!(peer(&cluster, master, third).state, NodeState::Standby);
}

#[test]
fn without_a_leader_nothing_is_said_of_others() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.run(300);
    assert!(peers(&cluster, third).is_some());
    cluster.lose_power(leader);
    cluster.lose_power(master);
    cluster.run_until(10_000, "it knows nothing any more", |c| peers(c, third).is_none());
}

#[test]
fn each_group_has_its_own() {
    let web: GroupName = "web".parse().expect("it is a name");
    let mut cluster = Cluster::off(3);
    for m in 0..3 {
        cluster.folder(m, &[service("db")]);
    }
    for m in 0..2 {
        cluster.machines[m].settings.groups.insert(web.clone());
        cluster.group_folder(m, &web, &[service("nginx")]);
    }
    cluster.start_all();
    cluster.run_until(10_000, "all is well", |c| c.is_well());
    cluster.run(1000);
    let of = |m: usize, group: &GroupName| {
        let core = cluster.machines[m].core.as_ref().expect("its daemon runs");
        core.roster(group).map(|all| all.len())
    };
    assert_eq!((of(0, &GroupName::MAIN), of(0, &web)), (Some(2), Some(1)));
    assert_eq!((of(2, &GroupName::MAIN), of(2, &web)), (Some(2), None));
}

#[test]
fn what_is_told_is_told_once() {
    let (mut cluster, ..) = Cluster::apart(3);
    cluster.run(2000);
    let told = |c: &Cluster| {
        let is_roster =
            |message: &koi_core::message::Message| matches!(message.body, koi_core::message::Body::Roster(_));
        c.sent().iter().filter(|(_, message)| is_roster(message)).count()
    };
    let before = told(&cluster);
    cluster.run(5000);
    assert_eq!(told(&cluster), before, "nothing has changed");
}
