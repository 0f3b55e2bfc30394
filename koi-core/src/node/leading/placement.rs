//! Who is master: when a mastership ends, and who gets the next (rules R6 and R9).

use crate::contact::peers::{Gone, Peer};
use crate::event::Event;
use crate::leader::placement::{Choice, MasterDecision, Wait};
use crate::node::handlers::LeadershipHandler;
use crate::node::node_ref::NodeRef;
use crate::reason::{DropReason, WaitReason};
use crate::record::{MasterEntry, PastMastership, Record};
use crate::types::{NodeId, NodeState, Time};

impl LeadershipHandler<'_> {
    /// One decision: everything that the leader does by itself. It builds only on what counts.
    pub(crate) fn decide(&mut self) {
        let Some(lead) = self.lead else { return };
        lead.placement_mut().decide_again(Time::NEVER);
        let settled = lead.committed() == self.durable.record.version;
        if !settled || !self.node().acting() {
            return;
        }
        let mut next = self.durable.record.clone();
        let mut wake = Time::NEVER;
        if self.members_moved(&mut next) {
            return self.propose(next);
        }
        self.update_master_flags(&mut next);
        self.node().migrate_stop_flags(&mut next);
        if next.maintenance {
            self.readopt_master(&mut next);
        } else {
            self.drop_target(&mut next);
            self.end_mastership(&mut next, &mut wake);
            if next.master.is_none() {
                self.begin_mastership(&mut next, &mut wake);
            }
        }
        if let Some(lead) = self.lead {
            lead.placement_mut().decide_again(if wake > self.ctx.now { wake } else { Time::NEVER });
        }
        if next != self.durable.record {
            self.propose(next);
        }
    }

    fn end_mastership(&mut self, next: &mut Record, wake: &mut Time) {
        let Some(entry) = next.master.clone() else { return };
        match self.node().fate(&entry, next) {
            MasterDecision::Keep => {}
            MasterDecision::Order(reason) => {
                let Some(lead) = self.lead else { return };
                if lead.placement_mut().want_back(entry.epoch) {
                    self.ctx.event(Event::MasterDropped {
                        node: entry.name.clone(),
                        epoch: entry.epoch,
                        reason,
                    });
                    self.answer_runner(entry.node, entry.session);
                }
            }
            MasterDecision::Free => next.end_mastership(),
            MasterDecision::Wait(blocked) => *wake = (*wake).min(blocked.until.unwrap_or(Time::NEVER)),
        }
    }

    fn begin_mastership(&mut self, next: &mut Record, wake: &mut Time) {
        match self.node().choose(next) {
            Choice::Wait(blocked) => *wake = (*wake).min(blocked.until.unwrap_or(Time::NEVER)),
            Choice::Name(node) => {
                let name = self.node().name_of(node);
                let Some(seen) = self.node().latest(node).cloned() else { return };
                let Some(lead) = self.lead else { return };
                // R9: greater than all before. With quorum off another half may have given more.
                let given = lead
                    .runners()
                    .iter()
                    .flat_map(|(_, s)| [s.summary.released, s.summary.holds.unwrap_or_default()]);
                let newest = given.chain([next.last_epoch]).max().unwrap_or(next.last_epoch);
                let epoch = if mutant!(EpochStands) { newest } else { newest.next_in(lead.term()) };
                next.last_epoch = epoch;
                next.master = Some(MasterEntry {
                    node,
                    session: seen.session,
                    epoch,
                    hold: self.ctx.settings.hold(seen.summary.grace),
                    in_maintenance: false,
                    unclean: false,
                    name,
                });
                if next.target == Some(node) {
                    next.target = None;
                }
                lead.placement_mut().begin();
            }
        }
    }

    /// R6: marks the master entry while its node may stay promoted without a lease.
    fn update_master_flags(&mut self, next: &mut Record) {
        let maintenance = next.maintenance;
        let Some(entry) = &mut next.master else { return };
        // R7: it left, or was restarted, and could not take everything down. No time that passes makes that better.
        let unclean = |p: &Peer| p.gone == Some(Gone::Left(None)) && self.node().succeeds(p.session, entry);
        entry.unclean |= self.peers.runs(entry.node).any(unclean);
        entry.unclean |= self.node().successor(entry).is_some_and(|seen| seen.summary.unclean);
        let Some(lead) = self.lead else { return };
        let Some(seen) = lead.runners().of_run(entry.node, entry.session) else { return };
        entry.unclean |= seen.summary.unclean;
        next.promoted = next.promoted.max(seen.summary.promoted_under);
        // A grace or a lease was raised. The record takes the longer hold time before a longer lease is granted (R6).
        entry.hold = entry.hold.max(self.ctx.settings.hold(seen.summary.grace));
        if entry.unclean && !seen.summary.unclean && seen.summary.promotable {
            entry.unclean = false;
        }
        if entry.in_maintenance && !maintenance && seen.applied >= lead.placement().act_since() {
            // It acts on a version with maintenance off: its hold time is counted anew from this report.
            entry.in_maintenance = false;
            lead.placement_mut().grant(entry.epoch, self.ctx.now);
        }
    }

    /// In maintenance a master that was restarted on its machine adopts what its earlier run left running, and is given a new mastership
    /// over it. A copy of its disk on another machine adopts nothing.
    fn readopt_master(&mut self, next: &mut Record) {
        let (node, Some(lead)) = (self.node(), self.lead.as_ref()) else { return };
        let Some(entry) = &mut next.master else { return };
        let newest = || lead.runners().of_node(entry.node).next_back().filter(|s| s.session > entry.session);
        let heir = if mutant!(CopyAdopts) { newest() } else { node.successor(entry) };
        if let Some(seen) = heir.filter(|seen| seen.summary.holds.is_some()) {
            next.previous = Some(PastMastership { node: entry.node, epoch: entry.epoch });
            entry.session = seen.session;
            entry.epoch = next.last_epoch.next_in(lead.term());
            next.last_epoch = entry.epoch;
        }
    }

    /// A target that cannot become master is none any more; normal choice goes on.
    fn drop_target(&mut self, next: &mut Record) {
        let Some(target) = next.target else { return };
        let reason = match self.node().seen_lately(target) {
            None if self.node().settling().is_some() => return,
            None => DropReason::NotThere,
            Some(s) if s.summary.leaving => DropReason::Stopping,
            Some(s) if s.summary.state == NodeState::Failed => {
                DropReason::Failed { reason: s.summary.reason.clone() }
            }
            Some(_) if next.stopped.contains(&target) => DropReason::StoppedByHand,
            Some(_) if next.master.as_ref().is_some_and(|m| m.node == target) => {
                next.target = None;
                return;
            }
            Some(_) => return,
        };
        next.target = None;
        let node = self.node().name_of(target);
        self.ctx.event(Event::TargetDropped { node, reason });
    }
}

