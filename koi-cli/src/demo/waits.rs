//! What the steps of the tour are made of: orders, and waits for a condition, each with an end.

use std::fs;
use std::time::Duration;

use koi_proto::api::{NodeState, Promote, Status};
use tokio::time::Instant;

use super::journal::{Journal, Note, Stamp, now};
use super::services;
use crate::error::CommandError;
use crate::local_cluster::cluster::Cluster;
use crate::local_cluster::folder::NAMES;
use crate::render::cluster::verdict::{self, Reason, Verdict};

/// How long a step may take until what it waits for has come. Generous: what it takes is measured, not tested.
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long nothing must happen in maintenance: more than two looks of the database's status.
pub(crate) const STILLNESS: Duration = Duration::from_millis(2500);

/// Who is what in a healthy cluster.
pub(crate) struct Roles {
    pub(crate) leader: String,
    pub(crate) master: String,
    pub(crate) epoch: u64,
}

impl Roles {
    /// All three nodes run, are well, and agree that all is well.
    pub(crate) fn from_status(status: &Status) -> Option<Roles> {
        let ready = |state: &NodeState| matches!(state, NodeState::Master | NodeState::Standby);
        let all = status.nodes.len() == NAMES.len() && status.nodes.iter().all(|node| ready(&node.state));
        let cluster = &status.cluster;
        if !(all && cluster.healthy && !cluster.maintenance && cluster.target.is_none()) {
            return None;
        }
        let master = verdict::master(status)?.name.clone();
        Some(Roles { leader: cluster.leader.clone()?, master, epoch: cluster.epoch })
    }
}

/// A node that is neither master nor leader.
pub(crate) fn neither(roles: &Roles) -> String {
    let free = NAMES.into_iter().find(|name| *name != roles.master && *name != roles.leader);
    free.expect("there are three nodes").to_owned()
}

pub(crate) fn leader_of(status: &Status) -> Option<String> {
    status.cluster.leader.clone()
}

/// Whether a note is of a hook that changes what a service is.
pub(crate) fn changes(note: &Note) -> bool {
    note.hook != "status"
}

/// Waits until the cluster is well, whoever is what.
pub(crate) async fn healthy(cluster: &Cluster) -> Result<Roles, CommandError> {
    until(cluster, "a healthy cluster", Roles::from_status).await
}

/// Asks until the answer is the one that is waited for.
pub(crate) async fn until<T>(
    cluster: &Cluster,
    what: &str,
    wanted: impl Fn(&Status) -> Option<T>,
) -> Result<T, CommandError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = cluster.status().await;
        if let Some(found) = status.as_ref().and_then(&wanted) {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let seen = status.map_or("no node answers".to_owned(), |status| state_of(&status));
            return Err(broken(&format!("waited {} for {what}: {seen}", seconds(PATIENCE))));
        }
        cluster.pause().await;
    }
}

fn state_of(status: &Status) -> String {
    let verdict = Verdict::from_status(status);
    let nodes: Vec<String> =
        status.nodes.iter().map(|node| format!("{} {}", node.name, node.state)).collect();
    format!("{} ({})", Reason::for_verdict(status, verdict).text, nodes.join(", "))
}

/// Waits for a promote hook on a node other than `but`.
pub(crate) async fn promoted_elsewhere(
    cluster: &Cluster,
    but: &str,
    since: Stamp,
) -> Result<Note, CommandError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Journal::of(cluster).promotion_since(since) {
            Some(promotion) if promotion.node != but => return Ok(promotion),
            Some(_) => return Err(broken(&format!("{but} was promoted again"))),
            None if Instant::now() > deadline => {
                return Err(broken(&format!("waited {} for a promotion elsewhere", seconds(PATIENCE))));
            }
            None => cluster.pause().await,
        }
    }
}

/// Promotes a node by hand; how long it took until all its services were promoted.
pub(crate) async fn move_to(cluster: &Cluster, target: &str) -> Result<String, CommandError> {
    let asked = now();
    let order = Promote { node: target.to_owned(), ..Promote::default() };
    cluster.command("a", "promote", &order).await?;
    until(cluster, &format!("{target} to be master"), |status| {
        verdict::master(status).filter(|node| node.name == target).map(drop)
    })
    .await?;
    let done = Journal::of(cluster)
        .since(asked)
        .into_iter()
        .rfind(|note| note.node == target && note.is("promote", "end"));
    done.map(|note| span(note.at, asked)).ok_or_else(|| broken("no promote hook ran"))
}

/// Starts a killed daemon again; how long it took until the node was standby and all was well.
pub(crate) async fn come_back(cluster: &mut Cluster, name: &str) -> Result<String, CommandError> {
    let began = Instant::now();
    cluster.restart(name).await?;
    // What the others still know of the run that was killed is older than this one.
    let fresh = |status: &Status| {
        let age_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        status.nodes.iter().any(|node| node.name == name && node.uptime_ms <= age_ms)
    };
    until(cluster, &format!("{name} to be back"), |status| {
        Roles::from_status(status).filter(|_| fresh(status)).map(drop)
    })
    .await?;
    Ok(seconds(began.elapsed()))
}

/// Waits until every node acts on the maintenance mode and no hook runs any more.
pub(crate) async fn everywhere_still(cluster: &Cluster) -> Result<(), CommandError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut still = true;
        for node in &cluster.nodes {
            let local = node.local().await.ok().map(|local| local.node);
            still &= local.is_some_and(|node| {
                node.maintenance && node.services.unwrap_or_default().iter().all(|s| s.hook.is_none())
            });
        }
        if still {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(broken("maintenance mode did not reach every node"));
        }
        cluster.pause().await;
    }
}

/// Watches for a while that no hook begins.
pub(crate) async fn nothing_runs(cluster: &Cluster, since: Stamp) -> Result<(), CommandError> {
    let deadline = Instant::now() + STILLNESS;
    while Instant::now() < deadline {
        if let Some(note) = Journal::of(cluster).since(since).first() {
            return Err(broken(&format!(
                "in maintenance mode {} of {} ran on {}",
                note.hook, note.service, note.node
            )));
        }
        cluster.pause().await;
    }
    Ok(())
}

pub(crate) fn break_database(cluster: &Cluster, node: &str) -> Result<(), CommandError> {
    let path = services::broken(&cluster.folder, node);
    fs::write(&path, "").map_err(|e| CommandError::local(format!("cannot write {}: {e}", path.display()), ""))
}

pub(crate) fn mend_database(cluster: &Cluster, node: &str) -> Result<(), CommandError> {
    let path = services::broken(&cluster.folder, node);
    fs::remove_file(&path)
        .map_err(|e| CommandError::local(format!("cannot remove {}: {e}", path.display()), ""))
}

pub(crate) fn broken(message: &str) -> CommandError {
    CommandError::local(message, "")
}

/// The time between two instants, for people.
pub(crate) fn span(to: Stamp, from: Stamp) -> String {
    seconds(to.saturating_sub(from))
}

/// `84 ms`, `2.05 s`.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.2} s", time.as_secs_f32()),
    }
}
