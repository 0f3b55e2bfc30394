//! Three daemons on this machine.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use koi_proto::api::{Done, Event, Local, Status};
use koi_proto::client::{Client, ClientError, Endpoint};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::folder::{Folder, NAMES};
use super::process;
use crate::error::CommandError;
use crate::koid;

/// How long a daemon may take until it answers.
const START_TIME: Duration = Duration::from_secs(20);
/// How long a daemon may usually take to end after SIGTERM, and what it leaves behind after that.
pub(crate) const STOP_TIME: Duration = Duration::from_secs(15);
const LEFTOVER_TIME: Duration = Duration::from_secs(5);
/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(20);
/// How long a view of the cluster may take: nodes are asked that may be about to die.
const VIEW_TIME: Duration = Duration::from_secs(2);
/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(12);
/// Lines of its log that are shown of a daemon that died at its start.
const LAST_LINES: usize = 12;

/// A node and its daemon.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: &'static str,
    child: Option<Child>,
    /// Grows by one with each start.
    pub(crate) run: u32,
    view: Client,
    command: Client,
}

impl Node {
    fn new(name: &'static str, folder: &Folder) -> Node {
        let client = |timeout| Client::new(Endpoint::Socket(folder.socket(name)), timeout);
        Node { name, child: None, run: 0, view: client(VIEW_TIME), command: client(COMMAND_TIME) }
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(|child| Pid::from_raw(child.id().cast_signed()))
    }

    /// How it has ended, the first time that this is asked after its end.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }

    /// The node as it sees itself.
    pub(crate) async fn local(&self) -> Result<Local, ClientError> {
        self.view.get("/v1/local").await
    }

    /// What has happened on it since its event number `since`.
    pub(crate) async fn events(&self, since: u64) -> Result<Vec<Event>, ClientError> {
        let mut lines = self.view.lines(&format!("/v1/events?since={since}&follow=false")).await?;
        let mut events = Vec::new();
        while let Some(line) = lines.next().await? {
            events.extend(serde_json::from_str::<Event>(&line).ok());
        }
        Ok(events)
    }
}

/// The nodes and what they need. Dropping it kills whatever still runs, and then removes the folder.
#[derive(Debug)]
pub(crate) struct Cluster {
    koid: PathBuf,
    /// What the daemons find in their environment besides.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
    pub(crate) nodes: Vec<Node>,
    _kill_on_drop: KillOnDrop,
    pub(crate) folder: Folder,
}

/// However this ends, by a panic too, no process outlives it.
#[derive(Debug)]
struct KillOnDrop;

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        process::kill_all();
    }
}

impl Cluster {
    /// Makes the folder, which is named after the `purpose` and filled by `fill`; nothing runs yet.
    pub(crate) fn prepare(
        purpose: &str,
        keep: bool,
        fill: impl FnOnce(&Folder) -> io::Result<()>,
    ) -> Result<Cluster, CommandError> {
        let koid = koid::find()?;
        let folder = Folder::make(purpose, keep, fill)?;
        process::adopt_orphans();
        let nodes = NAMES.into_iter().map(|name| Node::new(name, &folder)).collect();
        Ok(Cluster { koid, environment: Vec::new(), nodes, _kill_on_drop: KillOnDrop, folder })
    }

    /// Starts every daemon, and waits until all of them answer.
    pub(crate) async fn start(&mut self) -> Result<(), CommandError> {
        for at in 0..self.nodes.len() {
            self.spawn(at)?;
        }
        for at in 0..self.nodes.len() {
            self.answers(at).await?;
        }
        Ok(())
    }

    /// Starts the daemon of a node again, and waits until it answers.
    pub(crate) async fn restart(&mut self, name: &str) -> Result<(), CommandError> {
        self.respawn(name)?;
        self.answers(self.at(name)).await
    }

    /// Starts the daemon of a node again, and waits for nothing.
    pub(crate) fn respawn(&mut self, name: &str) -> Result<(), CommandError> {
        self.spawn(self.at(name))
    }

    fn at(&self, name: &str) -> usize {
        self.nodes.iter().position(|node| node.name == name).expect("nodes are named by the cluster itself")
    }

    /// A node by its name.
    pub(crate) fn node(&self, name: &str) -> &Node {
        &self.nodes[self.at(name)]
    }

    fn spawn(&mut self, at: usize) -> Result<(), CommandError> {
        let name = self.nodes[at].name;
        let child = self.run(name).map_err(|e| {
            CommandError::local(format!("cannot start {} for node {name}: {e}", self.koid.display()), "")
        })?;
        let node = &mut self.nodes[at];
        node.child = Some(child);
        node.run += 1;
        Ok(())
    }

