//! What this node wants of its services: its state, its lease on the mastership, failure and recovery
//! (rules R5 and R7).

use std::net::IpAddr;
use std::time::Duration;

use crate::event::Event;
use crate::group::GroupName;
use crate::io::{Cause, DownReason, Effect, HookEnd, Readiness, RunId, ServiceSpec};
use crate::limits::{self, clip};
use crate::message::{FailureNote, InVain, Lease, Restless, RunnerSummary};
use crate::outbox::Effects;
use crate::patience::Patience;
use crate::reason::{
    AsideReason, FailureReason, GraceOver, IneligibleReason, NodeFailure, RunnerReason, ServiceFailure,
    TakeDownReason, UnfitReason, WarnReason,
};
use crate::roster::RosterEntry;
use crate::settings::Settings;
use crate::supervision::service::{Consequence, Surroundings};
use crate::supervision::services::{Goal, Services, Summary};
use crate::timers::{Timer, Timers};
use crate::types::{Epoch, Hook, NodeState, Time, Version};
use crate::view::Action;

/// What the runner must know of the rest of the node.
#[derive(Clone, Debug)]
pub(crate) struct NodeContext {
    pub(crate) now: Time,
    /// A leader has been heard of late.
    pub(crate) connected: bool,
    /// This run of the daemon knows the record that counts: before that it starts nothing.
    pub(crate) informed: bool,
    /// The record that counts says: maintenance.
    pub(crate) maintenance: bool,
    /// The record that counts says: stopped by hand.
    pub(crate) stopped: bool,
    /// The node is going away.
    pub(crate) leaving: bool,
    /// The newest epoch that the node knows of, for hooks.
    pub(crate) epoch: Epoch,
    /// Why this node cannot do now what a new master must.
    pub(crate) unfit: Option<UnfitReason>,
    /// Hooks of other groups that run.
    pub(crate) busy_beside: usize,
    /// A group that goes together with this one is still promoted here, and goes down first (R15).
    pub(crate) followed: bool,
    /// The version of the record that the node acts on.
    pub(crate) applied: Version,
}

/// A mastership that ended within this of its beginning, because its own services would not have it, was in vain.
const SOON: Duration = Duration::from_secs(10);
/// A failed node that fails again and again does not try again faster than this, whatever `auto_recover_time` is.
const SHORTEST_RECOVERY: Duration = Duration::from_secs(1);

/// Where the runner is between its start and its part in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The services folder has not been read yet; what an earlier run left promoted, if it did not end cleanly.
    Scanning { left: Option<Epoch> },
    /// Taking down what an earlier run left (R8).
    TakingDown,
    /// Part of the cluster.
    Joined,
}

/// A mastership that this node has accepted and not yet released.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MasterLease {
    epoch: Epoch,
    /// When the lease runs out (R5).
    ends: Time,
    /// `g` when it was accepted: a longer one counts for the next, of which the leader knows.
    grace: Duration,
    /// The mark is on disk: promotion may begin.
    marked: bool,
    /// Promotion begins when the node acts on this version of the record (R16); none: it need not wait for one.
    acts_from: Option<Version>,
    /// The leader wants it back (switch-over, stop): demote, in no hurry.
    demote_requested: bool,
    /// The lease ran out: everything must be down by this instant (R7).
    lost: Option<Time>,
    /// The grace is over, and what could be done then was done.
    fenced: bool,
    /// When it was accepted.
    since: Time,
    /// Something was promoted under it.
    rose: bool,
    /// Every service was promoted, and its status agreed for a while.
    confirmed: bool,
}

impl MasterLease {
    /// The number of the mastership.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// When the lease runs out (R5).
    pub(crate) fn ends(&self) -> Time {
        self.ends
    }

    /// The lease ran out: everything must be down by this instant (R7).
    pub(crate) fn lost(&self) -> Option<Time> {
        self.lost
    }

    /// The grace is over, and what could be done then was done.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// R16: a promote sees what was written under earlier masterships.
    fn acts_on(&self, applied: Version) -> bool {
        self.acts_from.is_none_or(|since| applied >= since) || mutant!(PromoteActsOnOld)
    }

