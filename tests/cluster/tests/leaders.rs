//! Daemons that die without a word.

use koi_cluster_tests::{Cluster, Service};

fn three() -> Cluster {
    Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start()
}

#[test]
fn the_loss_of_a_leader_touches_no_healthy_master() {
    let cluster = three();
    let (leader, master) = cluster.part_leader_and_master();
    let epoch = cluster.status().unwrap().cluster.epoch;
    let before = cluster.hooks().count();

    cluster.node(&leader).kill();
    let next = cluster.wait_some("another leader", |c| c.leader().filter(|l| *l != leader));
    assert_eq!(cluster.master().as_deref(), Some(master.as_str()));
    assert_eq!(cluster.status().unwrap().cluster.epoch, epoch);
    cluster.wait_for("the loss is said", |c| c.status_of(&leader).is_some_and(|n| n.state == "Disconnected"));
    assert!(!cluster.status().unwrap().cluster.healthy);

    cluster.node(&leader).start();
    assert_eq!(cluster.wait_healthy(), master);
    let status = cluster.status().unwrap();
    assert_eq!(status.cluster.leader, Some(next), "who comes back displaces nobody");
    assert_eq!(status.cluster.epoch, epoch);
    let since = cluster.hooks().since(before);
    assert!(since.of(&master).is_empty(), "no hook ran on the master:\n{since}");
    assert!(since.0.iter().all(|e| e.hook != "promote"), "nobody was promoted:\n{since}");
}

#[test]
fn a_killed_master_is_followed_by_another_and_displaces_nobody_when_it_comes_back() {
    let cluster = three();
    let (leader, first) = cluster.part_leader_and_master();
    let epoch = cluster.status().unwrap().cluster.epoch;
    let before = cluster.hooks().count();

    cluster.node(&first).kill();
    let second = cluster.wait_some("another master", |c| c.master().filter(|m| *m != first));
    let status = cluster.status().unwrap();
    assert!(status.cluster.epoch > epoch, "a new mastership has a greater epoch");
    assert_eq!(status.cluster.leader, Some(leader), "the leader was not concerned");

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
    let master = cluster.wait_healthy();
    for _ in 0..5 {
        if cluster.leader().as_deref() == Some(&master) {
            break;
        }
        let leader = cluster.leader().unwrap();
        cluster.any().koi(&["promote", &leader]).exits(0);
        cluster.wait_master(&leader);
    }
    let both = cluster.wait_healthy();
    assert_eq!(cluster.leader().as_deref(), Some(both.as_str()), "{}", cluster.report());

    cluster.node(&both).kill();
    let next = cluster.wait_some("another master", |c| c.master().filter(|m| *m != both));
    cluster.node(&both).start();
    assert_eq!(cluster.wait_healthy(), next);
    cluster.hooks().assert_only(&next);
}
