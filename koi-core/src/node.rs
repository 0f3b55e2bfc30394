//! Composes the parts into the brain of one machine.
//!
//! [`Node::handle`] takes one input, lets it and the time take effect everywhere, and leaves what is to be done for
//! [`Node::poll_effect`]. A node's messages to itself go through the same doors as those of others.

use std::collections::VecDeque;
use std::time::Duration;

use crate::election::{Election, Role};
use crate::event::Event;
use crate::io::{Boot, Destination, Effect, Input};
use crate::mastership::Leadership;
use crate::message::{Body, Card, FailureNote, Farewell, Hello, Message, Recipient, Resign, RunnerSummary};
use crate::peers::{Gone, Heard, Peers};
use crate::record::{Durable, Record, Standing};
use crate::runner::{Runner, Surroundings};
use crate::settings::Settings;
use crate::types::{Epoch, NodeId, NodeState, Session, Term, Time, Version};
use crate::{following::Leader, limits};

/// The brain of one machine.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) settings: Settings,
    pub(crate) id: NodeId,
    pub(crate) session: Session,
    pub(crate) started: Time,
    /// What is, or will be, on disk.
    pub(crate) durable: Durable,
    /// `durable` has changed since it was last handed out.
    pub(crate) dirty: bool,
    /// The number of the newest state handed out, and of the newest that is on disk.
    persist_issued: u64,
    persist_done: u64,
    /// The version of the record in each state handed out and not yet on disk.
    versions: VecDeque<(u64, Version)>,
    /// The version of the record that is on disk.
    pub(crate) record_on_disk: Version,
    deferred: VecDeque<(u64, Deferred)>,
    effects: VecDeque<Effect>,
    /// Messages of this node to itself.
    local: VecDeque<Body>,
    seq: u64,
    pub(crate) peers: Peers,
    pub(crate) election: Election,
    pub(crate) lead: Option<Leadership>,
    pub(crate) leader: Option<Leader>,
    pub(crate) runner: Runner,
    /// Reports of which an answer still counts, with the instant that they were sent.
    pub(crate) reports: VecDeque<(u64, Time)>,
    pub(crate) last_report: u64,
    /// The newest report that was answered.
    pub(crate) answered: u64,
    /// This run has heard from a leader what counts: what its disk said may be old.
    pub(crate) informed: bool,
    told: Option<RunnerSummary>,
    hello_due: Time,
    /// R10 and late loops: until then it listens, and takes nobody's silence for an absence.
    pub(crate) listen_until: Time,
    expected: Time,
    now: Time,
    pub(crate) leaving: Option<Leaving>,
    finished: bool,
    pub(crate) failures: VecDeque<(Time, String, FailureNote)>,
    last_state: Option<NodeState>,
}

/// What must be on disk before it is done.
#[derive(Clone, Debug)]
pub(crate) enum Deferred {
    /// Acknowledge this heartbeat of the leader.
    Acknowledge { leader: NodeId, term: Term, number: u64, lease: Duration },
    /// Send a vote.
    Vote { to: NodeId, session: Session, term: Term },
    /// Claim a term, with the own vote.
    Claim(Term),
    /// Count the own copy of the leader's record.
    Record,
    /// Promote under this mastership.
    Mark(Epoch),
}

/// A shutdown under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// When the last service was down.
    down_since: Option<Time>,
}

