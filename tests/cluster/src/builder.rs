//! What a cluster is to be like.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use koi_testkit::{free_ports, write_with_mode};
use tempfile::TempDir;

use crate::binaries;
use crate::cluster::Cluster;
use crate::node::Node;
use crate::service::Service;
use crate::settings::Settings;

/// Sets some keys of a node's configuration; it is given the number of the node and all nodes' ports.
type Tune = Box<dyn Fn(&mut Settings, usize, &[u16])>;

/// The program and arguments within which a node's daemon is run, by the node's number.
type Within = Box<dyn Fn(usize) -> Vec<String>>;

/// How the nodes are configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `koi.toml`, named with `-f`.
    #[default]
    Toml,
    /// `koi.conf` in the working directory, with what a classic user must set and no more: port, runner, elector, password
    /// and transport; and the services folder, which would be the machine's own. State folder and socket are at their
    /// usual places for the port, below `/var/lib/koi` and `/run/koi`.
    Classic,
}

/// The group of the services folder.
const MAIN: &str = "main";

/// Builds a [`Cluster`].
#[derive(Default)]
pub struct Builder {
    nodes: usize,
    format: Format,
    /// With their groups.
    services: Vec<(String, String, Service)>,
    tunes: Vec<Tune>,
    within: Option<Within>,
    programs: Option<PathBuf>,
}

impl Builder {
    /// So many nodes, called `a`, `b`, `c`, ….
    pub fn nodes(mut self, nodes: usize) -> Builder {
        self.nodes = nodes;
        self
    }

    /// The format of their configuration.
    pub fn format(mut self, format: Format) -> Builder {
        self.format = format;
        self
    }

    /// A service on every node; the name may have a priority.
    pub fn service(mut self, name: &str, service: Service) -> Builder {
        self.services.push((MAIN.to_owned(), name.to_owned(), service));
        self
    }

    /// The same in a group other than `main`, which every node then has.
    pub fn service_of(mut self, group: &str, name: &str, service: Service) -> Builder {
        self.services.push((group.to_owned(), name.to_owned(), service));
        self
    }

    /// A key on every node; `value` is TOML.
    pub fn set(self, key: &str, value: &str) -> Builder {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.tune(move |settings, _, _| settings.set(&key, value.clone()))
    }

    /// A key on one node, by its number.
    pub fn set_on(self, node: usize, key: &str, value: &str) -> Builder {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.tune(move |settings, number, _| {
            if number == node {
                settings.set(&key, value.clone());
            }
        })
    }

    /// Anything else: called with the settings of each node, its number, and all nodes' ports.
    pub fn tune(mut self, tune: impl Fn(&mut Settings, usize, &[u16]) + 'static) -> Builder {
        self.tunes.push(Box::new(tune));
        self
    }

    /// Runs each daemon within another program that becomes it, such as `ip netns exec NAME`.
    pub fn within(mut self, command: impl Fn(usize) -> Vec<String> + 'static) -> Builder {
        self.within = Some(Box::new(command));
        self
    }

    /// The `koid` and `koi` of this folder, and not those that tests usually have.
    pub fn programs(mut self, folder: PathBuf) -> Builder {
        self.programs = Some(folder);
        self
    }

    /// Makes the files and starts every daemon.
    ///
    /// # Panics
    /// If one does not answer in the end.
    pub fn start(self) -> Cluster {
        const TRIES: usize = 5;
        let mut cluster = self.build();
        for _ in 1..TRIES {
            cluster.nodes.iter().for_each(Node::spawn);
            if cluster.all_answer() {
                return cluster;
            }
            // Somebody else has taken a port since it was found free.
            let in_use = |node: &Node| !node.is_running() && node.log().contains("is in use");
            assert!(cluster.nodes.iter().any(in_use), "not every daemon starts\n{}", cluster.report());
            drop(cluster);
            cluster = self.build();
        }
        panic!("the ports that were found free are in use again and again");
    }

    /// Makes the files; nothing runs yet.
    pub fn build(&self) -> Cluster {
        let parent = Path::new("/tmp");
        // A socket's path has room for 107 bytes.
        let parent = if parent.is_dir() { parent.to_owned() } else { std::env::temp_dir() };
        let mut folder =
            tempfile::Builder::new().prefix("koi-").tempdir_in(parent).expect("a folder can be made");
        folder.disable_cleanup(std::env::var_os("KOI_TEST_KEEP").is_some());
        write_with_mode(&folder.path().join("key"), key(), 0o600);
        // What a killed run has left at the usual place is no beginning for another.
        let unused = |port: &u16| self.format == Format::Toml || !Path::new(&usual_state_dir(*port)).exists();
        let free = std::iter::repeat_with(|| free_ports(1)[0]);
        let ports: Vec<u16> = free.filter(unused).take(self.nodes).collect();
        let id = cluster_id();
        let nodes = (0..self.nodes).map(|n| self.node(n, &ports, id, &folder)).collect();
        Cluster { folder, nodes, programs: self.folder_of_programs(), reported: Cell::new(false) }
    }

