//! What a rollout would do: which nodes use the plugin, what each of them would take, and in which order.

use std::fmt;

use koi_proto::api::{NodeState, NodeStatus, Plugin, Status};
use tokio::time::Instant;

use super::asking::{PlannedNode, ask};
use super::progress::Progress;
use crate::cli::PluginVersion;
use crate::commands::cluster::show::STATUS;
use crate::connect::Daemon;
use crate::error::CommandError;
use crate::render::plugins::signature;

/// A rollout that can be begun.
pub(super) struct Plan {
    pub(super) wanted: PluginVersion,
    /// SHA-256 of the file that every node takes.
    pub(super) hash: String,
    /// Who vouches for it, for people.
    pub(super) signature: String,
    /// The nodes that use the plugin, the master last.
    pub(super) nodes: Vec<PlannedNode>,
    /// There is a master among them, and a standby that takes over from it.
    master: Option<Switch>,
}

/// Who hands the mastership to whom.
struct Switch {
    from: String,
    to: Option<String>,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A node takes the version, and its services report a good status.
    Take { node: String, services: Vec<String>, is_master: bool, has_failed: bool },
    /// A node that has it becomes master.
    Switch { to: String, from: String },
}

/// As a sentence to come.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Take { node, services, is_master, has_failed } => {
                let who = match (is_master, has_failed) {
                    (true, _) => ", the master, for whom nobody could take over,",
                    (false, true) => ", which has failed,",
                    (false, false) => "",
                };
                let recovers = if *has_failed { ", recovers" } else { "" };
                let services = services.join(" and ");
                write!(f, "{node}{who} takes it{recovers} and reports a good status of {services}")
            }
            Step::Switch { to, from } => write!(f, "{to} becomes master in place of {from}"),
        }
    }
}

impl Step {
    /// As what has happened.
    pub(super) fn done(&self) -> String {
        match self {
            Step::Take { node, services, .. } => {
                format!("{node} has it, and {} is well with it", services.join(" and "))
            }
            Step::Switch { to, from } => format!("{to} is master in place of {from}"),
        }
    }
}

impl Plan {
    /// Asks every node what it has, and what it would take.
    pub(super) async fn make(
        daemon: &Daemon,
        wanted: &PluginVersion,
        progress: &Progress,
    ) -> Result<Plan, CommandError> {
        let status = daemon.get::<Status>(STATUS).await?.value;
        refuse_unfit(&status)?;
        let mut nodes = Vec::new();
        let mut files: Vec<(String, Plugin)> = Vec::new();
        for node in status.nodes.iter().filter(|node| node.runner) {
            let (name, began) = (&node.name, Instant::now());
            progress.begins(&format!("asking {name} what it would take"));
            progress.doing(format!("{name} is still compiling"));
            let Some((planned, staged)) = progress.until_done(ask(daemon, node, wanted)).await? else {
                progress.ended(&format!("{name} does not use {}", wanted.name), began);
                continue;
            };
            let takes = if planned.has_it { "has it already" } else { "would take it" };
            progress.ended(&format!("{name} {takes}"), began);
            files.push((name.clone(), staged));
            nodes.push(planned);
        }
        let Some((first, file)) = files.first() else {
            let message = format!("no service on any node uses a plugin called {}", wanted.name);
            return Err(CommandError::local(message, "`koi plugins list` shows what services use"));
        };
        if let Some((other, _)) = files.iter().find(|(_, other)| other.hash != file.hash) {
            let message = format!("{first} and {other} have different files, both called {wanted}");
            return Err(CommandError::local(
                message,
                "put the same file on every node; nothing has been changed",
            ));
        }
        refuse_failed(&status, &nodes)?;
        // Who has failed first, the master last.
        let master = status.cluster.master.clone().filter(|name| nodes.iter().any(|node| node.name == *name));
        nodes.sort_by_key(|node| (master.as_ref() == Some(&node.name), !node.has_failed, node.name.clone()));
        let to = successor(&status, &nodes, master.as_deref());
        Ok(Plan {
            wanted: wanted.clone(),
            hash: file.hash.clone().unwrap_or_default(),
            signature: file.signature.as_ref().map(|found| signature::line(found).0).unwrap_or_default(),
            master: master.map(|from| Switch { from, to }),
            nodes,
        })
    }

