//! That nobody but the culprit suffers: who leads and who is master, and what has happened since.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_cluster_tests::{Cluster, Node};
use koi_proto::api::{Event, Status};

/// What only happens when a lease, a heartbeat or a mastership has suffered.
const DISTURBANCES: [&str; 18] = [
    "leader-elected",
    "leader-lost",
    "leadership-gained",
    "leadership-ended",
    "master-named",
    "master-dropped",
    "node-lost",
    "node-left",
    "node-dead",
    "lease-gained",
    "lease-lost",
    "lease-released",
    "taking-down",
    "unclean",
    "fenced",
    "fence-begun",
    "fence-failed",
    "slow-demote",
];

/// A cluster as it was when all was well.
#[derive(Debug)]
pub struct Peace {
    leader: Option<String>,
    master: Option<String>,
    term: u64,
    epoch: u64,
    /// The number of each node's newest event.
    newest: BTreeMap<String, u64>,
    hooks: usize,
}

impl Peace {
    /// Remembers how it is now.
    pub fn of(cluster: &Cluster) -> Peace {
        let Status { cluster: seen, .. } = cluster.wait_well();
        let newest = |node: &Node| events(node, 0).last().map_or(0, |event| event.number);
        Peace {
            leader: seen.leader,
            master: seen.master,
            term: seen.term,
            epoch: seen.epoch,
            newest: cluster.nodes().iter().map(|node| (node.name.clone(), newest(node))).collect(),
            hooks: cluster.hooks().count(),
        }
    }

    /// What has happened on a node since.
    pub fn since(&self, node: &Node) -> Vec<Event> {
        let newest = self.newest.get(&node.name).copied().unwrap_or(0);
        let events = events(node, newest + 1);
        let first = events.first().map_or(newest + 1, |event| event.number);
        assert_eq!(first, newest + 1, "{} keeps fewer events than have happened meanwhile", node.name);
        events
    }

    /// The same leader in the same term, the same master in the same epoch, and none has even been doubted meanwhile.
    #[track_caller]
    pub fn assert_kept(&self, cluster: &Cluster) {
        let seen = cluster.wait_some("a status", Cluster::status).cluster;
        let standing = (&seen.leader, &seen.master, seen.term, seen.epoch);
        let before = (&self.leader, &self.master, self.term, self.epoch);
        assert_eq!(standing, before, "leader, master, term and epoch were to stay\n{}", cluster.report());
        for node in cluster.nodes() {
            let disturbed = |event: &Event| DISTURBANCES.contains(&event.kind.as_str());
            let disturbances: Vec<String> =
                self.since(node).into_iter().filter(disturbed).map(|event| event.message).collect();
            assert!(disturbances.is_empty(), "{}: {disturbances:?}\n{}", node.name, cluster.report());
        }
        if let Some(master) = &self.master {
            cluster.assert_undisturbed(master, self.hooks);
        }
    }

    /// Every node is heard from, now.
    #[track_caller]
    pub fn assert_heard(&self, cluster: &Cluster, within: Duration) {
        let status = cluster.wait_some("a status", Cluster::status);
        for node in status.nodes {
            let seen = Duration::from_millis(node.seen_ms);
            assert!(seen < within, "{} was heard from {seen:?} ago\n{}", node.name, cluster.report());
        }
    }
}

fn events(node: &Node, since: u64) -> Vec<Event> {
    let shown = node.koi(&["-o", "json", "events", "--no-follow", "--since", &since.to_string()]);
    let lines = shown.exits(0).lines();
    lines.map(|line| serde_json::from_str(line).expect("an event")).collect()
}