    fn new(epoch: Epoch, ends: Time, grace: Duration, now: Time) -> MasterLease {
        MasterLease {
            epoch,
            ends,
            grace,
            marked: false,
            acts_from: None,
            demote_requested: false,
            lost: None,
            fenced: false,
            since: now,
            rose: false,
            confirmed: false,
        }
    }
}

#[derive(Clone, Debug)]
struct Failure {
    reason: NodeFailure,
    cause: Option<Cause>,
    recover_at: Option<Time>,
}

/// The runner half of a node, for one group.
#[derive(Clone, Debug)]
pub(crate) struct ServiceSupervisor {
    services: Services,
    phase: Phase,
    unreadable: Option<String>,
    /// Whether the fence is armed, and if not, why.
    armed: Readiness,
    /// Whether a guardian stands, and if not, why (R8).
    guarded: Readiness,
    failure: Option<Failure>,
    ineligible_before: Option<IneligibleReason>,
    aside_reason_before: Option<AsideReason>,
    was_in_maintenance: bool,
    fail_count: u32,
    last_failure: Option<(Time, FailureNote)>,
    lease: Option<MasterLease>,
    released: Epoch,
    /// Masterships that came to nothing because of this node itself.
    in_vain: Patience,
    /// A leader has said in this run what counts: services may be started.
    met_leader: bool,
    /// The number of the newest question of a leader how the services are.
    asked: Option<u64>,
}

/// What has changed and concerns the rest of the node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Nothing is promoted any more: the mark on disk may go.
    pub(crate) clear_mark: bool,
}

impl ServiceSupervisor {
    /// `ordinal`: no other supervisor of this run has it. `left`: what an earlier run may have left promoted.
    pub(crate) fn new(group: GroupName, ordinal: u64, left: Option<Epoch>) -> ServiceSupervisor {
        ServiceSupervisor {
            services: Services::new(group, ordinal),
            phase: Phase::Scanning { left },
            unreadable: None,
            armed: Readiness::NotReady { why: "the watchdog is not armed yet".to_owned() },
            guarded: Readiness::Ready,
            failure: None,
            ineligible_before: None,
            aside_reason_before: None,
            was_in_maintenance: false,
            fail_count: 0,
            last_failure: None,
            lease: None,
            released: Epoch(0),
            in_vain: Patience::of_masterships(),
            met_leader: false,
            asked: None,
        }
    }

    /// The services folder was read. The first time decides what becomes of what an earlier run left (R8): it is taken down or, in maintenance and
    /// on the machine that it ran on, adopted. A copied disk says nothing of this machine.
    pub(crate) fn found(&mut self, specs: Vec<ServiceSpec>, adopts: bool, now: Time, out: &mut Effects) {
        self.unreadable = None;
        self.services.update(specs, self.lease.is_some(), out);
        let Phase::Scanning { left } = self.phase else { return };
        self.phase = Phase::Joined;
        let Some(epoch) = left else { return };
        if adopts {
            // An upgrade in maintenance mode: it was left running on purpose.
            self.services.presume(true, false);
            self.met_leader = true;
            self.lease =
                Some(MasterLease { marked: true, ..MasterLease::new(epoch, now, Duration::MAX, now) });
            return;
        }
        out.event(Event::TakingDown { reason: TakeDownReason::UncleanEnd });
        self.services.presume(true, true);
        self.phase = Phase::TakingDown;
    }

    /// A process in which this service runs has ended.
    pub(crate) fn process_ended(&mut self, service: &str) {
        self.services.process_ended(service);
    }

    /// The services of this node.
    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    /// The mastership that it has accepted and not yet released.
    pub(crate) fn lease(&self) -> Option<&MasterLease> {
        self.lease.as_ref()
    }

    /// Every mastership up to this one was given back.
    pub(crate) fn released(&self) -> Epoch {
        self.released
    }

    /// What hooks are told of the master: its name and address.
    pub(crate) fn note_master(&mut self, master: Option<(&str, Option<IpAddr>)>) {
        self.services.note_master(master);
    }

    /// Some service is told when its group changes.
    pub(crate) fn hear_changes(&self) -> bool {
        self.services.hear_changes()
    }

