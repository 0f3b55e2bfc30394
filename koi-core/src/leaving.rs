//! A clean stop: services down, the leadership handed over, farewell (rule R11).

use crate::io::{Destination, Effect};
use crate::message::{Body, Farewell, Resign};
use crate::node::Node;
use crate::reason::StepDownReason;
use crate::types::Time;

/// How far a stop has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leaving(Phase);

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Staying,
    /// It was told to stop.
    Begun {
        /// When the last service was down.
        down_since: Option<Time>,
    },
    /// It does nothing any more.
    Finished,
}

impl Leaving {
    /// The node is told to stop.
    pub(crate) fn begin(&mut self) {
        if matches!(self.0, Phase::Staying) {
            self.0 = Phase::Begun { down_since: None };
        }
    }

    /// The node is stopping, or has stopped.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.0, Phase::Staying)
    }

    /// The node does nothing any more.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.0, Phase::Finished)
    }
}

impl Node {
    /// When it stops without waiting for anybody any longer.
    pub(crate) fn leaving_deadline(&self) -> Time {
        match self.leaving.0 {
            Phase::Begun { down_since: Some(since) } => since + self.settings.election_timeout(),
            Phase::Begun { down_since: None } | Phase::Staying | Phase::Finished => Time::NEVER,
        }
    }

    /// R11: a clean stop says farewell; a leader hands over first.
    pub(crate) fn try_leaving(&mut self, now: Time) {
        let Phase::Begun { down_since } = self.leaving.0 else { return };
        let around = self.node_context(now);
        let busy = self.settings.runner && !self.runner.may_leave(&self.settings, &around);
        // R7: the leader must know first that something may still be promoted here.
        let owes = self.settings.runner && self.runner.owes_a_word() && !self.marked_unclean();
        if busy || owes {
            // Also when it was down before: maintenance mode may have ended meanwhile.
            self.leaving.0 = Phase::Begun { down_since: None };
            return;
        }
        let since = down_since.unwrap_or(now);
        self.leaving.0 = Phase::Begun { down_since: Some(since) };
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
        self.leaving.0 = Phase::Finished;
    }

    fn finish(&mut self, now: Time) {
        let released = (!self.runner.maybe_promoted() || !self.settings.runner).then(|| {
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
        self.step_down(StepDownReason::Stopping, now);
        self.leaving.0 = Phase::Finished;
        self.effect(Effect::Finished);
    }
}
