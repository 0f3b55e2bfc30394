//! Composes the parts into the brain of one machine.
//!
//! [`Node::handle`] takes one input, lets it and the time take effect everywhere, and leaves what is to be done for
//! [`Node::poll_effect`]. A node's messages to itself go through the same doors as those of others.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::durability::{Deferred, Durability};
use crate::election::Election;
use crate::event::Event;
use crate::fitness::Fitness;
use crate::flapping::Masterships;
use crate::following::{Following, Leader};
use crate::hearing::Ears;
use crate::identity::Identity;
use crate::io::{Boot, Destination, Effect, Input};
use crate::limits;
use crate::mastership::Leadership;
use crate::message::{
    Body, Card, FailureNote, Farewell, Hello, Message, RULES, Recipient, Resign, RunnerSummary,
};
use crate::outbox::Outbox;
use crate::peers::{Gone, Peer, Peers};
use crate::record::{Durable, Record, Standing};
use crate::runner::{Runner, Surroundings};
use crate::settings::Settings;
use crate::types::{Epoch, NodeId, NodeState, Session, Term, Time, Version};

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
    pub(crate) runner: Runner,
    told: Option<RunnerSummary>,
    pub(crate) hello_due: Time,
    /// R10 and late loops: until then it listens, and takes nobody's silence for an absence.
    pub(crate) listen_until: Time,
    expected: Time,
    now: Time,
    pub(crate) leaving: Option<Leaving>,
    finished: bool,
    pub(crate) failures: VecDeque<(Time, String, FailureNote)>,
    last_state: Option<NodeState>,
    /// Who said something absurd last, what, and when.
    pub(crate) absurd: Option<(NodeId, String, Time)>,
    pub(crate) fitness: Fitness,
    pub(crate) ears: Ears,
    pub(crate) masterships: Masterships,
    /// The version of the record with which maintenance ended last, as far as this run has seen it.
    pub(crate) watched_since: Version,
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
        let left = durable.held.or_else(|| boot.damaged.then_some(Epoch(0)));
        let left = left.filter(|_| !broken!(MarkIgnored));
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
            runner: Runner::new(left),
            told: None,
            hello_due: boot.now,
            listen_until: boot.now,
            expected: boot.now,
            now: boot.now,
            leaving: None,
            finished: false,
            failures: VecDeque::new(),
            last_state: None,
            absurd: None,
            fitness: Fitness::default(),
            ears: Ears::default(),
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
        if self.finished {
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
                let adopts = maintenance && (self.identity.follows.is_some() || broken!(CopyAdopts));
                self.runner.found(specs, adopts, now, self.outbox.effects());
            }
            Input::Follows(session) => self.follows_run(session, now),
            Input::Address(address) => self.address = address,
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
        self.outbox.effects().next()
    }

    /// When [`Input::Tick`] is due, unless something happens before.
    pub fn next_deadline(&self) -> Time {
        self.expected
    }

    fn deadline(&self) -> Time {
        if self.finished {
            return Time::NEVER;
        }
        let around = self.surroundings(self.now);
        let mut next = self.election_deadline().min(self.leading_deadline()).min(self.report_again_at());
        next = next.min(self.call_deadline());
        if self.settings.runner {
            next = next.min(self.runner.next_deadline(&self.settings, &around));
            let hangs = self.disk_hangs_at();
            next = next.min(if hangs > self.now { hangs } else { Time::NEVER });
        }
        next = next.min(self.hello_deadline());
        if let Some(leader) = self.following.leader() {
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
        let late = now.since(self.expected);
        if self.expected != Time::NEVER && late > self.settings.heartbeat {
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
                None if self.lead.as_ref().is_some_and(|l| l.heartbeat_due <= now) => {}
                None => break,
            }
        }
        self.say_hello(now);
        self.notice_ears(now);
        self.notice_silence(now);
        self.try_leaving(now);
        self.expected = self.deadline();
    }

    fn advance_runner(&mut self, now: Time) {
        if !self.settings.runner {
            return;
        }
        let around = self.surroundings(now);
        let address = self.durable.applied.master.as_ref().and_then(|m| self.master_address(m.node));
        let master = self.durable.applied.master.as_ref().map(|m| (m.name.as_str(), address));
        self.runner.services.note_master(master);
        let outcome = self.runner.advance(&self.settings, &around, self.outbox.effects());
        if outcome.clear_mark && self.runner.holding.is_none() {
            self.durable.clear_mark();
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
            connected: self.connected(now) && self.is_established(),
            informed: self.following.is_informed(),
            maintenance: record.maintenance,
            stopped: record.stopped.contains(&self.id) || self.durable.mute.is_some(),
            leaving: self.leaving.is_some(),
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
        let mut summary = self.runner.summary(&self.settings, &self.surroundings(now));
        if let Some(note) = &mut summary.failure {
            note.ago = Duration::ZERO;
        }
        if let Some(in_vain) = &mut summary.in_vain {
            in_vain.ago = Duration::ZERO;
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
        let waits = self.lead.is_none() && self.runner.holding.is_some_and(|h| h.lost.is_none());
        match self.following.unanswered_since() {
            Some(sent) if waits => sent + self.settings.heartbeat / 4,
            Some(_) | None => Time::NEVER,
        }
    }

    fn configure(&mut self, settings: Settings, now: Time) {
        let old = std::mem::replace(&mut self.settings, settings);
        if old.runner != self.settings.runner {
            // A change here would leave services running that no supervisor watches.
            self.settings.runner = old.runner;
            let what = "node.runner has changed: restart koid for that".to_owned();
            self.event(Event::Warned { what });
        }
        if old.elector && !self.settings.elector {
            self.resign("this node is no elector any more", now);
        } else if old.leader_lease != self.settings.leader_lease {
            // Electors have promised the old lease. The leader resigns, so that the new lease begins with a new term.
            self.resign("the leader lease was changed", now);
        }
    }

    /// Leads no more, and frees the votes that were promised to it, its own too (R1).
    pub(crate) fn resign(&mut self, reason: &str, now: Time) {
        let Some(lead) = &self.lead else { return };
        let term = lead.term;
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
            Deferred::Claim(term) => self.claim_is_durable(term, now),
            Deferred::Record => self.count_copies(now),
            Deferred::Mark(epoch) => self.runner.marked(epoch),
        }
    }

    // --- messages ---

    fn received(&mut self, message: Message, source: Option<SocketAddr>, now: Time) {
        let Message { from, session, seq, to, body } = message;
        if to.is_some_and(|to| to.node != self.id || to.session != self.session) {
            return;
        }
        if from == self.id {
            return self.heard_own_id(session, &body, now);
        }
        if let Err(absurd) = self.plausible(&body) {
            return self.refuse_absurd(from, absurd, now);
        }
        if self.last_word(from, session, &body, now) {
            return;
        }
        if let Some(followed) = card_of(&body).and_then(|card| card.follows) {
            // The word of that run's guardian, by the run that came after it on the same machine.
            self.on_gone(from, followed, Gone::Dead { all_down: false }, now);
        }
        if !self.admit(from, session, now) {
            return;
        }
        let addressed = to.is_some() || names(&body, self.session);
        match self.peers.is_fresh(from, session, seq, addressed) {
            None => return,
            Some(false) => return self.unproven(from, session, body, now),
            Some(true) => {}
        }
        self.note_run(from, session, source, &body, now);
        self.note_card(from, session, &body);
        self.dispatch(from, session, body, now);
    }

    /// Whether this run is one to listen to: there is room for it, and its end has not been told.
    fn admit(&mut self, from: NodeId, session: Session, now: Time) -> bool {
        let Node { durable, election, following, peers, .. } = self;
        let keep = |run: Session| matters(durable, election, following.leader(), from, run);
        peers.meet(from, session, &keep, now).is_some_and(|run| run.gone.is_none())
    }

    /// The last words of a run are true for ever, and teach nothing else: no address, no life. True if this was one.
    fn last_word(&mut self, from: NodeId, session: Session, body: &Body, now: Time) -> bool {
        let gone = match body {
            Body::Obituary(obituary) => Gone::Dead { all_down: obituary.all_down },
            Body::Farewell(farewell) => Gone::Left(farewell.released),
            Body::Resign(resign) => {
                let term = Some(resign.term).filter(|_| !broken!(ResignUnbound));
                self.leadership_over(from, session, term, now);
                return true;
            }
            Body::Hello(_)
            | Body::Heartbeat(_)
            | Body::Report(_)
            | Body::Answer(_)
            | Body::Poll(_)
            | Body::PollAnswer(_)
            | Body::Claim(_)
            | Body::Vote(_)
            | Body::Refuse(_)
            | Body::OtherRun(_) => return false,
        };
        self.on_gone(from, session, gone, now);
        true
    }

    /// A message that may be a recording: it does not show that it was made after this run began. Polls and claims are guarded by their terms.
    /// Whoever sent the others is asked for a word that names this run.
    fn unproven(&mut self, from: NodeId, session: Session, body: Body, now: Time) {
        match body {
            Body::Poll(poll) => self.on_poll(from, session, &poll, now),
            Body::Claim(claim) => self.on_claim(from, session, &claim, now),
            Body::Hello(hello) => self.on_hello(from, session, &hello, now),
            Body::Heartbeat(heartbeat) if self.is_from_before(&heartbeat.card) => {
                self.note_run(from, session, None, &Body::Heartbeat(heartbeat.clone()), now);
                self.note_card(from, session, &Body::Heartbeat(heartbeat.clone()));
                self.on_heartbeat(from, session, heartbeat, now);
            }
            Body::Heartbeat(_) => self.ask_for_a_word(from, session, now),
            Body::Report(_)
            | Body::Answer(_)
            | Body::PollAnswer(_)
            | Body::Vote(_)
            | Body::Refuse(_)
            | Body::Resign(_)
            | Body::Farewell(_)
            | Body::Obituary(_)
            | Body::OtherRun(_) => {}
        }
    }

    /// A koid from before R13 answers no hello: its heartbeats are taken as they come, while the record has no members, which is until the last
    /// one is upgraded.
    fn is_from_before(&self, card: &Card) -> bool {
        card.rules < RULES && self.durable.record.members.is_empty()
    }

    fn ask_for_a_word(&mut self, from: NodeId, session: Session, now: Time) {
        let pause = self.settings.heartbeat;
        if self.peers.may_ask(from, session, pause, now) {
            let hello = self.hello(Vec::new(), now);
            self.send(Destination::Node(from), Some(Recipient { node: from, session }), Body::Hello(hello));
        }
    }

    /// Someone says that it is there. Unless it has a fresh word of this run it is answered: by a leader with its heartbeat.
    fn on_hello(&mut self, from: NodeId, session: Session, hello: &Hello, now: Time) {
        let pause = self.settings.heartbeat;
        if hello.calls || !hello.heard.contains(&self.session.random) {
            let known = self.peers.run(from, session).is_some_and(Peer::knows_us);
            let pause = if hello.calls { pause / 4 } else { pause };
            if !self.peers.may_answer(from, session, pause, now) {
                return;
            }
            if self.lead.is_some() {
                self.answer_with_heartbeat(from, session);
            } else if self.is_established() || !known {
                let answer = self.hello(vec![session.random], now);
                self.send(
                    Destination::Node(from),
                    Some(Recipient { node: from, session }),
                    Body::Hello(answer),
                );
            }
            self.tell_of_other_run(from, session, hello.calls, now);
        }
    }

    /// What a fresh message says of the run that sent it, whatever it is about.
    fn note_run(
        &mut self,
        from: NodeId,
        session: Session,
        source: Option<SocketAddr>,
        body: &Body,
        now: Time,
    ) {
        let lately = self.lately();
        self.peers.note_message(from, session, body, now);
        self.peers.hear(from, session, source, lately, now);
    }

    fn note_card(&mut self, from: NodeId, session: Session, body: &Body) {
        let Some(card) = card_of(body) else { return };
        let new = self.peers.note_card(from, session, card);
        self.durable.remember_name(from, &card.name);
        if new {
            self.event(Event::NodeSeen { node: card.name.clone() });
        }
    }

    fn dispatch(&mut self, from: NodeId, session: Session, body: Body, now: Time) {
        match body {
            Body::Hello(hello) => self.on_hello(from, session, &hello, now),
            Body::Heartbeat(heartbeat) => self.on_heartbeat(from, session, heartbeat, now),
            Body::Report(report) => self.on_report(from, session, report, now),
            Body::Answer(answer) => self.on_answer(from, answer, now),
            Body::Poll(poll) => self.on_poll(from, session, &poll, now),
            Body::PollAnswer(answer) => self.on_poll_answer(from, session, &answer, now),
            Body::Claim(claim) => self.on_claim(from, session, &claim, now),
            Body::Vote(vote) => self.on_vote(from, &vote, now),
            Body::Refuse(refuse) => self.on_refuse(from, session, refuse.newest, now),
            Body::OtherRun(other) => self.on_other_run(&other, now),
            // Last words were heard before.
            Body::Resign(_) | Body::Farewell(_) | Body::Obituary(_) => {}
        }
    }

    /// A run of a node is over, by its own word, its guardian's, or that of the run that follows it on the same machine. Exactly that run, and
    /// whatever was heard since.
    fn on_gone(&mut self, from: NodeId, session: Session, gone: Gone, now: Time) {
        let Node { durable, election, following, peers, .. } = self;
        let keep = |run: Session| matters(durable, election, following.leader(), from, run);
        if peers.run(from, session).is_none() && keep(session) {
            peers.meet(from, session, &keep, now);
        }
        if self.peers.ends(from, session, gone) {
            let node = self.name_of(from);
            self.event(match gone {
                Gone::Left(_) => Event::NodeLeft { node },
                Gone::Dead { .. } => Event::NodeDead { node },
            });
        }
        self.leadership_over(from, session, None, now);
        self.runner_gone(from, session);
    }

    /// What this run of `node` led, up to `term`, is over: votes are free (R1), and a follower need not wait (R11).
    fn leadership_over(&mut self, node: NodeId, session: Session, term: Option<Term>, now: Time) {
        self.election.release(node, session, term);
        let led = |l: &Leader| l.id == node && l.session == session && term.is_none_or(|over| l.term <= over);
        if self.following.leader().is_some_and(led) {
            if let Some(leader) = self.following.leave() {
                self.event(Event::LeaderLost { leader: leader.name });
            }
            self.election.leader_is_gone(now);
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

    pub(crate) fn card(&self) -> Card {
        Card {
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            elector: self.settings.elector,
            runner: self.settings.runner,
            priority: self.settings.priority,
            standing: self.durable.standing,
            agreed: self.settings.agreed(),
            rules: RULES,
            follows: self.identity.follows,
        }
    }

    /// When a hello may be due next: not while a leader is heard.
    fn hello_deadline(&self) -> Time {
        let heard = self.following.leader().map(|leader| leader.heard + self.lately());
        match heard {
            _ if !self.is_established() => self.hello_due,
            _ if self.lead.is_some() => Time::NEVER,
            Some(until) if until >= self.now => self.hello_due.max(until + Duration::from_micros(1)),
            Some(_) | None => self.hello_due,
        }
    }

    /// A node that follows nobody says that it is there, so that others see it (R10). One that calls for its own id does, and one that is mute.
    fn say_hello(&mut self, now: Time) {
        if now < self.hello_due {
            return;
        }
        if !self.is_established() {
            self.hello_due = now + self.call_pause();
        } else {
            self.hello_due = now + self.settings.heartbeat;
            if self.lead.is_some() || self.known_leader(now).is_some() {
                return;
            }
        }
        let hello = self.hello(self.fresh_runs(now), now);
        self.send(Destination::Everyone, None, Body::Hello(hello));
    }

    /// The call for the own id has ended: others see at once that this run takes part.
    pub(crate) fn tell_where_it_is(&mut self, now: Time) {
        self.hello_due = now;
        self.report(None, now);
    }

    /// The random parts of the runs of which there is fresh word.
    fn fresh_runs(&self, now: Time) -> Vec<u64> {
        let lately = self.settings.election_timeout() * 3;
        let fresh = self.peers.iter().filter(|(_, p)| now.since(p.heard) <= lately);
        fresh.map(|(_, p)| p.session.random).take(limits::NODES).collect()
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
        for node in self.peers.fallen_silent(lately, now) {
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
        if !(waited || handed_over && self.durable.is_on_disk()) {
            return;
        }
        self.finish(now);
    }

    /// The record that counts says that this node could not take everything down.
    fn marked_unclean(&self) -> bool {
        let entry = self.durable.applied.master.as_ref();
        entry.is_none_or(|m| m.node != self.id || m.unclean || m.in_maintenance)
    }

    /// Ends without a word: nothing was begun.
    pub(crate) fn end_here(&mut self) {
        self.finished = true;
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
        self.effect(Effect::Finished);
    }

    /// Whether this elector's state is worth anything (R10).
    pub(crate) fn standing(&self) -> Standing {
        self.durable.standing
    }
}

/// Whether the end of this run of a node matters: the record, a promise, or what is followed names it.
fn matters(
    durable: &Durable,
    election: &Election,
    leader: Option<&Leader>,
    node: NodeId,
    run: Session,
) -> bool {
    let masters = [&durable.record.master, &durable.applied.master];
    masters.into_iter().flatten().any(|m| m.node == node && m.session == run)
        || election.is_bound_to(node, run)
        || leader.is_some_and(|l| l.id == node && l.session == run)
}

/// What a message says of its sender.
fn card_of(body: &Body) -> Option<&Card> {
    match body {
        Body::Hello(m) => Some(&m.card),
        Body::Heartbeat(m) => Some(&m.card),
        Body::Report(m) => Some(&m.card),
        Body::Poll(m) => Some(&m.card),
        Body::Claim(m) => Some(&m.card),
        Body::Answer(_)
        | Body::PollAnswer(_)
        | Body::Vote(_)
        | Body::Refuse(_)
        | Body::Resign(_)
        | Body::Farewell(_)
        | Body::Obituary(_)
        | Body::OtherRun(_) => None,
    }
}

/// A hello that names this run was made after it began, though it is for everyone.
fn names(body: &Body, session: Session) -> bool {
    matches!(body, Body::Hello(hello) if hello.heard.contains(&session.random))
}
