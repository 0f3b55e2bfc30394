//! One identity, one machine: a run that begins calls for its own id before it takes part, and of two machines with one id the younger is
//! mute.

use std::time::Duration;

use crate::contact::peers::Peer;
use crate::event::Event;
use crate::io::{Destination, Effect};
use crate::message::{Body, Hello, OtherRun, Recipient};
use crate::node::Node;
use crate::reason::StepDownReason;
use crate::timers::Timers;
use crate::types::{NodeId, Session, Time};

/// Calls of a run that begins, in one heartbeat interval.
const CALLS: u32 = 3;
/// A mute node says once in so many heartbeat intervals that it is there.
const MUTE_PAUSE: u32 = 10;
/// For so many heartbeat intervals another machine with this node's id is warned of after it was heard.
const TWIN_WARNED: u32 = 50;

impl Node {
    /// May acknowledge, vote, report and lead: the call for its own id is over, and nobody has answered who is older.
    pub(crate) fn is_established(&self) -> bool {
        self.identity.is_established() && self.durable.mute.is_none()
    }

    /// The run before is over on this machine: the others hear it at once, it frees what was promised to that one (R1, R6).
    pub(crate) fn follows_run(&mut self, session: Session, now: Time) {
        self.identity.follow_run(session);
        if self.lead.is_some() || self.known_leader(now).is_some() {
            self.report(None, now);
        } else {
            self.greeting.hasten(now);
        }
    }

    /// How long the call lasts at most, when another run was heard of: by then it has spoken again, or it is no more.
    fn long_call(&self) -> Duration {
        self.lately() * 2 + self.settings.heartbeat
    }

    /// Until the call ends, or [`Time::NEVER`].
    pub(crate) fn set_identity_timers(&self, timers: &mut Timers) {
        self.identity.set_timers(timers);
    }

    /// How long until the next call, for a run that calls or is mute.
    pub(crate) fn call_pause(&self) -> Duration {
        match self.durable.mute {
            Some(_) => self.settings.heartbeat * MUTE_PAUSE,
            None => self.settings.heartbeat / CALLS,
        }
    }

    /// Ends the call when its time is over.
    pub(crate) fn end_call(&mut self, now: Time) {
        if !self.identity.call_is_over(now) {
            return;
        }
        if let Some(session) = self.identity.told().filter(|told| told.count >= self.session.count) {
            return self.count_up(session);
        }
        self.identity.establish();
        self.tell_where_it_is(now);
    }

    /// What this node is told of by others is newer than itself, and silent: its state was restored from a backup. It begins again as a run
    /// after that one, and as an elector without state (R10): what it has voted and acknowledged since the backup is forgotten.
    fn count_up(&mut self, beyond: Session) {
        self.event(Event::Restored { known: beyond.count, own: self.session.count });
        self.effect(Effect::CountUp { beyond: beyond.count });
        self.end_here();
    }

    /// Another machine speaks with this node's id. It is told how old this run is; it may have said how old it is itself.
    pub(crate) fn heard_own_id(&mut self, session: Session, body: &Body, now: Time) {
        if session == self.session || Some(session) == self.identity.follows() {
            return; // our own multicast, or a late datagram of the run before
        }
        let Body::Hello(hello) = body else { return };
        if hello.mute || self.durable.mute.is_some() {
            // It has given way already, or this node has.
            self.identity.meet_twin(session, now);
            return;
        }
        if !hello.heard.contains(&self.session.random) && !hello.calls {
            return; // a recording
        }
        if hello.calls {
            self.answer_own_id(session, now);
        }
        if hello.heard.contains(&self.session.random) {
            self.meet_twin(session, hello.uptime, now);
        }
    }

    fn answer_own_id(&mut self, session: Session, now: Time) {
        let (id, pause) = (self.id, self.settings.heartbeat / CALLS);
        let keep = |_| false;
        self.peers.meet(id, session, &keep, now);
        if self.peers.may_answer(id, session, pause, now) {
            let hello = self.hello(vec![session.random], now);
            self.send(Destination::Node(id), Some(Recipient { node: id, session }), Body::Hello(hello));
        }
    }

    /// Two machines have this id, and both run: the one of the shorter uptime is mute.
    fn meet_twin(&mut self, session: Session, uptime: Duration, now: Time) {
        let own = (now.since(self.started), self.session.random);
        let first = self.identity.meet_twin(session, now);
        if first && self.durable.mute.is_none() {
            self.event(Event::SameId { session, younger: own < (uptime, session.random) });
        }
        if own < (uptime, session.random) && self.durable.mute.is_none() && !mutant!(TwinsSpeak) {
            self.fall_mute(session, now);
        }
    }

    /// It leads no more, votes no more and takes its services down, until an operator gives it an identity of its own.
    fn fall_mute(&mut self, other: Session, now: Time) {
        self.step_down(StepDownReason::IdNotUnique, now);
        self.following.leave();
        self.durable.mute(other);
    }

    /// A node that hears us tells of another run of this node.
    pub(crate) fn on_other_run(&mut self, other: &OtherRun, now: Time) {
        let (session, heard) = (other.session, now - other.silent);
        if session == self.session || Some(session) == self.identity.follows() {
            return;
        }
        // What was under way when this run began has arrived by then.
        if heard > self.started + self.lately() * 2 {
            return self.meet_twin(session, other.uptime, now);
        }
        if self.identity.is_established() {
            return;
        }
        let newest = self.identity.told().is_none_or(|known| session >= known);
        let matters = session.count >= self.session.count || other.silent <= self.lately();
        if newest && matters {
            let calls_until = self.started + self.long_call();
            self.identity.hear_of(session, calls_until);
        }
    }

    /// Tells a run that there is another with its id: one that has acknowledged what was said after the run began, or one that is newer by its
    /// count. What was merely heard may be a recording.
    pub(crate) fn tell_of_other_run(&mut self, node: NodeId, session: Session, calls: bool, now: Time) {
        if !self.is_established() {
            return;
        }
        let lately = self.lately();
        let Some(run) = self.peers.run(node, session) else { return };
        let (since, follows) = (run.since, run.info.follows);
        let speaks = |p: &Peer| p.is_around(lately, now) && p.since < since && p.proven > since;
        let newer = |p: &Peer| calls && !p.mute && p.session.count >= session.count && p.heard > Time(0);
        let others = self.peers.runs(node).filter(|p| p.session != session && Some(p.session) != follows);
        let other = others.filter(|p| speaks(p) || newer(p)).max_by_key(|p| p.session);
        let Some(other) = other.map(|p| OtherRun {
            session: p.session,
            uptime: now.since(p.since),
            silent: now.since(if p.gone.is_some() { Time(0) } else { p.proven }),
        }) else {
            return;
        };
        self.send(Destination::Node(node), Some(Recipient { node, session }), Body::OtherRun(other));
    }

    /// The hello of this run, to those whose words are fresh.
    pub(crate) fn hello(&self, heard: Vec<u64>, now: Time) -> Hello {
        Hello {
            info: self.info(),
            heard,
            calls: !self.is_established(),
            uptime: now.since(self.started),
            address: self.address,
            mute: self.durable.mute.is_some(),
        }
    }

    /// The machine that bears this id too, if it was heard of late.
    pub(crate) fn twin(&self, now: Time) -> Option<Session> {
        self.identity.twin(self.twin_told_for(), now)
    }

    /// For so long another machine with a node's id is warned of after it was heard: a mute one is heard every tenth heartbeat.
    pub(crate) fn twin_told_for(&self) -> Duration {
        self.settings.heartbeat * TWIN_WARNED
    }
}
