//! Composes the parts into the brain of one machine.
//!
//! [`Node::handle`] takes one input, lets it and the time take effect everywhere, and leaves what is to be done for
//! [`Node::poll_effect`]. A node's messages to itself go through the same doors as those of others.

mod commands;
mod contact;
mod elections;
mod leading;
mod leaving;
mod status;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use crate::contact::following::Following;
use crate::contact::greeting::Greeting;
use crate::contact::identity::Identity;
use crate::contact::peers::Peers;
use crate::elector::durability::{Deferred, Durability};
use crate::elector::election::Election;
use crate::event::Event;
use crate::io::{Boot, Destination, Effect, Input};
use crate::leader::hearing::Hearing;
use crate::leader::leadership::Leadership;
use crate::leader::masterships::Masterships;
use crate::local::failures::Failures;
use crate::local::fitness::Fitness;
use crate::local::leaving::Leaving;
use crate::message::{Body, NodeInfo, RULES, Recipient, Resign, RunnerSummary};
use crate::outbox::Outbox;
use crate::reason::{StepDownReason, WarnReason};
use crate::record::{Record, StateOrigin};
use crate::settings::Settings;
use crate::supervision::supervisor::{NodeContext, ServiceSupervisor};
use crate::timers::{Timer, Timers};
use crate::types::{Epoch, NodeId, NodeState, Session, Time, Version};

/// The brain of one machine.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) settings: Settings,
    pub(crate) id: NodeId,
    pub(crate) session: Session,
    pub(crate) started: Time,
    pub(crate) durable: Durability,
    pub(crate) outbox: Outbox,
    pub(crate) peers: Peers,
    pub(crate) identity: Identity,
    /// Where this node is reached.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) election: Election,
    pub(crate) lead: Option<Leadership>,
    pub(crate) following: Following,
    pub(crate) runner: ServiceSupervisor,
    told: Option<RunnerSummary>,
    pub(crate) greeting: Greeting,
    /// R10 and late loops: until then it listens, and takes nobody's silence for an absence.
    pub(crate) listen_until: Time,
    timers: Timers,
    now: Time,
    pub(crate) leaving: Leaving,
    pub(crate) failures: Failures,
    last_state: Option<NodeState>,
    /// Who said something absurd last, what, and when.
    pub(crate) absurd: Option<(NodeId, String, Time)>,
    pub(crate) fitness: Fitness,
    pub(crate) hearing: Hearing,
    pub(crate) masterships: Masterships,
    /// The version of the record with which maintenance ended last, as far as this run has seen it.
    pub(crate) watched_since: Version,
}

impl Node {
    /// A node that starts now.
    pub fn new(settings: Settings, boot: Boot) -> Node {
        let had_state = boot.durable.is_some();
        let durable = boot.durable.unwrap_or_default();
        let left = durable.held.or_else(|| boot.damaged.then_some(Epoch(0)));
        let left = left.filter(|_| !mutant!(MarkIgnored));
        let listen = settings.leader_lease;
        let election = Election::new(boot.now, durable.term, durable.promised_lease, had_state, listen);
        let masterships = Masterships::found(&durable.applied);
        let mut node = Node {
            id: boot.id,
            session: boot.session,
            started: boot.now,
            durable: Durability::new(durable, boot.now),
            outbox: Outbox::new(boot.id, boot.session),
            peers: Peers::default(),
            identity: Identity::new(boot.now, settings.heartbeat),
            address: None,
            election,
            lead: None,
            following: Following::default(),
            runner: ServiceSupervisor::new(left),
            told: None,
            greeting: Greeting::new(boot.now),
            listen_until: boot.now,
            timers: Timers::default(),
            now: boot.now,
            leaving: Leaving::default(),
            failures: Failures::default(),
            last_state: None,
            absurd: None,
            fitness: Fitness::default(),
            hearing: Hearing::default(),
            masterships,
            watched_since: Version::default(),
            settings,
        };
        node.advance(boot.now);
        node
    }

