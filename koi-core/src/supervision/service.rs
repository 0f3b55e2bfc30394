//! One service: its state, what its hooks' ends mean, and its next step towards what the node wants.

mod aside;
mod bad_status;
mod changes;
mod early_status;
pub(crate) mod restart;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::io::{Cause, HookEnd, Observed, RunId, ServiceSpec, StatusReport};
use crate::patience::Patience;
use crate::reason::{FailureReason, IneligibleReason, ServiceNote};
use crate::supervision::service::changes::ChangesTold;
pub(crate) use crate::supervision::service::changes::Surroundings;
use crate::supervision::service::restart::Restart;
use crate::types::{Epoch, Hook, ServiceState, Time};
use crate::view::Action;

/// For so long a contradiction is remembered: the same once more within it is a failure.
const DOUBT_LASTS: Duration = Duration::from_secs(10 * 60);
/// Statuses that must have agreed with a promotion before it is believed.
const CONFIRMATIONS: u8 = 3;
/// Changes that nobody has asked for, of late, that make a service restless.
const RESTLESS: u32 = 3;

/// A hook that runs now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    pub(crate) run: RunId,
    pub(crate) hook: Hook,
    pub(crate) since: Time,
    /// Asked to end: gently (`false`) or at once (`true`).
    pub(crate) aborting: Option<bool>,
    /// It was promoted, or perhaps, when this began.
    was_up: bool,
    /// A status that is to find out what the end of a process means.
    pub(crate) after_end: bool,
}

