//! Brings the fault about, waits for what follows, and brings the role back.

use std::cell::Cell;
use std::time::Duration;

use koi_proto::api::{CRASH_AFTER, Done, Drill, DrillAction, ErrorCode, NodeState, OnNode, Scope, Status};
use tokio::time::{Instant, sleep, timeout_at};

use super::phases::{self, Phase};
use super::plan::{Fault, Plan};
use crate::commands::cluster::chronicle::{Chronicle, Entry, Moment};
use crate::commands::cluster::operate;
use crate::commands::cluster::promotion::{Promotion, find, is_leaders, waits};
use crate::commands::cluster::show::STATUS;
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::PassingLine;
use crate::render::cluster::group::GroupIn;
use crate::render::cluster::verdict::{Reason, Verdict};
use crate::render::layout::clock::span_of;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(100);

/// A drill under way.
pub(super) struct Run<'r> {
    pub(super) daemon: &'r Daemon,
    pub(super) plan: &'r Plan,
    /// How long each wait may take.
    pub(super) within: Duration,
    pub(super) progress: &'r PassingLine,
    /// When koid of the master was told to kill itself.
    pub(super) crashed: Cell<Option<Instant>>,
}

/// The role is where it was.
pub(super) struct Back {
    /// How long the promotion took; none: there was no need of one, or it was not measured.
    pub(super) took: Option<Duration>,
    /// Why all is not well yet, if it is not.
    pub(super) unwell: Option<String>,
}

/// How things are at one look.
enum Look<T> {
    Reached(T),
    /// Not yet, and what is waited for.
    Waiting(String),
}

