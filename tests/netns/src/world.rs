//! A cluster in a network of its own, what is done to it, and what must be true of it.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use koi_cluster_tests::process::{age, is_still};
use koi_cluster_tests::{Cluster, Node, PATIENCE, Settings, is_root, skip};
use koi_testkit::met_within;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::checker::{self, GONE, Mastership};
use crate::clock::now;
use crate::faults::Faults;
use crate::network::{self, Network};
use crate::{processes, service};

/// The group of the services folder.
pub const MAIN: &str = "main";
/// The group that a world may have beside it.
pub const WEB: &str = "web";

/// One world at a time on a machine.
const LOCK: &str = "/tmp/koi-netns.lock";

/// What a world is to be like. Timings are koi's defaults, but for `status_interval`, unless they are set.
pub struct Builder {
    nodes: usize,
    /// So many of them begin the cluster; the others are not started.
    founders: usize,
    settings: Vec<(String, String)>,
    programs: Option<PathBuf>,
    /// A service with a process runs beside the one with the address.
    with_server: bool,
    /// There is the group [`WEB`] beside `main`.
    with_web: bool,
    /// The lock of a world that it is made beside.
    beside: Option<Rc<File>>,
}

/// A cluster whose nodes `a`, `b`, … are namespaces on one bridge. Everything goes when it is dropped.
pub struct World {
    /// The cluster; its hook log is read by [`World::masterships`].
    pub cluster: Cluster,
    network: Rc<Network>,
    /// Two may be promoted at once: a test has done what the promise does not cover.
    lenient: Cell<bool>,
    one_at_a_time: Rc<File>,
}

impl Builder {
    /// So many nodes begin the cluster, and it has so many electors; the others are configured alike and not started.
    pub fn founders(self, founders: usize) -> Builder {
        Builder { founders, ..self.set("cluster.electors", &founders.to_string()) }
    }

    /// A key on every node; `value` is TOML.
    pub fn set(mut self, key: &str, value: &str) -> Builder {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The `koid` and `koi` of this folder, and not those that tests usually have.
    pub fn programs(self, folder: PathBuf) -> Builder {
        Builder { programs: Some(folder), ..self }
    }

    /// A service with a process of its own runs beside the other ([`World::server`]).
    pub fn with_server(self) -> Builder {
        Builder { with_server: true, ..self }
    }

    /// With the group [`WEB`] beside `main`, whose service has no address.
    pub fn with_web(self) -> Builder {
        Builder { with_web: true, ..self }
    }

    /// At the same time as another world, for comparing the two: only one of them is to be busy at any moment.
    pub fn beside(self, other: &World) -> Builder {
        Builder { beside: Some(other.one_at_a_time.clone()), ..self }
    }

    /// Makes the network and starts every daemon; or says what is missing.
    ///
    /// # Panics
    /// If a daemon does not start.
    pub fn start(mut self) -> Option<World> {
        let skipped = |why: &str| skip(&format!("tests with network namespaces: {why}"));
        if let Some(missing) = missing() {
            skipped(&missing);
            return None;
        }
        let lock = self.beside.take().unwrap_or_else(lock);
        let network = match Network::new(self.nodes) {
            Ok(network) => Rc::new(network),
            Err(why) => {
                // Root in a container may not make namespaces, and a small kernel may lack bridges or nftables for them.
                skipped(&why);
                return None;
            }
        };
        let (nodes, founders, within) = (self.nodes, self.founders, network.clone());
        let builder = match self.programs.take() {
            Some(folder) => Cluster::builder().programs(folder),
            None => Cluster::builder(),
        };
        let builder = match self.with_server {
            true => builder.service(service::SERVER, service::server()),
            false => builder,
        };
        let builder = match self.with_web {
            true => builder.service_of(WEB, service::PLAIN, service::plain()),
            false => builder,
        };
        let builder = builder
            .nodes(nodes)
            .service(service::NAME, service::address())
            .within(move |node| within.within(node))
            .tune(move |settings, node, ports| self.configure(settings, node, ports));
        // Each node has an address of its own: nobody else takes its port.
        let cluster = builder.build();
        cluster.nodes().iter().take(founders).for_each(Node::start);
        Some(World { cluster, network, lenient: Cell::new(false), one_at_a_time: lock })
    }

    fn configure(&self, settings: &mut Settings, node: usize, ports: &[u16]) {
        settings.set_text("node.bind", network::address(node));
        let transport: Vec<String> =
            ports.iter().enumerate().map(|(n, port)| format!("{}:{port}", network::address(n))).collect();
        settings.set("cluster.transport", format!("{transport:?}"));
        ["heartbeat", "leader_lease", "master_lease", "demote_grace"]
            .iter()
            .for_each(|key| settings.remove(&format!("timing.{key}")));
        self.settings.iter().for_each(|(key, value)| settings.set(key, value.clone()));
    }
}

/// What this machine lacks, if it lacks something.
fn missing() -> Option<String> {
    if !is_root() {
        return Some("they need root".into());
    }
    let absent = |program: &&str| {
        let ran = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        ran.is_err()
    };
    let program = ["ip", "nft"].into_iter().find(absent)?;
    Some(format!("{program} is missing: apt-get install iproute2 nftables"))
}

impl World {
    /// Begins one with so many nodes.
    pub fn builder(nodes: usize) -> Builder {
        Builder {
            nodes,
            founders: nodes,
            settings: Vec::new(),
            programs: None,
            with_server: false,
            with_web: false,
            beside: None,
        }
    }

