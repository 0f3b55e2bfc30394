//! Who is master: when a mastership ends, and who gets the next (rules R6 and R9). Each group is decided about by itself.

use std::collections::BTreeSet;

use crate::contact::peers::Peer;
use crate::event::Event;
use crate::group::GroupName;
use crate::leader::placement::{Choice, MasterDecision, Wait};
use crate::leader::reports::GroupReport;
use crate::limits;
use crate::message::{GROUPS_RULE, RunnerSummary};
use crate::node::group_ref::GroupRef;
use crate::node::handlers::LeadershipHandler;
use crate::node::leading::candidates::ANSWERED_WITHIN;
use crate::node::node_ref::NodeRef;
use crate::reason::{DropReason, WaitReason};
use crate::record::{GroupRecord, MasterEntry, PastMastership, Record};
use crate::types::{Epoch, NodeId, NodeState, Time};

impl LeadershipHandler<'_> {
    /// One decision: everything that the leader does by itself. It builds only on what counts.
    pub(crate) fn decide(&mut self) {
        let Some(lead) = self.lead else { return };
        lead.placements_mut().decide_again(Time::NEVER);
        let groups = self.node().known_groups();
        self.note_ready(&groups);
        let Some(lead) = self.lead else { return };
        let settled = lead.committed() == self.durable.record.version;
        if !settled || !self.node().acting() {
            return;
        }
        if mutant!(WritesFirst) && self.lead.as_ref().is_some_and(|lead| !lead.writes().is_empty()) {
            return self.make_writes();
        }
        let mut next = self.durable.record.clone();
        let mut wake = Time::NEVER;
        if self.members_moved(&mut next) {
            return self.propose(next);
        }
        if self.tend_fence(&mut next, &mut wake) {
            return self.propose(next);
        }
        if groups.len() > 1 && next.needs < GROUPS_RULE {
            // Nothing else before that counts: a leader that knows no groups would lose what this one decides about them.
            if self.node().all_electors_know(GROUPS_RULE) {
                next.needs = GROUPS_RULE;
                return self.propose(next);
            }
            self.decide_about(&GroupName::MAIN, &mut next, &mut wake);
        } else {
            let mut groups: Vec<&GroupName> = groups.iter().collect();
            // R15: what goes together with another is decided about after it.
            groups.sort_by_key(|group| self.node().group(group).depth());
            groups.into_iter().for_each(|group| self.decide_about(group, &mut next, &mut wake));
        }
        next.tidy();
        if let Some(lead) = self.lead {
            lead.placements_mut().decide_again(if wake > self.ctx.now { wake } else { Time::NEVER });
        }
        if next != self.durable.record {
            return self.propose(next);
        }
        self.make_writes(); // R16: when nothing else is to be decided
    }

    fn decide_about(&mut self, group: &GroupName, next: &mut Record, wake: &mut Time) {
        self.update_master_flags(group, next);
        self.node().migrate_stop_flags(next.group_mut(group));
        if next.maintenance {
            return self.readopt_master(group, next);
        }
        self.drop_target(group, next.group_mut(group));
        self.move_to_preferred(group, next, wake);
        self.end_mastership(group, next.group_mut(group), wake);
        if next.group(group).master.is_none() {
            self.begin_mastership(group, next, wake);
        }
    }

    fn end_mastership(&mut self, group: &GroupName, next: &mut GroupRecord, wake: &mut Time) {
        let Some(entry) = next.master.clone() else { return };
        match self.node().group(group).fate(&entry, next) {
            MasterDecision::Keep => {}
            MasterDecision::Order(reason) => {
                let Some(lead) = self.lead else { return };
                if reason.is_of_place() {
                    lead.placement_mut(group).moves_mut().displace(entry.epoch);
                }
                if lead.placement_mut(group).want_back(entry.epoch) {
                    let dropped =
                        Event::MasterDropped { node: entry.name.clone(), epoch: entry.epoch, reason };
                    self.ctx.event_of(group, dropped);
                    self.answer_runner(entry.node, entry.session);
                }
            }
            MasterDecision::Free => next.end_mastership(),
            MasterDecision::Wait(blocked) => {
                let Some(free) = blocked.until else { return };
                *wake = (*wake).min(free);
                // R6's wait ends by itself: the scores of then are asked for during it.
                match self.node().group(group).asks_at(next, free) {
                    Some(at) if at <= self.ctx.now => self.ask_candidates(group, next, wake),
                    Some(at) => *wake = (*wake).min(at),
                    None => {}
                }
            }
        }
    }

    fn ask_candidates(&mut self, group: &GroupName, record: &GroupRecord, wake: &mut Time) {
        let now = self.ctx.now;
        let Some(lead) = self.lead else { return };
        let term = lead.term();
        lead.placement_mut(group).ask(term, now);
        let node = self.node();
        let node = node.group(group);
        let candidates: Vec<_> = node.candidates(record).map(|(id, seen)| (id, seen.session)).collect();
        candidates.into_iter().for_each(|(id, session)| self.answer_runner(id, session));
        *wake = (*wake).min(now + ANSWERED_WITHIN);
    }

    fn begin_mastership(&mut self, group: &GroupName, next: &mut Record, wake: &mut Time) {
        match self.node().group(group).choose(next.group(group)) {
            Choice::Wait(blocked) => *wake = (*wake).min(blocked.until.unwrap_or(Time::NEVER)),
            Choice::Ask => self.ask_candidates(group, next.group(group), wake),
            Choice::Name(node) => {
                let all = self.node();
                let name = all.name_of(node);
                let Some(seen) = all.group(group).latest_report(node) else { return };
                let (session, grace) = (seen.session, seen.summary.grace);
                let newest = all.group(group).newest_epoch(next.last_epoch);
                let by_hand = next.group(group).target == Some(node) && all.group(group).speaks_of_failback();
                let Some(lead) = self.lead else { return };
                let epoch = if mutant!(EpochStands) { newest } else { newest.next_in(lead.term()) };
                let hold = self.ctx.settings.hold(grace);
                next.last_epoch = epoch;
                let record = next.group_mut(group);
                record.master = Some(MasterEntry {
                    node,
                    session,
                    epoch,
                    hold,
                    in_maintenance: false,
                    unclean: false,
                    name,
                    by_hand,
                });
                if record.target == Some(node) {
                    record.target = None;
                }
                lead.placement_mut(group).begin();
            }
        }
    }

    /// R6: marks the master entry while its node may stay promoted without a lease.
    fn update_master_flags(&mut self, group: &GroupName, next: &mut Record) {
        let maintenance = next.maintenance;
        let GroupRecord { master: Some(entry), promoted, .. } = next.group_mut(group) else { return };
        let node = self.node();
        let node = node.group(group);
        // R7: it left, or was restarted, and could not take everything down. No time that passes makes that better.
        let left_unclean = |p: &Peer| p.gone.as_ref().is_some_and(|gone| gone.left_unclean(group));
        let unclean = |p: &Peer| left_unclean(p) && node.succeeds(p.session, entry);
        let mut is_unclean = self.peers.runs(entry.node).any(unclean);
        is_unclean |= node.successor(entry).is_some_and(|seen| seen.summary.unclean);
        let seen = node.report_of(entry.node, entry.session);
        let seen = seen.map(|seen| (seen.summary.clone(), seen.applied));
        entry.unclean |= is_unclean;
        let (Some(lead), Some((summary, applied))) = (self.lead.as_mut(), seen) else { return };
        entry.unclean |= summary.unclean;
        *promoted = (*promoted).max(summary.promoted_under);
        // A grace or a lease was raised. The record takes the longer hold time before a longer lease is granted (R6).
        entry.hold = entry.hold.max(self.ctx.settings.hold(summary.grace));
        if entry.unclean && !summary.unclean && summary.promotable {
            entry.unclean = false;
        }
        if entry.in_maintenance && !maintenance && applied >= lead.placement(group).act_since() {
            // It acts on a version with maintenance off: its hold time is counted anew from this report.
            entry.in_maintenance = false;
            lead.placement_mut(group).grant(entry.epoch, self.ctx.now);
        }
    }

    /// In maintenance a master that was restarted on its machine adopts what its earlier run left running, and is given a new mastership
    /// over it. A copy of its disk on another machine adopts nothing.
    fn readopt_master(&mut self, group: &GroupName, next: &mut Record) {
        let (node, Some(lead)) = (self.node(), self.lead.as_ref()) else { return };
        let (last_epoch, node) = (next.last_epoch, node.group(group));
        let GroupRecord { master: Some(entry), previous, .. } = next.group_mut(group) else { return };
        let newest = || node.reports_of(entry.node).next_back().filter(|s| s.session > entry.session);
        let heir = if mutant!(CopyAdopts) { newest() } else { node.successor(entry) };
        if let Some(seen) = heir.filter(|seen| seen.summary.holds.is_some()) {
            *previous = Some(PastMastership { node: entry.node, epoch: entry.epoch });
            entry.session = seen.session;
            entry.epoch = last_epoch.next_in(lead.term());
            next.last_epoch = entry.epoch;
        }
    }

    /// A target that cannot become master is none any more; normal choice goes on.
    fn drop_target(&mut self, group: &GroupName, next: &mut GroupRecord) {
        let Some(target) = next.target else { return };
        let node = self.node();
        let reason = match node.group(group).recent_report(target) {
            None if node.group(group).settling().is_some() => return,
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
            Some(_) => match node.group(group).bars_target(target) {
                Some(reason) => reason,
                None => return,
            },
        };
        next.target = None;
        let node = node.name_of(target);
        self.ctx.event_of(group, Event::TargetDropped { node, reason });
    }
}

