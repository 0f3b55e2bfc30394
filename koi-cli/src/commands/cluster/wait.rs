//! `koi wait`: returns when the cluster is as it should be.

use std::time::Duration;

use koi_proto::api::{ErrorCode, Status};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::show::STATUS;
use crate::cli::{Goal, WAIT_TIMEOUT, Wait};
use crate::connect::{Answer, Daemon};
use crate::error::{CommandError, exit};
use crate::output::{Out, PassingLine};
use crate::render::cluster::verdict::{self, Reason, Verdict};
use crate::render::layout::clock::span;
use crate::render::layout::text;

/// Time between two questions.
const PERIOD: Duration = Duration::from_millis(100);

/// Asks until the goal is reached (exit 0), or the time is over: exit 3 when there was an answer, 4 when there was none.
pub(crate) async fn wait(daemon: &Daemon, args: &Wait, out: Out) -> Result<u8, CommandError> {
    let progress = PassingLine::new(out);
    let reached = poll(daemon, args.goal, args.timeout.unwrap_or(WAIT_TIMEOUT), &progress).await;
    progress.clear();
    let answer = reached?;
    out.show(&answer.raw, |_| format!("{}\n", text::clean(&success(&answer.value, args.goal))))?;
    Ok(exit::WELL)
}

async fn poll(
    daemon: &Daemon,
    goal: Goal,
    total: Duration,
    progress: &PassingLine,
) -> Result<Answer<Status>, CommandError> {
    let deadline = Instant::now() + total;
    // What the newest answer, or its absence, came to.
    let mut outcome = CommandError::new(exit::NO_ANSWER, ErrorCode::NoAnswer, "nothing has answered", "");
    while let Ok(asked) = timeout_at(deadline, daemon.get::<Status>(STATUS)).await {
        let why = match asked {
            Ok(answer) if reached(&answer.value, goal) => return Ok(answer),
            Ok(answer) => {
                let why = missing(&answer.value, goal);
                outcome = not_reached(goal, &why, total);
                why
            }
            Err(fail) if fail.may_pass() => {
                let why = fail.message().to_owned();
                outcome = fail;
                why
            }
            Err(fail) => return Err(fail),
        };
        let now = Instant::now();
        let left = span(deadline.saturating_duration_since(now).as_millis() as u64);
        progress.draw(&format!("koi: {}, {left} left: {why}", lacking(goal)));
        if now + PERIOD >= deadline {
            break;
        }
        sleep_until(now + PERIOD).await;
    }
    Err(outcome)
}

fn reached(status: &Status, goal: Goal) -> bool {
    match goal {
        Goal::Leader => status.cluster.leader.is_some(),
        Goal::Master => verdict::master(status).is_some(),
        Goal::Healthy => Verdict::from_status(status) == Verdict::Well,
    }
}

/// Why the goal is not reached yet.
fn missing(status: &Status, goal: Goal) -> String {
    let verdict = Verdict::from_status(status);
    match (verdict, &status.cluster.master) {
        (Verdict::Well, Some(master)) if goal == Goal::Master => {
            format!("{master} is not promoted with all services")
        }
        (Verdict::Well, _) => "the cluster does not call itself healthy".to_owned(),
        (Verdict::Warned | Verdict::Degraded | Verdict::NoMaster | Verdict::NoLeader, _) => {
            Reason::for_verdict(status, verdict).text
        }
    }
}

fn not_reached(goal: Goal, why: &str, total: Duration) -> CommandError {
    let message = format!("{} after {}: {why}", lacking(goal), span(total.as_millis() as u64));
    CommandError::new(
        exit::DEGRADED,
        ErrorCode::NotReached,
        message,
        "`koi status` says more; --timeout waits longer",
    )
}

fn lacking(goal: Goal) -> &'static str {
    match goal {
        Goal::Master => "no master is promoted with all its services",
        Goal::Leader => "no leader acts",
        Goal::Healthy => "the cluster is not healthy",
    }
}

fn success(status: &Status, goal: Goal) -> String {
    let cluster = &status.cluster;
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    match goal {
        Goal::Master => format!("{} is master (epoch {})", name(&cluster.master), cluster.epoch),
        Goal::Leader => format!("{} leads", name(&cluster.leader)),
        Goal::Healthy => "all is well".to_owned(),
    }
}