impl Node {
    /// A node that starts now.
    pub fn new(settings: Settings, boot: Boot) -> Node {
        let had_state = boot.durable.is_some();
        let durable = boot.durable.unwrap_or_default();
        let left =
            durable.held.or_else(|| boot.damaged.then_some(Epoch(0))).filter(|_| !broken!(MarkIgnored));
        let listen = settings.leader_lease;
        let on_disk = durable.record.version;
        let election = Election::new(boot.now, durable.term, durable.promised_lease, had_state, listen);
        let mut node = Node {
            id: boot.id,
            session: boot.session,
            started: boot.now,
            durable,
            dirty: false,
            persist_issued: 0,
            persist_done: 0,
            versions: VecDeque::new(),
            record_on_disk: on_disk,
            deferred: VecDeque::new(),
            effects: VecDeque::new(),
            local: VecDeque::new(),
            seq: 0,
            peers: Peers::default(),
            election,
            lead: None,
            leader: None,
            runner: Runner::new(left),
            reports: VecDeque::new(),
            last_report: 0,
            answered: 0,
            informed: false,
            told: None,
            hello_due: boot.now,
            listen_until: boot.now,
            expected: boot.now,
            now: boot.now,
            leaving: None,
            finished: false,
            failures: VecDeque::new(),
            last_state: None,
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
        if self.finished {
            return;
        }
        match input {
            Input::Received { message, source } => self.received(*message, source, now),
            Input::HookFinished { run, ended } => {
                self.runner.hook_ended(run, ended, &self.settings, now, &mut self.effects);
            }
            Input::Persisted { number } => self.persisted(number, now),
            Input::Command { id, command } => self.command(id, command, now),
            Input::Services(specs) => {
                let maintenance = self.durable.applied.maintenance;
                self.runner.found(specs, maintenance, now, &mut self.effects);
            }
            Input::ServicesUnreadable(why) => self.runner.unreadable(why),
            Input::Armed(armed) => self.runner.armed = armed,
            Input::Guarded(guarded) => self.runner.guarded = guarded,
            Input::Configure(settings) => self.configure(*settings, now),
            Input::Shutdown => {
                self.leaving.get_or_insert(Leaving { down_since: None });
            }
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Tick`] is due, unless something happens before.
    pub fn next_deadline(&self) -> Time {
        if self.finished {
            return Time::NEVER;
        }
        let around = self.surroundings(self.now);
        let mut next = self.election_deadline().min(self.leading_deadline()).min(self.report_again_at());
        if self.settings.runner {
            next = next.min(self.runner.next_deadline(&self.settings, &around));
        }
        if self.lead.is_none() {
            next = next.min(self.hello_due);
        }
        if let Some(leader) = &self.leader {
            let silent = leader.heard + self.patience();
            next = next.min(if silent > self.now { silent } else { Time::NEVER });
        }
        if let Some(Leaving { down_since: Some(since) }) = self.leaving {
            next = next.min(since + self.settings.election_timeout());
        }
        next
    }

    /// How much this node keeps for later: effects, messages, reports, commands, states on their way to disk. Bounded, whatever
    /// happens.
    pub fn backlog(&self) -> usize {
        let commands = self.lead.as_ref().map_or(0, |l| l.backlog());
        self.effects.len()
            + self.local.len()
            + self.deferred.len()
            + self.versions.len()
            + self.reports.len()
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
        let late = now.since(self.expected);
        if self.expected != Time::NEVER && late > self.settings.heartbeat {
            self.listen_until = self.listen_until.max(now + self.settings.heartbeat * 2);
        }
    }

    /// Lets everything take effect on everything, until nothing moves.
    fn advance(&mut self, now: Time) {
        // Each round is caused by a message of this node to itself, or by a decision; a handful is normal.
        for _ in 0..64 {
            self.try_founding(now);
            self.advance_leadership(now);
            self.advance_election(now);
            self.advance_runner(now);
            self.decide(now);
            self.tell_changes(now);
            self.report_again(now);
            self.flush();
            match self.local.pop_front() {
                Some(body) => self.dispatch(self.id, self.session, body, now),
                // A decision has made a heartbeat due at once.
                None if self.lead.as_ref().is_some_and(|l| l.heartbeat_due <= now) => {}
                None => break,
            }
        }
        self.say_hello(now);
        self.notice_silence(now);
        self.try_leaving(now);
        self.expected = self.next_deadline();
    }

    fn advance_runner(&mut self, now: Time) {
        if !self.settings.runner {
            return;
        }
        let around = self.surroundings(now);
        let outcome = self.runner.advance(&self.settings, &around, &mut self.effects);
        if outcome.clear_mark && self.durable.held.is_some() && self.runner.holding.is_none() {
            self.durable.held = None;
            self.dirty = true;
        }
        let state = self.runner.state(&self.settings, &self.surroundings(now));
        if let Some(from) = self.last_state.replace(state)
            && from != state
        {
            self.event(Event::StateChanged { from, to: state });
        }
    }

    pub(crate) fn surroundings(&self, now: Time) -> Surroundings {
        let record = &self.durable.applied;
        Surroundings {
            now,
            connected: self.connected(now),
            informed: self.informed,
            maintenance: record.maintenance,
            stopped: record.stopped.contains(&self.id),
            leaving: self.leaving.is_some(),
            epoch: record.last_epoch,
            master: record.master.as_ref().map(|m| (m.name.clone(), self.master_address(m.node))),
        }
    }

    /// How long a leader may be silent before the node counts as disconnected: by then any lease is over.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.hold(self.settings.demote_grace)
    }

    pub(crate) fn connected(&self, now: Time) -> bool {
        self.lead.is_some() || self.leader.as_ref().is_some_and(|l| now.since(l.heard) < self.patience())
    }

    /// R11: what has changed is said when it changes.
    fn tell_changes(&mut self, now: Time) {
        if !self.settings.runner {
            return;
        }
        let mut summary = self.runner.summary(&self.settings, &self.surroundings(now));
        if let Some(note) = &mut summary.failure {
            note.ago = Duration::ZERO;
        }
        if self.told.as_ref() != Some(&summary) && !broken!(ChangesUntold) {
            self.told = Some(summary);
            self.report(None, now);
        }
    }

    /// The master whose report was not answered reports again: the answer is its lease.
    fn report_again(&mut self, now: Time) {
        if now >= self.report_again_at() {
            self.report(None, now);
        }
    }

    fn report_again_at(&self) -> Time {
        let waits = self.lead.is_none()
            && self.leader.is_some()
            && self.answered < self.last_report
            && self.runner.holding.is_some_and(|h| h.lost.is_none());
        match self.reports.back() {
            Some((_, sent)) if waits => *sent + self.settings.heartbeat / 4,
            Some(_) | None => Time::NEVER,
        }
    }

    fn configure(&mut self, settings: Settings, now: Time) {
        let old = std::mem::replace(&mut self.settings, settings);
        if old.runner != self.settings.runner {
            // Services that run would be nobody's.
            self.settings.runner = old.runner;
            let what = "node.runner has changed: restart koid for that".to_owned();
            self.event(Event::Warned { what });
        }
        if old.elector && !self.settings.elector {
            self.resign("this node is no elector any more", now);
        } else if old.leader_lease != self.settings.leader_lease {
            // Electors have promised the lease that its heartbeats named: the new one begins with a new leadership.
            self.resign("the leader lease was changed", now);
        }
    }

    /// Leads no more, and frees the votes that were promised to it, its own too (R1).
    fn resign(&mut self, reason: &str, now: Time) {
        let Some(lead) = &self.lead else { return };
        let term = lead.term;
        self.send(Destination::Everyone, None, Body::Resign(Resign { term }));
        self.step_down(reason, now);
        self.election.release(self.id, self.session);
    }

    // --- what must be on disk first ---

    /// Does `what` as soon as the state as it is now is on disk; at once if it is.
    pub(crate) fn when_durable(&mut self, what: Deferred, now: Time) {
        let hasty = match &what {
            Deferred::Acknowledge { .. } => broken!(AcknowledgedNotDurable),
            Deferred::Vote { .. } | Deferred::Claim(_) => broken!(VoteNotDurable),
            Deferred::Record => broken!(CommittedAlone),
            Deferred::Mark(_) => broken!(MarkNotDurable),
        };
        if hasty || self.is_durable() {
            return self.do_deferred(what, now);
        }
        let number = self.persist_issued + u64::from(self.dirty);
        // A disk that hangs must not pile up what waits for it: these are asked for again, and the oldest is worth least.
        let repeats =
            |(_, d): &(u64, Deferred)| matches!(d, Deferred::Acknowledge { .. } | Deferred::Vote { .. });
        if self.deferred.len() >= limits::IN_FLIGHT
            && let Some(oldest) = self.deferred.iter().position(repeats)
        {
            self.deferred.remove(oldest);
        }
        self.deferred.push_back((number, what));
    }

    pub(crate) fn is_durable(&self) -> bool {
        !self.dirty && self.persist_done == self.persist_issued
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.persist_issued += 1;
            self.versions.push_back((self.persist_issued, self.durable.record.version));
            let durable = Box::new(self.durable.clone());
            self.effects.push_back(Effect::Persist { number: self.persist_issued, durable });
        }
    }

    fn persisted(&mut self, number: u64, now: Time) {
        self.persist_done = self.persist_done.max(number.min(self.persist_issued));
        while self.versions.front().is_some_and(|(n, _)| *n <= self.persist_done) {
            if let Some((_, version)) = self.versions.pop_front() {
                self.record_on_disk = version;
            }
        }
        while self.deferred.front().is_some_and(|(n, _)| *n <= self.persist_done) {
            if let Some((_, what)) = self.deferred.pop_front() {
                self.do_deferred(what, now);
            }
        }
    }

    fn do_deferred(&mut self, what: Deferred, now: Time) {
        match what {
            Deferred::Acknowledge { leader, term, number, lease } => {
                self.acknowledge(leader, term, number, lease, now);
            }
            Deferred::Vote { to, session, term } => self.vote_is_durable(to, session, term, now),
            Deferred::Claim(term) => self.claim_is_durable(term, now),
            Deferred::Record => self.count_copies(now),
            Deferred::Mark(epoch) => self.runner.marked(epoch),
        }
    }

    // --- messages ---

    fn received(&mut self, message: Message, source: Option<std::net::SocketAddr>, now: Time) {
        let Message { from, session, to, body, .. } = message;
        if from == self.id {
            return; // our own multicast
        }
        if to.is_some_and(|to| to.node != self.id || to.session != self.session) {
            return;
        }
        // A guardian speaks from an address of its own.
        let source = source.filter(|_| !matches!(body, Body::Obituary(_)));
        match self.peers.hear(from, session, source, now) {
            Heard::Ignored => return,
            // A new run proves that the earlier one is over, and with it what it led.
            Heard::Restarted => self.session_over(from, session, now),
            Heard::First | Heard::Again => {}
        }
        if let Body::Obituary(obituary) = &body {
            // The guardian speaks, not the daemon.
            return self.on_gone(from, session, Gone::Dead { all_down: obituary.all_down }, now);
        }
        let over = self.peers.get(from).is_some_and(|p| p.gone.is_some());
        if over && !matches!(body, Body::Farewell(_)) {
            return; // it was under way when its sender's session ended
        }
        self.note_card(from, &body);
        self.dispatch(from, session, body, now);
    }

    fn note_card(&mut self, from: NodeId, body: &Body) {
        let card = match body {
            Body::Hello(m) => &m.card,
            Body::Heartbeat(m) => &m.card,
            Body::Report(m) => &m.card,
            Body::Poll(m) => &m.card,
            Body::Claim(m) => &m.card,
            Body::Answer(_)
            | Body::PollAnswer(_)
            | Body::Vote(_)
            | Body::Refuse(_)
            | Body::Resign(_)
            | Body::Farewell(_)
            | Body::Obituary(_) => return,
        };
        let Some(peer) = self.peers.get_mut(from) else { return };
        let new = peer.card.name.is_empty() || peer.told_lost;
        peer.told_lost = false;
        peer.card = card.clone();
        if new {
            self.event(Event::NodeSeen { node: card.name.clone() });
        }
    }

    fn dispatch(&mut self, from: NodeId, session: Session, body: Body, now: Time) {
        match body {
            Body::Hello(hello) => {
                let own = self.session.random;
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.knows_us = hello.heard.contains(&own);
                }
            }
            Body::Heartbeat(heartbeat) => self.on_heartbeat(from, session, heartbeat, now),
            Body::Report(report) => self.on_report(from, session, report, now),
            Body::Answer(answer) => self.on_answer(from, answer, now),
            Body::Poll(poll) => self.on_poll(from, session, &poll, now),
            Body::PollAnswer(answer) => self.on_poll_answer(from, &answer, now),
            Body::Claim(claim) => self.on_claim(from, session, &claim, now),
            Body::Vote(vote) => self.on_vote(from, &vote, now),
            Body::Refuse(refuse) => self.on_refuse(from, refuse.newest, now),
            Body::Resign(_) => self.session_over(from, session, now),
            Body::Farewell(farewell) => self.on_gone(from, session, Gone::Left(farewell.released), now),
            Body::Obituary(_) => {}
        }
    }

    /// A run of a node is over, by its own word, its guardian's, or because a newer one speaks.
    fn on_gone(&mut self, from: NodeId, session: Session, gone: Gone, now: Time) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        let news = peer.ends(gone);
        let node = self.name_of(from);
        if news {
            self.event(match gone {
                Gone::Left(_) => Event::NodeLeft { node },
                Gone::Dead { .. } => Event::NodeDead { node },
            });
        }
        self.session_over(from, session, now);
        self.runner_gone(from, session);
    }

    /// What this run of `node` led is over: votes are free (R1), and a follower need not wait (R11).
    fn session_over(&mut self, node: NodeId, session: Session, now: Time) {
        self.election.release(node, session);
        if self.leader.as_ref().is_some_and(|l| l.id == node && l.session <= session) {
            if let Some(leader) = self.leader.take() {
                self.event(Event::LeaderLost { leader: leader.name });
            }
            if matches!(self.election.role, Role::Follower) {
                self.election.next_try = now;
            }
        }
    }

    pub(crate) fn send(&mut self, to: Destination, recipient: Option<Recipient>, body: Body) {
        if recipient.is_some_and(|r| r.node == self.id) {
            self.local.push_back(body);
            return;
        }
        self.seq += 1;
        let message =
            Box::new(Message { from: self.id, session: self.session, seq: self.seq, to: recipient, body });
        self.effects.push_back(Effect::Send { to, message });
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn card(&self) -> Card {
        Card {
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            elector: self.settings.elector,
            runner: self.settings.runner,
            priority: self.settings.priority,
            standing: self.durable.standing,
            agreed: self.settings.agreed(),
        }
    }

    /// A node that follows nobody says so, so that others see it (R10).
    fn say_hello(&mut self, now: Time) {
        if now < self.hello_due {
            return;
        }
        self.hello_due = now + self.settings.heartbeat;
        if self.lead.is_some() || self.known_leader(now).is_some() {
            return;
        }
        let lately = self.settings.election_timeout() * 3;
        let heard = self
            .peers
            .iter()
            .filter(|(_, p)| now.since(p.heard) <= lately)
            .map(|(_, p)| p.session.random)
            .take(limits::NODES)
            .collect();
        let card = self.card();
        self.send(Destination::Everyone, None, Body::Hello(Hello { card, heard }));
    }

    /// Tells once of each node that is not heard any more.
    fn notice_silence(&mut self, now: Time) {
        if now < self.listen_until {
            return;
        }
        let lately = self.lately();
        // Only a leader hears everyone all the time, and only once they had time to answer it.
        if self.lead.as_ref().is_none_or(|lead| now < lead.won + lately) {
            return;
        }
        self.peers.forget_old(now);
        let mut lost = Vec::new();
        for (_, peer) in self.peers.iter_mut() {
            let silent = now.since(peer.heard) > lately && peer.gone.is_none();
            if silent && !peer.told_lost {
                peer.told_lost = true;
                lost.push(peer.card.name.clone());
            }
        }
        for node in lost {
            self.event(Event::NodeLost { node });
        }
    }

    /// How long a node that is there may be silent.
    pub(crate) fn lately(&self) -> Duration {
        self.settings.leader_lease.max(self.settings.heartbeat * 3)
    }

    /// R11: a clean stop says farewell; a leader hands over first.
    fn try_leaving(&mut self, now: Time) {
        let Some(leaving) = self.leaving else { return };
        let around = self.surroundings(now);
        if self.finished {
            return;
        }
        let busy = self.settings.runner && !self.runner.may_leave(&self.settings, &around);
        // R7: the leader must know first that something may still be promoted here.
        let owes = self.settings.runner && self.runner.owes_a_word() && !self.marked_unclean();
        if busy || owes {
            // Also when it was down before: maintenance mode may have ended meanwhile.
            self.leaving = Some(Leaving { down_since: None });
            return;
        }
        let since = leaving.down_since.unwrap_or(now);
        self.leaving = Some(Leaving { down_since: Some(since) });
        let waited = now.since(since) >= self.settings.election_timeout();
        let handed_over = self.lead.is_none() || self.handed_over();
        if !(waited || handed_over && self.is_durable()) {
            return;
        }
        self.finish(now);
    }

    /// The record that counts says that this node could not take everything down.
    fn marked_unclean(&self) -> bool {
        let entry = self.durable.applied.master.as_ref();
        entry.is_none_or(|m| m.node != self.id || m.unclean || m.in_maintenance)
    }

    fn finish(&mut self, now: Time) {
        let released = (!self.runner.up() || !self.settings.runner).then(|| {
            // Every epoch that was ever given to this run is given back.
            let own = self.runner.released;
            self.durable
                .record
                .master
                .as_ref()
                .filter(|m| m.node == self.id)
                .map_or(own, |m| m.epoch.max(own))
        });
        let term = self.durable.term;
        // Datagrams may get lost; what is lost here costs a time-out.
        for _ in 0..2 {
            if self.lead.is_some() {
                self.send(Destination::Everyone, None, Body::Resign(Resign { term }));
            }
            self.send(Destination::Everyone, None, Body::Farewell(Farewell { released }));
        }
        self.step_down("this node is stopping", now);
        self.finished = true;
        self.effects.push_back(Effect::Finished);
    }

    /// Whether this elector's state is worth anything (R10).
    pub(crate) fn standing(&self) -> Standing {
        self.durable.standing
    }
}
