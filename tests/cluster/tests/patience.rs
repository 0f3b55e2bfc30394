//! Handlers that contradict themselves, in real processes: nothing repeats itself fast, and nobody calls that well.

use koi_cluster_tests::{Cluster, Service};

/// Answers by where it is asked: on a node that is to be promoted, or not.
fn status(promoted: u8, standby: u8) -> Service {
    Service::recorded().script(
        "status",
        &format!("#!/bin/sh\n[ \"$KOI_IS_PROMOTED\" = 1 ] && exit {promoted}\nexit {standby}\n"),
    )
}

#[test]
fn a_service_that_is_stopped_after_each_start_fails_by_that_name() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", status(92, 92)).start();
    let words = ["NO MASTER", "status says stopped (92) after start"];
    cluster.wait_shown(cluster.any(), &["status"], 3, &words);
    let hooks = cluster.hooks();
    for node in cluster.nodes() {
        let starts = hooks.of(&node.name).iter().filter(|hook| hook.starts_with("vip:start")).count();
        // A retry, and one more for each 10 s that the machine took to come here.
        assert!((1..20).contains(&starts), "{}: {starts} starts\n{hooks}", node.name);
    }
    cluster.any().koi(&["wait", "--for", "healthy", "--timeout", "1s"]).refuses(3, &["koi status"]);
}

#[test]
fn a_mastership_that_nobody_can_keep_rests_and_is_warned_of() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", status(93, 0)).start();
    let flaps = cluster.wait_status("it is said to flap", |s| {
        s.cluster.warnings.iter().any(|w| w.starts_with("flapping: ") && w.contains("masterships in"))
    });
    assert!(!flaps.cluster.healthy, "{:?}", flaps.cluster);
    let promotes = cluster.hooks().0.iter().filter(|e| e.hook == "promote" && !e.ended).count();
    assert!(promotes < 30, "{promotes} promotes\n{}", cluster.hooks());
    cluster.hooks().assert_one_promoted();
}

#[test]
fn a_standby_that_stays_promoted_is_unclean_until_it_is_mended() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let liar = cluster.others(&master).next().unwrap();
    liar.set_status("10-vip", 90, "");
    cluster.wait_status("it is unclean", |s| s.nodes.iter().any(|n| n.name == liar.name && n.unclean));
    let words = [&format!("{} is unclean", liar.name), "status says promoted (90) after stop"];
    cluster.wait_shown(cluster.node(&master), &["status"], 3, &words);
    let since = cluster.hooks().since(before);
    let demotes = since.of(&liar.name).iter().filter(|hook| hook.starts_with("vip:demote")).count();
    assert!(demotes <= 6, "{since}");
    cluster.wait_master(&master);
    assert!(cluster.hooks().since(before).0.iter().all(|e| e.hook != "promote"), "the master stays");

    liar.set_status("10-vip", 0, "");
    liar.order(&["recover", &liar.name]).exits(0);
    assert_eq!(cluster.wait_healthy(), master);
}
