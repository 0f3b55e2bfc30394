//! Services that say much, are many, or do not want to end.

use std::path::Path;

use koi_cluster_tests::{Cluster, Service};

#[test]
fn a_service_that_never_stops_talking_disturbs_nobody() {
    // A thousand lines with each status: two thousand in a second.
    let status = "#!/bin/sh\ni=0\nwhile [ $i -lt 1000 ]; do echo \"still here, line $i\"; i=$((i+1)); done\n";
    // And a process in the background that holds on to the output of `start`.
    let start = "(while :; do echo babble; echo babble >&2; sleep 0.01; done) & echo $! > pid";
    let noisy =
        Service::recorded().script("status", status).hook("start", start).hook("stop", "kill $(cat pid)");
    let cluster = Cluster::builder().nodes(3).service("10-noisy", noisy).start();
    let master = cluster.wait_healthy();
    let before = cluster.status().unwrap().cluster;
    for node in cluster.nodes() {
        let told =
            |c: &Cluster| c.node(&node.name).log().matches(" lines of output in the last ").count() >= 5;
        cluster.wait_for("the log tells what was dropped", told);
        assert!(node.says(&["[noisy status]", "dropped"]), "{}", node.last_lines(40));
    }
    let after = cluster.status().unwrap().cluster;
    assert_eq!(
        (after.term, after.epoch, after.healthy),
        (before.term, before.epoch, true),
        "{}",
        cluster.report()
    );
    assert_eq!(cluster.master(), Some(master));
    let kilobytes = cluster.any().log().len() / 1024;
    assert!(kilobytes < 2048, "the log has {kilobytes} KiB by now");
}

#[test]
fn five_hundred_services_fail_over() {
    let mut builder = Cluster::builder().nodes(3).set("timing.status_interval", "\"30s\"");
    builder = builder.service("00-first", Service::recorded());
    for n in 1..500 {
        let name = format!("{:02}-s{n}", 1 + n % 90);
        builder = builder.service(&name, Service::empty().script("promote", "#!/bin/sh\n"));
    }
    let cluster = builder.start();
    let first = cluster.wait_healthy();
    let services =
        |c: &Cluster, name: &str| c.status_of(name).and_then(|n| n.services).map_or(0, |s| s.len());
    assert!(cluster.nodes().iter().all(|n| services(&cluster, &n.name) == 500), "{}", cluster.report());
    let shown = cluster.any().koi(&["status"]);
    assert!(shown.exits(0).lines().count() <= 24, "one screen:\n{}", shown.out);

    cluster.any().koi(&["stop", &first]).exits(0);
    let second = cluster.wait_some("another master", |c| c.master().filter(|m| *m != first));
    cluster.any().koi(&["start", &first]).exits(0);
    assert_eq!(cluster.wait_healthy(), second);
    cluster.hooks().assert_only(&second);

    cluster.node(&second).kill();
    cluster.wait_for("another master", |c| c.master().is_some_and(|m| m != second));
}

#[test]
fn a_stop_that_will_not_end_is_killed_with_all_its_children() {
    // It ignores SIGTERM, as its child and the child's child do.
    let stop = "trap '' TERM\necho $$ > stop-pid\n(sleep 1000 & echo $! > grandchild-pid; wait) &\necho $! > child-pid\n\
        while :; do sleep 1; done";
    let stubborn = Service::recorded().hook("stop", stop);
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-stubborn", stubborn)
        .set("services.timeouts.stop", "\"2s\"")
        .set("services.auto_recover", "0")
        .start();
    let master = cluster.wait_healthy();
    let node = cluster.others(&master).next().unwrap();
    node.koi(&["stop"]).exits(0);
    let home = node.services.join("10-stubborn");
    cluster.wait_for("stop runs", |_| home.join("grandchild-pid").exists());
    cluster.wait_log(&node.name, &["stubborn: stop ended", "not done within 2s", "killed", "SIGTERM"]);
    for file in ["stop-pid", "child-pid", "grandchild-pid"] {
        let pid = std::fs::read_to_string(home.join(file)).unwrap();
        let gone = |_: &Cluster| !runs(pid.trim(), &home);
        cluster.wait_for(&format!("{file} is gone"), gone);
    }
    cluster.wait_for("the node counts as failed", |c| {
        c.status_of(&node.name).is_some_and(|n| n.state == "Failed" && n.message.contains("stop"))
    });
    assert_eq!(cluster.master(), Some(master));
}

/// Whether a process of the service runs under this id.
fn runs(pid: &str, home: &Path) -> bool {
    // A zombie, and a stranger that was given the same id, have another environment.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&environment).contains(&home.display().to_string())
}
