//! How nodes find each other: hellos, and whose silence is told (rule R10).

use std::time::Duration;

use crate::contact::peers::Peer;
use crate::event::Event;
use crate::io::Destination;
use crate::limits;
use crate::message::{Body, Hello};
use crate::node::handlers::ContactHandler;
use crate::node::node_ref::NodeRef;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Session, Time};

impl ContactHandler<'_> {
    /// A node that follows nobody says that it is there, so that others see it (R10). One that calls for its own id does, and one that is mute.
    pub(crate) fn say_hello(&mut self) {
        let now = self.ctx.now;
        if now < self.greeting.due() {
            return;
        }
        if !self.node().is_established() {
            self.greeting.put_off(now + self.node().call_pause());
        } else {
            self.greeting.put_off(now + self.ctx.settings.heartbeat);
            if self.lead.is_some() || self.node().known_leader().is_some() {
                return;
            }
        }
        let hello = self.node().hello(self.node().fresh_runs());
        self.ctx.send(Destination::Everyone, None, Body::Hello(hello));
    }

    /// Someone says that it is there. Unless it has a fresh word of this run it is answered: by a leader with its heartbeat.
    pub(crate) fn on_hello(&mut self, from: NodeId, session: Session, hello: &Hello) {
        let pause = self.ctx.settings.heartbeat;
        if hello.calls || !hello.heard.contains(&self.ctx.session.random) {
            let known = self.peers.run(from, session).is_some_and(Peer::knows_us);
            let pause = if hello.calls { pause / 4 } else { pause };
            if !self.peers.may_answer(from, session, pause, self.ctx.now) {
                return;
            }
            if let Some(heartbeat) = self.node().heartbeat() {
                self.ctx.answer(from, session, Body::Heartbeat(heartbeat));
            } else if self.node().is_established() || !known {
                let answer = self.node().hello(vec![session.random]);
                self.ctx.answer(from, session, Body::Hello(answer));
            }
            self.tell_of_other_run(from, session, hello.calls);
        }
    }

    pub(crate) fn ask_for_a_word(&mut self, from: NodeId, session: Session) {
        let pause = self.ctx.settings.heartbeat;
        if self.peers.may_ask(from, session, pause, self.ctx.now) {
            let hello = self.node().hello(Vec::new());
            self.ctx.answer(from, session, Body::Hello(hello));
        }
    }

    /// Tells once of each node that is not heard any more.
    pub(crate) fn notice_silence(&mut self) {
        let now = self.ctx.now;
        if now < self.ctx.listen_until {
            return;
        }
        let lately = self.node().lately();
        // Only a leader hears everyone all the time, and only once they had time to answer it.
        if self.lead.as_ref().is_none_or(|lead| now < lead.won() + lately) {
            return;
        }
        self.peers.forget_old(now);
        for node in self.peers.fallen_silent(lately, now) {
            self.ctx.event(Event::NodeLost { node });
        }
    }
}

impl NodeRef<'_> {
    pub(crate) fn set_greeting_timers(&self, timers: &mut Timers) {
        timers.set(Timer::Hello, self.hello_due());
    }

    /// When a hello may be due next: not while a leader is heard.
    fn hello_due(&self) -> Time {
        let heard = self.following.leader().map(|leader| leader.heard + self.lately());
        match heard {
            _ if !self.is_established() => self.greeting.due(),
            _ if self.lead.is_some() => Time::NEVER,
            Some(until) if until >= self.now => self.greeting.due().max(until + Duration::from_micros(1)),
            Some(_) | None => self.greeting.due(),
        }
    }

    /// The random parts of the runs of which there is fresh word.
    fn fresh_runs(&self) -> Vec<u64> {
        let lately = self.settings.election_timeout() * 3;
        let fresh = self.peers.iter().filter(|(_, p)| self.now.since(p.heard) <= lately);
        fresh.map(|(_, p)| p.session.random).take(limits::NODES).collect()
    }
}
