//! `koi demo --script`: a fixed tour of faults and commands. Each step says what has come of it and how long it took;
//! in the end the hooks' own notes are searched for an instant at which two nodes were promoted.

use koi_proto::api::{Maintenance, OnNode};
use serde_json::json;
use tokio::time::Instant;

use super::journal::{self, Journal, Note, now};
use super::waits::{
    STILLNESS, break_database, broken, changes, come_back, everywhere_still, healthy, leader_of,
    mend_database, move_to, neither, nothing_runs, promoted_elsewhere, seconds, span, until,
};
use crate::error::{CommandError, exit};
use crate::local_cluster::cluster::{Cluster, STOP_TIME};
use crate::output::Out;
use crate::render::cluster::verdict;
use crate::render::layout::Tone;

/// Columns of a step's name.
const NAME: usize = 12;

/// What came of a step.
type StepResult = Result<String, CommandError>;

/// Runs all steps; exit 0 if all of them went well and no two nodes were ever promoted at once.
pub(crate) async fn tour(cluster: &mut Cluster, out: Out) -> Result<u8, CommandError> {
    let began = Instant::now();
    let report = Report { out };
    out.line(&format!("koi demo: a tour on three nodes, in {}", cluster.folder.path().display()))?;
    let went = steps(cluster, &report).await;
    let once = report.step("one master", only_one_master(&Journal::of(cluster).notes()))?;
    match went {
        Ok(()) if once => {
            out.line(&format!("all went well, in {} s", began.elapsed().as_secs()))?;
            Ok(exit::WELL)
        }
        Ok(()) | Err(TourError::Failed) => {
            out.line("NOT all went well")?;
            Ok(exit::FAILED)
        }
        Err(TourError::Output(fail)) => Err(fail),
    }
}

/// Why no further step is made.
enum TourError {
    /// A step has failed, and has said so: what follows would only be confusing.
    Failed,
    /// Nobody can be told.
    Output(CommandError),
}

impl From<CommandError> for TourError {
    fn from(fail: CommandError) -> TourError {
        TourError::Output(fail)
    }
}

async fn steps(cluster: &mut Cluster, report: &Report) -> Result<(), TourError> {
    let go_on = |went: bool| if went { Ok(()) } else { Err(TourError::Failed) };
    go_on(report.step("start", start(cluster).await)?)?;
    go_on(report.step("promote", promote(cluster).await)?)?;
    go_on(report.step("kill master", kill_master(cluster).await)?)?;
    go_on(report.step("kill leader", kill_leader(cluster).await)?)?;
    go_on(report.step("fail", fail_service(cluster).await)?)?;
    go_on(report.step("maintenance", maintenance(cluster).await)?)?;
    go_on(report.step("manual", manual(cluster).await)?)?;
    go_on(report.step("stop", stop(cluster).await)?)
}

/// Says what came of each step.
struct Report {
    out: Out,
}

impl Report {
    /// One line; whether it went well.
    fn step(&self, name: &str, result: StepResult) -> Result<bool, CommandError> {
        let paint = self.out.view().paint;
        let (mark, text) = match &result {
            Ok(text) => (paint.tone(Tone::Good, "✓"), text.as_str()),
            Err(fail) => (paint.bad("✗"), fail.message()),
        };
        self.out.line(&format!("{mark} {name:<NAME$} {text}"))?;
        if let Err(CommandError::Reported { error, .. }) = &result
            && !error.hint.is_empty()
        {
            self.out.line(&error.hint)?;
        }
        Ok(result.is_ok())
    }
}

/// Three daemons without any state: they found a cluster, elect a leader, and have a master as soon as all are ready.
async fn start(cluster: &mut Cluster) -> StepResult {
    let began = now();
    cluster.start().await?;
    let leader = until(cluster, "a leader", leader_of).await?;
    let led = now();
    healthy(cluster).await?;
    let first = Journal::of(cluster).promotion_since(began).ok_or_else(|| broken("no promote hook ran"))?;
    Ok(format!(
        "{leader} leads after {}, {} is promoted after {} (its database syncs for 1 s)",
        span(led, began),
        first.node,
        span(first.at, began)
    ))
}

/// An operator moves the mastership to a node that does not lead.
async fn promote(cluster: &mut Cluster) -> StepResult {
    let before = healthy(cluster).await?;
    let target = neither(&before);
    let took = move_to(cluster, &target).await?;
    let after = healthy(cluster).await?;
    if after.leader != before.leader {
        return Err(broken(&format!("the leader was {} and is {}", before.leader, after.leader)));
    }
    Ok(format!(
        "{} → {target} by hand, demoted and promoted in {took}; {} still leads",
        before.master, after.leader
    ))
}

/// The master's daemon dies without a word: another node takes over, but not before nothing is promoted there any more.
async fn kill_master(cluster: &mut Cluster) -> StepResult {
    let before = healthy(cluster).await?;
    let (master, killed) = (before.master, now());
    cluster.kill(&master)?;
    let promotion = promoted_elsewhere(cluster, &master, killed).await?;
    until(cluster, "a new master that is promoted", |status| {
        verdict::master(status).filter(|node| node.name != master).map(drop)
    })
    .await?;
    let back = come_back(cluster, &master).await?;
    Ok(format!(
        "kill -9 {master}: {} begins to promote {} later; {master} is back and standby after {back}",
        promotion.node,
        span(promotion.at, killed)
    ))
}