/// The steps up that were really taken since the service was last down: by a hook of its own, or as its status has told. A hook that is
/// not there counts as done, and nothing has been done.
#[derive(Clone, Copy, Debug, Default)]
struct StepsTaken {
    start: bool,
    promote: bool,
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
    pub(crate) maybe_promoted: bool,
    /// Started since it was last stopped.
    started: bool,
    /// To be stopped before anything else: its start was aborted, or a stop has to be tried again.
    pub(crate) must_stop: bool,
    /// `failed` has looked at the wreck.
    wreck_seen: bool,
    /// `stop` failed as well (R7).
    pub(crate) stop_failed: bool,
    /// It is stopped once more because an operator said so, and until it is down it is what it was (R7).
    stops_again: bool,
    pub(crate) promotable: bool,
    /// The steps up that were really taken.
    taken: StepsTaken,
    /// The epoch that its promote was given; none: it is not promoted by one that this run of the daemon has begun.
    pub(crate) promoted_under: Option<Epoch>,
    /// It appeared while the node was master, and has not been promoted yet: it fails nobody but itself.
    newcomer: bool,
    /// When one that stands aside and has failed is tried again, how often it has failed, and when last.
    again_at: Time,
    in_vain: u32,
    excused_at: Time,
    /// It has failed by itself alone, or did not come up well: nobody waits for it unless it is critical.
    unproven: bool,
    /// It is being restarted in place.
    pub(crate) restart: Option<Restart>,
    /// When it was restarted, within its window.
    restarts: Vec<Time>,
    pub(crate) score: Option<i64>,
    pub(crate) message: Option<ServiceNote>,
    pub(crate) cause: Option<Cause>,
    /// Hooks that have failed since the last that did not.
    pub(crate) failures: u32,
    /// Bad statuses in a row with which it has not failed.
    bad_statuses: u32,
    /// When its status is due by the clock.
    next_status: Time,
    /// A process of it has ended, and no status has begun since.
    process_ended: bool,
    /// Statuses that have begun because a process had ended.
    early_statuses: Patience,
    /// It ran on unwatched in maintenance: so many statuses must end before one has said how it is since.
    pub(crate) unasked: u8,
    /// A leader has asked how it is: so many statuses must end before one has answered.
    pub(crate) questions: u8,
    /// The hook that has just said that it is done, and of which no status has spoken yet.
    claimed: Option<Hook>,
    /// When status last contradicted each hook that said that it was done.
    doubts: BTreeMap<Hook, Time>,
    /// R7: status called it promoted after each demote. Until it says otherwise after a stop, nobody knows.
    suspect: bool,
    /// Changes of its state that status has told of and nobody has asked for.
    surprises: Patience,
    /// Hooks for which the machine had no room, and starts that status has contradicted.
    setbacks: Patience,
    /// Statuses that have agreed with its promotion.
    confirmations: u8,
    /// It was fit when it was demoted, and its status has not spoken since.
    awaits_word: bool,
    /// What it was told of its group.
    changes: ChangesTold,
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

impl Gates {
    /// The same for one that rests: it goes down as ever, and not up.
    pub(crate) fn resting(self, rests: bool) -> Gates {
        Gates { start: self.start && !rests, promote: self.promote && !rests, ..self }
    }
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
            maybe_promoted: false,
            started: false,
            must_stop: false,
            wreck_seen: false,
            stop_failed: false,
            stops_again: false,
            promotable: false,
            taken: StepsTaken::default(),
            promoted_under: None,
            newcomer: false,
            again_at: Time::NEVER,
            in_vain: 0,
            excused_at: Time(0),
            unproven: false,
            restart: None,
            restarts: Vec::new(),
            score: None,
            message: None,
            cause: None,
            failures: 0,
            bad_statuses: 0,
            next_status: Time::NEVER,
            process_ended: false,
            early_statuses: Patience::default(),
            unasked: 0,
            questions: 0,
            claimed: None,
            doubts: BTreeMap::new(),
            suspect: false,
            surprises: Patience::default(),
            setbacks: Patience::default(),
            confirmations: 0,
            awaits_word: false,
            changes: ChangesTold::default(),
        }
    }

    /// A hook of it was run on the way up, or its status says so.
    pub(crate) fn took_a_step(&self) -> bool {
        self.taken.start || self.taken.promote
    }

    /// The folder says this of it now. What runs is not stopped because nobody knows any more how to run it, and it is taken down as
    /// it was started (R7): until it is down only that it is disabled counts of a spec that would part it from its handler.
    pub(crate) fn respecify(&mut self, spec: ServiceSpec) {
        if self.holds_nothing() || !self.spec.would_orphan(&spec, self.maybe_promoted) {
            // What cannot be read says nothing of how critical it is.
            let policy = if spec.problem.is_some() { self.spec.policy } else { spec.policy };
            self.spec = ServiceSpec { policy, ..spec };
            if !self.hears_changes() {
                self.changes.forget();
            }
        } else {
            self.spec.disabled = spec.disabled;
            // A service that an earlier run of the daemon has left shows the newest problem.
            if self.spec.problem.is_some() && spec.problem.is_some() {
                self.spec.problem = spec.problem;
            }
        }
    }

    /// Presumed to be what an earlier run of the daemon left (R8): to be taken down, or adopted in maintenance.
    pub(crate) fn presume(&mut self, promoted: bool, take_down: bool) {
        self.state = if promoted { ServiceState::Promoted } else { ServiceState::Started };
        self.maybe_promoted = promoted;
        self.started = true;
        self.taken = StepsTaken { start: true, promote: promoted };
        self.promotable = true;
        self.must_stop = take_down;
    }

    /// Cannot or must not run at all: the node counts as failed, without recovery, while that is so.
    pub(crate) fn ineligible_reason(&self) -> Option<IneligibleReason> {
        let service = || self.spec.name.clone();
        if self.spec.disabled {
            return Some(IneligibleReason::Disabled { service: service() });
        }
        let problem = self.spec.problem.clone()?;
        Some(IneligibleReason::Unusable { service: service(), problem })
    }

    pub(crate) fn is_ineligible(&self) -> bool {
        self.spec.disabled || self.spec.problem.is_some()
    }

    /// Nothing of it runs, and no hook does. One that could not be stopped may still be promoted, whatever its state says.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.running.is_none() && self.is_down() && !self.maybe_promoted
    }

    pub(crate) fn is_down(&self) -> bool {
        matches!(self.state, ServiceState::Failed | ServiceState::Stopped) && !self.wants_proof()
    }

    /// R7: it was stopped, and its status is to say now whether it is still promoted.
    fn wants_proof(&self) -> bool {
        self.suspect && !self.started && !self.stop_failed && self.spec.hooks.has(Hook::Status)
    }

    /// Until then it is neither started nor promoted: it changes by itself again and again, or its hooks came to nothing. The first change
    /// costs nothing.
    pub(crate) fn rests_until(&self) -> Time {
        self.surprises.until(1).max(self.setbacks.until(0))
    }

    /// How often it has changed by itself of late, if that is often.
    pub(crate) fn restless(&self, now: Time) -> Option<u32> {
        // Zero after a calm.
        Some(self.surprises.lately(now)).filter(|times| *times >= RESTLESS)
    }

    /// Promoted, and its status has agreed often enough.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.state == ServiceState::Promoted
            && (self.confirmations >= CONFIRMATIONS || !self.spec.hooks.has(Hook::Status))
    }

    /// Its status calls it promoted, whatever koi does about it.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// The state while `hook` runs.
    fn state_during(&self, hook: Hook) -> ServiceState {
        match hook {
            Hook::Start => ServiceState::Starting,
            Hook::Stop if self.state == ServiceState::Failing => ServiceState::Failing,
            Hook::Stop => ServiceState::Stopping,
            Hook::Promote => ServiceState::Promoting,
            Hook::Demote => ServiceState::Demoting,
            Hook::Status | Hook::Changed => self.state,
            Hook::Failed => ServiceState::Failing,
        }
    }

    /// `hook` begins.
    pub(crate) fn begin(&mut self, hook: Hook, run: RunId, now: Time) {
        self.state = self.state_during(hook);
        self.takes(hook);
        let was_up = self.maybe_promoted;
        if hook == Hook::Promote {
            self.maybe_promoted = true;
            self.confirmations = 0;
        }
        if !matches!(hook, Hook::Status | Hook::Changed) {
            self.claimed = None;
            self.awaits_word = false;
        }
        let after_end = hook == Hook::Status && self.begin_early_status(now);
        self.running = Some(Running { run, hook, since: now, aborting: None, was_up, after_end });
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
            ServiceState::Stopped if self.wants_proof() => Step::Run(Hook::Status),
            ServiceState::Stopped => match action {
                Action::Fail | Action::Stop => Step::Nothing,
                Action::Start | Action::Demote | Action::Promote => {
                    let may = gates.start && !self.is_ineligible();
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
            return Step::Run(Hook::Failed); // before stop clears the wreck away
        }
        if self.wants_proof() {
            return Step::Run(Hook::Status);
        }
        match (self.started || self.maybe_promoted) && !self.stop_failed {
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
            Hook::Status if self.wants_proof() => Step::Nothing,
            // R11: a slow status script holds nothing up, and a slow `changed` neither.
            Hook::Changed if mutant!(ChangesHoldUp) => Step::Nothing,
            Hook::Status | Hook::Changed => {
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
        self.bad_statuses = 0;
        self.process_ended = false;
        self.message = Some(ServiceNote::Failed(cause.reason.clone()));
        self.cause = Some(cause);
    }

    /// An operator says that it is mended.
    pub(crate) fn trust_again(&mut self) {
        self.surprises = Patience::default();
        self.setbacks = Patience::default();
        self.early_statuses = Patience::default();
        self.in_vain = 0;
        self.restarts.clear();
        self.doubts.clear();
    }

    /// Forgets failures: what is down may be started again, what could not be stopped is stopped again.
    pub(crate) fn recover(&mut self) {
        if self.fails_alone() && self.state == ServiceState::Failing {
            // It goes on down alone, and is tried again as soon as it is.
            self.again_at = Time(0);
            return;
        }
        self.failed = false;
        self.failures = 0;
        self.cause = None;
        if self.state != ServiceState::Failed {
            return;
        }
        self.message = None;
        self.state = ServiceState::Stopped;
        if std::mem::take(&mut self.stop_failed) {
            self.state = if self.maybe_promoted { ServiceState::Promoted } else { ServiceState::Started };
            self.must_stop = true;
            // Of one that is critical the node's state says that it is not well yet.
            self.stops_again = self.stands_aside();
        }
    }

    /// It could not be stopped, and is stopped once more: nobody knows yet that it is down.
    pub(crate) fn stops_again(&self) -> bool {
        self.stops_again
    }

    /// A hook has ended. `block`: a failed stop of something promoted is not taken for a stop (R7).
    pub(crate) fn end(&mut self, hook: Hook, end: HookEnd, now: Time, block: bool) -> Consequence {
        if hook == Hook::Changed {
            self.running = None;
            self.changes.ended(end, self.spec.status_interval, now);
            return Consequence::None;
        }
        let well = matches!(end, HookEnd::Done | HookEnd::Status(_));
        let consequence = self.ended(hook, end, now, block);
        self.prove(hook, well);
        if !self.stands_aside() || consequence == Consequence::None {
            return consequence;
        }
        self.excuse(now);
        Consequence::None
    }

    fn ended(&mut self, hook: Hook, end: HookEnd, now: Time, block: bool) -> Consequence {
        let run = self.running.take();
        // Whatever else runs says by its end how the service is.
        self.questions = if hook == Hook::Status { self.questions.saturating_sub(1) } else { 0 };
        let killed = run.is_some_and(|r| r.aborting == Some(true));
        if end == HookEnd::Aborted {
            // It has said nothing of the process that ended.
            self.process_ended |= run.is_some_and(|r| r.after_end);
        }
        match end {
            _ if hook == Hook::Status && self.wants_proof() => self.proven(&end, block),
            HookEnd::Done => self.done(hook, now, block),
            HookEnd::Status(report) => self.observed(report, now, block),
            HookEnd::Failed { message, timed_out: _, lasting: false }
                if hook == Hook::Status && self.bears_a_bad_status() =>
            {
                self.bear(FailureReason::HookFailed { message }, now);
                Consequence::None
            }
            HookEnd::Failed { message, timed_out, lasting } => {
                let reason = FailureReason::HookFailed { message };
                self.went_wrong(Cause { hook, reason, timed_out, lasting }, block)
            }
            HookEnd::Aborted => self.aborted(hook, killed, block),
            HookEnd::NoRoom(why) => self.not_run(hook, why, run.is_some_and(|r| r.was_up), now, block),
        }
    }

    /// R7: status has said whether it is still promoted after its stop. One that cannot say anything of it calls it down.
    fn proven(&mut self, end: &HookEnd, block: bool) -> Consequence {
        let still = match end {
            HookEnd::Aborted => return Consequence::None,
            HookEnd::Status(report) => report.observed == Observed::Promoted,
            HookEnd::Failed { timed_out, .. } => *timed_out,
            HookEnd::NoRoom(_) => true,
            HookEnd::Done => false,
        };
        if !still || mutant!(DoubtedTaken) {
            self.suspect = false;
            self.maybe_promoted = false;
            return Consequence::None;
        }
        let reason = match end {
            HookEnd::Status(_) => FailureReason::Contradicted { seen: Observed::Promoted, hook: Hook::Stop },
            HookEnd::Failed { .. } | HookEnd::Done | HookEnd::Aborted | HookEnd::NoRoom(_) => {
                FailureReason::StatusSilent
            }
        };
        self.state = ServiceState::Failing;
        self.wreck_seen = true;
        let cause = Cause { hook: Hook::Stop, reason, timed_out: false, lasting: false };
        self.cannot_stop(cause, block)
    }

    fn done(&mut self, hook: Hook, now: Time, block: bool) -> Consequence {
        self.failures = 0;
        if matches!(hook, Hook::Start | Hook::Promote | Hook::Demote) {
            self.claimed = Some(hook);
        }
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
                self.maybe_promoted = false;
                self.taken.promote = false;
                self.promoted_under = None;
                // A demote may leave it stopped, or out of step: it is no candidate again before its status has said how it is.
                let speaks = self.spec.hooks.has(Hook::Status) && !mutant!(DemotedTrusted);
                self.awaits_word = speaks && self.promotable && self.bad_statuses == 0;
                self.promotable &= !speaks && self.bad_statuses == 0;
                // One that was asked too early gets a moment.
                let doubted = self.doubts.contains_key(&Hook::Demote);
                self.next_status = if doubted { now + self.spec.status_interval } else { now };
            }
            Hook::Status => {
                let observed = Observed::Healthy;
                let report = observed.into();
                return self.observed(report, now, block);
            }
            Hook::Failed => self.wreck_seen = true,
            Hook::Changed => {}
        }
        Consequence::None
    }

    fn stopped(&mut self) {
        self.started = false;
        self.bad_statuses = 0;
        self.unasked = 0;
        self.process_ended = false;
        // Without a status nobody will ever say more.
        self.suspect &= self.spec.hooks.has(Hook::Status);
        self.maybe_promoted = self.suspect;
        self.taken = StepsTaken::default();
        self.promoted_under = None;
        self.must_stop = false;
        self.stop_failed = false;
        self.stops_again = false;
        self.promotable = false;
        self.score = None;
        self.changes.forget();
        if self.state != ServiceState::Failing {
            self.state = ServiceState::Stopped;
            self.message = None;
        }
    }

    /// 90–93 are taken as the truth, but what contradicts a hook that has just said that it is done, and does so again,
    /// is that hook's failure.
    fn observed(&mut self, report: StatusReport, now: Time, block: bool) -> Consequence {
        self.failures = 0;
        self.bad_statuses = 0;
        self.awaits_word = false;
        let demoted = self.claimed == Some(Hook::Demote);
        self.unasked = self.unasked.saturating_sub(1);
        self.next_status =
            if self.unasked > 0 || self.questions > 0 { now } else { now + self.spec.status_interval };
        if let Some(hook) = self.contradicts(report.observed, now) {
            let reason = FailureReason::Contradicted { seen: report.observed, hook };
            self.suspect = hook == Hook::Demote;
            self.maybe_promoted |= self.suspect;
            return self.went_wrong(Cause { hook, reason, timed_out: false, lasting: false }, block);
        }
        let left_stopped = demoted && report.observed == Observed::Stopped;
        if self.surprised_by(report.observed) && !left_stopped {
            self.surprises.count(now);
        }
        self.score = report.score;
        self.message = Some(report.message)
            .filter(|message| !message.is_empty())
            .map(|message| ServiceNote::Status { message });
        match report.observed {
            Observed::Healthy => self.promotable = true,
            Observed::Promoted => {
                self.state = ServiceState::Promoted;
                self.taken = StepsTaken { start: true, promote: true };
                self.maybe_promoted = true;
                self.promotable = true;
            }
            Observed::Standby => {
                self.state = ServiceState::Started;
                self.taken = StepsTaken { start: true, promote: false };
                self.promoted_under = None;
                self.maybe_promoted = false;
                self.promotable = true;
            }
            Observed::Stopped => self.stopped(),
            // It runs; if it was promoted it is demoted first.
            Observed::Live => self.promotable = false,
        }
        let agrees = matches!(report.observed, Observed::Healthy | Observed::Promoted)
            && self.state == ServiceState::Promoted;
        self.confirmations = if agrees { self.confirmations.saturating_add(1) } else { 0 };
        Consequence::None
    }

    /// The hook that said last that it was done, if `seen` says for the second time of late that it was not. Once may be
    /// somebody's hand, or a moment too early.
    fn contradicts(&mut self, seen: Observed, now: Time) -> Option<Hook> {
        let hook = self.claimed.take()?;
        let against = match (hook, seen) {
            (Hook::Start, Observed::Stopped) | (Hook::Demote, Observed::Promoted) => true,
            (Hook::Promote, Observed::Stopped | Observed::Live) => true,
            // One that has nothing to do for a promotion may be the same before and after it.
            (Hook::Promote, Observed::Standby) => self.spec.hooks.has(Hook::Promote),
            _ => false,
        };
        if !against || mutant!(ContradictionIgnored) {
            self.doubts.remove(&hook);
            return None;
        }
        let before = self.doubts.insert(hook, now);
        let again = before.is_some_and(|then| now.since(then) < DOUBT_LASTS);
        if hook == Hook::Start {
            // One that was asked too early gets a moment.
            self.setbacks.count(now);
        }
        again.then_some(hook)
    }

    /// Status tells of a change that koi has not made, and that makes it do something.
    fn surprised_by(&self, seen: Observed) -> bool {
        let promoted = self.state == ServiceState::Promoted;
        match seen {
            Observed::Healthy => false,
            Observed::Promoted => !promoted,
            Observed::Standby => promoted && self.spec.hooks.has(Hook::Promote),
            Observed::Stopped => true,
            Observed::Live => promoted,
        }
    }

    /// It can be promoted, or could be when it was demoted, and nothing has been said of it since.
    pub(crate) fn is_fit(&self) -> bool {
        self.promotable || self.awaits_word
    }

    fn went_wrong(&mut self, cause: Cause, block: bool) -> Consequence {
        if cause.hook == Hook::Failed {
            self.wreck_seen = true;
            return Consequence::None;
        }
        self.unasked = 0;
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
        self.message = Some(ServiceNote::NotStopped(cause.reason.clone()));
        if !(block && self.maybe_promoted) || mutant!(UncleanReleased) {
            self.suspect = false;
            self.stopped();
            return if first { Consequence::Failed(cause) } else { Consequence::None };
        }
        self.stop_failed = true;
        Consequence::Unclean
    }

    /// The machine had no room for the hook. That says nothing of the service: it stays as it was, and the next try waits.
    fn not_run(&mut self, hook: Hook, why: String, was_up: bool, now: Time, block: bool) -> Consequence {
        match hook {
            Hook::Status | Hook::Changed => {}
            Hook::Start => {
                self.state = ServiceState::Stopped;
                self.unproven = true;
                self.setbacks.count(now);
            }
            Hook::Promote => {
                self.state = ServiceState::Started;
                self.maybe_promoted = was_up;
                self.setbacks.count(now);
            }
            Hook::Stop | Hook::Demote | Hook::Failed => {
                let reason = FailureReason::NoRoom { why };
                return self.went_wrong(Cause { hook, reason, timed_out: false, lasting: false }, block);
            }
        }
        Consequence::None
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
            Hook::Status | Hook::Changed => Consequence::None,
            Hook::Stop | Hook::Demote | Hook::Failed => {
                let reason = if killed { FailureReason::Killed } else { FailureReason::EndedEarly };
                self.went_wrong(Cause { hook, reason, timed_out: true, lasting: false }, block)
            }
        }
    }

    /// How long the hook that runs has been running.
    pub(crate) fn hook_for(&self, now: Time) -> Option<(Hook, Duration)> {
        self.running.map(|r| (r.hook, now.since(r.since)))
    }

    /// Its status is due, as far as the clock goes.
    pub(crate) fn status_wanted(&self) -> bool {
        self.running.is_none() && self.has_status()
    }

    fn has_status(&self) -> bool {
        self.spec.hooks.has(Hook::Status)
            && matches!(self.state, ServiceState::Started | ServiceState::Promoted)
    }

    /// Maintenance is over: nobody knows how it is. A status that runs already may have looked before.
    pub(crate) fn ask(&mut self, now: Time) {
        self.next_status = self.next_status.min(now);
        if self.has_status() && !mutant!(MaintenanceTrusted) {
            let asked_before = self.running.as_ref().is_some_and(|r| r.hook == Hook::Status);
            self.unasked = 1 + u8::from(asked_before);
        }
    }

    /// A leader asks how it is. A status that runs already may have looked before.
    pub(crate) fn ask_afresh(&mut self, now: Time) {
        if self.has_status() {
            self.next_status = self.next_status.min(now);
            self.questions = 1 + u8::from(self.running.as_ref().is_some_and(|r| r.hook == Hook::Status));
        }
    }

    /// Maintenance has presumed that it runs, and its status has not said since that it does.
    pub(crate) fn is_presumed_started(&self) -> bool {
        self.unasked > 0 && !self.maybe_promoted
    }

    /// `Failing` is over.
    pub(crate) fn settle(&mut self) {
        self.state = ServiceState::Failed;
    }
}