    /// What services are told of when it changes; none: it is not known.
    pub(crate) fn note_around(&mut self, around: Option<(Surroundings, Vec<RosterEntry>)>) {
        self.services.note_around(around);
    }

    /// What hooks are told of masterships.
    pub(crate) fn note_masterships(&mut self, promoted: Option<Epoch>, previous: Option<(String, Epoch)>) {
        self.services.note_masterships(promoted, previous);
    }

    /// Whether the fence is armed, and if not, why.
    pub(crate) fn note_armed(&mut self, armed: Readiness) {
        self.armed = armed;
    }

    /// Whether a guardian stands, and if not, why.
    pub(crate) fn note_guarded(&mut self, guarded: Readiness) {
        self.guarded = guarded;
    }

    /// Fence and guardian are the node's, as the supervisor of another group knows them.
    pub(crate) fn stands_by_like(&mut self, other: &ServiceSupervisor) {
        self.armed = other.armed.clone();
        self.guarded = other.guarded.clone();
    }

    /// Every mastership up to this one was given back before.
    pub(crate) fn give_back(&mut self, epoch: Epoch) {
        self.released = self.released.max(epoch);
    }

    /// Why no guardian stands, if none does.
    pub(crate) fn unguarded(&self) -> Option<&str> {
        self.guarded.why_not()
    }

    /// The services folder cannot be read. What runs goes on; a node that has never read it counts as failed.
    pub(crate) fn unreadable(&mut self, why: String) {
        self.unreadable = Some(why);
    }

    /// Why the node counts as failed, if it does.
    pub(crate) fn failed(&self) -> Option<NodeFailure> {
        let never_read = matches!(self.phase, Phase::Scanning { .. });
        let unread = self.unreadable.as_ref().filter(|_| never_read);
        self.failure
            .as_ref()
            .map(|f| f.reason.clone())
            .or_else(|| self.services.ineligible_reason().map(NodeFailure::Barred))
            .or_else(|| unread.map(|why| NodeFailure::FolderUnreadable { why: why.clone() }))
            // `koi recover` was said meanwhile: what has begun to fail is taken down first, with all that builds on it.
            .or_else(|| {
                self.services.failing().map(|name| NodeFailure::TakesDown { service: name.to_owned() })
            })
    }

    /// The node counts as failed.
    fn has_failed(&self) -> bool {
        let unread = matches!(self.phase, Phase::Scanning { .. }) && self.unreadable.is_some();
        self.failure.is_some() || unread || self.services.is_ineligible() || self.services.failing().is_some()
    }

    /// Why the node is not promotable, if it should be.
    fn runner_reason(&self, settings: &Settings) -> Option<RunnerReason> {
        let unarmed = || Some(RunnerReason::Unarmed { why: self.unarmed(settings)?.to_owned() });
        let unguarded = || Some(RunnerReason::Unguarded { why: self.unguarded()?.to_owned() });
        let reason = self.failed().map(RunnerReason::Failed).or_else(unarmed).or_else(unguarded);
        reason.or_else(|| self.services.aside_reason().map(RunnerReason::Aside))
    }

    /// The same in a sentence; empty: nothing is wrong.
    pub(crate) fn reason(&self, settings: &Settings) -> String {
        self.runner_reason(settings).map(|reason| reason.to_string()).unwrap_or_default()
    }

    /// What the others hear when one cannot run at all.
    fn ineligible_reason(&self) -> Option<Cause> {
        let reason = FailureReason::Barred(self.services.ineligible_reason()?);
        Some(Cause { hook: Hook::Status, reason, timed_out: false, lasting: true })
    }

    /// Mastership is held, and services may be promoted under it.
    fn may_be_master(&self, now: Time) -> bool {
        self.lease.is_some_and(|h| {
            h.lost.is_none() && !h.demote_requested && (now < h.ends || mutant!(LostLeaseIgnored))
        })
    }

    /// R7: a node that is to be fenced is not promoted before its fence is armed. R8: without a guardian nothing is newly promoted; what
    /// is promoted already is safest as it is.
    fn all_promotable(&self, settings: &Settings) -> bool {
        // A service that is new in the folder of a master is brought up beside the others; it is no reason to demote them.
        let summary = self.services.summary(self.lease.is_some());
        summary >= Summary::Promotable && self.may_rise(settings)
    }

