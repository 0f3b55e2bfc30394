//! The example for redis with two real redis-servers: whoever is lost, no write that a replica has acknowledged is.

use std::fs;

use koi_cluster_tests::{Cluster, Node, Service};
use koi_plugin_tests::examples;
use koi_plugin_tests::ledger::{Ledger, Write};
use koi_plugin_tests::plugins::Folder;
use koi_plugin_tests::redis::Server;
use koi_proto::api::{NodeStatus, ServiceStatus};

/// The nodes that have a server; `c` has a vote and nothing else.
const NODES: [&str; 2] = ["a", "b"];

/// Writes that make up "they go on".
const SOME: usize = 20;

/// Two servers, a cluster that looks after them, and writers that write to them all the time.
struct World {
    ledger: Ledger,
    cluster: Cluster,
    servers: [Server; 2],
    _plugins: Folder,
}

impl World {
    /// A healthy one whose first writes are on both servers, and the master's name; none: something that it takes is missing.
    fn start() -> Option<(World, String)> {
        let built = examples::find("redis.wasm")?;
        let plugins = Folder::default();
        plugins.put("redis.wasm", &fs::read(built).expect("a plugin can be read"));
        let servers = [Server::start()?, Server::start()?];
        let builder = Cluster::builder().nodes(3).set_on(2, "node.runner", "false");
        // A server that comes back is looked at soon.
        let builder = builder.set("services.auto_recover_time", "\"1s\"");
        let cluster = builder.set("plugins.dirs", &plugins.setting()).build();
        for (name, server) in NODES.iter().zip(&servers) {
            cluster.node(name).add("20-redis", &service(server, &servers));
        }
        let ledger = Ledger::open(&servers);
        cluster.nodes().iter().for_each(Node::start);
        let master = cluster.wait_healthy();
        let world = World { ledger, cluster, servers, _plugins: plugins };
        world.wait_acknowledged(&master);
        Some((world, master))
    }

    fn server(&self, node: &str) -> &Server {
        let number = NODES.iter().position(|name| *name == node).expect("a node that has a server");
        &self.servers[number]
    }

    /// The other node that has a server.
    fn other(&self, node: &str) -> &'static str {
        NODES.into_iter().find(|name| *name != node).expect("there are two")
    }

    /// Waits until the server of this node has taken some more writes.
    #[track_caller]
    fn wait_written(&self, node: &str) {
        let (before, _) = self.ledger.count(self.server(node));
        self.cluster.wait_for(&format!("the server of {node} takes writes"), |_| {
            self.ledger.count(self.server(node)).0 >= before + SOME
        });
    }

    /// Waits until its replica has some more of them as well.
    #[track_caller]
    fn wait_acknowledged(&self, node: &str) {
        let (_, before) = self.ledger.count(self.server(node));
        let what = format!("the writes on the server of {node} have reached its replica");
        self.cluster.wait_for(&what, |_| self.ledger.count(self.server(node)).1 >= before + SOME);
    }

    /// Every acknowledged write is on the server of this node, and only one server at a time took any.
    #[track_caller]
    fn check(&self, node: &str) {
        let writes = self.ledger.writes();
        Ledger::assert_kept(
            self.server(node),
            "that WAIT acknowledged",
            writes.iter().filter(|write| write.acknowledged),
        );
        self.ledger.assert_one_server_at_a_time();
    }

    /// Waits until all is well again with this master, and the other node stands by with a copy; then checks.
    #[track_caller]
    fn wait_rejoined(&self, master: &str) {
        let standby = self.other(master);
        let copies = format!("replica of {}", self.server(master).address());
        self.cluster.wait_status(&format!("{standby} stands by with a copy"), |status| {
            let node = |name: &str| status.nodes.iter().find(|node| node.name == name);
            status.cluster.healthy
                && status.cluster.master.as_deref() == Some(master)
                && node(master).is_some_and(is_promoted)
                && node(standby).is_some_and(|node| {
                    node.state == "Standby" && redis(node).is_some_and(|service| stands_by(service, &copies))
                })
        });
        self.wait_acknowledged(master);
        self.check(master);
    }

    /// Moves the master to the other node by order: nothing that a client was told is lost, acknowledged by `WAIT` or not.
    #[track_caller]
    fn switch_over(&self, from: &str) -> &'static str {
        let next = self.other(from);
        self.cluster.any().order(&["promote", next]).exits(0);
        self.cluster.wait_master(next);
        let server = self.server(from);
        let written: Vec<Write> =
            self.ledger.writes().into_iter().filter(|write| write.server == server.port).collect();
        // It waits for the replica for two seconds and no longer, and says so: only what was acknowledged is promised then.
        if !self.cluster.node(from).says(&["not every replica has said that it has everything"]) {
            let newest = written.iter().map(|write| write.epoch).max();
            let last = written.iter().filter(|write| Some(write.epoch) == newest);
            Ledger::assert_kept(self.server(next), "before a planned switch-over", last);
        }
        self.check(next);
        next
    }
}

