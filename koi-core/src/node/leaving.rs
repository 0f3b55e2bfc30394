//! A clean stop: services down, the leadership handed over, farewell (rule R11).

use crate::io::Destination;
use crate::message::{Body, Farewell, Resign};
use crate::node::handlers::LeavingHandler;
use crate::node::node_ref::NodeRef;
use crate::timers::{Timer, Timers};
use crate::types::{Epoch, Time};

impl LeavingHandler<'_> {
    /// Whether everything is down and handed over, or was waited for long enough.
    pub(crate) fn may_leave(&mut self) -> bool {
        let now = self.ctx.now;
        if !self.leaving.has_begun() || self.leaving.is_finished() {
            return false;
        }
        let around = self.node().node_context();
        let busy = self.ctx.settings.runner && !self.runner.may_leave(self.ctx.settings, &around);
        // R7: the leader must know first that something may still be promoted here.
        let owes = self.ctx.settings.runner && self.runner.owes_a_word() && !self.node().marked_unclean();
        if busy || owes {
            self.leaving.not_down();
            return false;
        }
        let since = self.leaving.note_down(now);
        let waited = now >= self.node().departure(since);
        let handed_over = self.lead.is_none() || self.node().handed_over();
        waited || handed_over && self.durable.is_on_disk()
    }

    /// The last words of this run.
    pub(crate) fn say_farewell(&mut self) {
        let released = self.node().gives_back();
        let term = self.durable.term;
        // Datagrams may get lost; what is lost here costs a time-out.
        for _ in 0..2 {
            if self.lead.is_some() {
                self.ctx.send(Destination::Everyone, None, Body::Resign(Resign { term }));
            }
            self.ctx.send(Destination::Everyone, None, Body::Farewell(Farewell { released }));
        }
    }
}

impl NodeRef<'_> {
    pub(crate) fn set_leaving_timers(&self, timers: &mut Timers) {
        if let Some(since) = self.leaving.down_since() {
            timers.set(Timer::Departure, self.departure(since));
        }
    }

    /// When it stops without waiting for anybody any longer. `down_since`: when the last service was down.
    fn departure(&self, down_since: Time) -> Time {
        down_since + self.settings.election_timeout()
    }

    /// Every epoch that was ever given to this run, if nothing of it is promoted.
    fn gives_back(&self) -> Option<Epoch> {
        if self.settings.runner && self.runner.maybe_promoted() {
            return None;
        }
        let own = self.runner.released();
        let entry = self.durable.record.master.as_ref().filter(|m| m.node == self.id);
        Some(entry.map_or(own, |m| m.epoch.max(own)))
    }

    /// The record that counts says that this node could not take everything down.
    fn marked_unclean(&self) -> bool {
        let entry = self.durable.applied.master.as_ref();
        entry.is_none_or(|m| m.node != self.id || m.unclean || m.in_maintenance)
    }
}
