//! Electors that come, go, are replaced and are copied: the recipes of docs/operations.md with real processes.

use std::fs;
use std::path::Path;

use koi_cluster_tests::{Cluster, Node, Service};
use koi_proto::api::Electors;

/// As many nodes, of which the first three found the cluster and are started.
fn three_of(nodes: usize) -> Cluster {
    let cluster = Cluster::builder()
        .nodes(nodes)
        .service("10-vip", Service::recorded())
        .set("cluster.electors", "3")
        .build();
    ["a", "b", "c"].iter().for_each(|name| cluster.node(name).start());
    cluster.wait_healthy();
    cluster
}

fn electors(node: &Node, membership: &str) -> Vec<String> {
    let all = node.get::<Electors>("/v1/electors").map(|list| list.electors).unwrap_or_default();
    all.into_iter().filter(|e| e.membership == membership).map(|e| e.name).collect()
}

/// Says it until it is done: a newcomer must be heard and have the record first.
fn change(cluster: &Cluster, args: &[&str], then: &[&str]) {
    cluster.wait_for(&format!("koi {}", args.join(" ")), |c| c.any().koi(args).code == 0);
    cluster.wait_for(&format!("the electors are {then:?}"), |c| electors(c.any(), "member") == then);
}

#[test]
fn three_electors_become_five_and_three_again_under_one_master() {
    let cluster = three_of(5);
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    for name in ["d", "e"] {
        cluster.node(name).start();
    }
    cluster.wait_for("both are there, and do not vote", |c| electors(c.any(), "outside") == ["d", "e"]);
    change(&cluster, &["electors", "add", "d"], &["a", "b", "c", "d"]);
    change(&cluster, &["electors", "add", "e"], &["a", "b", "c", "d", "e"]);
    let warns = "the cluster has 5 electors (";
    let status = cluster
        .wait_status("the files are named", |s| s.cluster.warnings.iter().any(|w| w.starts_with(warns)));
    assert_eq!((status.cluster.electors, status.cluster.quorum), (5, 3));
    for node in cluster.nodes() {
        node.set("cluster.electors", "5");
        node.write_config();
        node.order(&["reconfigure"]).exits(0);
    }
    assert_eq!(cluster.wait_healthy(), master, "configurations and record agree");

    change(&cluster, &["electors", "remove", "e"], &["a", "b", "c", "d"]);
    change(&cluster, &["electors", "remove", "d"], &["a", "b", "c"]);
    cluster.node(&master).koi(&["electors", "remove", "d"]).refuses(1, &["no elector is called d"]);
    cluster.hooks().assert_only(&master);
    assert!(cluster.hooks().count() >= before);
}

#[test]
fn a_machine_that_is_lost_is_replaced_under_its_name() {
    let cluster = three_of(3);
    let master = cluster.wait_healthy();
    let lost = cluster.others(&master).next().unwrap();
    let name = lost.name.clone();
    lost.stop();
    fs::remove_dir_all(&lost.state_dir).unwrap();
    lost.start();
    let keeper = cluster.node(&master);
    cluster.wait_for("the new machine is told of", |_| electors(keeper, "outside") == [name.clone()]);
    assert!(!keeper.status().unwrap().cluster.healthy, "an elector is missing");
    cluster.wait_for("it takes the other's place", |_| {
        keeper.koi(&["electors", "replace", &name, &name]).code == 0
    });
    assert_eq!(cluster.wait_healthy(), master);
    cluster.hooks().assert_only(&master);
}

#[test]
fn an_elector_whose_state_is_damaged_is_healed_without_a_word() {
    let cluster = three_of(3);
    let master = cluster.wait_healthy();
    let hurt = cluster.others(&master).next().unwrap();
    let id = hurt.local().unwrap().node.id;
    hurt.stop();
    fs::write(Path::new(&hurt.state_dir).join("state"), "koistate, once").unwrap();
    hurt.start();
    assert_eq!(cluster.wait_healthy(), master);
    assert_eq!(hurt.local().unwrap().node.id, id, "it is the same elector");
}

#[test]
fn a_copy_of_a_node_is_mute_until_it_has_an_identity_of_its_own() {
    let cluster = three_of(4);
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let (original, copy) = (cluster.node(&master), cluster.node("d"));
    let _ = fs::remove_dir_all(&copy.state_dir);
    fs::create_dir_all(&copy.state_dir).unwrap();
    for file in ["state", "identity"] {
        fs::copy(Path::new(&original.state_dir).join(file), Path::new(&copy.state_dir).join(file)).unwrap();
    }
    copy.spawn();
    cluster.wait_log("d", &["takes part in nothing"]);
    cluster.wait_status("every status warns", |s| {
        s.cluster.warnings.iter().any(|w| w.contains("two machines have the id"))
    });
    copy.koi(&["reset-identity"]).refuses(1, &["koid runs here", "stop koid first"]);
    copy.stop();
    copy.koi(&["reset-identity"]).exits(0);
    copy.start();
    cluster.wait_for("it is a node of its own", |c| electors(c.any(), "outside") == ["d"]);
    cluster.assert_undisturbed(&master, before);
}
