//! koid's second process acts when the first one cannot (R8).

use std::time::Duration;

use koi_cluster_tests::process::age;
use koi_cluster_tests::{Cluster, Service};
use nix::sys::signal::{Signal, kill};

fn builder() -> koi_cluster_tests::Builder {
    Cluster::builder().nodes(3).service("10-net", Service::recorded()).service("20-db", Service::recorded())
}

/// The promoted services of `node` were taken down in order, before anybody else promoted.
fn taken_down(cluster: &Cluster, before: usize, node: &str, next: &str) {
    // Whoever promotes waits for the demotes only.
    cluster.wait_for("all is stopped", |c| c.hooks().since(before).ended(node, "net:stop").is_some());
    let since = cluster.hooks().since(before);
    since.assert_order(node, &["db:demote", "net:demote", "net:stop"]);
    since.assert_order(node, &["db:demote", "db:stop", "net:stop"]);
    assert!(since.ended(node, "net:demote") < since.began(next, "net:promote"), "{since}");
    cluster.hooks().assert_only(next);
}

#[test]
fn nobody_waits_for_the_lease_of_a_daemon_that_was_killed() {
    // Longer than the test has patience.
    let cluster = builder().set("timing.master_lease", "\"5m\"").set("timing.demote_grace", "\"5m\"").start();
    let (_, first) = cluster.part_leader_and_master();
    let before = cluster.hooks().count();
    cluster.node(&first).kill();
    let second = cluster.wait_other_master(&first);
    taken_down(&cluster, before, &first, &second);
    cluster.node(&first).start();
    assert_eq!(cluster.wait_healthy(), second);
}

#[test]
fn a_daemon_that_hangs_is_ended_by_its_guardian() {
    let cluster = builder().start();
    let (_, first) = cluster.part_leader_and_master();
    let before = cluster.hooks().count();
    cluster.node(&first).signal(Signal::SIGSTOP);
    let second = cluster.wait_some("another master", |c| {
        let others = c.others(&first).find_map(|n| n.status().ok());
        others.and_then(|s| s.cluster.master).filter(|m| *m != first)
    });
    cluster.wait_for("the guardian has ended it", |c| !c.node(&first).is_running());
    cluster.wait_master(&second);
    taken_down(&cluster, before, &first, &second);
    cluster.node(&first).wait_end();
    cluster.node(&first).start();
    assert_eq!(cluster.wait_healthy(), second);
}

#[test]
fn a_guardian_that_dies_is_replaced() {
    let cluster = builder().start();
    let (_, first) = cluster.part_leader_and_master();
    let node = cluster.node(&first);
    let before = cluster.hooks().count();
    let old = cluster.wait_some("a guardian", |_| node.guardian());
    kill(old, Signal::SIGKILL).unwrap();
    // Far longer than it takes until it is told what to guard: nobody outside can see that.
    let told = |pid: &_| *pid != old && age(*pid).is_some_and(|age| age >= Duration::from_secs(2));
    cluster.wait_some("another guardian stands guard", |_| node.guardian().filter(told));
    assert_eq!(cluster.wait_healthy(), first);
    cluster.assert_undisturbed(&first, before);

    let before = cluster.hooks().count();
    node.kill();
    let second = cluster.wait_other_master(&first);
    taken_down(&cluster, before, &first, &second);
}

#[test]
fn a_guardian_that_hangs_is_noticed_and_replaced() {
    let cluster = builder().start();
    let (_, first) = cluster.part_leader_and_master();
    let node = cluster.node(&first);
    let before = cluster.hooks().count();
    let old = cluster.wait_some("a guardian", |_| node.guardian());
    kill(old, Signal::SIGSTOP).unwrap();
    cluster.wait_log(&first, &["the guardian does not answer"]);
    let told = |pid: &_| *pid != old && age(*pid).is_some_and(|age| age >= Duration::from_secs(2));
    cluster.wait_some("another guardian stands guard", |_| node.guardian().filter(told));
    assert_eq!(cluster.wait_healthy(), first);
    cluster.assert_undisturbed(&first, before);

    let before = cluster.hooks().count();
    node.kill();
    let second = cluster.wait_other_master(&first);
    taken_down(&cluster, before, &first, &second);
}

#[test]
fn when_both_die_the_next_start_takes_down_what_still_runs() {
    // Longer than the test takes: what still runs is not taken over meanwhile.
    let cluster = builder().set("timing.master_lease", "\"10m\"").start();
    let (_, first) = cluster.part_leader_and_master();
    let node = cluster.node(&first);
    let guardian = cluster.wait_some("a guardian", |_| node.guardian());
    let before = cluster.hooks().count();
    // Stopped first, so that neither can do anything about the other's end.
    node.halt();
    kill(guardian, Signal::SIGKILL).unwrap();
    node.kill();
    assert!(cluster.hooks().since(before).of(&first).is_empty(), "nobody is left to take anything down");
    node.start();
    cluster.wait_for("it is taken down", |c| c.hooks().since(before).ended(&first, "net:stop").is_some());
    let since = cluster.hooks().since(before);
    since.assert_order(&first, &["db:demote", "net:demote", "net:stop"]);
    cluster.wait_log(&first, &["did not end cleanly"]);
    let master = cluster.wait_healthy();
    cluster.hooks().assert_only(&master);
}
