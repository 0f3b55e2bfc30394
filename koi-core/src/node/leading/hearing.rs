//! Who hears the leader. A node whose network passes only one way goes on speaking: its reports name the newest heartbeat that it has
//! heard, and by that the leader tells.

use std::time::Duration;

use crate::contact::peers::Peer;
use crate::message::Report;
use crate::node::handlers::LeadershipHandler;
use crate::node::node_ref::NodeRef;
use crate::types::{NodeId, Session, Time};

impl LeadershipHandler<'_> {
    /// A node has reported to this leader.
    pub(crate) fn note_hearing(&mut self, from: NodeId, session: Session, report: &Report) {
        let Some(lead) = self.lead.as_ref().filter(|lead| lead.term() == report.term) else { return };
        let heard = match report.heard.or(report.acknowledged) {
            Some(number) => lead.sent_at(number),
            // An older version does not say.
            None => Some(self.ctx.now),
        };
        if let (Some(heard), true) = (heard, from != self.ctx.id) {
            self.hearing.note(from, session, heard);
        }
    }

    /// Notices who is there: from then on it has a while to hear something.
    pub(crate) fn notice_hearing(&mut self) {
        let now = self.ctx.now;
        if self.lead.is_none() {
            return self.hearing.clear();
        }
        let lately = self.node().lately();
        let there = |p: &Peer| p.gone.is_none() && now.since(p.heard) <= lately;
        let peers = self.peers.iter().filter(|(_, p)| there(p));
        self.hearing.keep(peers.map(|(id, p)| (id, p.session)).collect(), now);
    }
}

impl NodeRef<'_> {
    /// It is heard, and has not heard this leader for so long that it cannot be counted on.
    pub(crate) fn is_deaf(&self, node: NodeId) -> bool {
        let late = |heard: Time| self.now.since(heard) > self.hearing_patience();
        self.hears_since(node).is_some_and(late) && !mutant!(DeafUnsaid)
    }

    /// An elector that hears this leader and does not acknowledge it, or has not kept the version that counts: its disk does not take what it
    /// must promise.
    pub(crate) fn is_unacknowledging(&self, node: NodeId) -> bool {
        let now = self.now;
        let Some(lead) = &self.lead else { return false };
        let patience = self.hearing_patience();
        let late = |then: Option<Time>| then.is_none_or(|then| now.since(then) > patience);
        self.hears_since(node).is_some()
            && !self.is_deaf(node)
            && now.since(lead.won()) > patience
            && (late(lead.acknowledged_at(node)) || lead.is_behind(node, patience, now))
    }

    fn hears_since(&self, node: NodeId) -> Option<Time> {
        self.hearing.since(node)
    }

    fn hearing_patience(&self) -> Duration {
        self.lately() * 2
    }
}