    /// A healthy one with so many nodes, and its master; see [`Builder::start`].
    pub fn start(nodes: usize) -> Option<(World, String)> {
        let world = World::builder(nodes).start()?;
        let master = world.settle();
        Some((world, master))
    }

    /// How many nodes there are.
    pub fn count(&self) -> usize {
        self.cluster.nodes().len()
    }

    /// A node's number.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn number(&self, name: &str) -> usize {
        let position = self.cluster.nodes().iter().position(|n| n.name == name);
        position.unwrap_or_else(|| panic!("no node is called {name}"))
    }

    /// The network has these faults from now on, and no others; returns when that was.
    pub fn network(&self, faults: &Faults) -> f64 {
        self.network.set(faults).unwrap_or_else(|why| panic!("{why}"));
        now()
    }

    /// The network is well from now on.
    pub fn heal(&self) {
        self.network(&Faults::default());
    }

    /// These nodes are cut off from the others from now on.
    pub fn cut_off(&self, names: &[&str]) -> f64 {
        let group: Vec<usize> = names.iter().map(|name| self.number(name)).collect();
        self.network(&Faults::default().cut_off(&group, self.count()))
    }

    /// The node's guardians: one; none for a moment while it is replaced.
    pub fn guardians(&self, name: &str) -> Vec<Pid> {
        processes::named(&self.network.processes(self.number(name)), "koid-guardian")
    }

    /// Waits until the node has one guardian, and it is not `old`. It has two while an earlier run's takes services down.
    pub fn wait_guardian(&self, name: &str, old: Option<Pid>) -> Pid {
        self.wait_some("a guardian stands guard", |world| match world.guardians(name)[..] {
            [one] if Some(one) != old => Some(one),
            _ => None,
        })
    }

    /// Waits until a guardian stands guard, and has been told what to guard.
    pub fn wait_guarded(&self, name: &str) {
        /// From a guardian's first sign of life to its being told everything; far longer than that takes.
        const TOLD: Duration = Duration::from_secs(2);
        self.wait_some("a guardian is told what to guard", |world| match world.guardians(name)[..] {
            [one] => age(one).filter(|age| *age >= TOLD).map(drop),
            _ => None,
        });
    }

    /// kill -9 of the guardian alone; koid replaces it.
    pub fn kill_guardian(&self, name: &str) -> Pid {
        let guardian = self.wait_guardian(name, None);
        processes::signal(&[guardian], Signal::SIGKILL);
        guardian
    }

    /// kill -9 of koid and of its guardian, so that neither sees the other's end.
    pub fn kill_both(&self, name: &str) {
        let guardian = self.wait_guardian(name, None);
        let node = self.cluster.node(name);
        let both = [node.pid().expect("the daemon runs"), guardian];
        halt(&both);
        processes::signal(&both, Signal::SIGKILL);
        node.wait_end();
    }

