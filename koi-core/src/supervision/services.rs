//! All services of this node: their order by priority, their next steps, and the node's summary of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::event::Event;
use crate::group::GroupName;
use crate::io::{Cause, DownReason, Effect, HookEnd, HookRun, RunId, ServiceSpec, TargetRole};
use crate::limits;
use crate::outbox::Effects;
use crate::reason::{AsideReason, FailureReason, IneligibleReason, ServiceNote};
use crate::roster::RosterEntry;
use crate::supervision::service::{Consequence, Gates, Service, Step, Surroundings};
use crate::timers::{Timer, Timers};
use crate::types::{Epoch, Hook, NodeState, ServiceLevel, ServiceState, Time};
use crate::view::{Action, ServiceView};

/// What the node wants of its services now, and what hooks are told.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) now: Time,
    pub(crate) action: Action,
    /// The lease is lost: a promote that runs is ended.
    pub(crate) urgent: bool,
    /// Lease and grace were over at this instant: what has run since before is killed, and priorities do not matter any
    /// more (R7).
    pub(crate) overdue: Option<Time>,
    /// When lease and grace are over, if the lease is lost: hooks of what is promoted are told how long that is (R7).
    pub(crate) deadline: Option<Time>,
    /// Why the services go down, for hooks.
    pub(crate) reason: Option<DownReason>,
    /// The mark that something is promoted is on disk (R8).
    pub(crate) may_promote: bool,
    /// Maintenance: no hook runs; a start is presumed successful.
    pub(crate) in_maintenance: bool,
    /// The services folder can be read: while it cannot, a failing status would say nothing about the service.
    pub(crate) may_ask: bool,
    pub(crate) block_on_stop_failure: bool,
    pub(crate) max_parallel: usize,
    pub(crate) state: NodeState,
    pub(crate) epoch: Epoch,
    /// Why the node fails, for services that are taken down with another.
    pub(crate) cause: Option<Cause>,
}

/// The node's summary of its services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Summary {
    Error,
    Stopped,
    Live,
    Promotable,
    Promoted,
}

/// A failure that a hook's end has brought.
#[derive(Clone, Debug)]
pub(crate) struct ServiceConsequence {
    pub(crate) service: String,
    pub(crate) consequence: Consequence,
}

/// All services of one group of this node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services {
    pub(crate) list: Vec<Service>,
    group: GroupName,
    /// The number of the last run of a hook. The groups of a node count in ranges of their own.
    last_run: u64,
    /// Who is master, and where it is reached, for hooks.
    master: Option<(String, Option<IpAddr>)>,
    /// The newest epoch that was promoted in full, for hooks.
    promoted_epoch: Epoch,
    /// The mastership before this one, for hooks.
    previous: Option<(String, Epoch)>,
    /// Who is around, for those that hear of changes; none: that is not known.
    around: Option<Surroundings>,
    /// The other nodes, as `changed` is handed them.
    others: Vec<RosterEntry>,
    /// The slowest demote of this run.
    slowest_demote: Option<Duration>,
}

/// How many runs of hooks a group can number before the next group's begin.
const RUNS: u64 = 1 << 48;

impl Services {
    /// Whose services they are.
    pub(crate) fn group(&self) -> &GroupName {
        &self.group
    }

    /// Of this group, which is the node's `ordinal`th.
    pub(crate) fn new(group: GroupName, ordinal: u64) -> Services {
        Services { group, last_run: ordinal.saturating_mul(RUNS), ..Services::default() }
    }

    /// Whether this hook runs for one of them.
    pub(crate) fn runs(&self, run: RunId) -> bool {
        self.list.iter().any(|s| s.running.is_some_and(|running| running.run == run))
    }

    /// How many hooks run. `changed` takes no room from others.
    pub(crate) fn running(&self) -> usize {
        self.list.iter().filter(|s| s.running.is_some() && !s.is_hearing()).count()
    }

    /// Some service is told when its group changes.
    pub(crate) fn hear_changes(&self) -> bool {
        self.list.iter().any(Service::hears_changes)
    }

