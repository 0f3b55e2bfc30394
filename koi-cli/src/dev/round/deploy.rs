//! A component that was found good comes into the cluster, and its hooks are run.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_files::{Durability, Temporary, WriteOptions};
use koi_proto::api::{Done, Local, NodeState, OnNode, Promote, Reconfigure, ServiceState, ServiceStatus};
use koi_proto::client::{Client, ClientError, Endpoint};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::tool::{Stop, pause};
use super::{HANDLER, MANIFEST};
use crate::local_cluster::folder::{Folder, NAMES};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(15);
/// How long an answer may take, and taking a plugin whose code is compiled.
const ANSWER_TIME: Duration = Duration::from_secs(5);
const TAKE_TIME: Duration = Duration::from_secs(60);
/// How long a node may be away that was killed.
const BACK_TIME: Duration = Duration::from_secs(15);
/// How long a step may take until it is given up: longer than any hook may by default.
const STEP_TIME: Duration = Duration::from_secs(45);

/// Nothing of it has to outlive the machine.
const FILE: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Random(".koi-"), durability: Durability::Unsynced };

/// What is to run.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) component: Vec<u8>,
    /// SHA-256 of it, in hexadecimal digits.
    pub(super) hash: String,
    pub(super) service_toml: String,
}

/// A node as one that deploys sees it.
#[derive(Clone, Debug)]
struct Target {
    name: &'static str,
    home: PathBuf,
    client: Client,
    /// Waits for plugins.
    patient: Client,
}

/// Brings versions into the cluster, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    nodes: Vec<Target>,
    /// The service's entry in the services folder, once there is one.
    entry: Option<String>,
    /// Who was promoted last.
    master: Option<String>,
    /// The hashes of what was brought last, the newest first.
    recent: Vec<String>,
}