impl NodeRef<'_> {
    /// The groups that there are: those of the record, and those that some runner reports. Only a leader knows of the latter.
    pub(crate) fn known_groups(&self) -> BTreeSet<GroupName> {
        let is_there = |(name, group): &(&GroupName, &GroupRecord)| name.is_main() || group.is_alive();
        let mut known: BTreeSet<GroupName> =
            self.durable.record.groups().filter(is_there).map(|(name, _)| name.clone()).collect();
        let reported = self.latest_reports().flat_map(|(_, seen)| seen.summaries.keys());
        let mut new: Vec<&GroupName> = reported.filter(|group| !known.contains(*group)).collect();
        new.sort_unstable();
        new.dedup();
        let room = limits::GROUPS.saturating_sub(known.len());
        known.extend(new.into_iter().take(room).cloned());
        known
    }

    /// Electors that have not said that they know groups: while there are any, only `main` has a master.
    pub(crate) fn know_no_groups(&self) -> Vec<String> {
        self.lacking(GROUPS_RULE)
    }

    /// Electors that have not said that they know this rule.
    pub(crate) fn lacking(&self, rule: u16) -> Vec<String> {
        if self.durable.record.needs >= rule {
            return Vec::new();
        }
        let knows = |id: &NodeId| *id == self.id || self.peers.get(*id).is_some_and(|p| p.info.rules >= rule);
        match self.knows_members() {
            true => self.names_of(self.durable.record.members_after().iter().filter(|id| !knows(id))),
            false => {
                let electors = self.peers.iter().filter(|(_, p)| p.info.elector).map(|(id, _)| id);
                let without: BTreeSet<NodeId> = electors.filter(|id| !knows(id)).collect();
                self.names_of(&without)
            }
        }
    }

    /// Every elector has said that it knows this rule. Of one that was never heard nobody knows.
    pub(crate) fn all_electors_know(&self, rule: u16) -> bool {
        // Without members the configuration says how many there are; with quorum off nobody is counted.
        let counted = self.knows_members() || self.electors_seen() >= self.electors_known();
        counted && self.lacking(rule).is_empty()
    }

    /// A machine that was stopped by hand stays so when it comes back with a new disk: by then its name is all that is left.
    fn migrate_stop_flags(&self, next: &mut GroupRecord) {
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
        let keeps = |group: &GroupName| {
            let of = record.group(group);
            let own = of.master.as_ref().is_some_and(|m| m.node == self.id);
            let all = self.group(group);
            let ready = |(id, s): (NodeId, GroupReport<'_>)| {
                id != self.id && s.summary.promotable && !all.is_never(id) && all.goes_to(id)
            };
            let others = all.latest_of_all().any(ready);
            own || of.master.is_none() && others && !of.manual && !record.maintenance
        };
        lead.committed() == record.version && !self.known_groups().iter().any(keeps)
    }
}

