//! How nodes find each other: hellos, and whose silence is told (rule R10).

use std::time::Duration;

use crate::contact::peers::Peer;
use crate::event::Event;
use crate::io::Destination;
use crate::limits;
use crate::message::{Body, Hello, Recipient};
use crate::node::Node;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Session, Time};

impl Node {
    pub(crate) fn set_greeting_timers(&self, timers: &mut Timers) {
        timers.set(Timer::Hello, self.hello_due());
    }

    /// When a hello may be due next: not while a leader is heard.
    fn hello_due(&self) -> Time {
        let heard = self.following.leader().map(|leader| leader.heard + self.lately());
        match heard {
            _ if !self.is_established() => self.greeting.due(),
            _ if self.lead.is_some() => Time::NEVER,
            Some(until) if until >= self.now() => self.greeting.due().max(until + Duration::from_micros(1)),
            Some(_) | None => self.greeting.due(),
        }
    }

    /// A node that follows nobody says that it is there, so that others see it (R10). One that calls for its own id does, and one that is mute.
    pub(crate) fn say_hello(&mut self, now: Time) {
        if now < self.greeting.due() {
            return;
        }
        if !self.is_established() {
            self.greeting.put_off(now + self.call_pause());
        } else {
            self.greeting.put_off(now + self.settings.heartbeat);
            if self.lead.is_some() || self.known_leader(now).is_some() {
                return;
            }
        }
        let hello = self.hello(self.fresh_runs(now), now);
        self.send(Destination::Everyone, None, Body::Hello(hello));
    }

    /// The call for the own id has ended: others see at once that this run takes part.
    pub(crate) fn tell_where_it_is(&mut self, now: Time) {
        self.greeting.hasten(now);
        self.report(None, now);
    }

    /// Someone says that it is there. Unless it has a fresh word of this run it is answered: by a leader with its heartbeat.
    pub(crate) fn on_hello(&mut self, from: NodeId, session: Session, hello: &Hello, now: Time) {
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

    pub(crate) fn ask_for_a_word(&mut self, from: NodeId, session: Session, now: Time) {
        let pause = self.settings.heartbeat;
        if self.peers.may_ask(from, session, pause, now) {
            let hello = self.hello(Vec::new(), now);
            self.send(Destination::Node(from), Some(Recipient { node: from, session }), Body::Hello(hello));
        }
    }

    /// The random parts of the runs of which there is fresh word.
    fn fresh_runs(&self, now: Time) -> Vec<u64> {
        let lately = self.settings.election_timeout() * 3;
        let fresh = self.peers.iter().filter(|(_, p)| now.since(p.heard) <= lately);
        fresh.map(|(_, p)| p.session.random).take(limits::NODES).collect()
    }

    /// Tells once of each node that is not heard any more.
    pub(crate) fn notice_silence(&mut self, now: Time) {
        if now < self.listen_until {
            return;
        }
        let lately = self.lately();
        // Only a leader hears everyone all the time, and only once they had time to answer it.
        if self.lead.as_ref().is_none_or(|lead| now < lead.won() + lately) {
            return;
        }
        self.peers.forget_old(now);
        for node in self.peers.fallen_silent(lately, now) {
            self.event(Event::NodeLost { node });
        }
    }
}
