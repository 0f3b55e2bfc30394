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
    let first = cluster.wait_some("a master", Cluster::master);
    cluster.wait_status("all are there", |s| {
        cluster.nodes().iter().all(|node| s.nodes.iter().any(|n| n.name == node.name))
            && s.nodes.iter().all(|n| n.state != "Disconnected")
    });
    for node in cluster.nodes() {
        assert_eq!(node.local().unwrap().port, node.port);
        // Found in the working directory, as the daemon did. Every status says that quorum is off.
        let shown = node.koi(&["-o", "json", "status"]);
        assert!(shown.out.contains("split brain"), "{}", shown.out);
    }
    let next = cluster.others(&first).next().unwrap();
    next.order(&["promote", &next.name]).exits(0);
    cluster.wait_master(&next.name);
    cluster.hooks().assert_only(&next.name);

    next.kill();
    cluster.wait_other_master(&next.name);
}

#[test]
fn a_classic_configuration_turns_into_koi_toml() {
    let cluster = Cluster::builder().nodes(1).format(Format::Classic).build();
    let node = &cluster.nodes()[0];
    let converted = node.koi(&["config", "convert"]);
    let toml = converted.exits(0);
    assert!(toml.contains(&format!("port = {}", node.port)) && toml.contains("[cluster]"), "{toml}");
}