    fn node(&self, number: usize, ports: &[u16], id: u32, folder: &TempDir) -> Node {
        let letter = (b'a' + u8::try_from(number).expect("few nodes")) as char;
        let own = folder.path().join(letter.to_string());
        fs::create_dir_all(own.join("services")).expect("folders can be made");
        let mut settings = Settings::default();
        let mut node = self.places(&letter.to_string(), ports[number], own, folder.path());
        node.within = self.within.as_ref().map(|command| command(number)).unwrap_or_default();
        common(&mut settings, &node, id, folder.path(), ports);
        for (group, ..) in self.services.iter().filter(|(group, ..)| group != MAIN) {
            settings.set_text(&format!("groups.{group}.folder"), node.group_folder(group).display());
        }
        self.tunes.iter().for_each(|tune| tune(&mut settings, number, ports));
        node.settings.replace(settings);
        match self.format {
            Format::Toml => node.write_config(),
            Format::Classic => node.write_config_text(&classic(&node, ports, number)),
        }
        self.services.iter().for_each(|(group, name, service)| node.add_to(group, name, service));
        node
    }

    fn folder_of_programs(&self) -> PathBuf {
        self.programs.clone().unwrap_or_else(|| binaries::folder().to_owned())
    }

    fn places(&self, letter: &str, port: u16, own: PathBuf, folder: &Path) -> Node {
        let classic = self.format == Format::Classic;
        Node {
            name: if classic { format!("{}-{port}", host_name()) } else { letter.to_owned() },
            port,
            config: own.join(if classic { "koi.conf" } else { "koi.toml" }),
            socket: if classic { format!("/run/koi/koid-{port}.sock").into() } else { own.join("sock") },
            state_dir: if classic { usual_state_dir(port).into() } else { own.join("state") },
            services: own.join("services"),
            settings: RefCell::default(),
            finds_config: classic,
            programs: self.folder_of_programs(),
            within: Vec::new(),
            hooklog: folder.join("hooks"),
            daemon: RefCell::default(),
            folder: own,
        }
    }
}

/// Leases are much longer than the defaults: a machine that is busy with other tests must not be taken for a dead one, nor a
/// disk that hangs for a moment.
fn common(settings: &mut Settings, node: &Node, id: u32, folder: &Path, ports: &[u16]) {
    settings.set_text("node.name", &node.name);
    settings.set("node.port", node.port.to_string());
    settings.set_text("node.bind", "127.0.0.1");
    settings.set_text("node.state_dir", node.state_dir.display());
    settings.set_text("node.socket", node.socket.display());
    settings.set("cluster.id", id.to_string());
    settings.set("cluster.electors", ports.len().to_string());
    let transport: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    settings.set("cluster.transport", format!("{transport:?}"));
    settings.set_text("cluster.key_file", folder.join("key").display());
    settings.set_text("timing.heartbeat", "100ms");
    settings.set_text("timing.leader_lease", "3s");
    settings.set_text("timing.master_lease", "6s");
    settings.set_text("timing.demote_grace", "2s");
    settings.set_text("timing.status_interval", "500ms");
    settings.set_text("services.folder", node.services.display());
    settings.set_text("services.workingdir", node.services.display());
}

fn classic(node: &Node, ports: &[u16], number: usize) -> String {
    let all: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!(
        "; node {number}\nnode {{\n    port {}\n    runner true\n    elector true\n}}\ncluster {{\n    password \"not secret\"\n    \
         transport \"{}\"\n}}\nservice {{\n    folder \"{}\"\n}}\n",
        node.port,
        all.join(", "),
        node.services.display()
    )
}

fn usual_state_dir(port: u16) -> String {
    format!("/var/lib/koi/{port}")
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux says how it is called");
    name.trim().to_owned()
}

/// Clusters of tests that run side by side, or have run a moment ago, do not understand each other.
fn cluster_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    (std::process::id() << 10) | NEXT.fetch_add(1, Ordering::Relaxed)
}

/// 64 hexadecimal digits; what keeps clusters apart need not be secret here.
fn key() -> String {
    format!("{:064x}\n", u128::from(std::process::id()) << 64 | u128::from(cluster_id()))
}
