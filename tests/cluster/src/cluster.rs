//! The cluster as a whole.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use koi_proto::api::{NodeStatus, Status};
use tempfile::TempDir;

use crate::builder::Builder;
use crate::hooklog::HookLog;
use crate::node::{Node, Ran, run_koi, wait};
use crate::process;

/// How long anything that is waited for may take. Far more than it should: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of each log in a report.
pub const LAST_LINES: usize = 40;

/// Some nodes, and the folder in which all their files are.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) folder: TempDir,
    pub(crate) nodes: Vec<Node>,
    /// A failure has been told with all that is known.
    pub(crate) reported: Cell<bool>,
}

impl Cluster {
    /// Begins one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node called so.
    ///
    /// # Panics
    /// If there is none.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|n| n.name == name).unwrap_or_else(|| panic!("no node is called {name}"))
    }

    /// The nodes that are not called so.
    pub fn others<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(move |n| n.name != name)
    }

    /// A node whose daemon runs.
    ///
    /// # Panics
    /// If there is none.
    pub fn any(&self) -> &Node {
        self.nodes.iter().find(|n| n.is_running()).expect("some daemon runs")
    }

    /// The status that a leader gives, asked of any node that answers.
    pub fn status(&self) -> Option<Status> {
        let running = self.nodes.iter().filter(|n| n.is_running());
        running.filter_map(|n| n.status().ok()).find(|s| s.cluster.leader.is_some())
    }

    /// A node's part of that.
    pub fn status_of(&self, name: &str) -> Option<NodeStatus> {
        self.status()?.nodes.into_iter().find(|n| n.name == name)
    }

    /// The leader's name.
    pub fn leader(&self) -> Option<String> {
        self.status()?.cluster.leader
    }

    /// The name of the master that is promoted with all its services.
    pub fn master(&self) -> Option<String> {
        let status = self.status()?;
        let master = status.cluster.master?;
        let promoted = |n: &NodeStatus| {
            let services = n.services.as_deref().unwrap_or_default();
            n.name == master && n.state == "Master" && services.iter().all(|s| s.state == "Promoted")
        };
        status.nodes.iter().any(promoted).then_some(master)
    }

    /// What the recorded hooks wrote so far.
    pub fn hooks(&self) -> HookLog {
        HookLog::read(&fs::read_to_string(self.folder().join("hooks")).unwrap_or_default())
    }

    /// Runs `koi` in the cluster's folder, with these arguments alone.
    pub fn koi(&self, args: &[&str]) -> Ran {
        run_koi(self.folder(), args)
    }

    /// Waits until `met`.
    ///
    /// # Panics
    /// If that takes longer than [`PATIENCE`]: with everything that is known.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut met: impl FnMut(&Cluster) -> bool) {
        let reached = wait(PATIENCE, || met(self));
        assert!(reached, "{what}: waited {} s in vain\n{}", PATIENCE.as_secs(), self.report());
    }

    /// Waits until `find` finds something.
    ///
    /// # Panics
    /// As [`Cluster::wait_for`].
    #[track_caller]
    pub fn wait_some<T>(&self, what: &str, mut find: impl FnMut(&Cluster) -> Option<T>) -> T {
        let mut found = None;
        self.wait_for(what, |cluster| {
            found = find(cluster);
            found.is_some()
        });
        found.expect("it was found")
    }

    /// Waits until all is well; the master's name.
    #[track_caller]
    pub fn wait_healthy(&self) -> String {
        self.wait_some("all is well", |c| {
            c.status().filter(|s| s.cluster.healthy)?;
            c.master()
        })
    }

    /// Waits until this node is promoted with all its services.
    #[track_caller]
    pub fn wait_master(&self, name: &str) {
        self.wait_for(&format!("{name} is master"), |c| c.master().as_deref() == Some(name));
    }

    /// Waits until the log of a node says all of `words` in one line.
    #[track_caller]
    pub fn wait_log(&self, name: &str, words: &[&str]) {
        self.wait_for(&format!("the log of {name} says {words:?}"), |c| c.node(name).says(words));
    }

    /// A healthy cluster in which leader and master are two nodes: they are made so if need be. Their names.
    #[track_caller]
    pub fn part_leader_and_master(&self) -> (String, String) {
        self.wait_healthy();
        let leader = self.leader().expect("a healthy cluster has a leader");
        if self.master().as_deref() == Some(&leader) {
            let other = self.others(&leader).next().expect("a cluster has more than one node");
            self.any().koi(&["promote", &other.name]).exits(0);
            self.wait_master(&other.name);
        }
        let master = self.wait_healthy();
        let leader = self.leader().expect("a healthy cluster has a leader");
        assert_ne!(leader, master, "leadership moved meanwhile\n{}", self.report());
        (leader, master)
    }

    /// Whether every daemon answers before one of them ends.
    pub(crate) fn all_answer(&self) -> bool {
        let mut ended = false;
        let answered = wait(PATIENCE, || {
            ended = !self.nodes.iter().all(Node::is_running);
            ended || self.nodes.iter().all(|n| n.local().is_ok())
        });
        answered && !ended
    }

    /// Everything that helps to understand a failure: each node's view and last lines, and what the hooks did.
    pub fn report(&self) -> String {
        self.reported.set(true);
        let mut text = String::new();
        let mut views = BTreeSet::new();
        for node in &self.nodes {
            let runs = if node.is_running() { "runs" } else { "does not run" };
            let _ = writeln!(text, "=== {} ({runs}, port {})", node.name, node.port);
            let status = match node.status() {
                Ok(status) if !views.insert(status.cluster.seen_by.clone()) => "as above".to_owned(),
                Ok(status) => serde_json::to_string(&status).unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            let _ = writeln!(text, "status: {status}");
            let _ = writeln!(text, "{}", node.last_lines(LAST_LINES));
        }
        let hooks = self.hooks();
        let _ = writeln!(text, "=== hooks\n{}", hooks.since(hooks.count().saturating_sub(2 * LAST_LINES)));
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.reported.get() {
            eprintln!("{}", self.report());
        }
        for node in &self.nodes {
            if let Some(mut child) = node.daemon.borrow_mut().take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        process::kill_all(self.folder());
        for node in self.nodes.iter().filter(|n| n.finds_config) {
            // These lie outside: they are named after ports that nobody else had.
            let _ = fs::remove_dir_all(&node.state_dir);
            let _ = fs::remove_file(&node.socket);
        }
    }
}
