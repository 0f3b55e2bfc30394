//! The namespaces, the bridge between them, and what nftables drops on it.

use std::io::Write;
use std::process::{Command, Stdio};

use nix::unistd::Pid;

use crate::faults::Faults;

/// The service's address, held by whoever is promoted.
pub(crate) const SERVICE_ADDRESS: &str = "10.77.0.100";

/// One network. It goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Network {
    /// `koi-` and eight hexadecimal digits: other networks have others, whoever left them.
    prefix: String,
    nodes: usize,
}

impl Network {
    /// A bridge and `nodes` namespaces; or what is missing for that.
    pub(crate) fn new(nodes: usize) -> Result<Network, String> {
        let number = getrandom::u32().map_err(|error| error.to_string())?;
        // Made first: whatever fails below, what exists by then goes when this is dropped.
        let network = Network { prefix: format!("koi-{number:08x}"), nodes };
        let bridge = network.bridge();
        run("ip", &["netns", "add", &bridge])?;
        run("ip", &["-n", &bridge, "link", "add", "bridge", "type", "bridge"])?;
        run("ip", &["-n", &bridge, "link", "set", "bridge", "up"])?;
        for node in 0..nodes {
            network.connect(node, &bridge)?;
        }
        network.set(&Faults::default())?;
        Ok(network)
    }

    fn connect(&self, node: usize, bridge: &str) -> Result<(), String> {
        let (name, port) = (self.namespace(node), port(node));
        run("ip", &["netns", "add", &name])?;
        let veth = ["type", "veth", "peer", "name", "eth0", "netns", &name];
        run("ip", &[&["-n", bridge, "link", "add", &port], &veth[..]].concat())?;
        run("ip", &["-n", bridge, "link", "set", &port, "master", "bridge", "up"])?;
        run("ip", &["-n", &name, "address", "add", &format!("{}/24", address(node)), "dev", "eth0"])?;
        run("ip", &["-n", &name, "link", "set", "lo", "up"])?;
        run("ip", &["-n", &name, "link", "set", "eth0", "up"])
    }

    /// The namespace with the bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("{}-bridge", self.prefix)
    }

    fn namespace(&self, node: usize) -> String {
        format!("{}-{node}", self.prefix)
    }

    /// Within what a program runs as this node.
    pub(crate) fn within(&self, node: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace(node)].map(str::to_owned).into()
    }

    /// These faults, and no others, from now on.
    pub(crate) fn set(&self, faults: &Faults) -> Result<(), String> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.bridge(), "nft", "-f", "-"]);
        let spawned = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let mut stdin = child.stdin.take().expect("it is piped");
        let table = faults.table(port);
        stdin.write_all(table.as_bytes()).map_err(|error| format!("{command:?}: {error}"))?;
        drop(stdin);
        let output = child.wait_with_output().map_err(|error| format!("{command:?}: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("nft: {}\n{table}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Whether the node holds the service's address.
    pub(crate) fn holds_address(&self, node: usize) -> bool {
        let shown =
            run_for_output("ip", &["-n", &self.namespace(node), "-o", "address", "show", "dev", "eth0"]);
        shown.expect("the namespace is there").contains(&format!("{SERVICE_ADDRESS}/32"))
    }

    /// The node has lost the service's address, as by a reboot.
    pub(crate) fn drop_address(&self, node: usize) {
        let address = format!("{SERVICE_ADDRESS}/32");
        // It may not have had it.
        let _ = run("ip", &["-n", &self.namespace(node), "address", "del", &address, "dev", "eth0"]);
    }

    /// All processes of the node: koid, its guardian, hooks and what they have started.
    pub(crate) fn processes(&self, node: usize) -> Vec<Pid> {
        let listed = run_for_output("ip", &["netns", "pids", &self.namespace(node)]).unwrap_or_default();
        listed.lines().filter_map(|line| line.trim().parse().ok()).map(Pid::from_raw).collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let nodes = (0..self.nodes).map(|node| self.namespace(node));
        for namespace in nodes.chain([self.bridge()]) {
            // Its interfaces go with it. It is not there if making it has failed.
            let _ = run("ip", &["netns", "del", &namespace]);
        }
    }
}

/// A node's address; the service's is beyond them all.
pub(crate) fn address(node: usize) -> String {
    format!("10.77.0.{}", node + 1)
}

/// The bridge's port of a node.
fn port(node: usize) -> String {
    format!("node{node}")
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    run_for_output(program, args).map(drop)
}

fn run_for_output(program: &str, args: &[&str]) -> Result<String, String> {
    let command = || format!("{program} {}", args.join(" "));
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{}: {}", command(), String::from_utf8_lossy(&output.stderr).trim())),
    }
}
