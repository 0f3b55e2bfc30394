//! What a node has of a plugin, and what it would take: asked of it, and refused where that is not what is meant.

use koi_proto::api::{NodeState, NodeStatus, Plugin, PluginState};

use crate::cli::PluginVersion;
use crate::commands::plugins::paths::at_node;
use crate::connect::Daemon;
use crate::error::CommandError;

/// A node that uses the plugin.
pub(super) struct PlannedNode {
    pub(super) name: String,
    /// Its services that use it.
    pub(super) services: Vec<String>,
    /// The version in force.
    pub(super) before: Option<String>,
    /// The file is in force already.
    pub(super) has_it: bool,
    /// A service that uses the plugin has failed there: the new version may be what mends it.
    pub(super) has_failed: bool,
}

/// What a node has and what it would take; none: it runs none of this plugin's services.
pub(super) async fn ask(
    daemon: &Daemon,
    node: &NodeStatus,
    wanted: &PluginVersion,
) -> Result<Option<(PlannedNode, Plugin)>, CommandError> {
    let now = in_force(daemon, &node.name, &wanted.name).await?;
    let all = plugins(daemon, "/v1/staged", &node.name).await?;
    let Some(staged) = used(&all, &wanted.name) else {
        return match lacks(node, &all, now.as_ref(), wanted) {
            Some(why) => Err(refused(&node.name, &why)),
            None => Ok(None),
        };
    };
    check(node, &staged, wanted)?;
    let services = staged.services.clone();
    let has_it = now.as_ref().is_some_and(|now| now.hash == staged.hash);
    let before = now.map(|now| now.version);
    let has_failed = has_failed_with(node, &services);
    Ok(Some((PlannedNode { name: node.name.clone(), services, before, has_it, has_failed }, staged)))
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

/// Whether one of these services is why a node has failed.
fn has_failed_with(node: &NodeStatus, services: &[String]) -> bool {
    let mut failed = node.services.iter().flatten().filter(|service| service.failed);
    node.state == NodeState::Failed && failed.any(|service| services.contains(&service.name))
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