impl<'a> NodeRef<'a> {
    /// Whom to make master now (R9).
    pub(crate) fn choose(&self, record: &Record) -> Choice {
        let wait = |blocked: Wait| Choice::Wait(Box::new(blocked));
        if record.manual && record.target.is_none() {
            return wait(WaitReason::DemotedByHand.into());
        }
        if let Some(blocked) = self.settling() {
            return wait(blocked);
        }
        if let Some(blocked) = self.starting(record) {
            return wait(blocked);
        }
        let best = record.target.filter(|t| self.is_candidate(*t, record));
        let Some(best) = best.or_else(|| self.best_candidate(record, None)) else {
            return wait(self.resting(record).unwrap_or_else(|| self.no_candidate().into()));
        };
        if let Some(blocked) = self.still_up(best) {
            return wait(blocked.into());
        }
        Choice::Name(best)
    }

    /// A machine that was stopped by hand stays so when it comes back with a new disk: by then its name is all that is left.
    fn migrate_stop_flags(&self, next: &mut Record) {
        let silent = |id: &NodeId| self.peers.get(*id).filter(|p| self.now.since(p.heard) > self.lately());
        let moved = next.stopped.iter().find_map(|old| {
            let name = &silent(old)?.info.name;
            // It has answered this leader: an old datagram of an earlier identity does not count.
            let there = |id| id != *old && self.seen_lately(id).is_some();
            let heir = self.peers.iter().find(|(id, p)| p.info.name == *name && there(*id));
            heir.map(|(id, _)| (*old, id))
        });
        if let Some((old, heir)) = moved {
            next.stopped.remove(&old);
            next.stopped.insert(heir);
        }
    }

    /// Whether `old` is what the machine of `node` was called before: it bears its name, and was heard last before that run began.
    pub(crate) fn was_before(&self, old: NodeId, node: NodeId) -> bool {
        let began = match node == self.id {
            true => Some(self.started),
            false => self.peers.get(node).map(|p| p.since),
        };
        let name = self.name_of(node);
        let earlier = |p: &Peer| p.info.name == name && began.is_some_and(|began| p.heard < began);
        old != node && self.peers.get(old).is_some_and(earlier)
    }

    /// A leader that leaves has handed the mastership over, or there is nobody to take it.
    pub(crate) fn handed_over(&self) -> bool {
        let Some(lead) = &self.lead else { return true };
        let record = &self.durable.record;
        let own = record.master.as_ref().is_some_and(|m| m.node == self.id);
        let others = self.latest_reports().any(|(id, s)| id != self.id && s.summary.promotable);
        let idle = record.master.is_none() && others && !record.manual && !record.maintenance;
        lead.committed() == record.version && !own && !idle
    }
}
