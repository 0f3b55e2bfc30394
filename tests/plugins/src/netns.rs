//! A network of namespaces on one bridge: nodes, a client that pings an address all the time, and a witness that says nothing
//! and only hears who announces it.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use koi_cluster_tests::{is_root, skip};
use nix::sched::{CloneFlags, setns};

use crate::world::IP;

/// The interface of every namespace.
pub const INTERFACE: &str = "eth0";

/// Between two looks at who holds the address.
const PAUSE: Duration = Duration::from_millis(5);

/// Between two pings, in seconds.
const PING_EVERY_S: &str = "0.2";

/// The client and the witness, after the nodes.
const GUESTS: usize = 2;

/// The namespaces. They go when this is dropped.
#[derive(Debug)]
pub struct Network {
    /// Nobody else has namespaces that are called so.
    prefix: String,
    nodes: usize,
}

impl Network {
    /// A bridge with so many nodes and the client and the witness; none, and a word about it: that cannot be made here.
    pub fn start(nodes: usize) -> Option<Network> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let skipped = |why: &str| skip(&format!("an address that moves in a network of namespaces: {why}"));
        if !is_root() {
            skipped("root makes one");
            return None;
        }
        let missing = |program: &&str| Command::new(program).arg("-V").output().is_err();
        if let Some(program) = [IP, "ping", "/usr/bin/arping"].iter().find(|program| missing(program)) {
            skipped(&format!("{program} is missing: apt-get install iproute2 iputils-ping iputils-arping"));
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Whatever fails below: what exists by then goes when this is dropped.
        let network = Network { prefix: format!("koi-vip-{}-{number}", std::process::id()), nodes };
        // Root in a container may not make namespaces, and a small kernel may lack bridges.
        network.make().map_err(|why| skipped(&why)).ok()?;
        Some(network)
    }

