//! What a run knows of other runs with its id. Messages come and go in `node::contact::identity`.

use std::time::Duration;

use crate::timers::{Timer, Timers};
use crate::types::{Session, Time};

/// What this run knows of others with its id.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The run before this one on the same machine, of which nothing runs any more.
    follows: Option<Session>,
    /// Until then it calls for its own id.
    calls_until: Time,
    /// The call is over: the run takes part.
    established: bool,
    /// The newest of its id's other runs that it was told of while it called.
    told: Option<Session>,
    /// The last machine with this id that answered, and when.
    twin: Option<(Session, Time)>,
}

impl Identity {
    pub(crate) fn new(now: Time, heartbeat: Duration) -> Identity {
        let (calls_until, established) = (now + heartbeat, mutant!(NeverCalls));
        Identity { follows: None, calls_until, established, told: None, twin: None }
    }

    /// The run before this one on the same machine.
    pub(crate) fn follows(&self) -> Option<Session> {
        self.follows
    }

    /// That run is over on this machine.
    pub(crate) fn follow_run(&mut self, session: Session) {
        self.follows = Some(session);
    }

    /// The call for the own id is over.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// The time of the call is over, and the run does not take part yet.
    pub(crate) fn call_is_over(&self, now: Time) -> bool {
        !self.established && now >= self.calls_until
    }

    /// The run takes part.
    pub(crate) fn establish(&mut self) {
        self.established = true;
    }

    /// Its timer: the end of the call.
    pub(crate) fn set_timers(&self, timers: &mut Timers) {
        if !self.established {
            timers.set(Timer::IdentityCall, self.calls_until);
        }
    }

    /// The newest of its id's other runs that it was told of while it called.
    pub(crate) fn told(&self) -> Option<Session> {
        self.told
    }

    /// It is told of another run: the call goes on until `calls_until`.
    pub(crate) fn hear_of(&mut self, session: Session, calls_until: Time) {
        self.told = Some(session);
        self.calls_until = calls_until;
    }

    /// Another machine with this id has answered. True: it is not the one that was known.
    pub(crate) fn meet_twin(&mut self, session: Session, now: Time) -> bool {
        let known = self.twin.replace((session, now));
        known.is_none_or(|(known, _)| known != session)
    }

    /// The machine that bears this id too, if it was heard within `span`.
    pub(crate) fn twin(&self, span: Duration, now: Time) -> Option<Session> {
        self.twin.filter(|(_, at)| now.since(*at) <= span).map(|(session, _)| session)
    }
}
