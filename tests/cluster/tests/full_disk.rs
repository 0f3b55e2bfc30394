//! The file system of a state folder is full.

use std::fs;
use std::path::Path;

use koi_cluster_tests::{Cluster, Node, Service, skip};
use koi_testkit::SmallDisk;

/// A file system of 1 MiB in the place of a state folder; none: it cannot be mounted here.
fn small_disk(folder: &Path) -> Option<SmallDisk> {
    fs::create_dir_all(folder).expect("a folder can be made");
    SmallDisk::mount(folder, "1m")
}

#[test]
fn a_full_disk_costs_its_node_a_vote_and_nothing_else() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", Service::recorded()).build();
    let disks: Option<Vec<_>> = cluster.nodes().iter().map(|n| small_disk(&n.state_dir)).collect();
    let Some(disks) = disks else {
        skip("a tmpfs cannot be mounted here (root is needed): a full disk was not tried");
        return;
    };
    cluster.nodes().iter().for_each(Node::start);
    let (leader, master) = cluster.part_leader_and_master();
    let before = cluster.hooks().count();
    let third = cluster.others(&master).find(|n| n.name != leader).unwrap();
    for full in [&master, &leader] {
        let node = cluster.node(full);
        let disk = disks.iter().find(|disk| disk.path() == node.state_dir).unwrap();
        disk.fill();
        // A change that every elector would write down: a quorum of the others is enough.
        node.order(&["stop", &third.name]).exits(0);
        let path = node.state_dir.to_string_lossy();
        cluster.wait_log(full, &["error", &path, "full", "make room"]);
        cluster.wait_for("the change counts", |c| c.status_of(&third.name).is_some_and(|n| n.stopped));
        cluster.assert_undisturbed(&master, before);
        disk.empty();
        cluster.wait_log(full, &["saved again", &path]);
        cluster.any().order(&["start", &third.name]).exits(0);
        assert_eq!(cluster.wait_healthy(), master);
    }
    cluster.assert_undisturbed(&master, before);

    // No start without a state: better none than one that forgets.
    let disk = disks.iter().find(|disk| disk.path() == third.state_dir).unwrap();
    third.stop();
    disk.fill();
    third.run_to_end().refuses(1, &[&third.state_dir.to_string_lossy(), "full", "make room"]);
    disk.empty();
    third.start();
    assert_eq!(cluster.wait_healthy(), master);
}

#[test]
fn a_master_whose_disk_is_full_is_named_and_stays_beyond_its_lease() {
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-vip", Service::recorded())
        .set("timing.leader_lease", "\"1s\"")
        .set("timing.master_lease", "\"2s\"")
        .build();
    let disks: Option<Vec<_>> = cluster.nodes().iter().map(|n| small_disk(&n.state_dir)).collect();
    let Some(disks) = disks else {
        skip("a tmpfs cannot be mounted here (root is needed): a full disk was not tried");
        return;
    };
    cluster.nodes().iter().for_each(Node::start);
    let (leader, master) = cluster.part_leader_and_master();
    let before = cluster.hooks().count();
    let node = cluster.node(&master);
    let disk = disks.iter().find(|disk| disk.path() == node.state_dir).unwrap();
    disk.fill();
    let third = cluster.others(&master).find(|n| n.name != leader).unwrap();
    third.order(&["stop", &third.name]).exits(0);
    let full = format!("{master} cannot be master: its state cannot be written: No space left on device");
    let status = cluster.wait_status("it is named", |s| s.cluster.warnings.contains(&full));
    assert!(!status.cluster.healthy, "no warning stands below all is well");
    let words = ["works, with warnings", full.as_str()];
    cluster.wait_shown(cluster.node(&leader), &["status"], 3, &[words[1]]);
    third.order(&["start", &third.name]).exits(0);
    cluster.wait_shown(cluster.node(&leader), &["status"], 3, &words);
    // Several leases later, as the hooks of its status tell: each takes half a second at least.
    let beyond = std::time::Instant::now();
    cluster.wait_for("several leases are over", |_| beyond.elapsed() > std::time::Duration::from_secs(8));
    cluster.assert_undisturbed(&master, before);
    disk.empty();
    assert_eq!(cluster.wait_healthy(), master);
}

#[test]
fn a_disk_that_is_full_at_the_start_is_waited_for() {
    let cluster = Cluster::builder().nodes(1).service("10-vip", Service::recorded()).build();
    let node = cluster.node("a");
    let Some(disk) = small_disk(&node.state_dir) else {
        skip("a tmpfs cannot be mounted here (root is needed): a full disk was not tried");
        return;
    };
    disk.fill();
    node.spawn();
    cluster.wait_log("a", &["not started yet", "the file system is full"]);
    assert!(node.is_running());
    disk.empty();
    cluster.wait_healthy();
}
