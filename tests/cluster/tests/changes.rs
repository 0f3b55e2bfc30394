//! The hook `changed`: scripts are told when the master, or who else is there, is not what it was.

use std::fs;

use koi_cluster_tests::{Cluster, Node, Service};

/// What the last `changed` of a node's service was told: the master, and the other nodes with their states.
fn told(node: &Node) -> Option<(String, Vec<(String, String)>)> {
    let text = fs::read_to_string(node.services.join("10-db/told")).ok()?;
    let (master, peers) = text.split_once('\n')?;
    let peers: Vec<serde_json::Value> = serde_json::from_str(peers).ok()?;
    let word = |peer: &serde_json::Value, key: &str| peer[key].as_str().map(str::to_owned);
    let peers: Option<Vec<_>> =
        peers.iter().map(|peer| Some((word(peer, "name")?, word(peer, "state")?))).collect();
    Some((master.to_owned(), peers?))
}

/// Keeps what it was told.
const KEEP: &str = "printf '%s\\n%s' \"$KOI_MASTER_NAME\" \"$KOI_PEERS\" > \"$KOI_SERVICE_HOME/new\"\n\
                    mv \"$KOI_SERVICE_HOME/new\" \"$KOI_SERVICE_HOME/told\"";

fn knows(cluster: &Cluster, of: &str, peer: &str, state: &str) -> bool {
    told(cluster.node(of)).is_some_and(|(_, peers)| peers.contains(&(peer.to_owned(), state.to_owned())))
}

#[test]
fn a_script_is_told_who_is_master_and_who_is_there_each_time_that_changes() {
    let cluster =
        Cluster::builder().nodes(3).service("10-db", Service::recorded().hook("changed", KEEP)).start();
    let master = cluster.wait_healthy();
    let mut others: Vec<String> = cluster.others(&master).map(|node| node.name.clone()).collect();
    // A new leader lists only whom it has heard: the first one does not lead.
    let leader = cluster.leader();
    others.sort_by_key(|name| leader.as_ref() == Some(name));
    let [first, second] = &others[..] else { panic!("there are three") };
    cluster.wait_for("all are told of the master", |c| {
        c.nodes().iter().all(|node| told(node).is_some_and(|(known, _)| known == master))
    });
    cluster.node(first).kill();
    cluster.wait_for("the others are told that one has gone", |c| {
        knows(c, &master, first, "Disconnected") && knows(c, second, first, "Disconnected")
    });
    cluster.node(first).start();
    cluster.wait_for("and that it is back", |c| {
        !knows(c, &master, first, "Disconnected") && !knows(c, second, first, "Disconnected")
    });
    cluster.any().koi(&["promote", second]).exits(0);
    cluster.wait_for("all are told of the next master", |c| {
        c.nodes().iter().all(|node| told(node).is_some_and(|(known, _)| known == *second))
    });
}

#[test]
fn one_that_never_ends_holds_nothing_up() {
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-db", Service::recorded().hook("changed", "sleep 600"))
        .start();
    let master = cluster.wait_healthy();
    let next = cluster.others(&master).map(|node| node.name.clone()).next().expect("there are three");
    cluster.any().koi(&["promote", &next, "--wait"]).exits(0);
    cluster.wait_for("the next one is promoted", |c| c.master().as_deref() == Some(next.as_str()));
    cluster.hooks().assert_one_promoted();
}
