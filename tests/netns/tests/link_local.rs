//! Nodes that know each other by link-local addresses only.

use std::process::Command;

use koi_cluster_tests::{Cluster, Service, is_root, skip};

/// What the interface is called in every namespace.
const INTERFACE: &str = "koi-zone0";

/// Two namespaces, joined by a cable.
struct Cable([String; 2]);

fn ip(words: &str) -> bool {
    Command::new("ip").args(words.split(' ')).status().is_ok_and(|status| status.success())
}

fn address(node: usize) -> String {
    format!("fe80::77:{}", node + 1)
}

impl Cable {
    /// None: that is not allowed here.
    fn new() -> Option<Cable> {
        let names = ["x", "y"].map(|end| format!("koi-zone-{}-{end}", std::process::id()));
        if !is_root() || !names.iter().all(|name| ip(&format!("netns add {name}"))) {
            skip(
                "network namespaces cannot be made (root and `ip` are needed): link-local addresses were not tried",
            );
            return None;
        }
        let cable = Cable(names);
        let [x, y] = &cable.0;
        let mut made =
            ip(&format!("link add {INTERFACE} netns {x} type veth peer name {INTERFACE} netns {y}"));
        for (node, name) in cable.0.iter().enumerate() {
            made &=
                ip(&format!("-n {name} link set lo up")) && ip(&format!("-n {name} link set {INTERFACE} up"));
            made &= ip(&format!("-n {name} address add {}/64 dev {INTERFACE} nodad", address(node)));
        }
        assert!(made, "a cable can be made where a namespace can");
        Some(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

#[test]
fn nodes_find_each_other_by_addresses_with_the_name_of_an_interface() {
    let Some(cable) = Cable::new() else { return };
    let names = cable.0.clone();
    let within = move |node: usize| ["ip", "netns", "exec", &names[node]].map(str::to_owned).to_vec();
    let cluster = Cluster::builder()
        .nodes(2)
        .service("10-vip", Service::recorded())
        .within(within)
        .tune(|settings, node, ports| {
            settings.set_text("node.bind", format!("{}%{INTERFACE}", address(node)));
            let at = |(node, port): (usize, &u16)| format!("[{}%{INTERFACE}]:{port}", address(node));
            let all: Vec<String> = ports.iter().enumerate().map(at).collect();
            settings.set("cluster.transport", format!("{all:?}"));
        })
        .start();
    let master = cluster.wait_healthy();
    // The way of the API, from one to the other.
    let other = cluster.others(&master).next().expect("there are two");
    let seen = other.status().expect("it answers").nodes;
    assert!(seen.iter().all(|node| node.state != "Disconnected"), "{seen:?}");
    cluster.node(&master).stop();
    cluster.node(&master).start();
    cluster.wait_healthy();
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let cluster = Cluster::builder().nodes(1).set("node.bind", "\"fe80::1%no-such\"").build();
    cluster.node("a").run_to_end().refuses(1, &["node.bind", "no-such", "ip link"]);
    cluster.node("a").set("node.bind", "\"fe80::1\"");
    cluster.node("a").run_to_end().refuses(1, &["node.bind", "without its interface", "fe80::1%eth0"]);
    cluster.node("a").set("node.bind", "\"127.0.0.1\"");
    cluster.node("a").set("cluster.transport", "[\"[fe80::1%no-such]:42012\"]");
    cluster.node("a").run_to_end().refuses(1, &["cluster.transport", "no-such", "ip link"]);
}