/// The service of the node that has `own`.
fn service(own: &Server, servers: &[Server]) -> Service {
    let addresses: Vec<String> = servers.iter().map(Server::address).collect();
    let peers: Vec<String> = NODES.iter().zip(&addresses).map(|(name, at)| format!("{name}={at}")).collect();
    let toml = format!(
        "handler = \"redis\"\n[config]\naddress = {:?}\npeers = {:?}\n[grants]\ntcp = {addresses:?}\n",
        own.address(),
        peers.join(" ")
    );
    Service::empty().file("service.toml", &toml, 0o644)
}

fn redis(node: &NodeStatus) -> Option<&ServiceStatus> {
    node.services.as_ref()?.iter().find(|service| service.name == "redis")
}

fn is_promoted(node: &NodeStatus) -> bool {
    node.state == "Master" && redis(node).is_some_and(|service| service.state == "Promoted")
}

fn stands_by(service: &ServiceStatus, copies: &str) -> bool {
    let said = service.message.as_ref().is_some_and(|message| message.contains(copies));
    let link = service.details.iter().any(|(key, value)| key == "link" && value == "up");
    said && link && !service.failed && service.promotable && service.score.is_some_and(|score| score > 0)
}

#[test]
fn a_switch_over_loses_nothing_and_neither_does_a_killed_server() {
    let Some((world, first)) = World::start() else { return };
    let second = world.switch_over(&first);
    world.wait_rejoined(second);

    let id = world.server(second).id().expect("it runs");
    let watched = |c: &Cluster| {
        let local = c.node(second).local().ok()?;
        Some(redis(&local.node)?.processes == [id])
    };
    world.cluster.wait_for("its process is watched", |c| watched(c) == Some(true));
    world.server(second).kill();
    world.cluster.wait_log(second, &["a process of redis has ended: its status is asked"]);
    world.cluster.wait_master(&first);
    world.wait_written(&first);
    world.check(&first);

    world.server(second).restart();
    world.wait_rejoined(&first);
    assert_eq!(world.switch_over(&first), second, "what was written while it was away is there as well");
    world.wait_rejoined(second);
}

#[test]
fn a_server_killed_with_its_koid_comes_back_as_a_replica() {
    let Some((world, first)) = World::start() else { return };
    world.server(&first).kill();
    world.cluster.node(&first).kill();
    let second = world.other(&first);
    world.cluster.wait_master(second);
    world.wait_written(second);
    world.check(second);

    world.server(&first).restart();
    world.cluster.node(&first).start();
    world.wait_rejoined(second);
    world.switch_over(second);
}

#[test]
fn the_guardian_of_a_killed_koid_makes_the_server_stop_taking_writes() {
    let Some((world, first)) = World::start() else { return };
    world.cluster.node(&first).kill();
    let second = world.other(&first);
    world.cluster.wait_master(second);
    world.wait_written(second);
    world.check(second);

    world.cluster.node(&first).start();
    world.wait_rejoined(second);
}
