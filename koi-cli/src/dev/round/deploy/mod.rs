//! A component that was found good comes into the cluster, and its hooks are run.

mod node;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_proto::api::{Local, NodeState, OnNode, Promote, ServiceState, ServiceStatus};
use koi_proto::client::ClientError;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::node::{DeployNode, remove};
use super::tool::{Stop, pause};
use crate::local_cluster::folder::{Folder, NAMES};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(15);
/// How long it may take until somebody takes a command: a leader may be elected meanwhile.
const ORDER_TIME: Duration = Duration::from_secs(20);
/// How long a step may take until it is given up: longer than any hook may by default.
const STEP_TIME: Duration = Duration::from_secs(45);

/// What is to run.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) component: Vec<u8>,
    /// SHA-256 of it, in hexadecimal digits.
    pub(super) hash: String,
    pub(super) service_toml: String,
}

/// Brings versions into the cluster, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    nodes: Vec<DeployNode>,
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
    #[error("{0}: {1}")]
    Asked(&'static str, ClientError),
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
        let nodes = NAMES.into_iter().map(|name| DeployNode::new(folder, name)).collect();
        Deployment { nodes, entry: None, master: None, recent: Vec::new() }
    }

    /// Whether there is a service.
    pub(super) fn has_begun(&self) -> bool {
        self.entry.is_some()
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
        stop: &mut Stop,
    ) -> Result<(), DeployError> {
        let entry = self.entry.get_or_insert_with(|| name.to_owned()).clone();
        let is_first = self.recent.is_empty();
        for node in &self.nodes {
            node.bring(&entry, wanted, compiled)?;
        }
        if is_first {
            // Nobody is to be promoted with it before it runs everywhere.
            self.order("demote", json!({}), stop).await?;
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
            let done = done.map_err(|error| DeployError::Asked(name, error))?;
            if done.refused {
                refused = Some(DeployError::NotTaken { node: name, notes: done.notes });
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Forgets what failed with an earlier version.
    pub(super) async fn recover(&self) -> Result<(), DeployError> {
        for node in &self.nodes {
            // One that was killed comes back, and has forgotten.
            let Ok(local) = node.local().await else { continue };
            if local.node.state == NodeState::Failed || local.node.unclean {
                node.order("recover", &OnNode::default()).await?;
            }
        }
        Ok(())
    }

    /// Takes the service down everywhere.
    pub(super) async fn stop(&mut self, stop: &mut Stop) -> Result<(), DeployError> {
        self.note_master().await;
        self.order("demote", json!({}), stop).await?;
        for node in &self.nodes {
            self.order("stop", json!({ "node": node.name }), stop).await?;
        }
        let is_down = |service: &ServiceStatus| {
            matches!(service.state, ServiceState::Stopped | ServiceState::Failed) && service.hook.is_none()
        };
        self.until("it was not stopped everywhere", stop, |_, service| Ok(is_down(service))).await
    }

    /// Brings it up everywhere, and promotes it where it was.
    pub(super) async fn start(&mut self, hash: &str, stop: &mut Stop) -> Result<Running, DeployError> {
        for node in &self.nodes {
            self.order("start", json!({ "node": node.name }), stop).await?;
        }
        self.recover().await?;
        let started = self.until("it was not started everywhere", stop, |local, service| {
            well(local, service)?;
            Ok(local.node.state == NodeState::Standby && service.status_hash.as_deref() == Some(hash))
        });
        if let Err(error) = started.await {
            // Whoever can be promoted is to be.
            for node in &self.nodes {
                if node.order("elect", &json!({})).await.is_ok() {
                    break;
                }
            }
            return Err(error);
        }
        let master = self.master.clone().unwrap_or_else(|| NAMES[0].to_owned());
        self.promote(&master, stop).await
    }

    /// Makes a node the master.
    pub(super) async fn promote(&mut self, master: &str, stop: &mut Stop) -> Result<Running, DeployError> {
        let order = Promote { node: master.to_owned(), ..Promote::default() };
        self.order("promote", serde_json::to_value(&order).unwrap_or_default(), stop).await?;
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

    /// Gives a command to a node that passes it to the leader. While there is none, or what is asked for cannot be yet, it is given again.
    async fn order(&self, verb: &str, body: Value, stop: &mut Stop) -> Result<(), DeployError> {
        let deadline = Instant::now() + ORDER_TIME;
        loop {
            let mut refused = None;
            for node in &self.nodes {
                match node.order(verb, &body).await {
                    Ok(()) => return Ok(()),
                    Err(error) => refused = Some(error),
                }
            }
            if let Some(error) = refused.filter(|_| Instant::now() > deadline) {
                return Err(error);
            }
            if !pause(stop, PERIOD).await {
                return Err(DeployError::Stopped);
            }
        }
    }

    /// Waits until `is_there` says so of every node.
    async fn until(
        &self,
        what: &str,
        stop: &mut Stop,
        is_there: impl Fn(&Local, &ServiceStatus) -> Result<bool, DeployError>,
    ) -> Result<(), DeployError> {
        let deadline = Instant::now() + STEP_TIME;
        let mut waiting: Vec<&DeployNode> = self.nodes.iter().collect();
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
        self.nodes.iter().for_each(|node| node.tidy(&self.recent));
        let is_recent = |name: &str| self.recent.iter().any(|hash| name.starts_with(hash.as_str()));
        let is_own = |name: &str| hashes.iter().any(|hash| name.starts_with(hash.as_str()));
        remove(compiled, |name| is_own(name) && !is_recent(name));
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
