//! `koi drill`: a fault on purpose, what follows from it, and the role back where it was.

pub(crate) mod phases;
mod plan;
mod run;

use std::cell::Cell;

use koi_proto::api::{DrillAction, Status};
use serde_json::json;

use self::phases::{Finding, Phase};
use self::plan::Plan;
use self::run::{Back, Run};
use super::show::STATUS;
use crate::cli::{ANSWER_TIMEOUT, Drill, WAIT_TIMEOUT};
use crate::commands::ask;
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::local_cluster::interrupt::Interrupt;
use crate::output::{Out, PassingLine};
use crate::render;
use crate::render::cluster::group::GroupIn;
use crate::render::layout::clock::span_of;

/// What came of a drill.
pub(crate) struct Report {
    pub(crate) head: String,
    pub(crate) phases: Vec<Phase>,
    /// Where the role is.
    pub(crate) end: String,
    /// A bound was exceeded.
    pub(crate) exceeded: bool,
    /// That, or all is not well in the end.
    pub(crate) amiss: bool,
}

/// How a part of a drill has ended.
enum Ended<T> {
    Done(T),
    Failed(CommandError),
    Interrupted,
}

/// Says what it will do, asks, does it, and shows what took how long.
pub(crate) async fn drill(daemon: &Daemon, args: &Drill, out: Out) -> Result<u8, CommandError> {
    let within = daemon.asked_timeout().unwrap_or(WAIT_TIMEOUT);
    let daemon = daemon.within(within.min(ANSWER_TIMEOUT));
    let mut plan = Plan::make(&daemon, &args.kind, args.group.as_ref(), None).await?;
    let steps = plan.steps();
    if args.dry_run {
        let said = json!({ "drill": plan.fault.as_str(), "group": plan.group, "from": plan.from, "to": plan.to, "steps": steps, "done": false });
        out.show(&said, |view| render::cluster::drill::plan(&plan.to_string(), &steps, view))?;
        return Ok(exit::WELL);
    }
    if !out.is_json() {
        out.write(&render::cluster::drill::plan(&plan.to_string(), &steps, &out.view()))?;
    }
    if !args.yes {
        let remedy = format!(
            "say `koi drill {}{} --yes` if that is what you want",
            plan.fault.as_str(),
            plan.option()
        );
        ask::agreed(out, &plan.to_string(), plan.cost(), (&remedy, "nothing was begun"))?;
        plan = still(&daemon, args, &plan).await?;
    }
    // From here on Ctrl-C brings the role back.
    let interrupt = Interrupt::watch()?;
    let progress = PassingLine::new(out);
    let run = Run { daemon: &daemon, plan: &plan, within, progress: &progress, crashed: Cell::new(None) };
    run.write(DrillAction::Begin, &format!("{plan} begins: {}", steps.join("; ")), false).await?;
    carry_out(&run, interrupt, out).await
}

/// The cluster may have changed while the question stood.
async fn still(daemon: &Daemon, args: &Drill, agreed: &Plan) -> Result<Plan, CommandError> {
    let now = Plan::make(daemon, &args.kind, args.group.as_ref(), Some(&agreed.to)).await?;
    if now.steps() != agreed.steps() {
        let message = "the cluster has changed since this was shown, and the drill would be another one";
        return Err(CommandError::local(message, "nothing was begun; give the command again"));
    }
    Ok(now)
}