    /// Something happened at `now`. Afterwards drain [`Node::poll_effect`].
    pub fn handle(&mut self, now: Time, input: Input) {
        let now = now.max(self.now);
        self.notice_lateness(now);
        self.now = now;
        if self.leaving.is_finished() {
            return;
        }
        match input {
            Input::Received { message, source } => self.received(*message, source, now),
            Input::HookFinished { run, ended } => {
                self.fitness.ran(&ended);
                self.runner.hook_ended(run, ended, &self.settings, now, self.outbox.effects());
            }
            Input::Persisted { number } => self.persisted(number, now),
            Input::NotPersisted(why) => self.fitness.refused(why),
            Input::Command { id, command } => self.command(id, command, now),
            Input::Services(specs) => {
                let maintenance = self.durable.applied.maintenance;
                let adopts = maintenance && (self.identity.follows().is_some() || mutant!(CopyAdopts));
                self.runner.found(specs, adopts, now, self.outbox.effects());
            }
            Input::Follows(session) => self.follows_run(session, now),
            Input::Address(address) => self.address = address,
            Input::ServicesUnreadable(why) => self.runner.unreadable(why),
            Input::Armed(armed) => self.runner.note_armed(armed),
            Input::Guarded(guarded) => self.runner.note_guarded(guarded),
            Input::Configure(settings) => self.configure(*settings, now),
            Input::Shutdown => self.leaving.begin(),
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.outbox.effects().next()
    }

    /// When [`Input::Tick`] is due, unless something happens before.
    pub fn next_deadline(&self) -> Time {
        self.next_timer().map_or(Time::NEVER, |(_, at)| at)
    }

    /// The same, and why.
    pub fn next_timer(&self) -> Option<(Timer, Time)> {
        self.timers.next()
    }

    /// Every part sets its timers, from the state as it is now.
    fn set_timers(&mut self) {
        let mut timers = Timers::default();
        if !self.leaving.is_finished() {
            self.set_identity_timers(&mut timers);
            self.set_election_timers(&mut timers);
            self.set_leading_timers(&mut timers);
            self.set_following_timers(&mut timers);
            self.set_greeting_timers(&mut timers);
            self.set_fitness_timers(&mut timers);
            self.set_leaving_timers(&mut timers);
            if self.settings.runner {
                self.runner.set_timers(&self.settings, &self.node_context(self.now), &mut timers);
            }
        }
        self.timers = timers;
    }

    /// How much this node keeps for later: effects, messages, reports, commands, states on their way to disk. Bounded, whatever
    /// happens.
    pub fn backlog(&self) -> usize {
        let commands = self.lead.as_ref().map_or(0, |l| l.backlog());
        self.outbox.backlog()
            + self.durable.backlog()
            + self.following.backlog()
            + self.failures.len()
            + commands
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// This node's identity.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// This run of the node.
    pub fn session(&self) -> Session {
        self.session
    }

    /// The record that this node acts on.
    pub fn applied(&self) -> &Record {
        &self.durable.applied
    }

    /// A node whose own loop ran late does not count that time as others' silence: it listens first.
    fn notice_lateness(&mut self, now: Time) {
        let late = self.next_timer().map_or(Duration::ZERO, |(_, at)| now.since(at));
        if late > self.settings.heartbeat {
            self.listen_until = self.listen_until.max(now + self.settings.heartbeat * 2);
        }
    }

    /// Lets everything take effect on everything, until nothing moves.
    fn advance(&mut self, now: Time) {
        // Each round is caused by a message of this node to itself, or by a decision; a handful is normal.
        self.end_call(now);
        for _ in 0..64 {
            self.try_founding(now);
            self.advance_leadership(now);
            self.advance_election(now);
            self.advance_runner(now);
            self.decide(now);
            self.notice_masterships(now);
            self.tell_changes(now);
            self.report_again(now);
            self.flush();
            match self.outbox.next_local() {
                Some(body) => self.dispatch(self.id, self.session, body, now),
                // A decision has made a heartbeat due at once.
                None if self.lead.as_ref().is_some_and(|l| l.heartbeat_is_due(now)) => {}
                None => break,
            }
        }
        self.say_hello(now);
        self.notice_hearing(now);
        self.notice_silence(now);
        self.try_leaving(now);
        self.set_timers();
    }

    fn advance_runner(&mut self, now: Time) {
        if !self.settings.runner {
            return;
        }
        let around = self.node_context(now);
        let address = self.durable.applied.master.as_ref().and_then(|m| self.master_address(m.node));
        let master = self.durable.applied.master.as_ref().map(|m| (m.name.as_str(), address));
        self.runner.note_master(master);
        let outcome = self.runner.advance(&self.settings, &around, self.outbox.effects());
        if outcome.clear_mark && self.runner.lease().is_none() {
            self.durable.clear_mark();
        }
        let state = self.runner.state(&self.settings, &self.node_context(now));
        if let Some(from) = self.last_state.replace(state)
            && from != state
        {
            self.event(Event::StateChanged { from, to: state });
        }
    }

    pub(crate) fn node_context(&self, now: Time) -> NodeContext {
        let record = &self.durable.applied;
        NodeContext {
            now,
            connected: self.connected(now) && self.is_established(),
            informed: self.following.is_informed(),
            maintenance: record.maintenance,
            stopped: record.stopped.contains(&self.id) || self.durable.mute.is_some(),
            leaving: self.leaving.has_begun(),
            epoch: record.last_epoch,
            unfit: self.unfit(now),
        }
    }

    /// How long a leader may be silent before the node counts as disconnected: by then any lease is over.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.hold(self.settings.demote_grace)
    }

    pub(crate) fn connected(&self, now: Time) -> bool {
        self.lead.is_some() || self.following.leader().is_some_and(|l| now.since(l.heard) < self.patience())
    }

    /// R11: what has changed is said when it changes.
    fn tell_changes(&mut self, now: Time) {
        if !self.settings.runner {
            return;
        }
        let mut summary = self.runner.summary(&self.settings, &self.node_context(now));
        if let Some(note) = &mut summary.failure {
            note.ago = Duration::ZERO;
        }
        if let Some(in_vain) = &mut summary.in_vain {
            in_vain.ago = Duration::ZERO;
        }
        if self.told.as_ref() != Some(&summary) && !mutant!(ChangesUntold) {
            self.told = Some(summary);
            self.report(None, now);
        }
    }

    fn configure(&mut self, settings: Settings, now: Time) {
        let old = std::mem::replace(&mut self.settings, settings);
        if old.runner != self.settings.runner {
            // A change here would leave services running that no supervisor watches.
            self.settings.runner = old.runner;
            self.event(Event::Warned { what: WarnReason::RunnerChanged });
        }
        if old.elector && !self.settings.elector {
            self.resign(StepDownReason::NoElector, now);
        } else if old.leader_lease != self.settings.leader_lease {
            // Electors have promised the old lease. The leader resigns, so that the new lease begins with a new term.
            self.resign(StepDownReason::LeaseChanged, now);
        }
    }

    /// Leads no more, and frees the votes that were promised to it, its own too (R1).
    pub(crate) fn resign(&mut self, reason: StepDownReason, now: Time) {
        let Some(lead) = &self.lead else { return };
        let term = lead.term();
        self.send(Destination::Everyone, None, Body::Resign(Resign { term }));
        self.step_down(reason, now);
        self.election.release(self.id, self.session, Some(term));
    }

    // --- what must be on disk first ---

    /// Does `what` as soon as the state as it is now is on disk; at once if it is.
    pub(crate) fn when_durable(&mut self, what: Deferred, now: Time) {
        if let Some(what) = self.durable.defer(what) {
            self.do_deferred(what, now);
        }
    }

    fn flush(&mut self) {
        if let Some((number, durable)) = self.durable.hand_out(self.now) {
            self.fitness.handed_out(self.now);
            self.effect(Effect::Persist { number, durable });
        }
    }

    fn persisted(&mut self, number: u64, now: Time) {
        self.durable.written(number, now);
        self.fitness.written(self.durable.all_written(), now);
        while let Some(what) = self.durable.next_due() {
            self.do_deferred(what, now);
        }
    }

    fn do_deferred(&mut self, what: Deferred, now: Time) {
        match what {
            Deferred::Acknowledge { leader, term, number, lease } => {
                self.acknowledge(leader, term, number, lease, now);
            }
            Deferred::Vote { to, session, term } => self.vote_is_durable(to, session, term, now),
            Deferred::RequestVote(term) => self.claim_is_durable(term, now),
            Deferred::Record => self.count_copies(now),
            Deferred::Mark(epoch) => self.runner.marked(epoch),
        }
    }

    pub(crate) fn send(&mut self, to: Destination, recipient: Option<Recipient>, body: Body) {
        self.outbox.send(to, recipient, body);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outbox.effects().event(event);
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.outbox.effects().push(effect);
    }

    pub(crate) fn info(&self) -> NodeInfo {
        NodeInfo {
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            elector: self.settings.elector,
            runner: self.settings.runner,
            priority: self.settings.priority,
            origin: self.durable.origin,
            agreed: self.settings.agreed(),
            rules: RULES,
            follows: self.identity.follows(),
        }
    }

    /// How long a node that is there may be silent.
    pub(crate) fn lately(&self) -> Duration {
        self.settings.leader_lease.max(self.settings.heartbeat * 3)
    }

    /// Whether this elector's state is worth anything (R10).
    pub(crate) fn origin(&self) -> StateOrigin {
        self.durable.origin
    }
}
