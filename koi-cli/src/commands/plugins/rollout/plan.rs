//! What a rollout would do: which nodes use the plugin, what each of them would take, and in which order.

use std::fmt;

use koi_proto::api::{NodeState, NodeStatus, Plugin, PluginState, Status};

use crate::cli::PluginVersion;
use crate::commands::cluster::show::STATUS;
use crate::commands::plugins::manage::at_node;
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

/// A node that uses the plugin.
pub(super) struct PlannedNode {
    pub(super) name: String,
    /// Its services that use it.
    pub(super) services: Vec<String>,
    /// The version in force.
    pub(super) before: Option<String>,
    /// The file is in force already.
    has_it: bool,
    /// A service that uses the plugin has failed there: the new version may be what mends it.
    has_failed: bool,
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
    pub(super) async fn make(daemon: &Daemon, wanted: &PluginVersion) -> Result<Plan, CommandError> {
        let status = daemon.get::<Status>(STATUS).await?.value;
        refuse_unfit(&status)?;
        let mut nodes = Vec::new();
        let mut files: Vec<(String, Plugin)> = Vec::new();
        for node in status.nodes.iter().filter(|node| node.runner) {
            let now = in_force(daemon, &node.name, &wanted.name).await?;
            let all = plugins(daemon, "/v1/staged", &node.name).await?;
            let Some(staged) = used(&all, &wanted.name) else {
                match lacks(node, &all, now.as_ref(), wanted) {
                    Some(why) => return Err(refused(&node.name, &why)),
                    // It runs none of this plugin's services.
                    None => continue,
                }
            };
            check(node, &staged, wanted)?;
            let services = staged.services.clone();
            let has_it = now.as_ref().is_some_and(|now| now.hash == staged.hash);
            let before = now.map(|now| now.version);
            let has_failed = has_failed_with(node, &services);
            nodes.push(PlannedNode { name: node.name.clone(), services, before, has_it, has_failed });
            files.push((node.name.clone(), staged));
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

/// Whether one of these services is why a node has failed.
fn has_failed_with(node: &NodeStatus, services: &[String]) -> bool {
    let mut failed = node.services.iter().flatten().filter(|service| service.failed);
    node.state == NodeState::Failed && failed.any(|service| services.contains(&service.name))
}

/// Whether a node would take the version that is meant.
fn check(node: &NodeStatus, staged: &Plugin, wanted: &PluginVersion) -> Result<(), CommandError> {
    let name = &node.name;
    if node.stopped {
        return Err(refused(
            name,
            "is stopped, and could not be seen to be well with it; `koi start` it first",
        ));
    }
    if let Some(error) = &staged.error {
        return Err(refused(name, &format!("would not take it: {error}")));
    }
    if staged.state != PluginState::Ready {
        return Err(refused(name, &format!("does not have it ready: it is {}", staged.state)));
    }
    if staged.version != wanted.version {
        let has = &staged.version;
        return Err(refused(name, &format!("would take {} {has}, and not {wanted}", wanted.name)));
    }
    match staged.problems.first() {
        None => Ok(()),
        Some(problem) => Err(refused(
            name,
            &format!("could not run the service {} with it: {}", problem.service, problem.problem),
        )),
    }
}

fn refused(node: &str, why: &str) -> CommandError {
    let hint = "put the new file there, or pull it and name it in service.toml, on every node that uses it; nothing has \
                been changed";
    CommandError::local(format!("{node} {why}"), hint)
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

/// What a node lacks that uses the plugin and would not any more; none: it does not use it.
fn lacks(node: &NodeStatus, all: &[Plugin], now: Option<&Plugin>, wanted: &PluginVersion) -> Option<String> {
    // A service may run that could not be started as its folder is now.
    let mut runs = node.services.iter().flatten().filter(|service| service.handler == wanted.name);
    let service = runs.next().map(|service| service.name.clone());
    let service = service.or_else(|| now?.services.first().cloned())?;
    let named = all.iter().find(|plugin| plugin.services.contains(&service));
    let why = named.and_then(|plugin| plugin.error.clone());
    Some(why.map_or_else(
        || format!("would have no {} for the service {service}", wanted.name),
        |why| format!("could not take what its service {service} names: {why}"),
    ))
}

/// The plugin of this name that services of a node use now.
pub(super) async fn in_force(
    daemon: &Daemon,
    node: &str,
    name: &str,
) -> Result<Option<Plugin>, CommandError> {
    Ok(used(&plugins(daemon, "/v1/plugins", node).await?, name))
}

async fn plugins(daemon: &Daemon, path: &str, node: &str) -> Result<Vec<Plugin>, CommandError> {
    Ok(daemon.get::<Vec<Plugin>>(&at_node(path, Some(node))).await?.value)
}

fn used(all: &[Plugin], name: &str) -> Option<Plugin> {
    all.iter().find(|plugin| plugin.name == name && !plugin.services.is_empty()).cloned()
}