async fn carry_out(run: &Run<'_>, mut interrupt: Interrupt, out: Out) -> Result<u8, CommandError> {
    let Run { plan, progress, .. } = run;
    let there = unless_interrupted(run.there(), &mut interrupt).await;
    progress.clear();
    if matches!(there, Ended::Interrupted) {
        out.note(&format!(
            "interrupted: the role goes back to {}; Ctrl-C again leaves things as they are",
            plan.from
        ));
    }
    let back = unless_interrupted(run.back(), &mut interrupt).await;
    progress.clear();
    let back = match back {
        Ended::Done(back) => back,
        Ended::Failed(failed) => {
            let why = match &there {
                Ended::Failed(first) => format!("{}; then: {}", first.message(), failed.message()),
                Ended::Done(_) | Ended::Interrupted => failed.message().to_owned(),
            };
            return Err(left(run, &format!("the drill is not over: {why}"), out).await);
        }
        Ended::Interrupted => return Err(left(run, "the drill was interrupted", out).await),
    };
    let end = end(plan, &back);
    let phases = match there {
        Ended::Done(phases) => phases,
        Ended::Failed(failed) => {
            let message = format!("{plan} did not come about: {}; {end}", failed.message());
            write_end(run, &message, true, out).await;
            return Err(CommandError::local(message, "`koi status` and `koi failures` say more"));
        }
        Ended::Interrupted => {
            let message = format!("{plan} was interrupted; {end}");
            write_end(run, &message, true, out).await;
            return Err(CommandError::local(message, ""));
        }
    };
    let exceeded = phases.iter().any(|phase| phase.finding() == Finding::Exceeded);
    let amiss = exceeded || back.unwell.is_some();
    let report = Report { head: plan.to_string(), phases, end, exceeded, amiss };
    write_end(run, &report.sentence(), amiss, out).await;
    out.show(&said(plan, &report, &back), |view| render::cluster::drill::report(&report, view))?;
    Ok(if amiss { exit::FAILED } else { exit::WELL })
}

/// Where the role is in the end.
fn end(plan: &Plan, back: &Back) -> String {
    let from = &plan.from;
    let mut end = match back.took {
        Some(took) => format!("{from} is master again, {} after the order to promote it back", span_of(took)),
        None => format!("{from} is master"),
    };
    if let Some(why) = &back.unwell {
        end.push_str(&format!("; {why}"));
    }
    end
}

impl Report {
    /// All of it, for the events.
    fn sentence(&self) -> String {
        let phases: Vec<String> = self.phases.iter().map(Phase::sentence).collect();
        let found = if self.exceeded { "a bound was exceeded" } else { "no bound was exceeded" };
        format!("{} is over, {found}: {}; {}", self.head, phases.join(", "), self.end)
    }
}

fn said(plan: &Plan, report: &Report, back: &Back) -> serde_json::Value {
    let phases: Vec<serde_json::Value> = report.phases.iter().map(Phase::json).collect();
    json!({
        "drill": plan.fault.as_str(),
        "group": plan.group,
        "from": plan.from,
        "phases": phases,
        "back_ms": back.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        "exceeded": report.exceeded,
        "unwell": back.unwell,
        "done": true,
    })
}

/// Writes into the events what came of it. Whoever has begun it is told in any case.
async fn write_end(run: &Run<'_>, message: &str, amiss: bool, out: Out) {
    if let Err(failed) = run.write(DrillAction::End, message, amiss).await
        && !out.is_json()
    {
        out.warn(&format!("it is not in the events: {}", failed.message()));
    }
}

async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, CommandError>>,
    interrupt: &mut Interrupt,
) -> Ended<T> {
    tokio::select! {
        result = work => result.map_or_else(Ended::Failed, Ended::Done),
        () = interrupt.came() => Ended::Interrupted,
    }
}

/// The role was not brought back: how things are, and what brings it back.
async fn left(run: &Run<'_>, why: &str, out: Out) -> CommandError {
    let plan = run.plan;
    let status = run.daemon.get::<Status>(STATUS).await.ok().map(|answer| answer.value);
    let group = status.as_ref().and_then(|status| GroupIn::find(status, &plan.group));
    let master = group.and_then(|group| group.master().cloned());
    let stands = match master {
        Some(master) if master == plan.from => format!("{master} is master as before"),
        Some(master) => format!("{master} is master"),
        None => "it is not known who is master".to_owned(),
    };
    let message = format!("{why}; {stands}");
    write_end(run, &format!("{plan}: {message}"), true, out).await;
    let hint = format!(
        "`koi status` says how things are; `koi promote{1} {0}` brings the role back, after `koi recover{1} {0}` if it has failed",
        plan.from,
        plan.option()
    );
    CommandError::local(message, hint)
}
