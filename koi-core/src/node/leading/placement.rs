//! Who is master: when a mastership ends, and who gets the next (rules R6 and R9).

use std::time::Duration;

use crate::contact::peers::{Gone, Peer};
use crate::event::Event;
use crate::leader::placement::{Choice, MasterDecision, Wait};
use crate::leader::reports::RunnerReport;
use crate::node::Node;
use crate::reason::{CandidateObstacle, DropReason, WaitReason};
use crate::record::{MasterEntry, Record};
use crate::settings::DRIFT_PERCENT;
use crate::types::{NodeId, NodeState, Session, Time, stretched};

impl Node {
    /// One decision: everything that the leader does by itself. It builds only on what counts.
    pub(crate) fn decide(&mut self, now: Time) {
        let Some(lead) = &mut self.lead else { return };
        lead.placement_mut().decide_again(Time::NEVER);
        let settled = lead.committed() == self.durable.record.version;
        if !settled || !self.acting(now) {
            return;
        }
        let mut next = self.durable.record.clone();
        let mut wake = Time::NEVER;
        if self.members_moved(&mut next, now) {
            return self.propose(next, now);
        }
        self.update_master_flags(&mut next, now);
        self.migrate_stop_flags(&mut next, now);
        if next.maintenance {
            self.readopt_master(&mut next);
        } else {
            self.drop_target(&mut next, now);
            self.end_mastership(&mut next, &mut wake, now);
            if next.master.is_none() {
                self.begin_mastership(&mut next, &mut wake, now);
            }
        }
        if let Some(lead) = &mut self.lead {
            lead.placement_mut().decide_again(if wake > now { wake } else { Time::NEVER });
        }
        if next != self.durable.record {
            self.propose(next, now);
        }
    }

    fn end_mastership(&mut self, next: &mut Record, wake: &mut Time, now: Time) {
        let Some(entry) = next.master.clone() else { return };
        match self.fate(&entry, next, now) {
            MasterDecision::Keep => {}
            MasterDecision::Order(reason) => {
                let Some(lead) = &mut self.lead else { return };
                if lead.placement_mut().want_back(entry.epoch) {
                    self.event(Event::MasterDropped { node: entry.name.clone(), epoch: entry.epoch, reason });
                    self.answer_runner(entry.node, entry.session, now);
                }
            }
            MasterDecision::Free => next.master = None,
            MasterDecision::Wait(blocked) => *wake = (*wake).min(blocked.until.unwrap_or(Time::NEVER)),
        }
    }