    /// kill -9 of everything on the node, its services too: as if its power had failed. Returns when it was gone.
    pub fn kill_everything(&self, name: &str) -> f64 {
        let number = self.number(name);
        // Stopped first: nothing on the node sees something else of it die.
        halt(&self.network.processes(number));
        let gone = now();
        let ended = met_within(PATIENCE, || {
            let left = self.network.processes(number);
            processes::signal(&left, Signal::SIGKILL);
            // Whoever was killed and waits for its parent is listed until it is waited for.
            !self.cluster.node(name).is_running() && left.is_empty()
        });
        assert!(ended, "something on {name} cannot be killed");
        self.cluster.node(name).wait_end();
        self.network.drop_address(number);
        self.write(&format!("{gone:.6} {name} * {GONE} end 0 0 - *\n"));
        gone
    }

    /// As [`World::kill_everything`] of a machine that is not reached any more either: nobody hears that a port is closed.
    pub fn lose(&self, name: &str) -> f64 {
        let cut = self.cut_off(&[name]);
        self.kill_everything(name);
        cut
    }

    /// The namespace with the bridge; a node's port on it is `node` and its number.
    pub fn bridge(&self) -> String {
        self.network.bridge()
    }

    /// Adds a line to the hook log.
    fn write(&self, line: &str) {
        let log = OpenOptions::new().append(true).create(true).open(self.cluster.folder().join("hooks"));
        log.and_then(|mut log| log.write_all(line.as_bytes())).expect("the hook log can be written");
    }

