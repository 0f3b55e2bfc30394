//! Attributes on the node whose services write them (R16): a write is told to the leader until it counts, and fails at once with the lease.

use crate::attributes::{AttributeChange, AttributeWrite, WriteNumber, WriteRefusal, WriteRefused};
use crate::group::GroupName;
use crate::io::{Answered, CommandError, CommandId, Effect};
use crate::message::Body;
use crate::node::handlers::{CommandHandler, WritingHandler};
use crate::node::node_ref::NodeRef;
use crate::reason::NotNowReason;
use crate::types::{Epoch, NodeId, Session};

impl CommandHandler<'_> {
    /// A service writes under its mastership.
    pub(crate) fn write(&mut self, id: CommandId, group: &GroupName, epoch: Epoch, change: AttributeChange) {
        let refusal = if self.ctx.settings.quorum == 0 {
            Some(NotNowReason::QuorumOff)
        } else if !self.node().holds(group, epoch) {
            Some(NotNowReason::NotMaster { group: group.clone() })
        } else if !self.writes.push(group, id, epoch, change) {
            Some(NotNowReason::TooManyWrites)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.ctx.effect(Effect::Answer { id, result: Err(refusal.into()) });
        }
    }
}

impl WritingHandler<'_> {
    /// Lets everything take effect on the writes of this node: one is made at a time, and told again until it counts.
    pub(crate) fn advance_writes(&mut self) {
        for group in self.writes.groups() {
            self.end_with_lease(&group);
            self.end_counted(&group);
            self.tell_first(&group);
        }
    }

    /// R16: a write does not outlive the lease under which it was begun. A demotion is not kept waiting by one.
    fn end_with_lease(&mut self, group: &GroupName) {
        while let Some(first) = self.writes.first(group)
            && !self.node().holds(group, first.epoch)
            && !mutant!(WritesOutliveLease)
        {
            let Some(write) = self.writes.pop(group) else { return };
            let not_begun = || NotNowReason::NotMaster { group: group.clone() }.into();
            let result = Err(write.told.map_or_else(not_begun, |_| CommandError::LostLease));
            self.ctx.effect(Effect::Answer { id: write.id, result });
        }
    }

    /// A quorum has it on disk, and this node acts on it.
    fn end_counted(&mut self, group: &GroupName) {
        let written = self.durable.applied.group(group).attributes.map(|which| which.written);
        while let Some(first) = self.writes.first(group)
            && first.told.is_some_and(|(number, _)| written >= Some(number) || mutant!(WriteAnsweredAlone))
        {
            let Some(write) = self.writes.pop(group) else { return };
            let message = said(&write.change);
            self.ctx
                .effect(Effect::Answer { id: write.id, result: Ok(Answered { message, steps: Vec::new() }) });
        }
    }

    fn tell_first(&mut self, group: &GroupName) {
        let (now, pause) = (self.ctx.now, self.ctx.settings.heartbeat);
        let Some((leader, session)) = self.node().leader_to_tell() else { return };
        let due =
            |first: &crate::local::writes::PendingWrite| first.told.is_none_or(|(_, at)| now >= at + pause);
        if !self.writes.first(group).is_some_and(due) {
            return;
        }
        let Some((number, change)) = self.writes.tell(group, now) else { return };
        let body = Body::AttributeWrite(AttributeWrite { group: group.clone(), number, change });
        self.ctx.answer(leader, session, body);
    }

    /// The leader does not make it.
    pub(crate) fn on_write_refused(&mut self, from: NodeId, refused: &WriteRefused) {
        let leads = self.node().leader_to_tell().is_some_and(|(leader, _)| leader == from);
        let Some(group) = self.writes.group_of(refused.number).filter(|_| leads) else { return };
        let Some(write) = self.writes.pop(&group) else { return };
        let why = match refused.why {
            WriteRefusal::NotMaster => NotNowReason::NotMaster { group },
            WriteRefusal::NoRoom => NotNowReason::TooManyAttributes,
            WriteRefusal::Unknown => NotNowReason::AttributesUnknown { nodes: Vec::new() },
            WriteRefusal::QuorumOff => NotNowReason::QuorumOff,
        };
        self.ctx.effect(Effect::Answer { id: write.id, result: Err(why.into()) });
    }
}

impl NodeRef<'_> {
    /// This node has a lease on this mastership of the group, and has not lost it.
    fn holds(&self, group: &GroupName, epoch: Epoch) -> bool {
        let lease = self.runners.get(group).and_then(|supervisor| supervisor.lease());
        lease.is_some_and(|lease| lease.epoch() == epoch && lease.lost().is_none())
    }

    /// The run that leads, as far as this node knows.
    fn leader_to_tell(&self) -> Option<(NodeId, Session)> {
        match (&self.lead, self.following.leader()) {
            (Some(_), _) => Some((self.id, self.session)),
            (None, leader) => leader.map(|leader| (leader.id, leader.session)),
        }
    }
}

/// What a write has done, for people.
pub(crate) fn said(change: &AttributeChange) -> String {
    match change.value {
        Some(_) => format!("attribute {} is written", change.key),
        None => format!("attribute {} is removed", change.key),
    }
}

/// Whether a write of this number comes after what was written last.
pub(crate) fn comes_after(number: WriteNumber, written: Option<WriteNumber>) -> bool {
    written.is_none_or(|last| number > last) || mutant!(LowerWriteTaken)
}