impl GroupRef<'_> {
    /// R14: nobody is master of another group than `main` while there are electors that know no groups.
    pub(crate) fn waits_for_upgrade(&self) -> bool {
        !self.group.is_main() && self.durable.record.needs < GROUPS_RULE
    }

    /// R9: the newest epoch that was given, in any group; the next is greater. With quorum off another half may have given more than the record
    /// knows. `last`: what the record knows.
    fn newest_epoch(&self, last: Epoch) -> Epoch {
        let of = |s: &RunnerSummary| [s.released, s.holds.unwrap_or_default()];
        if mutant!(EpochOfGroup) {
            return self.all_reports().flat_map(|(_, s)| of(s.summary)).max().unwrap_or_default();
        }
        let runners = self.lead.iter().flat_map(|lead| lead.runners().iter());
        let given = runners.flat_map(|(_, seen)| seen.summaries.values()).flat_map(of);
        given.chain([last]).max().unwrap_or(last)
    }

    /// Whom to make master now (R9).
    pub(crate) fn choose(&self, record: &GroupRecord) -> Choice {
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
        let moving = self.placement().and_then(|placement| placement.moves().moving_to());
        let moving = moving.filter(|node| self.may_move_to(*node));
        let wanted = [record.target, moving].into_iter().flatten();
        let best = wanted.into_iter().find(|node| self.is_candidate(*node, record) && self.goes_to(*node));
        let by_score = best.is_none();
        let Some(best) = best.or_else(|| self.best_candidate(record, None)) else {
            return wait(self.resting(record).unwrap_or_else(|| self.no_candidate().into()));
        };
        if let Some(blocked) = self.still_up(best) {
            return wait(blocked.into());
        }
        self.asks(record).filter(|_| by_score).unwrap_or(Choice::Name(best))
    }
}
