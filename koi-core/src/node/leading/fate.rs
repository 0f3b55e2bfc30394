//! What becomes of a mastership (rules R6 and R7): who speaks for its node, and whether it is kept, ended, or waited for.

use crate::leader::placement::{MasterDecision, Wait};
use crate::leader::reports::GroupReport;
use crate::node::group_ref::GroupRef;
use crate::reason::{DropReason, WaitReason};
use crate::record::{GroupRecord, MasterEntry};
use crate::settings::DRIFT_PERCENT;
use crate::types::{NodeState, Session, Time, stretched};

impl<'a> GroupRef<'a> {
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
    pub(crate) fn speaks_for(&self, entry: &MasterEntry) -> bool {
        let mut recent = self.reports_of(entry.node).filter(|seen| self.now.since(seen.at) <= self.lately());
        recent.any(|seen| self.succeeds(seen.session, entry))
    }

    /// The report of a run that came after the master's on the same machine: the master's is over, daemon and guardian.
    pub(crate) fn successor(&self, entry: &MasterEntry) -> Option<GroupReport<'a>> {
        let later =
            |seen: &GroupReport<'_>| seen.session != entry.session && self.succeeds(seen.session, entry);
        self.reports_of(entry.node).rfind(later)
    }

    /// What is to become of the record's master (R6). A newer run of its node neither shortens nor prolongs the wait for the one that was
    /// master: it may be another machine.
    pub(crate) fn fate(&self, entry: &MasterEntry, record: &GroupRecord) -> MasterDecision {
        if self.has_released(entry) {
            return MasterDecision::Free;
        }
        if self.lead.is_none() {
            return MasterDecision::Keep;
        }
        let recent = |seen: &GroupReport<'_>| self.now.since(seen.at) <= self.lately();
        if let Some(seen) = self.report_of(entry.node, entry.session).filter(recent) {
            let dropped = self.reason_to_drop(entry, &seen, record).or_else(|| self.makes_way(entry));
            let Some(why) = dropped else { return MasterDecision::Keep };
            return match self.follower_first(entry, &why) {
                Some(follower) => {
                    let node = entry.name.clone();
                    MasterDecision::Wait(Box::new(WaitReason::FollowerFirst { follower, node, why }.into()))
                }
                None => MasterDecision::Order(why),
            };
        }
        match self.successor(entry).filter(recent) {
            Some(seen) => MasterDecision::Wait(Box::new(restarted(entry, &seen).into())),
            None => self.lost(entry),
        }
    }

    /// Whether this mastership's run, its guardian, or the run after it on the same machine has said that it holds nothing of it any more.
    fn has_released(&self, entry: &MasterEntry) -> bool {
        let gone = self.peers.run(entry.node, entry.session).and_then(|run| run.gone.as_ref());
        if gone.is_some_and(|gone| gone.has_released(self.group, entry.epoch)) {
            return true;
        }
        if self.released_by_report(entry) {
            return true;
        }
        let clean = |seen: &GroupReport<'_>| !seen.summary.maybe_promoted && seen.summary.holds.is_none();
        let newer = || self.reports_of(entry.node).rfind(|s| s.session > entry.session);
        let heir = if mutant!(NewerRunFrees) { newer() } else { self.successor(entry) };
        heir.as_ref().is_some_and(clean)
    }

    /// Whether the master's run says itself that it holds nothing of this mastership any more.
    fn released_by_report(&self, entry: &MasterEntry) -> bool {
        if mutant!(ReleaseOfAnyGroup) {
            let runners = self.lead.as_ref().map(|lead| lead.runners());
            let seen = runners.and_then(|runners| runners.of_run(entry.node, entry.session));
            return seen.is_some_and(|seen| seen.summaries.values().any(|s| s.released >= entry.epoch));
        }
        let own = self.report_of(entry.node, entry.session);
        own.is_some_and(|seen| seen.summary.released >= entry.epoch)
    }

    fn reason_to_drop(
        &self,
        entry: &MasterEntry,
        seen: &GroupReport<'_>,
        record: &GroupRecord,
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
        // R15: what goes together with a master that ends comes down with it.
        if let Some(parted) = self.parted(entry) {
            return Some(parted);
        }
        let target = record.target.filter(|t| *t != entry.node);
        if let Some(target) = target.filter(|t| self.is_candidate(*t, record)) {
            return Some(DropReason::OtherTarget { node: self.name_of(target) });
        }
        if record.manual && record.target.is_none() {
            return Some(DropReason::DemotedByHand);
        }
        // R7 alone ends a mastership over a disk; one under which nothing could ever be promoted has not begun.
        if let Some(why) = summary.unfit.as_ref().filter(|_| !summary.maybe_promoted && summary.services > 0)
        {
            return Some(DropReason::CannotPromote { why: why.clone() });
        }
        if self.is_never(entry.node) && self.best_candidate(record, Some(entry.node)).is_some() {
            return Some(DropReason::NeverHere);
        }
        if let Some(node) = self.placement().and_then(|placement| placement.moves().moving_to()) {
            return Some(DropReason::Preferred { node: self.name_of(node) });
        }
        // Its earlier reports may have been on their way before it knew of its mastership.
        (!summary.promotable).then_some(DropReason::NotPromotable { state: summary.state })
    }

    /// The master is silent: only time, its own word or an operator ends its mastership.
    fn lost(&self, entry: &MasterEntry) -> MasterDecision {
        let now = self.now;
        let node = entry.name.clone();
        if entry.in_maintenance && !mutant!(MaintenanceTakenOver) {
            return MasterDecision::Wait(Box::new(WaitReason::MasterInMaintenance { node }.into()));
        }
        if entry.unclean {
            return MasterDecision::Wait(Box::new(WaitReason::MasterUnclean { node }.into()));
        }
        let Some(lead) = &self.lead else { return MasterDecision::Keep };
        let (own, inherited) = lead.placement(self.group).hold_counts_from(entry.epoch);
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
}

fn restarted(entry: &MasterEntry, seen: &GroupReport<'_>) -> WaitReason {
    let node = entry.name.clone();
    match seen.summary.unclean {
        true => WaitReason::RestartedUnclean { node },
        false => WaitReason::RestartedTakesDown { node },
    }
}
