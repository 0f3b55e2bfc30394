//! Services that say much, are many, or do not want to end.

use std::path::Path;

use koi_cluster_tests::{Cluster, Node, Service};

#[test]
fn a_service_that_never_stops_talking_disturbs_nobody() {
    // A thousand lines with each status: two thousand in a second.
    let status = "#!/bin/sh\ni=0\nwhile [ $i -lt 1000 ]; do echo \"still here, line $i\"; i=$((i+1)); done\n";
    // And a process in the background that holds on to the output of `start`.
    let start = "(while :; do echo babble; echo babble >&2; sleep 0.01; done) & echo $! > pid";
    let noisy =
        Service::recorded().script("status", status).hook("start", start).hook("stop", "kill $(cat pid)");
    let cluster = Cluster::builder().nodes(3).service("10-noisy", noisy).start();
    let before = cluster.wait_well().cluster;
    let count = cluster.hooks().count();
    let told = |node: &Node| node.log().matches(" lines of output in the last ").count();
    for node in cluster.nodes() {
        cluster.wait_for("the log tells what was dropped", |_| told(node) >= 5);
        cluster.wait_log(&node.name, &["[noisy status]", "dropped"]);
    }
    let after = cluster.wait_well().cluster;
    assert_eq!((after.term, after.epoch), (before.term, before.epoch), "{}", cluster.report());
    cluster.assert_undisturbed(&before.master.unwrap(), count);
    // It tells once a second: a burst of 200 lines and 100 in each second may have passed.
    let node = cluster.any();
    let (lines, seconds) = (node.log().lines().count(), told(node));
    assert!(lines < 1000 + 200 * seconds, "the log has {lines} lines after about {seconds} s");
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
    cluster.wait_for("all are there", |c| cluster.nodes().iter().all(|node| services(c, &node.name) == 500));
    let shown = cluster.wait_shown(cluster.any(), &["status"], 0, &[]);
    assert!(shown.out.lines().count() <= 24, "one screen:\n{}", shown.out);

    cluster.any().order(&["stop", &first]).exits(0);
    let second = cluster.wait_other_master(&first);
    cluster.any().order(&["start", &first]).exits(0);
    assert_eq!(cluster.wait_healthy(), second);
    cluster.hooks().assert_only(&second);

    cluster.node(&second).kill();
    cluster.wait_other_master(&second);
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
        .set("services.timeouts.stop", "\"8s\"")
        .set("services.auto_recover", "0")
        .start();
    let master = cluster.wait_healthy();
    let node = cluster.others(&master).next().unwrap();
    let before = cluster.hooks().count();
    node.order(&["stop"]).exits(0);
    let home = node.services.join("10-stubborn");
    let pids = ["stop-pid", "child-pid", "grandchild-pid"].map(|file| {
        cluster.wait_some(&format!("{file} is written"), |_| {
            let text = std::fs::read_to_string(home.join(file)).ok()?;
            text.ends_with('\n').then(|| text.trim().to_owned())
        })
    });
    cluster.wait_log(&node.name, &["stubborn: stop ended", "not done within 8s", "killed", "SIGTERM"]);
    for pid in pids {
        cluster.wait_for(&format!("process {pid} is gone"), |_| !runs(&pid, &home));
    }
    cluster.wait_for("the node counts as failed", |c| {
        c.status_of(&node.name).is_some_and(|n| n.state == "Failed" && n.message.contains("stop"))
    });
    cluster.assert_undisturbed(&master, before);
}

/// Whether a process of the service runs under this id.
fn runs(pid: &str, home: &Path) -> bool {
    // A zombie, and a stranger that was given the same id, have another environment.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&environment).contains(&home.display().to_string())
}
