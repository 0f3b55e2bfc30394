//! A clean stop: services down, the leadership handed over, farewell (rule R11).

use crate::io::{Destination, Effect};
use crate::message::{Body, Farewell, Resign};
use crate::node::Node;
use crate::reason::StepDownReason;
use crate::timers::{Timer, Timers};
use crate::types::Time;

impl Node {
    pub(crate) fn set_leaving_timers(&self, timers: &mut Timers) {
        if let Some(since) = self.leaving.down_since() {
            timers.set(Timer::Departure, self.departure(since));
        }
    }

    /// When it stops without waiting for anybody any longer. `down_since`: when the last service was down.
    fn departure(&self, down_since: Time) -> Time {
        down_since + self.settings.election_timeout()
    }

    /// R11: a clean stop says farewell; a leader hands over first.
    pub(crate) fn try_leaving(&mut self, now: Time) {
        if !self.leaving.has_begun() || self.leaving.is_finished() {
            return;
        }
        let around = self.node_context(now);
        let busy = self.settings.runner && !self.runner.may_leave(&self.settings, &around);
        // R7: the leader must know first that something may still be promoted here.
        let owes = self.settings.runner && self.runner.owes_a_word() && !self.marked_unclean();
        if busy || owes {
            return self.leaving.not_down();
        }
        let since = self.leaving.note_down(now);
        let waited = now >= self.departure(since);
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
        self.leaving.finish();
    }

    fn finish(&mut self, now: Time) {
        let released = (!self.runner.maybe_promoted() || !self.settings.runner).then(|| {
            // Every epoch that was ever given to this run is given back.
            let own = self.runner.released();
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
        self.step_down(StepDownReason::Stopping, now);
        self.leaving.finish();
        self.effect(Effect::Finished);
    }
}