    /// The fence and the guardian are no reason against it.
    fn may_rise(&self, settings: &Settings) -> bool {
        let guarded = self.guarded.is_ready() || self.services.maybe_promoted();
        self.unarmed(settings).is_none() && guarded
    }

    /// Why the fence is not armed, if it must be.
    pub(crate) fn unarmed(&self, settings: &Settings) -> Option<&str> {
        self.armed.why_not().filter(|_| settings.arms)
    }

    pub(crate) fn is_in_maintenance(&self, settings: &Settings, around: &NodeContext) -> bool {
        // A node that holds the mastership takes its own maintenance flag only when it has given it back: the leader
        // must know before anything may stay promoted without a lease (R6).
        if mutant!(HooksInMaintenance) {
            return false;
        }
        around.maintenance
            || (settings.maintenance && self.lease.is_none() && !self.services.maybe_promoted())
    }

    /// What the node does with its services.
    pub(crate) fn action(&self, settings: &Settings, around: &NodeContext) -> Action {
        let in_maintenance = self.is_in_maintenance(settings, around);
        if self.has_failed() {
            Action::Fail
        } else if self.phase != Phase::Joined || self.is_stopping(around) || !self.met_leader {
            Action::Stop
        } else if (self.may_be_master(around.now) || (in_maintenance && self.lease.is_some()))
            && self.all_promotable(settings)
        {
            Action::Promote
        } else if self.services.maybe_promoted() {
            Action::Demote
        } else {
            Action::Start
        }
    }

    /// It goes down in order. R15: after what goes together with it, for as long as its lease lasts.
    fn is_stopping(&self, around: &NodeContext) -> bool {
        (around.stopped || around.leaving) && !(around.followed && self.may_be_master(around.now))
    }

    /// The node's state.
    pub(crate) fn state(&self, settings: &Settings, around: &NodeContext) -> NodeState {
        if !settings.runner {
            NodeState::Elector
        } else if self.has_failed() {
            NodeState::Failed
        } else if self.phase != Phase::Joined {
            NodeState::Disconnected
        } else if around.stopped || around.leaving {
            NodeState::Stopped
        } else if !around.connected && self.lease.is_none() {
            NodeState::Disconnected
        } else if !self.all_promotable(settings) {
            NodeState::Live
        } else if self.action(settings, around) == Action::Promote {
            NodeState::Master
        } else {
            NodeState::Standby
        }
    }

    /// The leader's lease arrived; its remaining time is counted from when the report was sent (R5). True if this is a
    /// mastership that the node did not hold: the mark must go to disk before anything is promoted.
    pub(crate) fn leased(
        &mut self,
        lease: Lease,
        sent: Time,
        grace: Duration,
        now: Time,
        out: &mut Effects,
    ) -> bool {
        let ends = if mutant!(LeaseFromAnswer) { now } else { sent } + lease.remaining;
        if (lease.epoch <= self.released && !mutant!(ReleasedAccepted))
            || ends <= now
            || matches!(self.phase, Phase::Scanning { .. })
        {
            return false;
        }
        match &mut self.lease {
            Some(held) if held.lost.is_some() || held.epoch > lease.epoch => false,
            Some(held) if held.epoch == lease.epoch => {
                held.ends = held.ends.max(ends);
                false
            }
            Some(_) | None => {
                let new = MasterLease::new(lease.epoch, ends, grace, now);
                self.lease = Some(MasterLease { acts_from: lease.since, ..new });
                out.event(Event::LeaseGained { epoch: lease.epoch });
                true
            }
        }
    }

    /// The leader wants everything up to `epoch` back.
    pub(crate) fn request_demote(&mut self, epoch: Epoch) {
        match &mut self.lease {
            Some(held) if held.epoch <= epoch => held.demote_requested = true,
            Some(_) => {}
            None if !self.services.maybe_promoted() => self.released = self.released.max(epoch),
            None => {}
        }
    }

    /// A leader that is about to choose asks how the services are now. The same question comes more than once.
    pub(crate) fn ask(&mut self, number: u64, now: Time) {
        if self.asked < Some(number) {
            self.asked = Some(number);
            self.services.ask_afresh(now);
        }
    }

