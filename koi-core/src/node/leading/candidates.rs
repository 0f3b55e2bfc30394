//! Who can be made master, who comes first, and what a choice waits for (rule R9).

use std::time::Duration;

use crate::leader::choice::best_of;
use crate::leader::placement::{Choice, Wait};
use crate::leader::reports::GroupReport;
use crate::node::group_ref::GroupRef;
use crate::reason::{CandidateObstacle, WaitReason};
use crate::record::GroupRecord;
use crate::types::{NodeId, Time};

/// Candidates that are asked how they are have so long to answer. A slow status decides with what it said last.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_millis(100);
/// An answer decides for so long.
const ANSWER_LASTS: Duration = Duration::from_secs(1);

impl GroupRef<'_> {
    /// A new leader learns how everyone is before it decides anything.
    pub(super) fn settling(&self) -> Option<Wait> {
        let now = self.now;
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
    pub(super) fn starting(&self, record: &GroupRecord) -> Option<Wait> {
        let lead = self.lead.as_ref().filter(|l| l.placement(self.group).is_cold())?;
        let until = lead.won() + self.settings.initial_promotion_delay;
        if self.now >= until || record.target.is_some() {
            return None;
        }
        let electors = self.electors_known();
        let missing = electors.saturating_sub(self.electors_seen());
        let unready =
            self.latest_of_all().find(|(id, s)| !s.summary.promotable && !record.stopped.contains(id));
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

    /// None is chosen while another runner still has something promoted: the old master must be down first.
    pub(super) fn still_up(&self, but: NodeId) -> Option<WaitReason> {
        let hold = self.patience();
        let chosen = self.current_run(but);
        let (id, seen) = self.all_reports().find(|(id, s)| {
            // An unclean node that is not the record's master any more was attested to be down; not one that never was.
            let attested = s.summary.unclean && !s.is_unbidden();
            (*id != but || Some(s.session) != chosen)
                && s.summary.maybe_promoted
                && !attested
                && self.now.since(s.at) <= hold
        })?;
        let node = self.name_of(id);
        if seen.is_unbidden() {
            let reason = seen.summary.reason.clone();
            return Some(WaitReason::PromotedUnbidden { node, reason });
        }
        Some(WaitReason::StillPromoted { node, state: seen.summary.state })
    }

    /// Every candidate has been master in vain of late: the next try waits.
    pub(super) fn resting(&self, record: &GroupRecord) -> Option<Wait> {
        let (until, id) = self.candidates(record).map(|(id, s)| (self.rests_until(id, &s), id)).min()?;
        let reason = WaitReason::CandidateRests { node: self.name_of(id) };
        (until > self.now).then(|| Wait::until(reason, until))
    }

    pub(super) fn no_candidate(&self) -> WaitReason {
        if let Some(with) = self.partner() {
            return match self.partner_place(with).filter(|place| place.promoted) {
                Some(place) => WaitReason::NowhereElse { with: with.clone(), node: self.name_of(place.node) },
                None => WaitReason::AwaitsPartner { with: with.clone() },
            };
        }
        if self.latest_of_all().next().is_none() {
            return WaitReason::NoRunner;
        }
        let obstacle = |(id, s): (NodeId, GroupReport<'_>)| match self.bears_its_name(id) {
            _ if self.is_never(id) => CandidateObstacle::NeverHere { node: self.name_of(id) },
            true => CandidateObstacle::State { node: self.name_of(id), state: s.summary.state },
            false => CandidateObstacle::NameTaken { id, name: self.name_of(id) },
        };
        WaitReason::NoCandidate { obstacles: self.latest_of_all().map(obstacle).take(5).collect() }
    }

    /// Could be promoted now (R9), leaving failures aside.
    pub(crate) fn is_candidate(&self, node: NodeId, record: &GroupRecord) -> bool {
        let Some(placement) = self.placement() else { return false };
        self.recent_report(node).is_some_and(|seen| {
            let s = seen.summary;
            s.promotable
                && !s.leaving
                && !s.unclean
                && !s.maintenance
                && !record.stopped.contains(&node)
                && !self.is_never(node)
                && self.bears_its_name(node)
                // A new master must write its mark (R8). One that is promoted has done so.
                && (s.unfit.is_none() || s.maybe_promoted)
                && !self.is_deaf(node)
                && !self.is_fenced(node)
                // It must act on a version from after the end of maintenance.
                && seen.applied >= placement.act_since()
        })
    }

    /// R9 and R15: who is best of those that can be master, and go together with what the group goes together with. Whoever failed of late, or
    /// was master in vain, is passed over where there is another.
    pub(crate) fn best_candidate(&self, record: &GroupRecord, but: Option<NodeId>) -> Option<NodeId> {
        let now = self.now;
        let candidates = || self.candidates(record).filter(move |(id, _)| Some(*id) != but);
        let calm = |id: NodeId, s: &GroupReport<'_>| self.is_calm(id, s);
        let any_calm = candidates().any(|(id, s)| calm(id, &s));
        let rests = |id: NodeId, s: &GroupReport<'_>| self.rests_until(id, s) > now;
        let contenders: Vec<_> = candidates()
            .filter(|(id, s)| (calm(*id, s) || !any_calm) && !rests(*id, s))
            .map(|(id, s)| self.contender(id, &s))
            .collect();
        best_of(&contenders, self.policy().map(|policy| policy.score_slack).unwrap_or_default())
    }

    /// Whether scores decide who is next, and the candidates are to be asked for theirs before: the last status may have been long ago.
    pub(crate) fn asks(&self, record: &GroupRecord) -> Option<Choice> {
        if !self.scores_decide(record) {
            return None;
        }
        let question = self.placement()?.question();
        let Some(question) = question.filter(|question| self.now.since(question.at) <= ANSWER_LASTS) else {
            return Some(Choice::Ask);
        };
        let until = question.at + ANSWERED_WITHIN;
        let silent = |(_, seen): &(NodeId, GroupReport<'_>)| seen.summary.asked < Some(question.number);
        let (node, _) = self.candidates(record).find(silent).filter(|_| self.now < until)?;
        let node = self.name_of(node);
        Some(Choice::Wait(Box::new(Wait::until(WaitReason::AskedHowItIs { node }, until))))
    }

    /// When the candidates are to be asked, if the mastership is free at `free`: early enough that nobody waits for their answers.
    pub(crate) fn asks_at(&self, record: &GroupRecord, free: Time) -> Option<Time> {
        let asked = self.placement()?.question().is_some_and(|q| free.since(q.at) <= ANSWER_LASTS);
        (!asked && self.scores_decide(record)).then(|| free - ANSWERED_WITHIN)
    }

    /// The run whose answer to the newest question still counts is told it again with each answer to a report.
    pub(crate) fn open_question(&self) -> Option<u64> {
        let question = self.placement()?.question()?;
        (self.now < question.at + ANSWERED_WITHIN).then_some(question.number)
    }

    /// Several could be next, and their services say how gladly.
    fn scores_decide(&self, record: &GroupRecord) -> bool {
        let wanted = record.target.is_some_and(|target| self.is_candidate(target, record));
        let several = || self.candidates(record).nth(1).is_some();
        let scored = || self.candidates(record).any(|(_, seen)| seen.summary.score().is_some());
        !wanted && scored() && several() && !mutant!(OldScoresDecide)
    }

    /// Who could be promoted now, where the group may be.
    pub(super) fn candidates(&self, record: &GroupRecord) -> impl Iterator<Item = (NodeId, GroupReport<'_>)> {
        self.latest_of_all().filter(|(id, _)| self.is_candidate(*id, record) && self.goes_to(*id))
    }

    /// Of several nodes that answer to one name the first bears it: the master, then a member, then the one that runs longest. The others are
    /// not newly named master: nobody could say which is meant.
    pub(crate) fn bears_its_name(&self, node: NodeId) -> bool {
        let now = self.now;
        let name = self.name_of(node);
        let master = self.entry().map(|m| m.node);
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
}
