//! One identity, one machine: a run that begins calls for its own id before it takes part, and of two machines with one id the younger is
//! mute.

use std::time::Duration;

use crate::contact::peers::Peer;
use crate::event::Event;
use crate::message::{Body, Hello, OtherRun};
use crate::node::handlers::ContactHandler;
use crate::node::node_ref::NodeRef;
use crate::timers::Timers;
use crate::types::{NodeId, Session, Time};

/// Calls of a run that begins, in one heartbeat interval.
const CALLS: u32 = 3;
/// A mute node says once in so many heartbeat intervals that it is there.
const MUTE_PAUSE: u32 = 10;
/// For so many heartbeat intervals another machine with this node's id is warned of after it was heard.
const TWIN_WARNED: u32 = 50;

/// What has become of the call for this node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// It goes on, or has ended long ago.
    NotYet,
    /// This run takes part from now on.
    Established,
    /// What this node is told of by others is newer than itself, and silent: its state was restored from a backup.
    Outdated {
        /// The newest run that others know.
        newest: Session,
    },
}

/// Whose this node's id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdVerdict {
    /// This node's.
    Own,
    /// That run's too, which has run longer: this one gives way.
    Younger(Session),
}

impl ContactHandler<'_> {
    /// Ends the call when its time is over.
    pub(crate) fn end_call(&mut self) -> CallEnd {
        if !self.identity.call_is_over(self.ctx.now) {
            return CallEnd::NotYet;
        }
        if let Some(newest) = self.identity.told().filter(|told| told.count >= self.ctx.session.count) {
            return CallEnd::Outdated { newest };
        }
        self.identity.establish();
        // Others see at once that this run takes part.
        self.greeting.hasten(self.ctx.now);
        CallEnd::Established
    }

    /// Another machine speaks with this node's id. It is told how old this run is; it may have said how old it is itself.
    pub(crate) fn heard_own_id(&mut self, session: Session, body: &Body) -> IdVerdict {
        if session == self.ctx.session || Some(session) == self.identity.follows() {
            return IdVerdict::Own; // our own multicast, or a late datagram of the run before
        }
        let Body::Hello(hello) = body else { return IdVerdict::Own };
        if hello.mute || self.durable.mute.is_some() {
            // It has given way already, or this node has.
            self.identity.meet_twin(session, self.ctx.now);
            return IdVerdict::Own;
        }
        let fresh = hello.heard.contains(&self.ctx.session.random);
        if !fresh && !hello.calls {
            return IdVerdict::Own; // a recording
        }
        if hello.calls {
            self.answer_own_id(session);
        }
        if fresh { self.meet_twin(session, hello.uptime) } else { IdVerdict::Own }
    }

    fn answer_own_id(&mut self, session: Session) {
        let now = self.ctx.now;
        let (id, pause) = (self.ctx.id, self.ctx.settings.heartbeat / CALLS);
        let keep = |_| false;
        self.peers.meet(id, session, &keep, now);
        if self.peers.may_answer(id, session, pause, now) {
            let hello = self.node().hello(vec![session.random]);
            self.ctx.answer(id, session, Body::Hello(hello));
        }
    }

    /// Two machines have this id, and both run: the one of the shorter uptime gives way.
    fn meet_twin(&mut self, session: Session, uptime: Duration) -> IdVerdict {
        let now = self.ctx.now;
        let younger = (now.since(self.ctx.started), self.ctx.session.random) < (uptime, session.random);
        let first = self.identity.meet_twin(session, now);
        let mute = self.durable.mute.is_some();
        if first && !mute {
            self.ctx.event(Event::SameId { session, younger });
        }
        match younger && !mute && !mutant!(TwinsSpeak) {
            true => IdVerdict::Younger(session),
            false => IdVerdict::Own,
        }
    }

    /// A node that hears us tells of another run of this node.
    pub(crate) fn on_other_run(&mut self, other: &OtherRun) -> IdVerdict {
        let (session, heard) = (other.session, self.ctx.now - other.silent);
        if session == self.ctx.session || Some(session) == self.identity.follows() {
            return IdVerdict::Own;
        }
        // What was under way when this run began has arrived by then.
        if heard > self.ctx.started + self.node().lately() * 2 {
            return self.meet_twin(session, other.uptime);
        }
        if self.identity.is_established() {
            return IdVerdict::Own;
        }
        let newest = self.identity.told().is_none_or(|known| session >= known);
        let matters = session.count >= self.ctx.session.count || other.silent <= self.node().lately();
        if newest && matters {
            let calls_until = self.ctx.started + self.node().long_call();
            self.identity.hear_of(session, calls_until);
        }
        IdVerdict::Own
    }

    /// Tells a run that there is another with its id: one that has acknowledged what was said after the run began, or one that is newer by its
    /// count. What was merely heard may be a recording.
    pub(crate) fn tell_of_other_run(&mut self, node: NodeId, session: Session, calls: bool) {
        let now = self.ctx.now;
        if !self.node().is_established() {
            return;
        }
        let lately = self.node().lately();
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
        self.ctx.answer(node, session, Body::OtherRun(other));
    }
}

impl NodeRef<'_> {
    /// May acknowledge, vote, report and lead: the call for its own id is over, and nobody has answered who is older.
    pub(crate) fn is_established(&self) -> bool {
        self.identity.is_established() && self.durable.mute.is_none()
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

    /// The hello of this run, to those whose words are fresh.
    pub(crate) fn hello(&self, heard: Vec<u64>) -> Hello {
        Hello {
            info: self.info(),
            heard,
            calls: !self.is_established(),
            uptime: self.now.since(self.started),
            address: self.address,
            mute: self.durable.mute.is_some(),
        }
    }

    /// The machine that bears this id too, if it was heard of late.
    pub(crate) fn twin(&self) -> Option<Session> {
        self.identity.twin(self.twin_told_for(), self.now)
    }

    /// For so long another machine with a node's id is warned of after it was heard: a mute one is heard every tenth heartbeat.
    pub(crate) fn twin_told_for(&self) -> Duration {
        self.settings.heartbeat * TWIN_WARNED
    }
}
