//! Daemons that say farewell.

use koi_cluster_tests::{Cluster, Service};

#[test]
fn a_master_that_is_stopped_hands_over_in_order() {
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-net", Service::recorded())
        .service("20-db", Service::recorded())
        // Nobody waits for a lease to run out: that would be longer than the test has patience.
        .set("timing.master_lease", "\"10m\"")
        .start();
    let first = cluster.wait_healthy();
    let before = cluster.hooks().count();
    cluster.node(&first).stop();
    let hooks = cluster.hooks().since(before);
    hooks.assert_order(&first, &["db:demote", "net:demote", "net:stop"]);
    hooks.assert_order(&first, &["db:demote", "db:stop", "net:stop"]);
    assert_eq!(hooks.of(&first).len(), 4, "{hooks}");
    assert!(hooks.ended(&first, "net:stop").is_some(), "the daemon ends last:\n{hooks}");

    let second = cluster.wait_other_master(&first);
    cluster.hooks().assert_only(&second);
    cluster.wait_log(&second, &[&first, "said farewell"]);
    cluster.wait_log(&first, &[&first, "has left"]);

    cluster.node(&first).start();
    assert_eq!(cluster.wait_healthy(), second);
    cluster.hooks().assert_only(&second);
}

#[test]
fn a_leader_that_is_stopped_hands_over_and_the_master_stays() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start();
    let (leader, master) = cluster.part_leader_and_master();
    let before = cluster.hooks().count();
    cluster.node(&leader).stop();
    cluster.wait_other_leader(&leader);
    cluster.assert_undisturbed(&master, before);
    cluster.node(&leader).start();
    assert_eq!(cluster.wait_healthy(), master);
    cluster.assert_undisturbed(&master, before);
    let since = cluster.hooks().since(before);
    assert!(since.of(&leader) == ["vip:stop", "vip:start"], "{since}");
}

#[test]
fn every_node_is_restarted_in_turn_and_never_are_two_promoted() {
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-vip", Service::recorded().hook("promote", "sleep 0.1").hook("demote", "sleep 0.1"))
        .service("20-db", Service::recorded())
        .start();
    cluster.wait_healthy();
    for _round in 0..2 {
        for node in cluster.nodes() {
            node.stop();
            cluster.wait_for("there is a master", |c| c.master().is_some());
            node.start();
            let master = cluster.wait_healthy();
            cluster.hooks().assert_only(&master);
        }
    }
}
