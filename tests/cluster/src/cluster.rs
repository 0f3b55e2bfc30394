//! The cluster as a whole.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_proto::api::{NodeStatus, Status};
use koi_testkit::{PATIENCE, met_within};
use tempfile::TempDir;

use crate::builder::Builder;
use crate::hooklog::HookLog;
use crate::node::{Node, Ran, run_koi};
use crate::process;

/// Lines of each log in a report.
pub const LAST_LINES: usize = 40;

/// Some nodes, and the folder in which all their files are.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) folder: TempDir,
    pub(crate) nodes: Vec<Node>,
    /// The folder of `koid` and `koi`.
    pub(crate) programs: PathBuf,
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

    /// The status that a leader gives, asked of any node that answers. None while nobody leads: after a farewell, a death or
    /// a lost lease there is an election first. What is asserted of it is therefore waited for.
    pub fn status(&self) -> Option<Status> {
        let running = self.nodes.iter().filter(|n| n.is_running());
        // A node that does not reach the leader says what it sees itself.
        let leads = |s: &Status| s.cluster.leader.as_ref() == Some(&s.cluster.seen_by);
        running.filter_map(|n| n.status().ok()).find(leads)
    }

    /// A node's part of that.
    pub fn status_of(&self, name: &str) -> Option<NodeStatus> {
        self.status()?.nodes.into_iter().find(|n| n.name == name)
    }

    /// The leader's name.
    pub fn leader(&self) -> Option<String> {
        self.status()?.cluster.leader
    }

    /// The name of the master that is promoted with all its critical services.
    pub fn master(&self) -> Option<String> {
        promoted(&self.status()?)
    }

    /// What the recorded hooks wrote so far.
    pub fn hooks(&self) -> HookLog {
        HookLog::read(&fs::read_to_string(self.folder().join("hooks")).unwrap_or_default())
    }

    /// Runs `koi` in the cluster's folder, with these arguments alone.
    pub fn koi(&self, args: &[&str]) -> Ran {
        run_koi(&self.programs, self.folder(), args)
    }

    /// Waits until `met`.
    ///
    /// # Panics
    /// If that takes longer than [`PATIENCE`]: with everything that is known.
    #[track_caller]
    pub fn wait_for(&self, what: &str, met: impl FnMut(&Cluster) -> bool) {
        self.wait_for_within(PATIENCE, what, met);
    }

    /// As [`Cluster::wait_for`], for what takes longer.
    #[track_caller]
    pub fn wait_for_within(&self, patience: Duration, what: &str, mut met: impl FnMut(&Cluster) -> bool) {
        let reached = met_within(patience, || met(self));
        assert!(reached, "{what}: waited {} s in vain\n{}", patience.as_secs(), self.report());
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

    /// Waits for a status of which this is true, and returns that very one.
    #[track_caller]
    pub fn wait_status(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        self.wait_some(what, |c| c.status().filter(&is))
    }

    /// Waits until all is well, and no node is on its way to where it belongs; the status that says so.
    #[track_caller]
    pub fn wait_well(&self) -> Status {
        self.wait_status("all is well", |s| s.cluster.healthy && promoted(s).is_some() && settled(s))
    }

    /// As [`Cluster::wait_well`]; the master's name.
    #[track_caller]
    pub fn wait_healthy(&self) -> String {
        self.wait_well().cluster.master.expect("where all is well there is a master")
    }

    /// Waits until this node is promoted with all its services.
    #[track_caller]
    pub fn wait_master(&self, name: &str) {
        self.wait_for(&format!("{name} is master"), |c| c.master().as_deref() == Some(name));
    }

    /// Waits until another node than `old` is promoted with all its services; its name.
    #[track_caller]
    pub fn wait_other_master(&self, old: &str) -> String {
        self.wait_some(&format!("another master than {old}"), |c| c.master().filter(|m| m != old))
    }

    /// Waits until another node than `old` leads; its name.
    #[track_caller]
    pub fn wait_other_leader(&self, old: &str) -> String {
        self.wait_some(&format!("another leader than {old}"), |c| c.leader().filter(|l| l != old))
    }

    /// This node is master (that is waited for: nobody can say so during an election), and since the first `before` entries
    /// of the hook log it never was anything else: no hook ran there, and nobody else was promoted.
    #[track_caller]
    pub fn assert_undisturbed(&self, master: &str, before: usize) {
        self.wait_master(master);
        let since = self.hooks().since(before);
        let untouched = since.of(master).is_empty() && since.0.iter().all(|e| e.hook != "promote");
        assert!(untouched, "{master} was to stay master:\n{since}\n{}", self.report());
    }

    /// Waits until `koi ARGS`, a command that changes nothing, exits so on this node and its output has all of `words` in it,
    /// each as words of their own: the node `a` is not shown by a text that has the letter in it.
    #[track_caller]
    pub fn wait_shown(&self, node: &Node, args: &[&str], code: i32, words: &[&str]) -> Ran {
        let what = format!("koi {} on {} exits {code} and shows {words:?}", args.join(" "), node.name);
        self.wait_some(&what, |_| {
            let ran = node.koi(args);
            let said = |word: &&str| says(&ran.out, word) || says(&ran.err, word);
            (ran.code == code && words.iter().all(said)).then_some(ran)
        })
    }

    /// Waits until the log of a node says all of `words` in one line.
    #[track_caller]
    pub fn wait_log(&self, name: &str, words: &[&str]) {
        self.wait_for(&format!("the log of {name} says {words:?}"), |c| c.node(name).says(words));
    }

    /// Waits until the daemon of a node has lived for so long more, by its own account: for what must not happen within that time.
    #[track_caller]
    pub fn wait_lived(&self, name: &str, more: Duration) {
        let uptime_ms = |c: &Cluster| c.node(name).local().ok().map(|local| local.node.uptime_ms);
        let before = self.wait_some(&format!("{name} answers"), uptime_ms);
        let enough =
            |c: &Cluster| uptime_ms(c).is_some_and(|now| u128::from(now - before) >= more.as_millis());
        self.wait_for(&format!("{name} has lived for {more:?} more"), enough);
    }

    /// A healthy cluster in which leader and master are two nodes: they are made so if need be. Their names.
    #[track_caller]
    pub fn part_leader_and_master(&self) -> (String, String) {
        self.arrange("leader and master are two nodes", |leader, master| {
            let other = || self.others(leader).next().expect("a cluster has more than one node");
            (leader == master).then(|| other().name.clone())
        })
    }

    /// A healthy cluster in which one node is leader and master: it is made so if need be. Its name.
    #[track_caller]
    pub fn unite_leader_and_master(&self) -> String {
        let apart = |leader: &str, master: &str| (leader != master).then(|| leader.to_owned());
        self.arrange("leader and master are one node", apart).0
    }

    /// Promotes whom `wanted` names, given leader and master, until it names nobody: leadership may move meanwhile.
    #[track_caller]
    fn arrange(&self, what: &str, wanted: impl Fn(&str, &str) -> Option<String>) -> (String, String) {
        self.wait_some(what, |cluster| {
            let Status { cluster: seen, .. } = cluster.wait_well();
            let (leader, master) = (seen.leader?, seen.master?);
            let Some(node) = wanted(&leader, &master) else { return Some((leader, master)) };
            cluster.any().order(&["promote", &node]).exits(0);
            cluster.wait_for("the order is carried out", |c| c.master().as_deref() == Some(&node));
            None
        })
    }

    /// Whether every daemon answers before one of them ends.
    pub(crate) fn all_answer(&self) -> bool {
        let mut ended = false;
        let answered = met_within(PATIENCE, || {
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

/// The name of the master of `main` that is promoted with all its critical services of that group.
fn promoted(status: &Status) -> Option<String> {
    let master = status.cluster.master.as_ref()?;
    let is = |n: &NodeStatus| {
        let services = n.services.as_deref();
        n.name == *master
            && n.state == "Master"
            && services.is_some_and(|all| {
                all.iter().all(|s| !s.group.is_main() || s.state == "Promoted" || s.critical == Some(false))
            })
    };
    status.nodes.iter().any(is).then(|| master.clone())
}

/// `text` has `word` in it, and no longer word around it.
fn says(text: &str, word: &str) -> bool {
    let inner = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (first, last) = (inner(word.chars().next()), inner(word.chars().next_back()));
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !(first && inner(before) || last && inner(after))
    })
}

/// Nobody's services are on their way up.
fn settled(status: &Status) -> bool {
    let there = |n: &NodeStatus| n.services.is_some() && (n.state == "Master" || n.state == "Standby");
    status.nodes.iter().all(|n| !n.runner || there(n))
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