    fn begin_mastership(&mut self, next: &mut Record, wake: &mut Time, now: Time) {
        match self.choose(next, now) {
            Choice::Wait(blocked) => *wake = (*wake).min(blocked.until.unwrap_or(Time::NEVER)),
            Choice::Name(node) => {
                let name = self.name_of(node);
                let Some(seen) = self.latest(node).cloned() else { return };
                let Some(lead) = &mut self.lead else { return };
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
                    hold: self.settings.hold(seen.summary.grace),
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
    fn update_master_flags(&mut self, next: &mut Record, now: Time) {
        let maintenance = next.maintenance;
        let Some(entry) = &mut next.master else { return };
        // R7: it left, or was restarted, and could not take everything down. No time that passes makes that better.
        let unclean = |p: &Peer| p.gone == Some(Gone::Left(None)) && self.succeeds(p.session, entry);
        entry.unclean |= self.peers.runs(entry.node).any(unclean);
        entry.unclean |= self.successor(entry).is_some_and(|seen| seen.summary.unclean);
        let Some(lead) = &mut self.lead else { return };
        let Some(seen) = lead.runners().of_run(entry.node, entry.session) else { return };
        entry.unclean |= seen.summary.unclean;
        // A grace or a lease was raised. The record takes the longer hold time before a longer lease is granted (R6).
        entry.hold = entry.hold.max(self.settings.hold(seen.summary.grace));
        if entry.unclean && !seen.summary.unclean && seen.summary.promotable {
            entry.unclean = false;
        }
        if entry.in_maintenance && !maintenance && seen.applied >= lead.placement().act_since() {
            // It acts on a version with maintenance off: its hold time is counted anew from this report.
            entry.in_maintenance = false;
            lead.placement_mut().grant(entry.epoch, now);
        }
    }

    /// A machine that was stopped by hand stays so when it comes back with a new disk: by then its name is all that is left.
    fn migrate_stop_flags(&self, next: &mut Record, now: Time) {
        let silent = |id: &NodeId| self.peers.get(*id).filter(|p| now.since(p.heard) > self.lately());
        let moved = next.stopped.iter().find_map(|old| {
            let name = &silent(old)?.info.name;
            // It has answered this leader: an old datagram of an earlier identity does not count.
            let there = |id| id != *old && self.seen_lately(id, now).is_some();
            let heir = self.peers.iter().find(|(id, p)| p.info.name == *name && there(*id));
            heir.map(|(id, _)| (*old, id))
        });
        if let Some((old, heir)) = moved {
            next.stopped.remove(&old);
            next.stopped.insert(heir);
        }
    }

    /// In maintenance a master that was restarted on its machine adopts what its earlier run left running, and is given a new mastership
    /// over it. A copy of its disk on another machine adopts nothing.
    fn readopt_master(&mut self, next: &mut Record) {
        let Some(lead) = &self.lead else { return };
        let Some(entry) = &mut next.master else { return };
        let newest = || lead.runners().of_node(entry.node).next_back().filter(|s| s.session > entry.session);
        let heir = if mutant!(CopyAdopts) { newest() } else { self.successor(entry) };
        if let Some(seen) = heir.filter(|seen| seen.summary.holds.is_some()) {
            entry.session = seen.session;
            entry.epoch = next.last_epoch.next_in(lead.term());
            next.last_epoch = entry.epoch;
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

    /// A target that cannot become master is none any more; normal choice goes on.
    fn drop_target(&mut self, next: &mut Record, now: Time) {
        let Some(target) = next.target else { return };
        let reason = match self.seen_lately(target, now) {
            None if self.settling(now).is_some() => return,
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
        let node = self.name_of(target);
        self.event(Event::TargetDropped { node, reason });
    }

    /// The run that speaks for a node.
    pub(crate) fn current_run(&self, node: NodeId) -> Option<Session> {
        if node == self.id {
            return Some(self.session);
        }
        self.peers.get(node).map(|p| p.session)
    }

    /// The last report in this term of the run that speaks for a node.
    pub(crate) fn latest(&self, node: NodeId) -> Option<&RunnerReport> {
        self.lead.as_ref()?.runners().of_run(node, self.current_run(node)?)
    }

    /// The same, if it is recent, and the run is not over.
    pub(crate) fn seen_lately(&self, node: NodeId, now: Time) -> Option<&RunnerReport> {
        let there = node == self.id || self.peers.get(node).is_some_and(|p| p.gone.is_none());
        self.latest(node).filter(|s| there && now.since(s.at) <= self.lately())
    }

    /// The last report of each node's run that speaks for it.
    pub(crate) fn latest_reports(&self) -> impl Iterator<Item = (NodeId, &RunnerReport)> {
        let all = self.lead.iter().flat_map(|lead| lead.runners().iter());
        all.filter(|(id, seen)| self.current_run(*id) == Some(seen.session))
    }

    /// Whether `run` is the run of the master's entry, or one that came after it on the same machine.
    pub(crate) fn succeeds(&self, run: Session, entry: &MasterEntry) -> bool {
        let mut run = run;
        // As many as are remembered.
        for _ in 0..4 {
            if run == entry.session {
                return true;
            }
            let before = match self.peers.run(entry.node, run) {
                _ if entry.node == self.id && run == self.session => self.identity.follows(),
                Some(peer) => peer.info.follows,
                None => None,
            };
            let Some(before) = before else { return false };
            run = before;
        }
        false
    }

    /// The master's run, or one that came after it on its machine, reports now.
    pub(crate) fn speaks_for(&self, entry: &MasterEntry, now: Time) -> bool {
        let Some(lead) = &self.lead else { return false };
        let mut recent =
            lead.runners().of_node(entry.node).filter(|seen| now.since(seen.at) <= self.lately());
        recent.any(|seen| self.succeeds(seen.session, entry))
    }

    /// The report of a run that came after the master's on the same machine: the master's is over, daemon and guardian.
    fn successor(&self, entry: &MasterEntry) -> Option<&RunnerReport> {
        let lead = self.lead.as_ref()?;
        let later =
            |seen: &&RunnerReport| seen.session != entry.session && self.succeeds(seen.session, entry);
        lead.runners().of_node(entry.node).rfind(later)
    }

    /// What is to become of the record's master (R6). A newer run of its node neither shortens nor prolongs the wait for the one that was
    /// master: it may be another machine.
    pub(crate) fn fate(&self, entry: &MasterEntry, record: &Record, now: Time) -> MasterDecision {
        if self.has_released(entry) {
            return MasterDecision::Free;
        }
        let Some(lead) = &self.lead else { return MasterDecision::Keep };
        let recent = |seen: &&RunnerReport| now.since(seen.at) <= self.lately();
        if let Some(seen) = lead.runners().of_run(entry.node, entry.session).filter(recent) {
            return self
                .reason_to_drop(entry, seen, record, now)
                .map_or(MasterDecision::Keep, MasterDecision::Order);
        }
        match self.successor(entry).filter(recent) {
            Some(seen) => MasterDecision::Wait(Box::new(restarted(entry, seen).into())),
            None => self.lost(entry, now),
        }
    }

    /// Whether this mastership's run, its guardian, or the run after it on the same machine has said that it holds nothing of it any more.
    fn has_released(&self, entry: &MasterEntry) -> bool {
        match self.peers.run(entry.node, entry.session).and_then(|run| run.gone) {
            Some(Gone::Dead { all_down: true }) => return true,
            Some(Gone::Left(Some(epoch))) if epoch >= entry.epoch => return true,
            Some(Gone::Dead { all_down: false } | Gone::Left(_)) | None => {}
        }
        let Some(lead) = &self.lead else { return false };
        let own = lead.runners().of_run(entry.node, entry.session);
        if own.is_some_and(|seen| seen.summary.released >= entry.epoch) {
            return true;
        }
        let clean = |seen: &&RunnerReport| !seen.summary.up && seen.summary.holds.is_none();
        let newer = || lead.runners().of_node(entry.node).rfind(|s| s.session > entry.session);
        let heir = if mutant!(NewerRunFrees) { newer() } else { self.successor(entry) };
        heir.as_ref().is_some_and(clean)
    }

    fn reason_to_drop(
        &self,
        entry: &MasterEntry,
        seen: &RunnerReport,
        record: &Record,
        now: Time,
    ) -> Option<DropReason> {
        let summary = &seen.summary;
        if summary.leaving {
            return Some(DropReason::Stopping);
        }
        if record.stopped.contains(&entry.node) {
            return Some(DropReason::StoppedByHand);
        }
        if summary.state == NodeState::Failed {
            return Some(DropReason::Failed { reason: summary.reason.clone() });
        }
        let target = record.target.filter(|t| *t != entry.node);
        if let Some(target) = target.filter(|t| self.is_candidate(*t, record, now)) {
            return Some(DropReason::OtherTarget { node: self.name_of(target) });
        }
        if record.manual && record.target.is_none() {
            return Some(DropReason::DemotedByHand);
        }
        // R7 alone ends a mastership over a disk; one under which nothing could ever be promoted has not begun.
        if let Some(why) = summary.unfit.as_ref().filter(|_| !summary.up && summary.services > 0) {
            return Some(DropReason::CannotPromote { why: why.clone() });
        }
        // Its earlier reports may have been on their way before it knew of its mastership.
        (!summary.promotable).then_some(DropReason::NotPromotable { state: summary.state })
    }

    /// The master is silent: only time, its own word or an operator ends its mastership.
    fn lost(&self, entry: &MasterEntry, now: Time) -> MasterDecision {
        let node = entry.name.clone();
        if entry.in_maintenance && !mutant!(MaintenanceTakenOver) {
            return MasterDecision::Wait(Box::new(WaitReason::MasterInMaintenance { node }.into()));
        }
        if entry.unclean {
            return MasterDecision::Wait(Box::new(WaitReason::MasterUnclean { node }.into()));
        }
        let Some(lead) = &self.lead else { return MasterDecision::Keep };
        let (own, inherited) = lead.placement().hold_counts_from(entry.epoch);
        let last = if mutant!(InheritanceIgnored) {
            own.unwrap_or(Time(0))
        } else {
            own.max(inherited).unwrap_or(lead.won())
        };
        let hold = if mutant!(TakeoverWithoutGrace) { self.settings.master_lease } else { entry.hold };
        let over = last + stretched(hold, DRIFT_PERCENT);
        let over = if mutant!(TakeoverAtOnce) { now } else { over };
        if now >= over {
            return MasterDecision::Free;
        }
        MasterDecision::Wait(Box::new(Wait::until(WaitReason::MasterSilent { node }, over)))
    }

    /// Whom to make master now (R9).
    pub(crate) fn choose(&self, record: &Record, now: Time) -> Choice {
        let wait = |blocked: Wait| Choice::Wait(Box::new(blocked));
        if record.manual && record.target.is_none() {
            return wait(WaitReason::DemotedByHand.into());
        }
        if let Some(blocked) = self.settling(now) {
            return wait(blocked);
        }
        if let Some(blocked) = self.starting(record, now) {
            return wait(blocked);
        }
        let best = record.target.filter(|t| self.is_candidate(*t, record, now));
        let Some(best) = best.or_else(|| self.best_candidate(record, None, now)) else {
            return wait(self.resting(record, now).unwrap_or_else(|| self.no_candidate(now).into()));
        };
        if let Some(blocked) = self.still_up(best, now) {
            return wait(blocked.into());
        }
        Choice::Name(best)
    }

    /// A new leader learns how everyone is before it decides anything.
    fn settling(&self, now: Time) -> Option<Wait> {
        let lead = self.lead.as_ref()?;
        let until = lead.won() + self.settings.election_timeout();
        if now >= until {
            return None;
        }
        let lately = self.lately();
        let awaited = self.peers.iter().find(|(id, p)| {
            p.info.runner && p.gone.is_none() && now.since(p.heard) <= lately && self.latest(*id).is_none()
        });
        let (_, peer) = awaited?;
        Some(Wait::until(WaitReason::NoReportYet { node: peer.info.name.clone() }, until))
    }

    /// A starting cluster waits for better candidates, until all are there.
    fn starting(&self, record: &Record, now: Time) -> Option<Wait> {
        let lead = self.lead.as_ref().filter(|l| l.placement().is_cold())?;
        let until = lead.won() + self.settings.initial_promotion_delay;
        if now >= until || record.target.is_some() {
            return None;
        }
        let electors = self.electors_known();
        let missing = electors.saturating_sub(self.electors_seen(now));
        let unready =
            self.latest_reports().find(|(id, s)| !s.summary.promotable && !record.stopped.contains(id));
        let reason = match unready {
            _ if electors == 0 => WaitReason::StartElectorsUnknown,
            _ if missing > 0 => WaitReason::StartElectorsMissing { missing, electors },
            Some((id, s)) => {
                WaitReason::StartRunnerNotReady { node: self.name_of(id), state: s.summary.state }
            }
            None => return None,
        };
        Some(Wait::until(reason, until))
    }

    /// Electors heard from now, this node included.
    pub(crate) fn electors_seen(&self, now: Time) -> usize {
        let others = self.peers.iter().filter(|(id, p)| {
            p.info.elector && p.gone.is_none() && self.counts(*id) && now.since(p.heard) <= self.lately()
        });
        usize::from(self.settings.elector && self.counts(self.id)) + others.count()
    }

    /// How many electors the cluster has: by the record, or, before there are members, by the configuration; 0: unknown.
    pub(crate) fn electors_known(&self) -> usize {
        match self.knows_members() {
            true => self.durable.record.members.len(),
            false => usize::from(self.settings.electors.count()),
        }
    }

    /// None is chosen while another runner still has something promoted: the old master must be down first.
    fn still_up(&self, but: NodeId, now: Time) -> Option<WaitReason> {
        let lead = self.lead.as_ref()?;
        let hold = self.patience();
        let chosen = self.current_run(but);
        let (id, seen) = lead.runners().iter().find(|(id, s)| {
            // An unclean node that is not the record's master any more was attested to be down; not one that never was.
            let attested = s.summary.unclean && !unbidden(s);
            (*id != but || Some(s.session) != chosen) && s.summary.up && !attested && now.since(s.at) <= hold
        })?;
        let node = self.name_of(id);
        if unbidden(seen) {
            let reason = seen.summary.reason.clone();
            return Some(WaitReason::PromotedUnbidden { node, reason });
        }
        Some(WaitReason::StillPromoted { node, state: seen.summary.state })
    }

    /// Every candidate has been master in vain of late: the next try waits.
    fn resting(&self, record: &Record, now: Time) -> Option<Wait> {
        let candidates = self.latest_reports().filter(|(id, _)| self.is_candidate(*id, record, now));
        let (until, id) = candidates.map(|(id, s)| (self.rests_until(id, s, now), id)).min()?;
        let reason = WaitReason::CandidateRests { node: self.name_of(id) };
        (until > now).then(|| Wait::until(reason, until))
    }

    fn no_candidate(&self, now: Time) -> WaitReason {
        if self.latest_reports().next().is_none() {
            return WaitReason::NoRunner;
        }
        let obstacle = |(id, s): (NodeId, &RunnerReport)| match self.bears_its_name(id, now) {
            true => CandidateObstacle::State { node: self.name_of(id), state: s.summary.state },
            false => CandidateObstacle::NameTaken { id, name: self.name_of(id) },
        };
        WaitReason::NoCandidate { obstacles: self.latest_reports().map(obstacle).take(5).collect() }
    }

    /// Could be promoted now (R9), leaving failures aside.
    pub(crate) fn is_candidate(&self, node: NodeId, record: &Record, now: Time) -> bool {
        let Some(lead) = &self.lead else { return false };
        self.seen_lately(node, now).is_some_and(|seen| {
            let s = &seen.summary;
            s.promotable
                && !s.leaving
                && !s.unclean
                && !s.maintenance
                && !record.stopped.contains(&node)
                && self.bears_its_name(node, now)
                // A new master must write its mark (R8). One that is promoted has done so.
                && (s.unfit.is_none() || s.up)
                && !self.is_deaf(node, now)
                // It must act on a version from after the end of maintenance.
                && seen.applied >= lead.placement().act_since()
        })
    }

    /// R9: already promoted, then the promotion score (no opinion counts as 0), then uptime; ties by who was seen last.
    pub(crate) fn best_candidate(&self, record: &Record, but: Option<NodeId>, now: Time) -> Option<NodeId> {
        let others = || self.latest_reports().filter(move |(id, _)| Some(*id) != but);
        let candidates = || others().filter(|(id, _)| self.is_candidate(*id, record, now));
        let calm = |id: NodeId, s: &RunnerReport| self.is_calm(id, s, now);
        let any_calm = candidates().any(|(id, s)| calm(id, s));
        let rests = |id: NodeId, s: &RunnerReport| self.rests_until(id, s, now) > now;
        let key = |id: NodeId, s: &RunnerReport| {
            let promoted = s.summary.state == NodeState::Master || s.summary.holds.is_some();
            // Seconds, so that a report's way does not decide between nodes that started together.
            let uptime: Duration = s.uptime + now.since(s.at);
            (promoted, s.summary.score.unwrap_or(0), uptime.as_secs(), s.at, id)
        };
        candidates()
            .filter(|(id, s)| (calm(*id, s) || !any_calm) && !rests(*id, s))
            .max_by_key(|(id, s)| key(*id, s))
            .map(|(id, _)| id)
    }

    /// Of several nodes that answer to one name the first bears it: the master, then a member, then the one that runs longest. The others are
    /// not newly named master: nobody could say which is meant.
    pub(crate) fn bears_its_name(&self, node: NodeId, now: Time) -> bool {
        let name = self.name_of(node);
        let master = self.durable.applied.master.as_ref().map(|m| m.node);
        let precedence =
            |id: NodeId, uptime: Duration| (master == Some(id), self.counts(id), uptime.as_secs(), id);
        let others = self
            .peers
            .iter()
            .filter(|(id, p)| *id != node && p.info.name == name && p.is_around(self.lately(), now));
        let own =
            (node != self.id && self.settings.name == name).then_some((self.id, now.since(self.started)));
        let uptime = match self.peers.get(node) {
            Some(peer) => now.since(peer.since),
            None => now.since(self.started),
        };
        let rivals = others.map(|(id, p)| (id, now.since(p.since))).chain(own);
        rivals.into_iter().all(|(id, up)| precedence(id, up) < precedence(node, uptime))
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

    /// The names of these nodes, in their order.
    pub(crate) fn names_of<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<String> {
        let mut names: Vec<String> = nodes.into_iter().map(|id| self.name_of(*id)).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn name_of(&self, node: NodeId) -> String {
        if node == self.id {
            return self.settings.name.clone();
        }
        match self.peers.get(node) {
            Some(peer) if !peer.info.name.is_empty() => peer.info.name.clone(),
            _ => self.durable.names.get(&node).cloned().unwrap_or_else(|| node.to_string()),
        }
    }
}

/// R7: its status calls something promoted, and no mastership ever gave it the right to that.
fn unbidden(seen: &RunnerReport) -> bool {
    seen.summary.unclean && seen.summary.suspect && seen.summary.holds.is_none()
}

fn restarted(entry: &MasterEntry, seen: &RunnerReport) -> WaitReason {
    let node = entry.name.clone();
    match seen.summary.unclean {
        true => WaitReason::RestartedUnclean { node },
        false => WaitReason::RestartedTakesDown { node },
    }
}