    fn run(&self, name: &str) -> io::Result<Child> {
        let folder = &self.folder;
        let log = OpenOptions::new().create(true).append(true).open(folder.log(name))?;
        let child = Command::new(&self.koid)
            .arg("-f")
            .arg(folder.config(name))
            .args(["--log", "console", "--no-color"])
            .env_remove("NOTIFY_SOCKET")
            .envs(self.environment.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for us: we end the daemons in order.
            .process_group(0)
            .spawn()?;
        fs::write(folder.pid_file(name), format!("{}\n", child.id()))?;
        Ok(child)
    }

    /// Waits until a daemon that was started answers.
    async fn answers(&mut self, at: usize) -> Result<(), CommandError> {
        let deadline = Instant::now() + START_TIME;
        let name = self.nodes[at].name;
        loop {
            if let Some(status) = self.nodes[at].ended() {
                return Err(self.died(name, status));
            }
            let answer = self.nodes[at].local().await;
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    let last = self.folder.last_lines(name, LAST_LINES).join("\n");
                    let message = format!("koid of node {name} does not answer: {error}");
                    return Err(CommandError::local(message, format!("its last words:\n{last}")));
                }
                Err(_) => self.pause().await,
            }
        }
    }

    fn died(&self, name: &str, status: ExitStatus) -> CommandError {
        let last = self.folder.last_lines(name, LAST_LINES).join("\n");
        let message = format!("koid of node {name} did not start: it {}", how(status));
        CommandError::local(message, format!("its last words:\n{last}"))
    }

    /// A moment, before something is looked at again.
    pub(crate) async fn pause(&self) {
        self.reap_orphans();
        sleep(PERIOD).await;
    }

    /// Takes note of the end of what daemons have left behind.
    pub(crate) fn reap_orphans(&self) {
        let daemons: Vec<Pid> = self.nodes.iter().filter_map(Node::pid).collect();
        process::reap_orphans(&daemons);
    }

    /// The daemons' program.
    pub(crate) fn koid(&self) -> &Path {
        &self.koid
    }

    /// Kills a daemon, and nothing but the daemon, as `kill -9` would.
    pub(crate) fn kill(&mut self, name: &str) -> Result<(), CommandError> {
        let at = self.at(name);
        let Some(mut child) = self.nodes[at].child.take() else { return Ok(()) };
        let killed = child.kill().and_then(|()| child.wait());
        killed.map(drop).map_err(|e| CommandError::local(format!("cannot kill koid of node {name}: {e}"), ""))
    }

    /// Kills a daemon as somebody else would: its end is noticed as any other.
    pub(crate) fn crash(&self, name: &str) {
        if let Some(pid) = self.node(name).pid() {
            process::signal(pid, Signal::SIGKILL);
        }
    }

    /// The cluster as the first node sees it that runs and answers.
    pub(crate) async fn status(&self) -> Option<Status> {
        for node in self.nodes.iter().filter(|node| node.child.is_some()) {
            if let Ok(status) = node.view.get("/v1/status").await {
                return Some(status);
            }
        }
        None
    }

    /// Gives a command to a node.
    pub(crate) async fn command(
        &self,
        node: &str,
        verb: &str,
        body: &impl Serialize,
    ) -> Result<Done, CommandError> {
        let answer = self.node(node).command.post(&format!("/v1/{verb}"), body).await;
        answer.map_err(|e| CommandError::local(format!("koi {verb}: {e}"), ""))
    }

    /// Ends every daemon as an operator would. Those that did not end well or `within` that time, and how; nothing of them is left.
    pub(crate) async fn stop(&mut self, within: Duration) -> Vec<String> {
        for pid in self.nodes.iter().filter_map(Node::pid) {
            process::signal(pid, Signal::SIGTERM);
        }
        let deadline = Instant::now() + within;
        let mut complaints = Vec::new();
        loop {
            for node in &mut self.nodes {
                if let Some(status) = node.ended().filter(|status| !status.success()) {
                    complaints.push(format!("koid of node {} {}", node.name, how(status)));
                }
            }
            if self.nodes.iter().all(|node| node.child.is_none()) || Instant::now() > deadline {
                break;
            }
            self.pause().await;
        }
        for node in self.nodes.iter_mut().filter(|node| node.child.is_some()) {
            let seconds = within.as_secs();
            complaints.push(format!("koid of node {} did not end within {seconds} s of SIGTERM", node.name));
            node.child = None;
        }
        self.wait_for_leftovers().await;
        complaints
    }

    /// A guardian ends soon after its daemon, and what a killed daemon has promoted is taken down first.
    async fn wait_for_leftovers(&self) {
        let deadline = Instant::now() + LEFTOVER_TIME;
        while process::any_left() && Instant::now() < deadline {
            self.pause().await;
        }
        process::kill_all();
    }

    /// Ends everything; whether the folder is gone. Daemons that take longer than `within` are killed.
    pub(crate) async fn end(mut self, within: Duration) -> Result<bool, CommandError> {
        self.stop(within).await;
        self.folder.remove()
    }
}

/// How a process has ended, in words.
pub(crate) fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