/// Why a version does not run as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeployError {
    #[error("it cannot be put into {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{0} does not answer: {1}")]
    Silent(&'static str, ClientError),
    #[error("{node} does not take it: {}", notes.join("; "))]
    NotTaken { node: &'static str, notes: Vec<String> },
    #[error("{node} has failed: {why}")]
    Failed { node: &'static str, why: String },
    #[error("{what} within {} s", STEP_TIME.as_secs())]
    Late { what: String },
    /// A newer round is wanted.
    #[error("a newer version is there")]
    Stopped,
}

/// Where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) master: String,
    pub(super) standbys: Vec<String>,
}

impl Deployment {
    /// Into the cluster in this folder.
    pub(super) fn new(folder: &Folder) -> Deployment {
        let client = |name, timeout| Client::new(Endpoint::Socket(folder.socket(name)), timeout);
        let target = |name: &'static str| Target {
            name,
            home: folder.home(name),
            client: client(name, ANSWER_TIME),
            patient: client(name, TAKE_TIME + ANSWER_TIME),
        };
        Deployment {
            nodes: NAMES.into_iter().map(target).collect(),
            entry: None,
            master: None,
            recent: Vec::new(),
        }
    }

    /// The name of the service, once there is one.
    pub(super) fn entry(&self) -> Option<&str> {
        self.entry.as_deref()
    }

    /// The hash of the newest version that was brought.
    pub(super) fn newest(&self) -> Option<String> {
        self.recent.first().cloned()
    }

    /// Whether the newest version that was brought is this one.
    pub(super) fn has(&self, hash: &str) -> bool {
        self.recent.first().is_some_and(|newest| newest == hash)
    }

    /// Brings a version to every node. The service is called `name` if there is none yet; `compiled` has its machine code.
    pub(super) async fn take(
        &mut self,
        name: &str,
        wanted: &Wanted,
        compiled: &Path,
    ) -> Result<(), DeployError> {
        let entry = self.entry.get_or_insert_with(|| name.to_owned()).clone();
        let is_first = self.recent.is_empty();
        for node in &self.nodes {
            node.bring(&entry, wanted, compiled)?;
        }
        if is_first {
            // Nobody is to be promoted with it before it runs everywhere. A cluster that has just begun has no leader yet.
            let deadline = Instant::now() + STEP_TIME;
            while let Err(error) = self.order("demote", json!({})).await {
                if Instant::now() > deadline {
                    return Err(error);
                }
                sleep(PERIOD).await;
            }
        }
        self.recent.retain(|hash| *hash != wanted.hash);
        self.recent.insert(0, wanted.hash.clone());
        self.recent.truncate(2);
        let mut taking = JoinSet::new();
        for node in &self.nodes {
            let node = node.clone();
            taking.spawn(async move { (node.name, node.reconfigure_in_time().await) });
        }
        let mut refused = None;
        for (name, done) in taking.join_all().await {
            let done = done.map_err(|error| DeployError::Silent(name, error))?;
            if done.refused {
                refused = Some(DeployError::NotTaken { node: name, notes: done.notes });
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Forgets what failed with an earlier version.
    pub(super) async fn recover(&self) -> Result<(), DeployError> {
        for node in &self.nodes {
            let local = node.local().await?;
            if local.node.state == NodeState::Failed || local.node.unclean {
                node.order("recover", &OnNode { node: None }).await?;
            }
        }
        Ok(())
    }

    /// Takes the service down everywhere.
    pub(super) async fn stop(&mut self, stop: &mut Stop) -> Result<(), DeployError> {
        self.note_master().await;
        self.order("demote", json!({})).await?;
        for node in &self.nodes {
            self.order("stop", json!({ "node": node.name })).await?;
        }
        let is_down = |service: &ServiceStatus| {
            matches!(service.state, ServiceState::Stopped | ServiceState::Failed) && service.hook.is_none()
        };
        self.until("it was not stopped everywhere", stop, |_, service| Ok(is_down(service))).await
    }

    /// Brings it up everywhere, and promotes it where it was.
    pub(super) async fn start(&mut self, hash: &str, stop: &mut Stop) -> Result<Running, DeployError> {
        for node in &self.nodes {
            self.order("start", json!({ "node": node.name })).await?;
        }
        self.recover().await?;
        let started = self.until("it was not started everywhere", stop, |local, service| {
            well(local, service)?;
            Ok(local.node.state == NodeState::Standby && service.status_hash.as_deref() == Some(hash))
        });
        if let Err(error) = started.await {
            // Whoever can be promoted is to be.
            self.order("elect", json!({})).await?;
            return Err(error);
        }
        let master = self.master.clone().unwrap_or_else(|| NAMES[0].to_owned());
        self.promote(&master, stop).await
    }

    /// Makes a node the master.
    pub(super) async fn promote(&mut self, master: &str, stop: &mut Stop) -> Result<Running, DeployError> {
        let order = Promote { node: master.to_owned(), dry_run: false };
        self.order("promote", serde_json::to_value(&order).unwrap_or_default()).await?;
        self.until(&format!("it was not promoted on {master}"), stop, |local, service| {
            well(local, service)?;
            let is_promoted = service.state == ServiceState::Promoted && service.hook.is_none();
            Ok(local.node.name != master || is_promoted)
        })
        .await?;
        self.master = Some(master.to_owned());
        Ok(self.running(master))
    }

    /// Waits until the version answers everywhere, whoever is what.
    pub(super) async fn settled(&mut self, hash: &str, stop: &mut Stop) -> Result<Running, DeployError> {
        self.until("it has not said its status everywhere", stop, |local, service| {
            well(local, service)?;
            Ok(service.status_hash.as_deref() == Some(hash))
        })
        .await?;
        self.note_master().await;
        let master = self.master.clone().unwrap_or_default();
        Ok(self.running(&master))
    }

    /// Who comes after the master, in turn.
    pub(super) async fn next_master(&mut self) -> String {
        self.note_master().await;
        let at = NAMES.iter().position(|name| Some(*name) == self.master.as_deref());
        NAMES[at.map_or(0, |at| at + 1) % NAMES.len()].to_owned()
    }

    fn running(&self, master: &str) -> Running {
        let standbys = NAMES.into_iter().filter(|name| *name != master).map(str::to_owned).collect();
        Running { master: master.to_owned(), standbys }
    }

    async fn note_master(&mut self) {
        for node in &self.nodes {
            let Ok(local) = node.local().await else { continue };
            if local.node.state == NodeState::Master {
                self.master = Some(node.name.to_owned());
            }
        }
    }

    /// Gives a command to the first node that answers: the leader gets it.
    async fn order(&self, verb: &str, body: serde_json::Value) -> Result<(), DeployError> {
        let mut last = None;
        for node in &self.nodes {
            match node.order(verb, &body).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(()), Err)
    }

    /// Waits until `is_there` says so of every node.
    async fn until(
        &self,
        what: &str,
        stop: &mut Stop,
        is_there: impl Fn(&Local, &ServiceStatus) -> Result<bool, DeployError>,
    ) -> Result<(), DeployError> {
        let deadline = Instant::now() + STEP_TIME;
        let mut waiting: Vec<&Target> = self.nodes.iter().collect();
        loop {
            let mut left = Vec::new();
            for node in waiting {
                // One that was killed comes back.
                let Ok(local) = node.local().await else {
                    left.push(node);
                    continue;
                };
                let service = local.node.services.iter().flatten().next();
                if !service.map_or(Ok(false), |service| is_there(&local, service))? {
                    left.push(node);
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(DeployError::Late { what: what.to_owned() });
            }
            if !pause(stop, PERIOD).await {
                return Err(DeployError::Stopped);
            }
            waiting = left;
        }
    }

    /// Removes compiled code that no version needs any more; of `compiled`, what was compiled for `hashes`.
    pub(super) fn tidy(&self, compiled: &Path, hashes: &[String]) {
        let is_recent = |name: &str| self.recent.iter().any(|hash| name.starts_with(hash.as_str()));
        for node in &self.nodes {
            remove(&node.compiled(), |name| !is_recent(name));
        }
        remove(compiled, |name| {
            !is_recent(name) && hashes.iter().any(|hash| name.starts_with(hash.as_str()))
        });
    }
}

/// That a node has failed is no reason to wait for it.
fn well(local: &Local, service: &ServiceStatus) -> Result<(), DeployError> {
    let name = NAMES.into_iter().find(|name| *name == local.node.name).unwrap_or(NAMES[0]);
    if local.node.state != NodeState::Failed && !service.failed && !local.node.unclean {
        return Ok(());
    }
    let failure = local.node.last_failure.as_ref().map(|failure| failure.message.clone());
    let why = service.message.clone().filter(|_| service.failed).or(failure).unwrap_or_default();
    Err(DeployError::Failed { node: name, why })
}

fn remove(folder: &Path, which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(&which) {
            // What stays costs room and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Target {
    /// Puts component, `service.toml` and machine code where this node's koid looks.
    fn bring(&self, entry: &str, wanted: &Wanted, compiled: &Path) -> Result<(), DeployError> {
        let folder = self.home.join("services").join(entry);
        let failed = |path: &Path, source| DeployError::Write { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| failed(&folder, e))?;
        let texts: [(&str, &[u8]); 2] =
            [(HANDLER, &wanted.component), (MANIFEST, wanted.service_toml.as_bytes())];
        for (name, content) in texts {
            let path = folder.join(name);
            koi_files::replace(&path, content, &FILE).map_err(|e| failed(&path, e.source))?;
        }
        self.bring_code(&wanted.hash, compiled).map_err(|e| failed(&self.compiled(), e))
    }

    /// koid would compile it again, once for each node.
    fn bring_code(&self, hash: &str, compiled: &Path) -> io::Result<()> {
        let own = self.compiled();
        DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        for entry in fs::read_dir(compiled)?.flatten() {
            let name = entry.file_name();
            let target = own.join(&name);
            if name.to_string_lossy().starts_with(hash) && !target.exists() {
                fs::hard_link(entry.path(), &target)
                    .or_else(|_| fs::copy(entry.path(), &target).map(drop))?;
            }
        }
        Ok(())
    }

    fn compiled(&self) -> PathBuf {
        self.home.join("state/plugins/compiled")
    }

    async fn local(&self) -> Result<Local, DeployError> {
        self.client.get("/v1/local").await.map_err(|error| DeployError::Silent(self.name, error))
    }

    async fn order(&self, verb: &str, body: &impl Serialize) -> Result<(), DeployError> {
        let done: Result<Done, ClientError> = self.client.post(&format!("/v1/{verb}"), body).await;
        done.map(drop).map_err(|error| DeployError::Silent(self.name, error))
    }

    /// One that was killed comes back.
    async fn reconfigure_in_time(&self) -> Result<Done, ClientError> {
        let deadline = Instant::now() + BACK_TIME;
        loop {
            match self.reconfigure().await {
                Err(ClientError::NoDaemon { .. }) if Instant::now() < deadline => sleep(PERIOD).await,
                done => return done,
            }
        }
    }

    async fn reconfigure(&self) -> Result<Done, ClientError> {
        let wait_ms = u64::try_from(TAKE_TIME.as_millis()).ok();
        self.patient.post("/v1/reconfigure", &Reconfigure { node: None, wait_ms }).await
    }
}
