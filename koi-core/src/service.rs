//! One service: its state, what its hooks' ends mean, and its next step towards what the node wants (classic.md §2).

use std::time::Duration;

use crate::io::{Cause, HookEnd, Observed, RunId, ServiceSpec, StatusReport};
use crate::newcomer::Taken;
use crate::types::{Hook, ServiceState, Time};
use crate::view::Action;

/// A hook that runs now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    pub(crate) run: RunId,
    pub(crate) hook: Hook,
    pub(crate) since: Time,
    /// Asked to end: gently (`false`) or at once (`true`).
    pub(crate) aborting: Option<bool>,
}

/// One service of this node.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) spec: ServiceSpec,
    pub(crate) state: ServiceState,
    pub(crate) running: Option<Running>,
    /// It has failed itself, and is not just taken down with another.
    pub(crate) failed: bool,
    /// A promote has begun, and nothing since has proved that it is not promoted.
    pub(crate) up: bool,
    /// Started since it was last stopped.
    started: bool,
    /// To be stopped before anything else: its start was aborted, or a stop has to be tried again.
    pub(crate) must_stop: bool,
    /// `failed` has looked at the wreck.
    wreck_seen: bool,
    /// `stop` failed as well (R7).
    pub(crate) stop_failed: bool,
    pub(crate) promotable: bool,
    /// The steps up that were really taken.
    pub(crate) taken: Taken,
    /// It appeared while the node was master, and has not been promoted yet: it fails nobody but itself.
    pub(crate) newcomer: bool,
    /// When a newcomer that has failed is tried again, and how often it has failed.
    pub(crate) again_at: Time,
    pub(crate) in_vain: u32,
    pub(crate) score: Option<i32>,
    pub(crate) message: Option<String>,
    pub(crate) cause: Option<Cause>,
    /// Hooks that have failed since the last that did not.
    pub(crate) failures: u32,
    pub(crate) next_status: Time,
}

/// What the neighbours by priority allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gates {
    /// Every lower one has at least been started.
    pub(crate) start: bool,
    /// Every lower one is promoted.
    pub(crate) promote: bool,
    /// No higher one is promoted.
    pub(crate) demote: bool,
    /// Every higher one is stopped.
    pub(crate) stop: bool,
}

/// The next thing to do with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Run(Hook),
    Abort,
    /// It is down: `Failing` ends.
    Settle,
    /// It is to be taken down as failed, with others or by itself.
    BeginFailing,
}

/// What a hook's end has brought about beyond the service itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    None,
    /// The service has failed: the node fails with it.
    Failed(Cause),
    /// What was promoted could not be stopped.
    Unclean,
}

impl Service {
    pub(crate) fn new(spec: ServiceSpec) -> Service {
        Service {
            spec,
            state: ServiceState::Stopped,
            running: None,
            failed: false,
            up: false,
            started: false,
            must_stop: false,
            wreck_seen: false,
            stop_failed: false,
            promotable: false,
            taken: Taken::default(),
            newcomer: false,
            again_at: Time::NEVER,
            in_vain: 0,
            score: None,
            message: None,
            cause: None,
            failures: 0,
            next_status: Time::NEVER,
        }
    }

    /// The folder says this of it now. What runs is not stopped because nobody knows any more how to run it, and it is taken down as
    /// it was started (R7): until it is down only that it is disabled counts of a spec that would part it from its handler.
    pub(crate) fn respecify(&mut self, spec: ServiceSpec) {
        if self.holds_nothing() || !self.spec.parts_from(&spec, self.up) {
            self.spec = spec;
        } else {
            self.spec.disabled = spec.disabled;
            // Of one that an earlier run of the daemon has left the newest reason is told.
            if self.spec.problem.is_some() && spec.problem.is_some() {
                self.spec.problem = spec.problem;
            }
        }
    }

    /// Presumed to be what an earlier run of the daemon left (R8): to be taken down, or adopted in maintenance.
    pub(crate) fn presume(&mut self, promoted: bool, take_down: bool) {
        self.state = if promoted { ServiceState::Promoted } else { ServiceState::Started };
        self.up = promoted;
        self.started = true;
        self.taken = Taken { start: true, promote: promoted };
        self.promotable = true;
        self.must_stop = take_down;
    }

    /// Cannot or must not run at all: the node counts as failed, without recovery, while that is so (scar 8).
    pub(crate) fn barred(&self) -> Option<String> {
        if self.spec.disabled {
            return Some(format!(
                "{} is disabled: remove the file `disabled` from its folder",
                self.spec.name
            ));
        }
        self.spec.problem.as_ref().map(|problem| format!("{}: {problem}", self.spec.name))
    }