    /// Who is around now, and what `changed` is handed of the others; none: that is not known, and nobody is told anything.
    pub(crate) fn note_around(&mut self, around: Option<(Surroundings, Vec<RosterEntry>)>) {
        let (around, others) = around.unzip();
        (self.around, self.others) = (around, others.unwrap_or_default());
    }

    /// The longest demote of this run.
    pub(crate) fn slowest_demote(&self) -> Option<Duration> {
        self.slowest_demote
    }

    /// Who is master now, and where it is reached: hooks that begin from now on are told.
    pub(crate) fn note_master(&mut self, master: Option<(&str, Option<IpAddr>)>) {
        if self.master.as_ref().map(|(name, address)| (name.as_str(), *address)) != master {
            self.master = master.map(|(name, address)| (name.to_owned(), address));
        }
    }

    /// The newest epoch that was promoted in full, and the master before this one: hooks that begin from now on are told.
    pub(crate) fn note_masterships(&mut self, promoted: Option<Epoch>, previous: Option<(String, Epoch)>) {
        // Another leader may know less of it.
        self.promoted_epoch = self.promoted_epoch.max(promoted.unwrap_or_default());
        self.previous = previous;
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Some service is, or may be, `Demoting` or above.
    pub(crate) fn maybe_promoted(&self) -> bool {
        self.list.iter().any(|s| s.maybe_promoted)
    }

    /// No hook runs and everything is down.
    pub(crate) fn all_down(&self) -> bool {
        self.list.iter().all(|s| s.running.is_none() && s.is_down())
    }

    /// Something has failed and is down.
    pub(crate) fn any_failed(&self) -> bool {
        self.list.iter().any(|s| s.state == ServiceState::Failed && !s.stands_aside())
    }

    /// No hook runs.
    pub(crate) fn quiet(&self) -> bool {
        self.list.iter().all(|s| s.running.is_none())
    }

    /// Something promoted could not be stopped.
    pub(crate) fn unclean(&self) -> bool {
        self.list.iter().any(|s| (s.stop_failed || s.stops_again()) && s.maybe_promoted)
    }

    /// Its status calls a service promoted that koi has demoted and stopped.
    pub(crate) fn suspect(&self) -> bool {
        self.list.iter().any(|s| s.maybe_promoted && s.is_suspect())
    }

    /// All that are critical are promoted, and their statuses have agreed often enough.
    pub(crate) fn confirmed(&self) -> bool {
        self.list.iter().filter(|s| s.is_critical()).all(Service::is_confirmed)
    }

    /// The service that changes by itself most often of late, and how often, if that is often.
    pub(crate) fn restless(&self, now: Time) -> Option<(&str, u32)> {
        let restless = self.list.iter().filter_map(|s| Some((s.spec.name.as_str(), s.restless(now)?)));
        restless.max_by_key(|(_, times)| *times)
    }

    /// An operator says that all is mended.
    pub(crate) fn trust_again(&mut self) {
        self.list.iter_mut().for_each(Service::trust_again);
    }

    /// A service that is being taken down as failed.
    pub(crate) fn failing(&self) -> Option<&str> {
        let failing =
            |s: &&Service| s.state == ServiceState::Failing && !s.stands_aside() && s.restart.is_none();
        self.list.iter().find(failing).map(|s| s.spec.name.as_str())
    }

    /// Why the node counts as failed without a failure: disabled services, unknown handlers.
    pub(crate) fn ineligible_reason(&self) -> Option<IneligibleReason> {
        self.list.iter().filter(|s| !s.stands_aside()).find_map(Service::ineligible_reason)
    }

    /// A service counts as failed without a failure.
    pub(crate) fn is_ineligible(&self) -> bool {
        self.list.iter().any(|s| !s.stands_aside() && s.is_ineligible())
    }

    /// Of the services that are critical. `settled`: leaving aside those that appeared beside a master and have never been promoted yet, and those
    /// that are restarted in place.
    pub(crate) fn summary(&self, settled: bool) -> Summary {
        let in_restart = self.is_in_restart();
        let aside = |s: &Service| !s.is_critical() || settled && (s.is_newcomer() || in_restart(s));
        let list = || self.list.iter().filter(|s| !aside(s));
        let any = |states: &[ServiceState]| list().any(|s| states.contains(&s.state));
        if any(&[ServiceState::Failed, ServiceState::Failing]) {
            Summary::Error
        } else if any(&[ServiceState::Stopped, ServiceState::Stopping, ServiceState::Starting]) {
            Summary::Stopped
        } else if list().any(|s| !s.promotable || s.is_presumed_started()) {
            Summary::Live
        } else if list().any(|s| s.state != ServiceState::Promoted) {
            Summary::Promotable
        } else {
            Summary::Promoted
        }
    }

    /// Every one that is critical can be promoted, or could be when it was demoted, and nothing has been said of it since.
    pub(crate) fn are_fit(&self) -> bool {
        self.list.iter().filter(|s| s.is_critical()).all(Service::is_fit)
    }

    /// The epoch under which all that are critical were promoted, if they are; with several the oldest.
    pub(crate) fn promoted_under(&self) -> Option<Epoch> {
        let critical = self.list.iter().filter(|s| s.is_critical());
        let oldest = critical.map(|s| s.promoted_under).min().flatten();
        oldest.filter(|_| self.summary(false) == Summary::Promoted)
    }

    /// The lowest score that any critical service gave.
    pub(crate) fn score(&self) -> Option<i64> {
        self.list.iter().filter(|s| s.is_critical()).filter_map(|s| s.score).min()
    }

    /// Takes what the folder has now; what stays keeps its state.
    pub(crate) fn update(&mut self, specs: Vec<ServiceSpec>, master: bool, out: &mut Effects) {
        let mut old = std::mem::take(&mut self.list);
        for spec in specs.into_iter().take(limits::SERVICES) {
            match old.iter().position(|s| s.spec.name == spec.name) {
                Some(at) => {
                    let mut service = old.swap_remove(at);
                    service.respecify(spec);
                    if master && service.late_hook().is_some() {
                        service.begin_as_newcomer();
                    }
                    self.list.push(service);
                }
                None => {
                    out.event(Event::ServiceFound { service: spec.name.clone() });
                    let mut service = Service::new(spec);
                    if master {
                        service.begin_as_newcomer();
                    }
                    self.list.push(service);
                }
            }
        }
        for mut gone in old {
            out.event(Event::ServiceGone { service: gone.spec.name.clone(), was: gone.state });
            // What is promoted stays so, and holds the mastership, until it can be demoted: its folder gone is no proof. One that never
            // had a hook to run is not.
            if gone.maybe_promoted && (gone.took_a_step()) {
                gone.spec.hooks = gone.spec.hooks.without(Hook::Status).without(Hook::Changed);
                self.list.push(gone);
            } else if let Some(running) = gone.running {
                out.push(Effect::AbortHook { run: running.run, now: false });
            }
        }
        // Services without a number come last: they wait for nobody and nobody waits for them.
        self.list.sort_by(|a, b| {
            let key = |s: &Service| s.spec.priority.map_or(u16::MAX, u16::from);
            key(a).cmp(&key(b)).then_with(|| a.spec.name.cmp(&b.spec.name))
        });
        self.forgive();
    }

    /// Presumes that every service is as an earlier run of the daemon left it.
    pub(crate) fn presume(&mut self, promoted: bool, take_down: bool) {
        for service in &mut self.list {
            service.presume(promoted, take_down);
        }
    }

    /// Presumes that every service runs, and which of them are promoted; all are to be taken down.
    pub(crate) fn presume_each(&mut self, promoted: impl Fn(&str) -> bool) {
        for service in &mut self.list {
            let promoted = promoted(&service.spec.name);
            service.presume(promoted, true);
        }
    }

    /// The services that are not down.
    pub(crate) fn levels(&self) -> BTreeMap<String, ServiceLevel> {
        let level = |s: &Service| match (s.maybe_promoted, s.running.is_none() && s.is_down()) {
            (true, _) => Some(ServiceLevel::Promoted),
            (false, false) => Some(ServiceLevel::Started),
            (false, true) => None,
        };
        self.list.iter().filter_map(|s| Some((s.spec.name.clone(), level(s)?))).collect()
    }

    /// An operator says that all is mended: forgets failures.
    pub(crate) fn recover(&mut self) {
        self.list.iter_mut().for_each(Service::recover);
    }

    /// Forgets the failures of those that failed with the node. What has failed alone has a time of its own, and what could not be stopped waits for
    /// an operator (R7).
    pub(crate) fn recover_by_itself(&mut self) {
        let with_the_node = self.list.iter_mut().filter(|s| !s.fails_alone() && !s.stop_failed);
        with_the_node.for_each(Service::recover);
    }

    /// A process in which this service runs has ended.
    pub(crate) fn process_ended(&mut self, service: &str) {
        self.list.iter_mut().filter(|s| s.spec.name == service).for_each(Service::process_has_ended);
    }

    /// Every status is due now: after maintenance nobody knows how things are.
    pub(crate) fn ask_all(&mut self, now: Time) {
        self.list.iter_mut().for_each(|service| service.ask(now));
        self.prolong_restarts(now);
    }

    /// A leader asks how they are: every status runs at once.
    pub(crate) fn ask_afresh(&mut self, now: Time) {
        self.list.iter_mut().for_each(|service| service.ask_afresh(now));
    }

    /// Every status has answered the newest question of a leader.
    pub(crate) fn have_answered(&self) -> bool {
        self.list.iter().all(|s| s.questions == 0)
    }

    /// The status of some service has not said yet how it is since maintenance ended.
    pub(crate) fn unasked(&self) -> bool {
        self.list.iter().any(|s| s.unasked > 0)
    }

    /// Sets none for hooks while there is no room for another one: then the end of one makes room.
    pub(crate) fn set_timers(&self, now: Time, max_parallel: usize, timers: &mut Timers) {
        self.set_restart_timers(timers);
        for service in self.list.iter().filter(|s| s.hears_changes()) {
            let again = self.around.as_ref().map_or(Time(0), |around| service.hears_again_at(around));
            timers.set_after(Timer::ServiceRest, again, now);
        }
        if self.running() >= max_parallel {
            return;
        }
        for service in self.list.iter().filter(|s| s.is_hearing()) {
            timers.set(Timer::ServiceStatus, service.hearing_ends());
        }
        for service in &self.list {
            if service.status_wanted() {
                timers.set(Timer::ServiceStatus, service.status_due());
            }
            timers.set_after(Timer::ServiceRest, service.rests_until(), now);
            timers.set(Timer::ServiceRetry, service.tried_again_at());
        }
    }

    /// What has failed by itself alone, and whose time has come, is as if it had just been found.
    pub(crate) fn try_again(&mut self, now: Time) {
        for service in self.list.iter_mut().filter(|s| s.tried_again_at() <= now) {
            service.try_again();
        }
    }

    /// Something has changed in the folder: whatever has failed there may have been mended.
    pub(crate) fn forgive(&mut self) {
        self.list.iter_mut().for_each(Service::forgive);
    }

    /// Nothing is left that they are new beside.
    pub(crate) fn no_more_newcomers(&mut self) {
        self.list.iter_mut().for_each(Service::end_as_newcomer);
    }

    /// Why a service does not run that the others go on without.
    pub(crate) fn aside_reason(&self) -> Option<AsideReason> {
        self.list.iter().find_map(Service::aside_reason)
    }

    /// Takes every step that can be taken now. A hook that the handler does not have is over at once and may make room
    /// for the next step (only one copy of anything runs, whatever follows from what).
    pub(crate) fn step(&mut self, goal: &Goal, out: &mut Effects) {
        if goal.in_maintenance {
            self.list.iter_mut().filter(|s| s.is_hearing()).for_each(|service| abort(service, true, out));
        }
        loop {
            // The time of one may have come while it went down.
            if !goal.in_maintenance && goal.action >= Action::Start {
                self.try_again(goal.now);
            }
            let mut order = PriorityGates::for_services(&self.list);
            let mut again = false;
            for at in 0..self.list.len() {
                let gates = order.gates(&self.list[at], goal.overdue.is_some());
                let before = (self.list[at].state, self.list[at].running.is_some());
                again |= self.step_one(at, gates, order.running, goal, out);
                if before != (self.list[at].state, self.list[at].running.is_some()) {
                    order = PriorityGates::for_services(&self.list);
                }
            }
            if !again {
                break;
            }
        }
        self.run_due_statuses(goal, out);
        self.tell_changes(goal, out);
    }

    /// One step of one service; whether the others may move on because of it.
    fn step_one(&mut self, at: usize, gates: Gates, running: usize, goal: &Goal, out: &mut Effects) -> bool {
        let floor = self.restart_floor();
        let service = &mut self.list[at];
        // What builds on a service that is restarted goes down before it and comes up after it.
        let above = floor.zip(service.spec.priority).is_some_and(|(floor, own)| own > floor);
        let action = if above { goal.action.min(Action::Stop) } else { goal.action };
        let too_late =
            |r: &crate::supervision::service::Running| goal.overdue.is_some_and(|end| r.since < end);
        if service.maybe_promoted && !goal.in_maintenance && service.running.as_ref().is_some_and(too_late) {
            abort(service, true, out);
        }
        let gates = gates.resting(service.rests_until() > goal.now);
        let step = service.next_step(action, gates, goal.urgent);
        if goal.in_maintenance {
            if step == Step::Run(Hook::Start) && service.state == ServiceState::Stopped {
                let from = service.state;
                service.presume(false, false);
                changed(service, from, out);
                return true;
            }
            return false;
        }
        match step {
            Step::Nothing => false,
            Step::Abort => {
                let is_status = service.running.is_some_and(|r| r.hook == Hook::Status);
                let at_once = goal.urgent && is_status || service.is_hearing();
                abort(service, at_once, out);
                false
            }
            Step::Settle => {
                let from = service.state;
                service.settle();
                changed(service, from, out);
                true
            }
            Step::BeginFailing => {
                let from = service.state;
                service.begin_failing(goal.cause.clone().unwrap_or_else(taken_down));
                changed(service, from, out);
                true
            }
            Step::Run(Hook::Promote) if !goal.may_promote => false,
            Step::Run(hook) => {
                // What goes down never waits for room.
                let full = running >= goal.max_parallel && matches!(hook, Hook::Start | Hook::Promote);
                !full && self.run(at, hook, goal, out)
            }
        }
    }

    /// Runs a hook; true if it was over at once, because the handler does not have it.
    fn run(&mut self, at: usize, hook: Hook, goal: &Goal, out: &mut Effects) -> bool {
        self.last_run += 1;
        let run = RunId(self.last_run);
        let in_restart = self.is_in_restart();
        let service = &mut self.list[at];
        let from = service.state;
        service.begin(hook, run, goal.now);
        if hook == Hook::Promote {
            service.promoted_under = Some(goal.epoch);
        }
        changed(service, from, out);
        if !service.spec.hooks.has(hook) {
            let from = service.state;
            service.end(hook, HookEnd::Done, goal.now, goal.block_on_stop_failure);
            changed(service, from, out);
            return true;
        }
        if service.running.is_some_and(|running| running.after_end) {
            out.event(Event::ProcessEnded { service: service.spec.name.clone() });
        }
        out.event(Event::HookStarted { service: service.spec.name.clone(), hook });
        let going_up = matches!(goal.action, Action::Promote) && !service.is_ineligible();
        let role = match goal.action {
            Action::Promote if going_up => TargetRole::Promoted,
            Action::Promote | Action::Start | Action::Demote => TargetRole::Standby,
            Action::Fail | Action::Stop => TargetRole::None,
        };
        let takes_down = matches!(hook, Hook::Demote | Hook::Stop | Hook::Failed);
        let own_reason = || match from == ServiceState::Failing || in_restart(service) {
            true => Some(DownReason::Failed),
            false => service.spec.disabled.then_some(DownReason::Ordered),
        };
        let timeout = service.timeout(hook);
        let grace_ends = goal.deadline.filter(|_| takes_down && service.maybe_promoted);
        out.push(Effect::RunHook(Box::new(HookRun {
            run,
            group: self.group.clone(),
            service: service.spec.name.clone(),
            instance: service.spec.instance,
            hook,
            timeout,
            left: grace_ends.map_or(timeout, |ends| timeout.min(ends.since(goal.now))),
            reason: if takes_down { goal.reason.or_else(own_reason) } else { None },
            attempt: match hook {
                Hook::Changed => service.telling_attempt(goal.now),
                _ => service.failures.saturating_add(1),
            },
            role,
            state: goal.state,
            epoch: goal.epoch,
            promoted_epoch: self.promoted_epoch,
            master: self.master.clone(),
            previous: self.previous.clone(),
            // Of other hooks it is looked up when the effect is handed out. What this one is handed is what it counts as told of.
            peers: (hook == Hook::Changed).then(|| self.others.clone()),
            cause: if hook == Hook::Failed { service.cause.clone() } else { None },
        })));
        false
    }

    fn run_due_statuses(&mut self, goal: &Goal, out: &mut Effects) {
        if goal.in_maintenance || !goal.may_ask || goal.action < Action::Start {
            return;
        }
        let mut running = self.running();
        for at in 0..self.list.len() {
            let service = &mut self.list[at];
            let has_room = running < goal.max_parallel;
            if has_room && service.hearing_ends() <= goal.now && !mutant!(ChangesHoldUp) {
                service.ends_for_status();
                abort(service, true, out);
            }
            if service.status_wanted() && service.status_due() <= goal.now && running < goal.max_parallel {
                self.run(at, Hook::Status, goal, out);
                running += 1;
            }
        }
    }

    /// Tells those whose group is not as they were told. As many of them as hooks may run at all.
    fn tell_changes(&mut self, goal: &Goal, out: &mut Effects) {
        let Some(around) = self.around.clone() else { return };
        if goal.in_maintenance || !goal.may_ask || goal.urgent || goal.action < Action::Start {
            return;
        }
        let mut telling = self.list.iter().filter(|s| s.is_hearing()).count();
        for at in 0..self.list.len() {
            let service = &self.list[at];
            let due = service.hears_again_at(&around) <= goal.now
                && service.wants_to_hear(&around, goal.action, goal.now);
            if due && telling < goal.max_parallel {
                self.run(at, Hook::Changed, goal, out);
                self.list[at].note_telling(around.clone(), goal.now);
                telling += 1;
            }
        }
    }

    /// A hook has ended; nothing if it belongs to a service that is gone.
    pub(crate) fn finished(
        &mut self,
        run: RunId,
        end: HookEnd,
        now: Time,
        block: bool,
        grace: Duration,
        out: &mut Effects,
    ) -> Option<ServiceConsequence> {
        let service = self.list.iter_mut().find(|s| s.running.is_some_and(|r| r.run == run))?;
        let (hook, took) = service.hook_for(now)?;
        let name = service.spec.name.clone();
        let failed = matches!(end, HookEnd::Failed { .. } | HookEnd::NoRoom(_));
        out.event(Event::HookEnded { service: name.clone(), hook, took, how: end.clone(), failed });
        if hook == Hook::Demote {
            self.slowest_demote = self.slowest_demote.max(Some(took));
            if took > grace / 2 {
                out.event(Event::SlowDemote { service: name.clone(), took, grace });
            }
        }
        let (from, was_unclean) = (service.state, service.stop_failed);
        let consequence = service.end(hook, end, now, block);
        changed(service, from, out);
        if service.stop_failed && !was_unclean {
            out.event(Event::Unclean { service: name.clone() });
        }
        Some(ServiceConsequence { service: name, consequence })
    }

    pub(crate) fn views(&self, now: Time) -> Vec<ServiceView> {
        self.list
            .iter()
            .map(|s| ServiceView {
                name: s.spec.name.clone(),
                priority: s.spec.priority,
                handler: s.spec.handler.clone(),
                instance: s.spec.instance,
                down: s.holds_nothing(),
                maybe_promoted: s.maybe_promoted,
                state: s.state,
                hook: s.hook_for(now),
                failed: s.failed || s.spec.problem.is_some(),
                disabled: s.spec.disabled,
                critical: s.is_critical(),
                promotable: s.promotable,
                score: s.score,
                message: told(s, now),
            })
            .collect()
    }
}

/// How far up and down the priorities things have come: what the gates of each service are made of.
#[derive(Clone, Copy, Debug, Default)]
struct PriorityGates {
    lowest_unstarted: Option<u8>,
    lowest_unpromoted: Option<u8>,
    /// The same of those that others wait for.
    lowest_awaited_unstarted: Option<u8>,
    lowest_awaited_unpromoted: Option<u8>,
    highest_up: Option<u8>,
    highest_standing: Option<u8>,
    /// Hooks that run.
    running: usize,
}

impl PriorityGates {
    fn for_services(list: &[Service]) -> PriorityGates {
        let mut gates = PriorityGates::default();
        for service in list {
            gates.running += usize::from(service.running.is_some() && !service.is_hearing());
            let Some(priority) = service.spec.priority else { continue };
            let lower = |of: &mut Option<u8>| *of = Some(of.map_or(priority, |p| p.min(priority)));
            let higher = |of: &mut Option<u8>| *of = (*of).max(Some(priority));
            // A service that must be stopped first does not count as started for higher priorities.
            if service.state < ServiceState::Started || service.must_stop {
                lower(&mut gates.lowest_unstarted);
                if service.is_awaited() {
                    lower(&mut gates.lowest_awaited_unstarted);
                }
            }
            if service.state != ServiceState::Promoted {
                lower(&mut gates.lowest_unpromoted);
                if service.is_awaited() {
                    lower(&mut gates.lowest_awaited_unpromoted);
                }
            }
            if service.maybe_promoted {
                higher(&mut gates.highest_up);
            }
            if !service.is_down() {
                higher(&mut gates.highest_standing);
            }
        }
        gates
    }