    /// Puts a file into the service's folder on a node, for its hooks to read; empty text takes it away.
    pub fn tell_service(&self, name: &str, file: &str, text: &str) {
        let path = self.cluster.node(name).services.join(service::NAME).join(file);
        let done = match text {
            "" => std::fs::remove_file(&path),
            text => std::fs::write(&path, text),
        };
        done.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Whether a process of the node has `word` in its command line.
    pub fn runs(&self, name: &str, word: &str) -> bool {
        !processes::named(&self.network.processes(self.number(name)), word).is_empty()
    }

    /// Everything that the hook log says of promotions in the group of the address.
    pub fn masterships(&self) -> Vec<Mastership> {
        self.masterships_of(MAIN)
    }

    /// The same of another group.
    pub fn masterships_of(&self, group: &str) -> Vec<Mastership> {
        checker::masterships(&self.cluster.hooks(), group)
    }

    /// Who is promoted in this group now, and nobody else is; none: nobody, or nobody alone.
    pub fn promoted_in(&self, group: &str) -> Option<String> {
        let masterships = self.masterships_of(group);
        let open: Vec<&Mastership> = masterships.iter().filter(|m| m.until.is_none()).collect();
        match open[..] {
            [one] => Some(one.node.clone()),
            _ => None,
        }
    }

    /// This node, which is master of the group of the address, is master of [`WEB`] too, and all is well.
    #[track_caller]
    pub fn unite_groups(&self, master: &str) {
        self.cluster.any().order(&["promote", master, "--group", WEB]).exits(0);
        self.wait_some("one node has both groups", |world| (world.promoted_in(WEB)? == master).then_some(()));
        self.settle();
    }

    /// The group of the address is promoted on one node, [`WEB`] on another that does not lead, and all is well: their names.
    #[track_caller]
    pub fn part_groups(&self) -> (String, String) {
        let parted = self.wait_some("each group is on a node of its own", |world| {
            let master = world.settle();
            let (web, leader) = (world.promoted_in(WEB)?, world.cluster.leader()?);
            if master != web && leader != web {
                return Some((master, web));
            }
            let other = world.cluster.others(&master).find(|node| node.name != leader)?.name.clone();
            world.cluster.any().order(&["promote", &other, "--group", WEB]).exits(0);
            world.wait_some("the order is carried out", |world| {
                (world.promoted_in(WEB)? == other).then_some(())
            });
            None
        });
        self.settle();
        parted
    }

    /// How many promotions there were so far: one too many is a false failover.
    pub fn promotions(&self) -> usize {
        self.masterships().len()
    }

    /// Who holds the service's address in fact.
    pub fn holders(&self) -> Vec<&str> {
        let nodes = self.cluster.nodes().iter().enumerate();
        nodes.filter(|(n, _)| self.network.holds_address(*n)).map(|(_, node)| node.name.as_str()).collect()
    }

    /// The process of the service that has one, on this node.
    pub fn server(&self, node: &str) -> Option<Pid> {
        let file = self.cluster.node(node).services.join(service::SERVER).join("server.pid");
        let id = std::fs::read_to_string(file).ok()?;
        id.trim().parse().ok().map(Pid::from_raw)
    }

    /// Waits until every node that runs says that all is well, and exactly the master holds the service's address; its name.
    #[track_caller]
    pub fn settle(&self) -> String {
        let settled = self.wait_some("all is well, and the master alone holds the address", |world| {
            let running = world.cluster.nodes().iter().filter(|node| node.is_running());
            // Each by itself: one that was away may not have met the leader yet.
            let views: Option<Vec<_>> = running.map(|node| node.status().ok().map(|s| s.cluster)).collect();
            let views =
                views.filter(|views| views.iter().all(|v| v.healthy && v.seen_by == views[0].seen_by))?;
            let master =
                world.cluster.master().filter(|m| views.iter().all(|v| v.master.as_ref() == Some(m)))?;
            (world.holders() == [master.as_str()]).then_some(master)
        });
        self.check();
        settled
    }

    /// Waits until another node than `old` is promoted, and `old` is not; its name. Asks nobody: who is cut off may say
    /// what it likes.
    #[track_caller]
    pub fn wait_taken_over(&self, old: &str) -> String {
        let next = self.wait_some(&format!("another node than {old} is promoted"), |world| {
            let masterships = world.masterships();
            let open: Vec<&Mastership> = masterships.iter().filter(|m| m.until.is_none()).collect();
            let [one] = open[..] else { return None };
            (one.node != old && world.holders() == [one.node.as_str()]).then(|| one.node.clone())
        });
        self.check();
        next
    }

    /// Leader and master are two nodes, and all is well: their names.
    #[track_caller]
    pub fn part(&self) -> (String, String) {
        let parted = self.cluster.part_leader_and_master();
        self.settle();
        parted
    }

    /// One node is leader and master, and all is well: its name.
    #[track_caller]
    pub fn unite(&self) -> String {
        let united = self.cluster.unite_leader_and_master();
        self.settle();
        united
    }

    /// Two may be promoted at once from now on: the promise does not cover what comes now.
    pub fn allow_two(&self) {
        self.lenient.set(true);
    }

    /// The promise: never two promoted, and epochs only grow.
    ///
    /// # Panics
    /// If it was broken, with all that is known.
    #[track_caller]
    pub fn check(&self) {
        let of_each = [MAIN, WEB].map(|group| self.masterships_of(group));
        let duals: Vec<_> = of_each.iter().flat_map(|masterships| checker::duals(masterships)).collect();
        let stale: Vec<_> =
            of_each.iter().flat_map(|masterships| checker::stale_epochs(masterships)).collect();
        let text: Vec<String> = duals.iter().map(ToString::to_string).collect();
        let broken = !duals.is_empty() && !self.lenient.get();
        assert!(!broken, "THE PROMISE IS BROKEN: {}\n{}", text.join("; "), self.cluster.report());
        assert!(stale.is_empty(), "epochs went back: {stale:?}\n{}", self.cluster.report());
    }

    /// Lets `duration` pass with the promise kept all the while.
    #[track_caller]
    pub fn pass(&self, duration: Duration) {
        std::thread::sleep(duration);
        self.check();
    }

    /// Waits until `find` finds something.
    ///
    /// # Panics
    /// If that takes longer than [`PATIENCE`]: with everything that is known.
    #[track_caller]
    pub fn wait_some<T>(&self, what: &str, mut find: impl FnMut(&World) -> Option<T>) -> T {
        let mut found = None;
        let met = met_within(PATIENCE, || {
            found = find(self);
            found.is_some()
        });
        assert!(
            met,
            "{what}: waited {} s in vain; holders {:?}\n{}",
            PATIENCE.as_secs(),
            self.holders(),
            self.cluster.report()
        );
        found.expect("it was found")
    }

    /// Starts every daemon that does not run.
    pub fn start_all(&self) {
        self.cluster.nodes().iter().filter(|node| !node.is_running()).for_each(Node::start);
    }
}

/// Waits until no other world is on this machine.
fn lock() -> Rc<File> {
    let lock = File::create(LOCK).and_then(|file| file.lock().map(|()| file));
    Rc::new(lock.expect("a lock can be made in /tmp"))
}

/// Stops processes, and returns when they stand still.
fn halt(all: &[Pid]) {
    processes::signal(all, Signal::SIGSTOP);
    let begun = Instant::now();
    while !all.iter().all(|pid| is_still(*pid)) {
        assert!(begun.elapsed() < PATIENCE, "not all of {all:?} can be stopped");
        std::thread::yield_now();
    }
}
