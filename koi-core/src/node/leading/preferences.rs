//! When a master moves to a node that is preferred to its own (`failback`, rule R15).
//!
//! Such moves come to an end: each one takes a group to a node with a strictly greater preference for it, and changes the place of no other group but
//! those that go together with it, whose preferences move nothing. So while nothing fails and nobody says anything, the sum of the preferences of
//! all places grows with each move, and it is bounded. Two groups that are to be apart cannot swap for ever either: one at a time moves, a move
//! under way counts as if it had been made, and none is made that would break an `apart_from`.

use std::collections::BTreeSet;

use crate::group::GroupName;
use crate::leader::choice::{Contender, best_of};
use crate::leader::reports::GroupReport;
use crate::node::group_ref::GroupRef;
use crate::node::handlers::LeadershipHandler;
use crate::record::{GroupRecord, MasterEntry, Record};
use crate::types::{NodeId, NodeState, Time};

impl LeadershipHandler<'_> {
    /// Notes who could be master, for groups whose masters move for a preference.
    pub(crate) fn note_ready(&mut self, groups: &BTreeSet<GroupName>) {
        for group in groups {
            let of = self.node();
            let of = of.group(group);
            let record = of.of(&self.durable.record);
            let ready: Vec<_> = match of.policy().is_some_and(|policy| policy.failback().is_some()) {
                true => {
                    let all = of.latest_of_all().filter(|(id, _)| of.is_candidate(*id, record));
                    all.map(|(id, seen)| (id, seen.session)).collect()
                }
                false => Vec::new(),
            };
            let Some(lead) = self.lead else { return };
            if !ready.is_empty() || lead.placement(group).moves().has_ready() {
                lead.placement_mut(group).moves_mut().note_ready(ready.into_iter(), self.ctx.now);
            }
        }
    }

    /// Begins a move, or gives one up that cannot be made any more.
    pub(crate) fn move_to_preferred(&mut self, group: &GroupName, next: &Record, wake: &mut Time) {
        let of = self.node();
        let of = of.group(group);
        let record = next.group(group);
        let moving = of.placement().and_then(|placement| placement.moves().moving_to());
        let verdict = match moving {
            Some(node) => of.still_moves_to(node, record).then_some(node),
            None => of.preferred(record, wake),
        };
        let Some(lead) = self.lead.as_mut().filter(|_| verdict != moving) else { return };
        let moves = lead.placement_mut(group).moves_mut();
        match verdict {
            Some(node) => moves.move_to(node),
            None => moves.stay(),
        }
    }
}

impl GroupRef<'_> {
    /// A move goes on while its end can be reached, and nobody has said otherwise. Once the master was told to demote it is too late to stay.
    fn still_moves_to(&self, node: NodeId, record: &GroupRecord) -> bool {
        let Some(placement) = self.placement() else { return false };
        let told = record.master.as_ref().is_some_and(|m| placement.wanted_back() == Some(m.epoch));
        told || record.master.is_none()
            || self.is_candidate(node, record)
                && record.target.is_none()
                && !record.manual
                // Another may have come there while those were demoted that go down before.
                && self.may_move_to(node)
    }

    /// A move breaks no `apart_from`, also not one that has come true since it was begun.
    pub(super) fn may_move_to(&self, node: NodeId) -> bool {
        !self.would_break_apart(node) || mutant!(FailbackBreaksApart)
    }

    /// The node to which the master moves now because it is preferred. `wake`: when that may be so by time alone.
    fn preferred(&self, record: &GroupRecord, wake: &mut Time) -> Option<NodeId> {
        let policy = self.policy()?;
        let patience = policy.failback().filter(|_| self.partner().is_none())?;
        let entry = record.master.as_ref()?;
        let pinned = entry.by_hand && !mutant!(FailbackUnpins);
        if pinned || record.manual || record.target.is_some() || !self.is_at_rest(record) {
            return None;
        }
        let here = self.preference(entry.node);
        let better = |node: NodeId| match mutant!(FailbackSwaps) {
            true => self.preference(node) >= here,
            false => self.preference(node) > here,
        };
        let due = |id: NodeId, seen: &GroupReport<'_>| {
            self.placement()?.moves().ready_for((id, seen.session), patience)
        };
        let fit = |id: NodeId, seen: &GroupReport<'_>| {
            let calm = self.is_calm(id, seen) && self.rests_until(id, seen) <= self.now;
            (calm || mutant!(FailbackToFailed)) && self.may_move_to(id)
        };
        let mut contenders = Vec::new();
        for (id, seen) in self.latest_of_all().filter(|(id, _)| *id != entry.node && better(*id)) {
            let Some(due) = due(id, &seen).filter(|_| self.is_candidate(id, record)) else { continue };
            if due > self.now {
                *wake = (*wake).min(due);
            } else if fit(id, &seen) {
                contenders.push(self.contender(id, &seen));
            }
        }
        // What is promoted is compared with nothing here: its status often scores it otherwise than a standby's.
        best_of(&contenders, policy.score_slack).filter(|_| self.others_are_at_rest())
    }

    /// How a node is compared with others.
    pub(super) fn contender(&self, node: NodeId, seen: &GroupReport<'_>) -> Contender {
        Contender {
            node,
            promoted: seen.summary.state == NodeState::Master || seen.summary.holds.is_some(),
            apart: self.keeps_apart(node),
            score: seen.summary.score().unwrap_or(0),
            preference: self.preference(node),
            masterships: self.masterships_beside(node),
            uptime: (seen.uptime + self.now.since(seen.at)).as_secs(),
            seen: seen.at,
        }
    }

    /// Its master, if it has one, is promoted, and stays.
    fn is_at_rest(&self, record: &GroupRecord) -> bool {
        let Some(placement) = self.placement() else { return false };
        let rests = |m: &MasterEntry| {
            placement.wanted_back() != Some(m.epoch)
                && self.report_of(m.node, m.session).is_some_and(|seen| seen.summary.promoted)
        };
        placement.moves().moving_to().is_none() && record.master.as_ref().is_none_or(rests)
    }

    /// One move at a time: no other group is on its way.
    fn others_are_at_rest(&self) -> bool {
        let all = **self;
        let record = &self.durable.record;
        let others = record.groups().filter(|(group, _)| *group != self.group);
        others.into_iter().all(|(group, of)| all.group(group).is_at_rest(of))
    }
}