    /// What a service may do. One without a priority waits for nobody. What fails by itself alone does not wait for those above it: they go on.
    fn gates(&self, service: &Service, overdue: bool) -> Gates {
        let Some(own) = service.spec.priority else {
            return Gates { start: true, promote: true, demote: true, stop: true };
        };
        let overdue = overdue || service.goes_down_alone();
        let (unstarted, unpromoted) = match service.is_newcomer() {
            true => (self.lowest_unstarted, self.lowest_unpromoted),
            false => (self.lowest_awaited_unstarted, self.lowest_awaited_unpromoted),
        };
        Gates {
            start: unstarted.is_none_or(|p| own <= p),
            promote: unpromoted.is_none_or(|p| own <= p),
            demote: overdue || self.highest_up.is_none_or(|p| own >= p),
            stop: overdue || self.highest_standing.is_none_or(|p| own >= p),
        }
    }
}

/// What is to be known of a service now, and how often it was restarted.
fn told(service: &Service, now: Time) -> Option<String> {
    let deaf = service.deafness().map(|why| ServiceNote::Deaf(why.clone()));
    let notes = [note(service, now), service.restarted_note(now), deaf];
    let texts: Vec<String> = notes.into_iter().flatten().map(|note| note.to_string()).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// What is to be known of a service now.
fn note(service: &Service, now: Time) -> Option<ServiceNote> {
    let barred = service.ineligible_reason().map(ServiceNote::Barred);
    let restarts = || service.restart.as_ref().map(|r| ServiceNote::Restarts(r.cause.reason.clone()));
    barred.or_else(|| resting(service, now)).or_else(restarts).or_else(|| service.message.clone())
}

/// What is to be known of a service that waits although it could be started or promoted.
fn resting(service: &Service, now: Time) -> Option<ServiceNote> {
    let times = service.restless(now)?;
    let left = service.rests_until().since(now);
    let waits = !left.is_zero() && service.state == ServiceState::Stopped;
    waits.then_some(ServiceNote::Rests { times, left })
}

/// Why `failed` is called when nothing better is known.
fn taken_down() -> Cause {
    Cause { hook: Hook::Status, reason: FailureReason::NodeFailed, timed_out: false, lasting: false }
}

fn abort(service: &mut Service, now: bool, out: &mut Effects) {
    if let Some(running) = &mut service.running
        && running.aborting.is_none_or(|was| now && !was)
    {
        running.aborting = Some(now);
        out.push(Effect::AbortHook { run: running.run, now });
    }
}

fn changed(service: &Service, from: ServiceState, out: &mut Effects) {
    if service.state != from {
        let (service, to) = (service.spec.name.clone(), service.state);
        out.event(Event::ServiceChanged { service, from, to });
    }
}