    /// The mark of this mastership is on disk.
    pub(crate) fn marked(&mut self, epoch: Epoch) {
        if let Some(held) = self.lease.as_mut().filter(|h| h.epoch == epoch) {
            held.marked = true;
        }
    }

    /// A hook has ended.
    pub(crate) fn hook_ended(
        &mut self,
        run: RunId,
        end: HookEnd,
        settings: &Settings,
        around: &NodeContext,
        out: &mut Effects,
    ) {
        let now = around.now;
        // A node that goes down anyway brings nothing back.
        let stays = self.action(settings, around) >= Action::Start
            && self.failure.is_none()
            && self.lease.is_none_or(|held| held.lost.is_none());
        let (block, grace) = (settings.block_on_stop_failure, settings.demote_grace);
        let Some(ended) = self.services.finished(run, end, now, block, grace, out) else { return };
        match ended.consequence {
            Consequence::None => {}
            Consequence::Failed(cause) => {
                if !(stays && self.services.restart(&ended.service, &cause, now, out)) {
                    self.service_failed(&ended.service, cause, settings, now, out);
                }
            }
            Consequence::Unclean => {
                let reason = FailureReason::NotStopped { service: ended.service.clone() };
                let cause = Cause { hook: Hook::Stop, reason, timed_out: false, lasting: false };
                self.service_failed(&ended.service, cause, settings, now, out);
                if let Some(failure) = &mut self.failure {
                    failure.recover_at = None;
                    failure.reason = NodeFailure::NotStopped { service: ended.service };
                }
            }
        }
    }

    fn service_failed(
        &mut self,
        service: &str,
        cause: Cause,
        settings: &Settings,
        now: Time,
        out: &mut Effects,
    ) {
        self.services.forget_restarts();
        let note = FailureNote {
            service: clip(service, limits::NAME_BYTES),
            hook: cause.hook.as_str().to_owned(),
            message: clip(&cause.reason.to_string(), limits::REASON_BYTES),
            ago: Duration::ZERO,
        };
        let failure =
            ServiceFailure { service: service.to_owned(), hook: cause.hook, reason: cause.reason.clone() };
        let calm =
            self.last_failure.as_ref().is_some_and(|(at, _)| now.since(*at) > settings.failcount_reset);
        self.last_failure = Some((now, note));
        if self.failure.is_some() {
            return; // one failure of the node, however many services go down with it
        }
        if calm {
            self.fail_count = 0;
        }
        let recovers_in = recovery_wait(settings, self.fail_count).filter(|_| !cause.lasting);
        self.fail_count = self.fail_count.saturating_add(1);
        out.event(Event::Failed { reason: NodeFailure::Service(failure.clone()), recovers_in });
        // Whoever mends it and waits should know that it waits too.
        let reason = match recovers_in {
            Some(_) => NodeFailure::Service(failure),
            None => NodeFailure::AwaitsRecover(failure),
        };
        // What the services hear that are taken down with it.
        let with =
            FailureReason::TakenDownWith { service: service.to_owned(), reason: Box::new(cause.reason) };
        let cause = Cause { reason: with, ..cause };
        self.failure =
            Some(Failure { reason, cause: Some(cause), recover_at: recovers_in.map(|wait| now + wait) });
    }

    /// An operator says `koi recover`: the count begins anew too.
    pub(crate) fn recover_by_hand(&mut self) {
        self.fail_count = 0;
        self.last_failure = None;
        self.failure = None;
        self.in_vain = Patience::of_masterships();
        self.services.trust_again();
        self.services.recover();
    }

    /// How many failures were counted.
    pub(crate) fn fail_count(&self) -> u32 {
        self.fail_count
    }

    /// Until the node tries again by itself.
    pub(crate) fn recovers_in(&self, now: Time) -> Option<Duration> {
        self.failure.as_ref().and_then(|f| f.recover_at).map(|at| at.since(now))
    }

