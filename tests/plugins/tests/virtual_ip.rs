//! The example virtual-ip in a network of its own: the address is on one node, a client that pings it is answered wherever it
//! goes, and a silent witness learns by gratuitous ARP where that is.

use std::fs;
use std::rc::Rc;

use koi_cluster_tests::{Cluster, Node, Service};
use koi_plugin_tests::examples;
use koi_plugin_tests::netns::{INTERFACE, Network, Pings, Watch, address};
use koi_plugin_tests::plugins::Folder;
use koi_plugin_tests::world::IP;

/// The address that follows the master.
const ADDRESS: &str = "10.78.0.100";

/// Answers that make up "it answers".
const SOME: usize = 5;

/// The network, and the cluster in it.
struct World {
    pings: Pings,
    watch: Watch,
    cluster: Cluster,
    network: Rc<Network>,
    _plugins: Folder,
}

impl World {
    /// A healthy one, and the master's name; none: something that it takes is missing.
    fn start() -> Option<(World, String)> {
        let built = examples::find("virtual-ip.wasm")?;
        let network = Rc::new(Network::start(3)?);
        let plugins = Folder::default();
        plugins.put("virtual-ip.wasm", &fs::read(built).expect("a plugin can be read"));
        let within = network.clone();
        let builder =
            Cluster::builder().nodes(3).service("10-vip", service()).within(move |node| within.within(node));
        let builder = builder.tune(|settings, node, ports| {
            settings.set_text("node.bind", address(node));
            let transport: Vec<String> =
                ports.iter().enumerate().map(|(n, port)| format!("{}:{port}", address(n))).collect();
            settings.set("cluster.transport", format!("{transport:?}"));
        });
        let watch = Watch::start(&network, ADDRESS);
        let pings = Pings::start(&network, ADDRESS);
        let cluster = builder.set("plugins.dirs", &plugins.setting()).start();
        let master = cluster.wait_healthy();
        let world = World { pings, watch, cluster, network, _plugins: plugins };
        world.cluster.wait_for("the witness has met the address", |_| {
            world.network.pings(world.network.witness(), ADDRESS)
        });
        world.assert_at(&master);
        Some((world, master))
    }

    fn number(&self, node: &str) -> usize {
        self.cluster.nodes().iter().position(|n| n.name == node).expect("a node of the cluster")
    }

    /// The address is on this node alone and answers, and those who speak to it know where it is.
    #[track_caller]
    fn assert_at(&self, node: &str) {
        let (number, before) = (self.number(node), self.pings.answered());
        self.cluster
            .wait_for(&format!("the address is on {node} alone"), |_| self.watch.holders() == [number]);
        let mac = self.network.mac(number);
        let knows = |who| self.network.believes(who, ADDRESS).as_ref() == Some(&mac);
        self.cluster
            .wait_for(&format!("the silent witness has heard of {node}"), |_| knows(self.network.witness()));
        self.cluster.wait_for("the client is answered", |_| self.pings.answered() >= before + SOME);
        self.cluster.wait_for(&format!("the client speaks to {node}"), |_| knows(self.network.client()));
        self.watch.assert_never_on_two();
    }
}

/// As it is configured with `address` alone, and the grants for that; with `host` and `prefix` it is among the other examples.
fn service() -> Service {
    let toml = format!(
        "handler = \"virtual-ip\"\n[config]\naddress = \"{ADDRESS}/24\"\ninterface = \"{INTERFACE}\"\n[grants]\nexec = [\n  \
         \"{IP} -o addr show dev {INTERFACE} to {ADDRESS}\",\n  \"{IP} addr add {ADDRESS}/24 dev {INTERFACE}\",\n  \
         \"{IP} addr del {ADDRESS}/24 dev {INTERFACE}\",\n  \"/usr/bin/arping -q -U -c 3 -I {INTERFACE} {ADDRESS}\",\n]\n"
    );
    Service::empty().file("service.toml", &toml, 0o644)
}

#[test]
fn the_address_follows_the_master_and_the_network_learns_it_at_once() {
    let Some((world, first)) = World::start() else { return };
    let second = world.cluster.others(&first).next().expect("there are three").name.clone();
    world.cluster.any().order(&["promote", &second]).exits(0);
    world.cluster.wait_master(&second);
    world.assert_at(&second);

    world.cluster.node(&second).kill();
    let third = world.cluster.wait_other_master(&second);
    world.assert_at(&third);

    world.cluster.node(&second).start();
    assert_eq!(world.cluster.wait_healthy(), third);
    world.assert_at(&third);
    world.cluster.nodes().iter().for_each(Node::stop);
    world.cluster.wait_for("nobody has the address any more", |_| world.watch.holders().is_empty());
    world.watch.assert_never_on_two();
}
