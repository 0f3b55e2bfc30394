//! This node's services: what they are told of the rest of the node, and what they mean for it (rules R5, R7 and R8).

use std::time::Duration;

use crate::elector::durability::Deferred;
use crate::event::Event;
use crate::guard::Watch;
use crate::io::{HookEnd, RunId, ServiceSpec};
use crate::message::Lease;
use crate::node::handlers::ServiceHandler;
use crate::node::node_ref::NodeRef;
use crate::types::{Epoch, Time};

/// What the leader has answered to a report of this node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaderAnswer {
    /// When the report was sent: a lease counts from then (R5).
    pub(crate) sent: Time,
    pub(crate) lease: Option<Lease>,
    /// The epoch that the leader wants back.
    pub(crate) release: Option<Epoch>,
}

impl ServiceHandler<'_> {
    pub(crate) fn hook_ended(&mut self, run: RunId, ended: HookEnd) {
        let around = self.node().node_context();
        self.runner.hook_ended(run, ended, self.ctx.settings, &around, self.ctx.outbox.effects());
    }

    /// The services folder has these.
    pub(crate) fn found(&mut self, specs: Vec<ServiceSpec>) {
        let maintenance = self.durable.applied.maintenance;
        let adopts = maintenance && (self.identity.follows().is_some() || mutant!(CopyAdopts));
        self.runner.found(specs, adopts, self.ctx.now, self.ctx.outbox.effects());
    }

    pub(crate) fn answered(&mut self, answer: LeaderAnswer) {
        if !self.ctx.settings.runner {
            return;
        }
        if let Some(lease) = answer.lease {
            let (grace, now) = (self.ctx.settings.demote_grace, self.ctx.now);
            let new = self.runner.leased(lease, answer.sent, grace, now, self.ctx.outbox.effects());
            if new {
                // R8: the mark is on disk before the first promote hook begins.
                self.durable.set_mark(lease.epoch);
                self.durable.defer(Deferred::Mark(lease.epoch));
            }
        }
        if let Some(epoch) = answer.release {
            self.runner.request_demote(epoch);
        }
    }

    /// Lets time, and what the rest of the node has come to, take effect on the services.
    pub(crate) fn advance(&mut self) {
        if !self.ctx.settings.runner {
            return;
        }
        let around = self.node().node_context();
        let address = self.durable.applied.master.as_ref().and_then(|m| self.node().master_address(m.node));
        let master = self.durable.applied.master.as_ref().map(|m| (m.name.as_str(), address));
        self.runner.note_master(master);
        let previous = self.durable.applied.previous.map(|p| (self.node().name_of(p.node), p.epoch));
        self.runner.note_masterships(self.durable.applied.promoted, previous);
        let outcome = self.runner.advance(self.ctx.settings, &around, self.ctx.outbox.effects());
        if outcome.clear_mark && self.runner.lease().is_none() {
            self.durable.clear_mark();
        }
        let state = self.runner.state(self.ctx.settings, &self.node().node_context());
        if let Some(from) = self.told.note_state(state) {
            self.ctx.event(Event::StateChanged { from, to: state });
        }
    }

    /// R11: whether something has changed that the leader is to hear at once.
    pub(crate) fn has_news(&mut self) -> bool {
        if !self.ctx.settings.runner || mutant!(ChangesUntold) {
            return false;
        }
        let mut summary = self.runner.summary(self.ctx.settings, &self.node().node_context());
        // That time passes is no news.
        if let Some(note) = &mut summary.failure {
            note.ago = Duration::ZERO;
        }
        if let Some(in_vain) = &mut summary.in_vain {
            in_vain.ago = Duration::ZERO;
        }
        self.told.is_new(summary)
    }
}

impl NodeRef<'_> {
    /// What a guardian is to watch.
    pub(crate) fn watch(&self) -> Watch {
        let around = self.node_context();
        if self.settings.runner && self.runner.is_in_maintenance(self.settings, &around) {
            return Watch::Frozen;
        }
        let Some(held) = self.runner.lease() else { return Watch::Nothing };
        let Some(by) = held.lost() else { return Watch::Lease { ends: held.ends(), epoch: held.epoch() } };
        // When the grace is over the daemon has done what it can, and is Failed.
        match !held.is_fenced() && self.runner.services().maybe_promoted() {
            true => Watch::Demoting { by, epoch: held.epoch() },
            false => Watch::Nothing,
        }
    }
}
