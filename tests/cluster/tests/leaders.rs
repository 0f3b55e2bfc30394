//! Daemons that die without a word.

use koi_cluster_tests::{Cluster, Service};
use koi_proto::api::Status;

fn three() -> Cluster {
    Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start()
}

#[test]
fn the_loss_of_a_leader_touches_no_healthy_master() {
    let cluster = three();
    let (leader, master) = cluster.part_leader_and_master();
    let epoch = cluster.wait_well().cluster.epoch;
    let before = cluster.hooks().count();

    cluster.node(&leader).kill();
    let next = cluster.wait_other_leader(&leader);
    cluster.assert_undisturbed(&master, before);
    let lost = |s: &Status| s.nodes.iter().any(|n| n.name == leader && n.state == "Disconnected");
    let seen = cluster.wait_status("the loss is said", lost).cluster;
    assert_eq!((seen.epoch, seen.healthy), (epoch, false));

    cluster.node(&leader).start();
    let seen = cluster.wait_well().cluster;
    assert_eq!((seen.master, seen.epoch), (Some(master.clone()), epoch));
    assert_eq!(seen.leader, Some(next), "who comes back displaces nobody");
    cluster.assert_undisturbed(&master, before);
}

#[test]
fn a_killed_master_is_followed_by_another_and_displaces_nobody_when_it_comes_back() {
    let cluster = three();
    let (leader, first) = cluster.part_leader_and_master();
    let epoch = cluster.wait_well().cluster.epoch;
    let before = cluster.hooks().count();

    cluster.node(&first).kill();
    let second = cluster.wait_other_master(&first);
    let is_master = |s: &Status| s.cluster.master.as_ref() == Some(&second);
    let seen = cluster.wait_status("the other is master", is_master).cluster;
    assert!(seen.epoch > epoch, "a new mastership has a greater epoch");
    assert_eq!(seen.leader, Some(leader), "the leader was not concerned");

    cluster.node(&first).start();
    assert_eq!(cluster.wait_healthy(), second);
    let since = cluster.hooks().since(before);
    cluster.hooks().assert_only(&second);
    let came_back = since.of(&first);
    let down = came_back.iter().position(|h| h == "vip:stop");
    let up = came_back.iter().position(|h| h == "vip:start");
    assert!(down.is_some() && down < up, "what the killed run left is taken down first: {came_back:?}");
    assert!(!came_back.contains(&"vip:promote".to_owned()), "{came_back:?}");
}

#[test]
fn leader_and_master_in_one_are_lost_together() {
    let cluster = three();
    let both = cluster.unite_leader_and_master();
    cluster.node(&both).kill();
    let next = cluster.wait_other_master(&both);
    cluster.node(&both).start();
    assert_eq!(cluster.wait_healthy(), next);
    cluster.hooks().assert_only(&next);
}