    /// What is to be done.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for node in self.nodes.iter().filter(|node| !node.has_it) {
            let take = |is_master| Step::Take {
                node: node.name.clone(),
                services: node.services.clone(),
                is_master,
                has_failed: node.has_failed,
            };
            match &self.master {
                Some(Switch { from, to }) if *from == node.name => {
                    let switch = to.iter().map(|to| Step::Switch { to: to.clone(), from: from.clone() });
                    steps.extend(switch);
                    steps.push(take(to.is_none()));
                }
                Some(_) | None => steps.push(take(false)),
            }
        }
        steps
    }

    /// A node of the plan.
    pub(super) fn services_of(&self, node: &str) -> &[String] {
        self.nodes.iter().find(|planned| planned.name == node).map_or(&[], |planned| &planned.services)
    }
}

/// What must be well before anything begins: a rollout that has to stop half-way leaves two versions.
fn refuse_unfit(status: &Status) -> Result<(), CommandError> {
    let refused = |message: &str, hint: &str| {
        Err(CommandError::local(message, format!("{hint}; nothing has been changed")))
    };
    if status.cluster.leader.is_none() {
        return refused("the cluster has no leader", "`koi status` says why");
    }
    if status.cluster.maintenance {
        return refused("maintenance mode is on, and no hook runs", "first `koi maintenance off`");
    }
    let ill = status.nodes.iter().filter(|node| node.runner && !node.stopped);
    match ill.into_iter().find(|node| node.state == NodeState::Disconnected || node.unclean) {
        Some(node) => Err(unwell(node, "")),
        None => Ok(()),
    }
}

/// A node that has failed may be mended by this version, if it is one of this plugin's services that fails and the version is new there.
/// Whatever else has failed must be well before.
fn refuse_failed(status: &Status, nodes: &[PlannedNode]) -> Result<(), CommandError> {
    for node in status.nodes.iter().filter(|node| node.runner && !node.stopped) {
        let planned = nodes.iter().find(|planned| planned.name == node.name);
        match planned {
            _ if node.state != NodeState::Failed => {}
            Some(planned) if planned.has_failed && !planned.has_it => {}
            Some(planned) if planned.has_failed => {
                return Err(unwell(node, ", and has this version already"));
            }
            Some(_) | None => return Err(unwell(node, "")),
        }
    }
    Ok(())
}

/// A node that no rollout begins with.
fn unwell(node: &NodeStatus, more: &str) -> CommandError {
    let mend = match node.state {
        NodeState::Failed => format!("mend that first, then `koi recover {}`", node.name),
        _ => "mend that first".to_owned(),
    };
    let hint = format!(
        "a new version comes to a cluster that is well: {mend}; `koi status` says more; nothing has been changed"
    );
    let state = if node.unclean { "unclean".to_owned() } else { node.state.to_string() };
    CommandError::local(format!("{} is {state} now{more}", node.name), hint)
}

/// Who takes over from the master: whom koi would choose, if it uses the plugin.
fn successor(status: &Status, nodes: &[PlannedNode], master: Option<&str>) -> Option<String> {
    let is_good = |name: &str| {
        let planned = nodes.iter().any(|node| node.name == name);
        let standby = |node: &&NodeStatus| node.name == name && node.state == NodeState::Standby;
        Some(name) != master && planned && status.nodes.iter().any(|node| standby(&node))
    };
    let chosen = status.cluster.takeover.clone().filter(|name| is_good(name));
    chosen.or_else(|| nodes.iter().map(|node| node.name.clone()).find(|name| is_good(name)))
}