/// The leader's daemon dies while another node is master: that one goes on as if nothing had happened.
async fn kill_leader(cluster: &mut Cluster) -> StepResult {
    let mut before = healthy(cluster).await?;
    if before.leader == before.master {
        move_to(cluster, &neither(&before)).await?;
        before = healthy(cluster).await?;
    }
    let (leader, master, killed) = (before.leader, before.master, now());
    cluster.kill(&leader)?;
    let next = until(cluster, "a new leader", |status| leader_of(status).filter(|l| *l != leader)).await?;
    let led = now();
    let back = come_back(cluster, &leader).await?;
    let after = healthy(cluster).await?;
    let moved =
        Journal::of(cluster).since(killed).into_iter().find(|note| note.node == master && changes(note));
    if after.master != master || after.epoch != before.epoch || moved.is_some() {
        return Err(broken(&format!(
            "{master} did not simply stay master: {moved:?}, then {} is",
            after.master
        )));
    }
    Ok(format!(
        "kill -9 {leader}: {next} leads after {}, {master} stays master and ran no hook; {leader} is back after {back}",
        span(led, killed)
    ))
}

/// A service of the master fails.
async fn fail_service(cluster: &mut Cluster) -> StepResult {
    let master = healthy(cluster).await?.master;
    let failed = now();
    break_database(cluster, &master)?;
    let promotion = promoted_elsewhere(cluster, &master, failed).await?;
    let seen =
        Journal::of(cluster).since(failed).into_iter().find(|n| n.node == master && n.is("status", "broken"));
    let seen = seen.ok_or_else(|| broken("a failover, but no status script saw the failure"))?;
    mend_database(cluster, &master)?;
    cluster.command(&master, "recover", &OnNode { node: Some(master.clone()), ..OnNode::default() }).await?;
    healthy(cluster).await?;
    Ok(format!(
        "{master}'s database: {} begins to promote {} after its status saw it; recovered",
        promotion.node,
        span(promotion.at, seen.at)
    ))
}

/// Nothing runs, whatever happens.
async fn maintenance(cluster: &mut Cluster) -> StepResult {
    let before = healthy(cluster).await?;
    let asked = now();
    cluster.command("a", "maintenance", &Maintenance { on: true }).await?;
    everywhere_still(cluster).await?;
    let on = now();
    break_database(cluster, &before.master)?;
    nothing_runs(cluster, on).await?;
    mend_database(cluster, &before.master)?;
    cluster.command("a", "maintenance", &Maintenance { on: false }).await?;
    let after = healthy(cluster).await?;
    let moved = Journal::of(cluster).since(on).into_iter().find(changes);
    if after.master != before.master || moved.is_some() {
        return Err(broken(&format!("it was not as before: {moved:?}, {} is master", after.master)));
    }
    Ok(format!(
        "on after {}; {}'s database broken for {}: no hook ran; off: {} is still master",
        span(on, asked),
        before.master,
        seconds(STILLNESS),
        after.master
    ))
}

/// No master until an operator says so.
async fn manual(cluster: &mut Cluster) -> StepResult {
    let before = healthy(cluster).await?;
    let asked = now();
    cluster.command("b", "demote", &json!({})).await?;
    until(cluster, "no master, in manual mode", |status| {
        (status.cluster.manual && status.cluster.master.is_none()).then_some(())
    })
    .await?;
    let notes = Journal::of(cluster).since(asked);
    let down = notes.iter().rfind(|note| note.is("demote", "end")).map_or_else(now, |note| note.at);
    let elected = now();
    cluster.command("c", "elect", &json!({})).await?;
    let after = healthy(cluster).await?;
    let promotion =
        Journal::of(cluster).promotion_since(down).ok_or_else(|| broken("no promote hook ran"))?;
    if promotion.at < elected {
        return Err(broken(&format!("{} was promoted in manual mode", promotion.node)));
    }
    Ok(format!(
        "demote: {} is down after {}, and nobody is master; elect: {} begins to promote after {}",
        before.master,
        span(down, asked),
        after.master,
        span(promotion.at, elected)
    ))
}

/// Everything is taken down in order.
async fn stop(cluster: &mut Cluster) -> StepResult {
    let asked = Instant::now();
    let complaints = cluster.stop(STOP_TIME).await;
    let took = asked.elapsed();
    if !complaints.is_empty() {
        return Err(broken(&complaints.join("; ")));
    }
    let left = journal::promoted(&Journal::of(cluster).notes());
    if !left.is_empty() {
        return Err(broken(&format!("still promoted, by what the hooks say: {left:?}")));
    }
    Ok(format!(
        "all daemons have ended well after {}; nothing is promoted, no process is left",
        seconds(took)
    ))
}

/// What this is all about.
fn only_one_master(notes: &[Note]) -> StepResult {
    let promotions = notes.iter().filter(|note| note.is("promote", "begin")).count();
    if promotions == 0 {
        return Err(broken("no promote hook ran: nothing can be said"));
    }
    let overlaps = journal::overlaps(notes);
    if overlaps.is_empty() {
        let notes = notes.len();
        return Ok(format!(
            "never two nodes at once, in {notes} notes of hooks with {promotions} promotions"
        ));
    }
    let end = notes.last().map_or_else(now, |note| note.at);
    let each: Vec<String> = overlaps
        .iter()
        .map(|o| format!("{} and {} for {}", o.nodes[0], o.nodes[1], span(o.until.unwrap_or(end), o.from)))
        .collect();
    Err(broken(&format!("two nodes were promoted at once: {}", each.join(", "))))
}