    /// Lets time and everything that has happened take effect: lease, recovery, the services' next steps, release.
    pub(crate) fn advance(
        &mut self,
        settings: &Settings,
        around: &NodeContext,
        out: &mut Effects,
    ) -> Outcome {
        let in_maintenance = self.is_in_maintenance(settings, around);
        self.met_leader |= around.connected && around.informed;
        if self.was_in_maintenance && !in_maintenance {
            self.services.ask_all(around.now);
        }
        if !in_maintenance {
            self.watch_lease(settings, around, out);
            self.watch_restarts(settings, around, out);
        }
        self.was_in_maintenance = in_maintenance;
        self.tell_of_bars(out);
        let want = self.want(settings, around, in_maintenance);
        self.services.step(&want, out);
        let has_joined = self.join_when_down();
        let recovers = !in_maintenance && self.try_recovery(settings, around.now, out);
        if has_joined || recovers {
            let want = self.want(settings, around, in_maintenance);
            self.services.step(&want, out);
        }
        self.settle(in_maintenance, settings, around, out)
    }

    /// What an earlier run left is down: from now on the node takes part. Whether it just began to.
    fn join_when_down(&mut self) -> bool {
        let joins = self.phase == Phase::TakingDown && self.services.all_down();
        if joins {
            self.phase = Phase::Joined;
        }
        joins
    }

    /// Says once why the node counts as failed without a failure, and what keeps a service from running that it goes on without.
    fn tell_of_bars(&mut self, out: &mut Effects) {
        let reason = self.services.aside_reason();
        if reason != self.aside_reason_before {
            if let Some(reason) = reason.clone() {
                out.event(Event::Warned { what: WarnReason::Aside(reason) });
            }
            self.aside_reason_before = reason;
        }
        let barred = self.services.ineligible_reason();
        if barred == self.ineligible_before {
            return;
        }
        if let Some(reason) = barred.clone() {
            out.event(Event::Barred { reason });
        }
        self.ineligible_before = barred;
    }

    fn want(&self, settings: &Settings, around: &NodeContext, in_maintenance: bool) -> Goal {
        let lost = self.lease.and_then(|h| h.lost);
        Goal {
            now: around.now,
            action: self.action(settings, around),
            urgent: lost.is_some(),
            overdue: lost.filter(|deadline| *deadline <= around.now),
            deadline: lost,
            reason: self.down_reason(around),
            may_promote: self.lease.is_some_and(|h| h.marked && h.acts_on(around.applied)),
            in_maintenance,
            may_ask: self.unreadable.is_none(),
            block_on_stop_failure: settings.block_on_stop_failure,
            max_parallel: settings.max_parallel.saturating_sub(around.busy_beside),
            state: self.state(settings, around),
            epoch: self.lease.map_or(around.epoch, |h| h.epoch),
            cause: self.failure.as_ref().and_then(|f| f.cause.clone()).or_else(|| self.ineligible_reason()),
        }
    }

    /// Why the services go down, if they all do.
    fn down_reason(&self, around: &NodeContext) -> Option<DownReason> {
        let lost = self.lease.filter(|held| held.lost.is_some());
        if lost.is_some_and(|held| held.fenced) {
            Some(DownReason::Fenced)
        } else if lost.is_some() || self.phase == Phase::TakingDown {
            Some(DownReason::LeaseLost)
        } else if self.has_failed() {
            Some(DownReason::Failed)
        } else if around.stopped || around.leaving {
            Some(DownReason::Stopping)
        } else {
            self.lease.filter(|held| held.demote_requested).map(|_| DownReason::Ordered)
        }
    }

    /// A restart ends with the lease, at once, and when its time is over: then the service has failed after all.
    fn watch_restarts(&mut self, settings: &Settings, around: &NodeContext, out: &mut Effects) {
        if self.action(settings, around) < Action::Start {
            return self.services.forget_restarts();
        }
        let lost = self.lease.is_some_and(|held| held.lost.is_some());
        let failed = match lost {
            true => self.services.interrupted_restart(),
            false => self.services.overdue_restart(around.now),
        };
        if let Some((service, cause)) = failed {
            self.service_failed(&service, cause, settings, around.now, out);
        }
    }