    fn make(&self) -> Result<(), String> {
        let bridge = self.bridge();
        ip(&["netns", "add", &bridge])?;
        ip(&["-n", &bridge, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &bridge, "link", "set", "bridge", "up"])?;
        for number in 0..self.nodes + GUESTS {
            let (name, port) = (self.namespace(number), format!("port{number}"));
            ip(&["netns", "add", &name])?;
            let veth = ["type", "veth", "peer", "name", INTERFACE, "netns", &name];
            ip(&[&["-n", &bridge, "link", "add", &port], &veth[..]].concat())?;
            ip(&["-n", &bridge, "link", "set", &port, "master", "bridge", "up"])?;
            ip(&["-n", &name, "address", "add", &format!("{}/24", address(number)), "dev", INTERFACE])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&["-n", &name, "link", "set", INTERFACE, "up"])?;
        }
        // Nodes know the client: they never ask for it in the name of the address that moves, and so nothing but an announcement
        // tells the witness who has that.
        let (client, mac) = (address(self.client()), self.mac(self.client()));
        (0..self.nodes).try_for_each(|node| {
            ip(&[
                "-n",
                &self.namespace(node),
                "neigh",
                "replace",
                &client,
                "lladdr",
                &mac,
                "nud",
                "permanent",
                "dev",
                INTERFACE,
            ])
            .map(drop)
        })
    }

    /// Within what a program runs as this node, or as client or witness.
    pub fn within(&self, number: usize) -> Vec<String> {
        [IP, "netns", "exec", &self.namespace(number)].map(str::to_owned).into()
    }

    /// The client's number.
    pub fn client(&self) -> usize {
        self.nodes
    }

    /// The witness' number.
    pub fn witness(&self) -> usize {
        self.nodes + 1
    }

    /// The hardware address of a namespace.
    ///
    /// # Panics
    /// If there is no such namespace.
    pub fn mac(&self, number: usize) -> String {
        let shown = ip(&["-n", &self.namespace(number), "-o", "link", "show", "dev", INTERFACE]);
        let shown = shown.expect("the interface is there");
        word_after(&shown, "link/ether").expect("an interface has a hardware address").to_owned()
    }

    /// At which hardware address a namespace believes `address` to be; none: it does not know.
    pub fn believes(&self, number: usize, address: &str) -> Option<String> {
        let shown =
            ip(&["-n", &self.namespace(number), "neigh", "show", "to", address, "dev", INTERFACE]).ok()?;
        word_after(&shown, "lladdr").map(str::to_owned)
    }

    /// Pings `address` once; whether it answers.
    pub fn pings(&self, number: usize, address: &str) -> bool {
        let mut command = self.command(number, "ping");
        let status = command.args(["-n", "-q", "-c", "1", "-W", "1", address]).stdout(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn command(&self, number: usize, program: &str) -> Command {
        let within = self.within(number);
        let mut command = Command::new(&within[0]);
        command.args(&within[1..]).arg(program).stdin(Stdio::null());
        command
    }

    /// A thread must be in a namespace to look into it, and this one is to stay where it is; the file then shows that namespace to
    /// anybody.
    fn routes(&self, node: usize) -> File {
        let path = PathBuf::from("/run/netns").join(self.namespace(node));
        let look = move || {
            let namespace = File::open(path)?;
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/net/fib_trie")
        };
        let opened = thread::spawn(look).join().expect("nothing panics there");
        opened.expect("a namespace can be looked into")
    }

    fn bridge(&self) -> String {
        format!("{}-bridge", self.prefix)
    }

    fn namespace(&self, number: usize) -> String {
        format!("{}-{number}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let all = (0..self.nodes + GUESTS).map(|number| self.namespace(number));
        for namespace in all.chain([self.bridge()]) {
            // Its interfaces go with it. It is not there if making it has failed.
            let _ = ip(&["netns", "del", &namespace]);
        }
    }
}

/// The address of a namespace itself.
pub fn address(number: usize) -> String {
    format!("10.78.0.{}", number + 1)
}

fn ip(args: &[&str]) -> Result<String, String> {
    let command = || format!("{IP} {}", args.join(" "));
    let output = Command::new(IP).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{}: {}", command(), String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn word_after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    text.split_ascii_whitespace().skip_while(|other| *other != word).nth(1)
}

/// A ping that goes on until this is dropped.
#[derive(Debug)]
pub struct Pings {
    process: Child,
    output: tempfile::NamedTempFile,
}

impl Pings {
    /// The client begins to ping `address`.
    ///
    /// # Panics
    /// If ping cannot be run.
    pub fn start(network: &Network, address: &str) -> Pings {
        let output = tempfile::NamedTempFile::new().expect("a file can be made");
        let mut command = network.command(network.client(), "ping");
        let written = output.reopen().expect("a file can be opened");
        command.args(["-n", "-i", PING_EVERY_S, address]).stdout(written).stderr(Stdio::null());
        Pings { process: command.spawn().expect("ping can be run"), output }
    }

    /// How many were answered so far.
    pub fn answered(&self) -> usize {
        let text = std::fs::read_to_string(self.output.path()).unwrap_or_default();
        text.lines().filter(|line| line.contains("bytes from")).count()
    }
}

impl Drop for Pings {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Looks all the time which nodes hold an address, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Seen>,
    watcher: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    over: AtomicBool,
    looks: Mutex<Looks>,
}

impl Watch {
    /// Begins to look.
    pub fn start(network: &Network, address: &str) -> Watch {
        let (shared, address) = (Arc::<Seen>::default(), address.to_owned());
        let mut nodes: Vec<File> = (0..network.nodes).map(|node| network.routes(node)).collect();
        shared.looks.lock().unwrap_or_else(PoisonError::into_inner).nodes =
            vec![Look::default(); nodes.len()];
        let seen = shared.clone();
        let watch = move || {
            while !seen.over.load(Ordering::Relaxed) {
                for (node, routes) in nodes.iter_mut().enumerate() {
                    let holds = has(routes, &address);
                    seen.looks.lock().unwrap_or_else(PoisonError::into_inner).add(node, holds);
                }
                thread::sleep(PAUSE);
            }
        };
        Watch { shared, watcher: Some(thread::spawn(watch)) }
    }

    /// The nodes that held it when they were looked at last.
    pub fn holders(&self) -> Vec<usize> {
        let looks = self.shared.looks.lock().unwrap_or_else(PoisonError::into_inner);
        (0..looks.nodes.len()).filter(|node| looks.nodes[*node].holds).collect()
    }

    /// It never was on two nodes at once.
    ///
    /// # Panics
    /// If it was.
    #[track_caller]
    pub fn assert_never_on_two(&self) {
        let looks = self.shared.looks.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(looks.both.is_none(), "the address was on two nodes at once: {:?}", looks.both);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // It says itself why it panicked.
            let _ = watcher.join();
        }
    }
}

/// Whether the table of this namespace has `address` as one of its own.
fn has(routes: &mut File, address: &str) -> bool {
    let mut text = String::new();
    routes.rewind().and_then(|()| routes.read_to_string(&mut text)).expect("the kernel tells its routes");
    let mut lines = text.lines().map(str::trim);
    let leaf = format!("|-- {address}");
    lines.any(|line| line == leaf) && lines.next().is_some_and(|line| line.contains("host LOCAL"))
}

/// What was seen on the nodes, one after the other.
#[derive(Debug, Default)]
struct Looks {
    nodes: Vec<Look>,
    both: Option<(usize, usize)>,
}

#[derive(Clone, Debug, Default)]
struct Look {
    /// At the last look it had the address.
    holds: bool,
    /// Who else was seen with it since then.
    others: Vec<usize>,
}

impl Looks {
    /// A node that had it before and has it now had it in between; whoever else was seen with it in between had it as well.
    fn add(&mut self, node: usize, holds: bool) {
        let others = std::mem::take(&mut self.nodes[node].others);
        if let Some(other) = others.first().filter(|_| holds && self.nodes[node].holds) {
            self.both.get_or_insert((node, *other));
        }
        self.nodes[node].holds = holds;
        let elsewhere = self.nodes.iter_mut().enumerate().filter(|(other, _)| holds && *other != node);
        elsewhere.for_each(|(_, look)| look.others.push(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(looks: &[(usize, bool)]) -> Option<(usize, usize)> {
        let mut all = Looks { nodes: vec![Look::default(); 2], both: None };
        looks.iter().for_each(|(node, holds)| all.add(*node, *holds));
        all.both
    }

    #[test]
    fn one_node_after_the_other_is_well() {
        assert_eq!(
            both(&[(0, true), (1, false), (0, true), (1, true), (0, false), (1, true)]),
            None,
            "it moved between two looks"
        );
    }

    #[test]
    fn two_at_once_are_found() {
        assert_eq!(both(&[(0, true), (1, true), (0, true)]), Some((0, 1)));
    }
}
