//! `koi wait`: returns when the cluster is as it should be.

use std::time::Duration;

use koi_proto::api::{ErrorCode, Group, Status};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::show::{self, STATUS};
use crate::cli::{Goal, WAIT_TIMEOUT, Wait};
use crate::connect::{Answer, Daemon};
use crate::error::{CommandError, exit};
use crate::output::{Out, PassingLine};
use crate::render::cluster::group::{self, GroupIn};
use crate::render::cluster::verdict::{self, Reason, Verdict};
use crate::render::layout::clock::span;
use crate::render::layout::text;

/// Time between two questions.
const PERIOD: Duration = Duration::from_millis(100);

/// Asks until the goal is reached (exit 0), or the time is over: exit 3 when there was an answer, 4 when there was none.
pub(crate) async fn wait(daemon: &Daemon, args: &Wait, out: Out) -> Result<u8, CommandError> {
    if args.goal == Goal::Leader && args.of.group.is_some() {
        return Err(CommandError::usage(
            "a leader is the whole cluster's, and no group's",
            "leave out --group",
        ));
    }
    let progress = PassingLine::new(out);
    let goal = Wanted { goal: args.goal, group: args.of.group.as_ref() };
    let reached = poll(daemon, goal, args.timeout.unwrap_or(WAIT_TIMEOUT), &progress).await;
    progress.clear();
    let answer = reached?;
    out.show(&answer.raw, |_| format!("{}\n", text::clean(&success(&answer.value, goal))))?;
    Ok(exit::WELL)
}

/// What is waited for.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    goal: Goal,
    /// Of which group; none: of all.
    group: Option<&'w Group>,
}

impl Wanted<'_> {
    /// The groups that are meant; none: there is none of this name yet.
    fn groups<'s>(&self, status: &'s Status) -> Vec<GroupIn<'s>> {
        match self.group {
            Some(group) => GroupIn::find(status, group).into_iter().collect(),
            None => GroupIn::all(status),
        }
    }
}

async fn poll(
    daemon: &Daemon,
    goal: Wanted<'_>,
    total: Duration,
    progress: &PassingLine,
) -> Result<Answer<Status>, CommandError> {
    let deadline = Instant::now() + total;
    // What the newest answer, or its absence, came to.
    let mut outcome = CommandError::new(exit::NO_ANSWER, ErrorCode::NoAnswer, "nothing has answered", "");
    while let Ok(asked) = timeout_at(deadline, daemon.get::<Status>(STATUS)).await {
        let why = match asked {
            Ok(answer) if reached(&answer.value, goal) => return Ok(answer),
            // A cluster that is well has heard of every group.
            Ok(answer)
                if Verdict::from_status(&answer.value) == Verdict::Well
                    && goal.groups(&answer.value).is_empty() =>
            {
                return Err(show::unknown_group(&answer.value, goal.group.unwrap_or(&Group::default())));
            }
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
        progress.draw(&format!("koi: {}, {left} left: {why}", lacking(goal.goal)));
        if now + PERIOD >= deadline {
            break;
        }
        sleep_until(now + PERIOD).await;
    }
    Err(outcome)
}

fn reached(status: &Status, goal: Wanted<'_>) -> bool {
    let groups = goal.groups(status);
    match (goal.goal, goal.group) {
        (Goal::Leader, _) => status.cluster.leader.is_some(),
        (Goal::Master, _) => {
            !groups.is_empty() && groups.iter().all(|group| group.promoted_master().is_some())
        }
        (Goal::Healthy, None) => Verdict::from_status(status) == Verdict::Well,
        (Goal::Healthy, Some(_)) => {
            status.cluster.leader.is_some() && !groups.is_empty() && groups.iter().all(GroupIn::is_well)
        }
    }
}

/// Why the goal is not reached yet.
fn missing(status: &Status, goal: Wanted<'_>) -> String {
    let verdict = Verdict::from_status(status);
    let groups = goal.groups(status);
    if let Some(wanted) = goal.group.filter(|_| groups.is_empty()) {
        return format!("there is no group {wanted} yet; the groups are {}", group::names(status));
    }
    let lacking = groups.iter().find(|group| group.promoted_master().is_none());
    match (verdict, lacking.and_then(GroupIn::master)) {
        (Verdict::Well, Some(master)) if goal.goal == Goal::Master => {
            format!("{master} is not promoted with all services")
        }
        (Verdict::Well, _) => "the cluster does not call itself healthy".to_owned(),
        (Verdict::Warned | Verdict::Degraded | Verdict::NoMaster | Verdict::NoLeader, _) => {
            let waits =
                groups.first().filter(|_| goal.group.is_some()).and_then(|group| group.waiting().first());
            waits.map_or_else(|| Reason::for_verdict(status, verdict).text, verdict::waiting)
        }
    }
}

fn not_reached(goal: Wanted<'_>, why: &str, total: Duration) -> CommandError {
    let message = format!("{} after {}: {why}", lacking(goal.goal), span(total.as_millis() as u64));
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

fn success(status: &Status, goal: Wanted<'_>) -> String {
    let master = |group: &GroupIn<'_>| {
        let master = group.master().cloned().unwrap_or_default();
        let of = if group.name().is_main() { String::new() } else { format!(" of {}", group.name()) };
        format!("{master} is master{of} (epoch {})", group.epoch())
    };
    match goal.goal {
        Goal::Master => goal.groups(status).iter().map(master).collect::<Vec<_>>().join(", "),
        Goal::Leader => format!("{} leads", status.cluster.leader.clone().unwrap_or_default()),
        Goal::Healthy => "all is well".to_owned(),
    }
}