    /// R7: a lease that ran out ends the mastership at once; the grace is one absolute deadline.
    fn watch_lease(&mut self, settings: &Settings, around: &NodeContext, out: &mut Effects) {
        let up = self.services.maybe_promoted();
        let learned_now = self.was_in_maintenance;
        let Some(held) = &mut self.lease else { return };
        if held.lost.is_none() && around.now >= held.ends && !mutant!(LostLeaseIgnored) {
            // After maintenance the grace counts from the moment the node learns that it is over.
            let from = if learned_now { around.now } else { held.ends };
            held.lost = Some(from + held.grace.min(settings.demote_grace));
            out.event(Event::LeaseLost { epoch: held.epoch });
        }
        let overdue = held.lost.is_some_and(|deadline| around.now >= deadline);
        if !overdue || !up || held.fenced {
            return;
        }
        held.fenced = true;
        let over = GraceOver { grace: settings.demote_grace };
        if settings.fenced {
            out.event(Event::Fenced { reason: over });
            out.push(Effect::Fence { reason: over.to_string() });
        }
        if self.failure.is_none() {
            let reason = NodeFailure::GraceOver(over);
            out.event(Event::Failed { reason: reason.clone(), recovers_in: None });
            let over = FailureReason::GraceOver(over);
            let cause = Cause { hook: Hook::Demote, reason: over, timed_out: true, lasting: false };
            self.failure = Some(Failure { reason, cause: Some(cause), recover_at: None });
        }
    }

    /// Forgets a failure when its time has come and everything is down; whether it did.
    fn try_recovery(&mut self, settings: &Settings, now: Time, out: &mut Effects) -> bool {
        let barred = self.services.is_ineligible();
        let due = self.failure.as_ref().and_then(|f| f.recover_at).is_some_and(|at| at <= now);
        if due && self.services.all_down() && settings.auto_recover > 0 {
            out.event(Event::Recovering { failures: self.fail_count });
            self.failure = None;
            self.services.recover_by_itself();
            return true;
        }
        // `koi recover` was said, or what was disabled is not any more; what still goes down comes back when it is down.
        let forgotten = self.failure.is_none() && !barred && self.services.any_failed();
        if forgotten {
            self.services.recover_by_itself();
        }
        forgotten
    }

    /// Ends what is over: restarts, and a mastership of which nothing is promoted any more.
    fn settle(
        &mut self,
        in_maintenance: bool,
        settings: &Settings,
        around: &NodeContext,
        out: &mut Effects,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if !in_maintenance {
            let promoted = self.action(settings, around) == Action::Promote;
            self.services.end_restarts(promoted, around.now, out);
        }
        // The mark is cleared only when nothing can be promoted any more.
        outcome.clear_mark = self.phase == Phase::Joined && !self.services.maybe_promoted();
        let (up, confirmed) = (self.services.maybe_promoted(), self.services.confirmed());
        let Some(held) = &mut self.lease else { return outcome };
        held.rose |= up;
        if confirmed && !held.confirmed && around.now.since(held.since) >= SOON {
            held.confirmed = true;
            self.in_vain = Patience::of_masterships();
        }
        let held = *held;
        let wanted = self.action(settings, around) == Action::Promote;
        if !in_maintenance && !wanted && !self.services.maybe_promoted() {
            self.judge(&held, settings, around);
            self.released = self.released.max(held.epoch);
            self.lease = None;
            self.services.no_more_newcomers();
            outcome.clear_mark = true;
            out.event(Event::LeaseReleased { epoch: held.epoch });
        }
        outcome
    }

    /// A mastership that its own node ended soon after it began, or under which nothing was ever promoted, counts against the node.
    fn judge(&mut self, held: &MasterLease, settings: &Settings, around: &NodeContext) {
        let bidden = around.stopped || around.leaving;
        // A demote that has just been done leaves nothing promotable, until its status has spoken.
        let fit = self.services.are_fit() && self.may_rise(settings);
        let own_fault = self.has_failed() || !(fit || self.all_promotable(settings));
        let never_rose = held.lost.is_some() && !held.rose;
        if !bidden && !held.confirmed && (own_fault || never_rose) {
            self.in_vain.count(around.now);
        }
    }