impl Run<'_> {
    /// Brings the fault about, and returns when what follows from it is over.
    pub(super) async fn there(&self) -> Result<Vec<Phase>, CommandError> {
        let plan = self.plan;
        if matches!(plan.fault, Fault::SwitchOver) {
            let (_, account) = self.promotion(&plan.to).carry_out().await?;
            return Ok(phases::read(plan, &account.told, account.ordered));
        }
        let before = self.promotion(&plan.from).leaders_view(self.deadline()).await?;
        let chronicle = Chronicle::begin(self.daemon, &before.nodes).await;
        let given = self.bring_about(&chronicle).await?;
        let may_restart = !plan.moves();
        self.until(self.due() + self.within, "no other node is promoted", async |status| {
            if has_moved(plan, status) {
                return Look::Reached(());
            }
            if may_restart && find(&self.told(&chronicle, given).await, &plan.from, "restarted").is_some() {
                return Look::Reached(());
            }
            Look::Waiting(waits(status))
        })
        .await?;
        if self.crashed.get().is_some() {
            // Whoever is asked may have been the one that was killed: the nodes tell when all of them are back.
            self.until_standby().await?;
        }
        Ok(phases::read(plan, &self.told(&chronicle, given).await, given))
    }

    /// What the nodes tell of the group, and of each other.
    async fn told(&self, chronicle: &Chronicle<'_>, given: Moment) -> Vec<Entry> {
        let mut told = chronicle.since(given).await;
        told.retain(|entry| entry.event.group == self.plan.group || entry.event.kind == "node-dead");
        told
    }

    async fn bring_about(&self, chronicle: &Chronicle<'_>) -> Result<Moment, CommandError> {
        let node = Some(self.plan.from.clone());
        match &self.plan.fault {
            Fault::SwitchOver => Ok(chronicle.now()),
            Fault::DaemonCrash { .. } => {
                self.crashed.set(Some(Instant::now()));
                let sent = chronicle.now();
                self.post(&Drill { node, action: DrillAction::Crash, ..Drill::default() }).await?;
                Ok(sent.until(chronicle.now()).later(CRASH_AFTER))
            }
            Fault::ServiceFailure { service, .. } => {
                let given = chronicle.now();
                let service = Some(service.clone());
                self.post(&Drill { node, action: DrillAction::FailStatus, service, ..Drill::default() })
                    .await?;
                Ok(given)
            }
        }
    }

    /// Brings the role back to where it was.
    pub(super) async fn back(&self) -> Result<Back, CommandError> {
        let plan = self.plan;
        if let Fault::ServiceFailure { service, .. } = &plan.fault {
            let message = format!("{plan} is over: every status of {service} counts as it is");
            let node = Some(plan.from.clone());
            let group = plan.group.clone();
            self.post(&Drill { node, action: DrillAction::End, message, group, ..Drill::default() }).await?;
        }
        let status = self.until_standby().await?;
        let mut took = None;
        for group in plan.groups() {
            let has_it = GroupIn::find(&status, group).is_some_and(|group| {
                let is_master = group.promoted_master().is_some_and(|master| master.name == plan.from);
                is_master && group.target().is_none()
            });
            if !has_it {
                let promotion = Promotion { group: Some(group), ..self.promotion(&plan.from) };
                let (promoted, _) = promotion.carry_out().await?;
                let time = promoted.times.promoted.map(|time| time.took);
                took = took.or(time.filter(|_| *group == plan.group));
            }
        }
        let well = self.until(self.within, "the cluster is not well", async |status| {
            let found = Verdict::from_status(status);
            match found {
                Verdict::Well => Look::Reached(()),
                Verdict::Warned | Verdict::Degraded | Verdict::NoMaster | Verdict::NoLeader => {
                    Look::Waiting(Reason::for_verdict(status, found).text)
                }
            }
        });
        let unwell = well.await.err().map(|failed| failed.message().to_owned());
        Ok(Back { took, unwell })
    }

    /// Waits until the former master could have the role again, or has it. What the drill has made fail is recovered.
    async fn until_standby(&self) -> Result<Status, CommandError> {
        let plan = self.plan;
        let what = format!("{} could not have the role back", plan.from);
        let recovered = Cell::new(false);
        self.until(self.within, &what, async |status| {
            let Some(node) = status.nodes.iter().find(|node| node.name == plan.from) else {
                return Look::Waiting(format!("{} is not known", plan.from));
            };
            if let Some(crashed) = self.crashed.get()
                && Duration::from_millis(node.uptime_ms) > crashed.elapsed()
            {
                return Look::Waiting(format!("koid of {} is not started again yet", plan.from));
            }
            let drilled = matches!(plan.fault, Fault::ServiceFailure { .. });
            for name in plan.groups() {
                let group = GroupIn::find(status, name);
                let state = group.and_then(|group| group.state(node));
                match state {
                    Some(NodeState::Standby) => {}
                    Some(NodeState::Master) if group.is_some_and(|group| group.is_promoted(node)) => {}
                    Some(NodeState::Failed) if drilled && !recovered.get() => {
                        // Whether it has tried again by itself meanwhile makes no difference.
                        let scope = Scope::named(Some(name));
                        let order = OnNode { node: Some(plan.from.clone()), scope };
                        recovered
                            .set(operate::give(self.daemon, "recover", &order.scope, &order).await.is_ok());
                        return Look::Waiting(format!("{} recovers", plan.from));
                    }
                    Some(state) => return Look::Waiting(format!("{} is {state}", plan.from)),
                    None => return Look::Waiting(format!("{} does not run {name}", plan.from)),
                }
            }
            Look::Reached(status.clone())
        })
        .await
    }

    /// Writes into the events of the asked node.
    pub(super) async fn write(
        &self,
        action: DrillAction,
        message: &str,
        amiss: bool,
    ) -> Result<(), CommandError> {
        let (message, group) = (message.to_owned(), self.plan.group.clone());
        self.post(&Drill { action, message, group, amiss, ..Drill::default() }).await
    }

    async fn post(&self, drill: &Drill) -> Result<(), CommandError> {
        self.daemon.post::<Done>("/v1/drill", drill).await.map(drop)
    }

    fn promotion<'p>(&'p self, node: &'p str) -> Promotion<'p> {
        let Run { daemon, plan, within, progress, .. } = *self;
        Promotion { daemon, node, group: Some(&plan.group), within, progress }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.within
    }

    /// After how long the fault is seen at the latest, but for what a status itself takes.
    fn due(&self) -> Duration {
        match &self.plan.fault {
            Fault::SwitchOver | Fault::DaemonCrash { .. } => Duration::ZERO,
            Fault::ServiceFailure { patience, .. } => {
                let retries = u64::from(patience.status_failures.saturating_sub(1));
                let again_ms = retries.saturating_mul(patience.status_retry_ms);
                Duration::from_millis(patience.status_interval_ms.saturating_add(again_ms))
            }
        }
    }

    /// Asks until a leader's view is as it should be.
    async fn until<T>(
        &self,
        within: Duration,
        lacking: &str,
        look: impl AsyncFn(&Status) -> Look<T>,
    ) -> Result<T, CommandError> {
        let deadline = Instant::now() + within;
        let mut last = String::from("nothing has answered");
        while let Ok(asked) = timeout_at(deadline, self.daemon.get::<Status>(STATUS)).await {
            match asked {
                Ok(answer) if is_leaders(&answer.value) => match look(&answer.value).await {
                    Look::Reached(found) => return Ok(found),
                    Look::Waiting(what) => last = what,
                },
                Ok(answer) => last = waits(&answer.value),
                // The asked daemon may be the one that is started again.
                Err(failed) if failed.may_pass() || self.crashed.get().is_some() => {
                    failed.message().clone_into(&mut last);
                }
                Err(failed) => return Err(failed),
            }
            let left = span_of(deadline.saturating_duration_since(Instant::now()));
            self.progress.draw(&format!("koi: {lacking} yet, {left} left: {last}"));
            if Instant::now() + PERIOD >= deadline {
                break;
            }
            sleep(PERIOD).await;
        }
        let message = format!("{lacking} after {}: {last}", span_of(within));
        let hint = "`koi status` says more; -t waits longer";
        Err(CommandError::new(exit::DEGRADED, ErrorCode::NotReached, message, hint))
    }
}

/// Another node is promoted with all its critical services.
fn has_moved(plan: &Plan, status: &Status) -> bool {
    GroupIn::find(status, &plan.group).is_some_and(|group| {
        let master = group.promoted_master();
        let master = master.filter(|master| master.name != plan.from && master.services.is_some());
        master.is_some() && group.epoch() > plan.epoch
    })
}
