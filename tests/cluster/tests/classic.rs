//! A folder of scripts and a `koi.conf` from classic times.

use koi_cluster_tests::{Cluster, Format, Service, is_root, skip};

#[test]
fn three_classic_configurations_run_a_single_script() {
    if !is_root() {
        skip("classic defaults lie in /var/lib/koi and /run/koi, for which root is needed");
        return;
    }
    let cluster = Cluster::builder()
        .nodes(3)
        .format(Format::Classic)
        .service("10-vip", Service::single("[ \"$(pwd)\" = \"${0%/*}\" ]"))
        .start();
    cluster.wait_for("a master", |c| c.master().is_some());
    let first = cluster.master().unwrap();
    for node in cluster.nodes() {
        assert_eq!(node.local().unwrap().port, node.port);
        // Found in the working directory, as the daemon did.
        let shown = node.koi(&["-o", "json", "status"]);
        assert!(shown.out.contains("split brain"), "every status says that quorum is off:\n{}", shown.out);
        assert!(cluster.status_of(&node.name).is_some(), "{} is not in the status", node.name);
    }
    cluster.wait_for("all run", |c| {
        c.status().is_some_and(|s| s.nodes.len() == 3 && s.nodes.iter().all(|n| n.state != "Disconnected"))
    });
    let next = cluster.others(&first).next().unwrap();
    next.koi(&["promote", &next.name]).exits(0);
    cluster.wait_master(&next.name);
    cluster.hooks().assert_only(&next.name);

    next.kill();
    cluster.wait_for("another master", |c| c.master().is_some_and(|m| m != next.name));
}

#[test]
fn a_classic_configuration_turns_into_koi_toml() {
    let cluster = Cluster::builder().nodes(1).format(Format::Classic).build();
    let node = &cluster.nodes()[0];
    let converted = node.koi(&["config", "convert"]);
    let toml = converted.exits(0);
    assert!(toml.contains(&format!("port = {}", node.port)) && toml.contains("[cluster]"), "{toml}");
}