    pub(crate) fn set_timers(&self, settings: &Settings, around: &NodeContext, timers: &mut Timers) {
        if self.is_in_maintenance(settings, around) {
            return;
        }
        if self.action(settings, around) >= Action::Start && self.unreadable.is_none() {
            let room = settings.max_parallel.saturating_sub(around.busy_beside);
            self.services.set_timers(around.now, room, timers);
        }
        if let Some(held) = &self.lease {
            match held.lost {
                None => timers.set(Timer::LeaseEnd, held.ends),
                Some(deadline) if !held.fenced => timers.set(Timer::GraceEnd, deadline),
                Some(_) => {}
            }
        }
        if let Some(at) = self.failure.as_ref().and_then(|f| f.recover_at)
            && self.services.all_down()
        {
            timers.set(Timer::Recovery, at);
        }
    }

    /// Nothing is left to do before the daemon may end.
    pub(crate) fn may_leave(&self, settings: &Settings, around: &NodeContext) -> bool {
        match self.is_in_maintenance(settings, around) {
            true => self.services.quiet(),
            false => self.services.all_down() || matches!(self.phase, Phase::Scanning { .. }),
        }
    }

    /// Something could not be stopped, and its lease is not over yet: others may still count on this node's word. When lease and
    /// grace are over, the fence has acted, or there is none.
    pub(crate) fn owes_a_word(&self) -> bool {
        self.services.unclean() && self.lease.is_none_or(|h| !h.fenced)
    }

    /// Everything is down and given back: the supervisor of a group that is not configured any more may go.
    pub(crate) fn is_over(&self) -> bool {
        self.lease.is_none() && !self.maybe_promoted() && self.services.all_down()
    }

    /// Something of the group is, or may be, promoted here.
    pub(crate) fn maybe_promoted(&self) -> bool {
        self.services.maybe_promoted()
            || matches!(self.phase, Phase::TakingDown | Phase::Scanning { left: Some(_) })
    }

    /// The services in one line, for the leader.
    pub(crate) fn summary(&self, settings: &Settings, around: &NodeContext) -> RunnerSummary {
        let state = self.state(settings, around);
        let (short_score, long_score) = RunnerSummary::score_fields(self.services.score());
        RunnerSummary {
            state,
            holds: self.lease.map(|h| h.epoch),
            released: self.released,
            maybe_promoted: self.maybe_promoted(),
            promotable: matches!(state, NodeState::Standby | NodeState::Master),
            short_score,
            failure: self
                .last_failure
                .as_ref()
                .map(|(at, note)| FailureNote { ago: around.now.since(*at), ..note.clone() }),
            failures: self.fail_count,
            unclean: self.services.unclean(),
            maintenance: settings.maintenance,
            grace: settings.demote_grace,
            services: u16::try_from(self.services.len()).unwrap_or(u16::MAX),
            promoted: state == NodeState::Master && self.services.summary(false) == Summary::Promoted,
            reason: clip(&self.reason(settings), limits::REASON_BYTES),
            leaving: around.leaving,
            unfit: around.unfit.as_ref().map(|why| clip(&why.to_string(), limits::UNFIT_BYTES)),
            restless: self
                .services
                .restless(around.now)
                .map(|(service, times)| Restless { service: clip(service, limits::NAME_BYTES), times }),
            in_vain: self
                .in_vain
                .last(around.now)
                .map(|last| InVain { times: self.in_vain.lately(around.now), ago: around.now.since(last) }),
            suspect: self.services.suspect(),
            unasked: self.services.unasked(),
            long_score,
            promoted_under: self.services.promoted_under().filter(|_| state == NodeState::Master),
            placement: settings.placement.get(self.services.group()).cloned().unwrap_or_default(),
            asked: self.asked.filter(|_| self.services.have_answered()),
        }
    }
}

/// `auto_recover_time` × factor^failures; none: it does not recover by itself (zero recoveries mean never).
fn recovery_wait(settings: &Settings, failures: u32) -> Option<Duration> {
    if failures >= settings.auto_recover {
        return None;
    }
    let factor = settings.auto_recover_wait_factor.saturating_pow(failures.min(16));
    let shortest = if failures == 0 || mutant!(NoBackOff) { Duration::ZERO } else { SHORTEST_RECOVERY };
    settings.auto_recover_time.checked_mul(factor).map(|wait| wait.max(shortest))
}