    /// Nothing of it runs, and no hook does. One that could not be stopped may still be promoted, whatever its state says.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.running.is_none() && self.is_down() && !self.up
    }

    pub(crate) fn is_down(&self) -> bool {
        matches!(self.state, ServiceState::Failed | ServiceState::Stopped)
    }

    /// The state while `hook` runs.
    fn state_during(&self, hook: Hook) -> ServiceState {
        match hook {
            Hook::Start => ServiceState::Starting,
            Hook::Stop if self.state == ServiceState::Failing => ServiceState::Failing,
            Hook::Stop => ServiceState::Stopping,
            Hook::Promote => ServiceState::Promoting,
            Hook::Demote => ServiceState::Demoting,
            Hook::Status => self.state,
            Hook::Failed => ServiceState::Failing,
        }
    }

    /// `hook` begins.
    pub(crate) fn begin(&mut self, hook: Hook, run: RunId, now: Time) {
        self.state = self.state_during(hook);
        self.takes(hook);
        self.up |= hook == Hook::Promote;
        self.running = Some(Running { run, hook, since: now, aborting: None });
        if hook == Hook::Status {
            // One that is ended early is not asked again at once.
            self.next_status = now + self.spec.status_interval;
        }
    }

    /// The next step towards `action`. `urgent`: the lease is lost, and a promote that runs is not waited for.
    pub(crate) fn next_step(&self, action: Action, gates: Gates, urgent: bool) -> Step {
        if let Some(running) = self.running {
            return self.step_while(running.hook, action, gates, urgent);
        }
        match self.state {
            ServiceState::Failed => Step::Nothing,
            ServiceState::Failing => self.failing_step(gates),
            ServiceState::Stopped => match action {
                Action::Fail | Action::Stop => Step::Nothing,
                Action::Start | Action::Demote | Action::Promote => {
                    let may = gates.start && self.barred().is_none();
                    if may { Step::Run(Hook::Start) } else { Step::Nothing }
                }
            },
            ServiceState::Started | ServiceState::Promoted => self.running_step(action, gates),
            // Between hooks these states do not last: the hook that makes them is running.
            ServiceState::Starting
            | ServiceState::Stopping
            | ServiceState::Demoting
            | ServiceState::Promoting => Step::Nothing,
        }
    }

    fn failing_step(&self, gates: Gates) -> Step {
        if !self.wreck_seen {
            return Step::Run(Hook::Failed); // scar 6: before stop
        }
        match (self.started || self.up) && !self.stop_failed {
            true if gates.stop => Step::Run(Hook::Stop),
            true => Step::Nothing,
            false => Step::Settle,
        }
    }

    fn running_step(&self, action: Action, gates: Gates) -> Step {
        let promoted = self.state == ServiceState::Promoted;
        let down = |hook: Hook, gate: bool| if gate { Step::Run(hook) } else { Step::Nothing };
        let action = if self.must_stop || self.spec.disabled { Action::Stop } else { action };
        if let Some(step) = self.late_step(action, gates) {
            return step;
        }
        match action {
            Action::Fail => Step::BeginFailing,
            Action::Stop | Action::Start | Action::Demote if promoted => down(Hook::Demote, gates.demote),
            Action::Stop => down(Hook::Stop, gates.stop),
            Action::Start | Action::Demote => Step::Nothing,
            Action::Promote if promoted || !self.promotable => Step::Nothing,
            Action::Promote => down(Hook::Promote, gates.promote),
        }
    }

    fn step_while(&self, hook: Hook, action: Action, gates: Gates, urgent: bool) -> Step {
        let going_down = action <= Action::Stop || self.must_stop || self.spec.disabled;
        match hook {
            Hook::Stop | Hook::Demote | Hook::Failed => Step::Nothing,
            Hook::Start if going_down => Step::Abort,
            Hook::Promote if going_down || urgent => Step::Abort,
            Hook::Start | Hook::Promote => Step::Nothing,
            // R11: a slow status script holds nothing up.
            Hook::Status => {
                let idle = Service { running: None, ..self.clone() };
                if idle.next_step(action, gates, urgent) == Step::Nothing {
                    Step::Nothing
                } else {
                    Step::Abort
                }
            }
        }
    }

    /// Takes the service down as failed: `failed`, then `stop`.
    pub(crate) fn begin_failing(&mut self, cause: Cause) {
        self.state = ServiceState::Failing;
        self.wreck_seen = false;
        self.stop_failed = false;
        self.must_stop = false;
        self.promotable = false;
        self.message = Some(cause.message.clone());
        self.cause = Some(cause);
    }

    /// Forgets failures: what is down may be started again, what could not be stopped is stopped again.
    pub(crate) fn recover(&mut self) {
        self.failed = false;
        self.failures = 0;
        self.cause = None;
        if self.state != ServiceState::Failed {
            return;
        }
        self.message = None;
        self.state = ServiceState::Stopped;
        if std::mem::take(&mut self.stop_failed) {
            self.state = if self.up { ServiceState::Promoted } else { ServiceState::Started };
            self.must_stop = true;
        }
    }

    /// A hook has ended. `block`: a failed stop of something promoted is not taken for a stop (R7).
    pub(crate) fn end(&mut self, hook: Hook, end: HookEnd, now: Time, block: bool) -> Consequence {
        let well = matches!(end, HookEnd::Done | HookEnd::Status(_));
        let consequence = self.ended(hook, end, now, block);
        self.prove(hook, well);
        self.excuse(consequence, now)
    }

    fn ended(&mut self, hook: Hook, end: HookEnd, now: Time, block: bool) -> Consequence {
        let killed = self.running.take().is_some_and(|r| r.aborting == Some(true));
        match end {
            HookEnd::Done => self.done(hook, now),
            HookEnd::Status(report) => self.observed(report, now),
            HookEnd::Failed { message, timed_out, lasting } => {
                self.went_wrong(Cause { hook, message, timed_out, lasting }, block)
            }
            HookEnd::Aborted => self.aborted(hook, killed, block),
        }
    }

    fn done(&mut self, hook: Hook, now: Time) -> Consequence {
        self.failures = 0;
        match hook {
            Hook::Start => {
                self.state = ServiceState::Started;
                self.started = true;
                // Whether it can be promoted is for its status to say, at once.
                self.promotable = !self.spec.hooks.has(Hook::Status);
                self.next_status = now;
            }
            Hook::Stop => self.stopped(),
            Hook::Promote => {
                self.state = ServiceState::Promoted;
                self.next_status = now + self.spec.status_interval;
            }
            Hook::Demote => {
                self.state = ServiceState::Started;
                self.up = false;
                self.taken.promote = false;
                self.next_status = now + self.spec.status_interval;
            }
            Hook::Status => {
                let observed = Observed::Healthy;
                return self.observed(StatusReport { observed, message: String::new(), score: None }, now);
            }
            Hook::Failed => self.wreck_seen = true,
        }
        Consequence::None
    }

    fn stopped(&mut self) {
        self.started = false;
        self.up = false;
        self.taken = Taken::default();
        self.must_stop = false;
        self.stop_failed = false;
        self.promotable = false;
        self.score = None;
        if self.state != ServiceState::Failing {
            self.state = ServiceState::Stopped;
            self.message = None;
        }
    }

    /// 90–93 are taken as the truth (classic.md §2).
    fn observed(&mut self, report: StatusReport, now: Time) -> Consequence {
        self.failures = 0;
        self.next_status = now + self.spec.status_interval;
        self.score = report.score;
        self.message = Some(report.message).filter(|m| !m.is_empty());
        match report.observed {
            Observed::Healthy => self.promotable = true,
            Observed::Promoted => {
                self.state = ServiceState::Promoted;
                self.taken = Taken { start: true, promote: true };
                self.up = true;
                self.promotable = true;
            }
            Observed::Standby => {
                self.state = ServiceState::Started;
                self.taken = Taken { start: true, promote: false };
                self.up = false;
                self.promotable = true;
            }
            Observed::Stopped => self.stopped(),
            // It runs; if it was promoted it is demoted first.
            Observed::Live => self.promotable = false,
        }
        Consequence::None
    }

    fn went_wrong(&mut self, cause: Cause, block: bool) -> Consequence {
        if cause.hook == Hook::Failed {
            self.wreck_seen = true;
            return Consequence::None;
        }
        self.failures = self.failures.saturating_add(1);
        if cause.hook == Hook::Stop && self.state == ServiceState::Failing {
            return self.cannot_stop(cause, block);
        }
        self.failed = true;
        self.begin_failing(cause.clone());
        Consequence::Failed(cause)
    }

    /// R7: `stop` failed even after `failed`.
    fn cannot_stop(&mut self, cause: Cause, block: bool) -> Consequence {
        let first = !self.failed;
        self.failed = true;
        self.started = false;
        self.message = Some(format!("cannot be stopped: {}", cause.message));
        if !(block && self.up) || broken!(UncleanReleased) {
            self.stopped();
            return if first { Consequence::Failed(cause) } else { Consequence::None };
        }
        self.stop_failed = true;
        Consequence::Unclean
    }

    fn aborted(&mut self, hook: Hook, killed: bool, block: bool) -> Consequence {
        match hook {
            Hook::Start => {
                // Half started: it has to be stopped.
                self.state = ServiceState::Started;
                self.started = true;
                self.must_stop = true;
                Consequence::None
            }
            Hook::Promote => {
                self.state = ServiceState::Promoted;
                Consequence::None
            }
            Hook::Status => Consequence::None,
            Hook::Stop | Hook::Demote | Hook::Failed => {
                let why = if killed { "killed: demote_grace was over" } else { "ended early" };
                let cause = Cause { hook, message: why.to_owned(), timed_out: true, lasting: false };
                self.went_wrong(cause, block)
            }
        }
    }

    /// How long the hook that runs has been running.
    pub(crate) fn hook_for(&self, now: Time) -> Option<(Hook, Duration)> {
        self.running.map(|r| (r.hook, now.since(r.since)))
    }

    /// Its status is due, as far as the clock goes.
    pub(crate) fn status_wanted(&self) -> bool {
        self.running.is_none()
            && self.spec.hooks.has(Hook::Status)
            && matches!(self.state, ServiceState::Started | ServiceState::Promoted)
    }

    /// `Failing` is over.
    pub(crate) fn settle(&mut self) {
        self.state = ServiceState::Failed;
    }
}
