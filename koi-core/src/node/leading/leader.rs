//! The leader's side: its lease, the record's replication, and what it answers to reports (rules R3, R4 and R5).
//! Whom it makes master is decided in `placement`.

use std::collections::{BTreeMap, BTreeSet};

use crate::attributes::{Attributes, AttributesCopy, AttributesVersion, WriteNumber};
use crate::elector::durability::{Deferred, Durability};
use crate::elector::election::Ballot;
use crate::event::Event;
use crate::group::GroupName;
use crate::io::{CommandError, Destination, Effect};
use crate::leader::leadership::Leadership;
use crate::message::{
    Answer, Body, Heartbeat, Lease, RULES, Recipient, Report, Resign, RunnerSummary, Verdict,
};
use crate::node::handlers::LeadershipHandler;
use crate::node::node_ref::NodeRef;
use crate::reason::StepDownReason;
use crate::record::{MasterEntry, Record, StateOrigin};
use crate::settings::DRIFT_PERCENT;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Session, Term, Time, Version, stretched};

impl LeadershipHandler<'_> {
    // --- winning and losing ---

    /// A quorum has voted for this node. It adopts the newest record of its voters and replicates it under its term before
    /// it changes anything (R4).
    pub(crate) fn win(&mut self, term: Term, votes: BTreeMap<NodeId, Ballot>) {
        let now = self.ctx.now;
        self.election.lead(now);
        self.following.leave();
        *self.lead = Some(Leadership::new(term, &votes, now));
        self.durable.set_origin(StateOrigin::Member);
        self.durable.keep_promised_lease(self.ctx.settings.leader_lease, false);
        self.ctx.event(Event::LeadershipGained { term, votes: votes.len() });
        self.adopt_newest(&votes);
    }

    fn adopt_newest(&mut self, votes: &BTreeMap<NodeId, Ballot>) {
        let record = self.node().newest_record(votes).clone();
        self.adopt(record);
    }

    /// Changes the record. The change takes effect nowhere before it counts (R4).
    pub(crate) fn propose(&mut self, record: Record) {
        if let Some(lead) = self.lead {
            propose(lead, self.durable, record, self.ctx.now);
        }
    }

    pub(crate) fn step_down(&mut self, reason: StepDownReason) {
        self.drop_fence();
        let Some(lead) = self.lead.take() else { return };
        let term = lead.term();
        for id in lead.into_commands() {
            self.ctx.effect(Effect::Answer { id, result: Err(CommandError::LostLeadership) });
        }
        self.ctx.event(Event::LeadershipEnded { term, reason: reason.to_owned() });
        self.election.step_down(self.ctx.now + self.ctx.settings.election_timeout());
    }

    /// Leads no more, and frees the votes that were promised to it, its own too (R1).
    pub(crate) fn resign(&mut self, reason: StepDownReason) {
        let Some(term) = self.lead.as_ref().map(|lead| lead.term()) else { return };
        self.ctx.send(Destination::Everyone, None, Body::Resign(Resign { term }));
        self.step_down(reason);
        self.election.release(self.ctx.id, self.ctx.session, Some(term));
    }

    /// Lets time take effect on the leadership. Whether it has sent a heartbeat, to which this node is to report too.
    pub(crate) fn advance_leadership(&mut self) -> bool {
        let now = self.ctx.now;
        if self.lead.is_none() {
            return false;
        }
        if now >= self.node().leadership_end() {
            self.step_down(StepDownReason::NoQuorum);
            return false;
        }
        if self.give_up_adopting() {
            return false;
        }
        let Some(lead) = self.lead else { return false };
        let claim = lead.repeat_claim(self.ctx.settings.heartbeat, now);
        let heartbeat = lead.heartbeat_is_due(now);
        if heartbeat {
            self.ask_for_attributes();
            self.send_heartbeat();
        } else if lead.repeat_is_due(now) {
            self.repeat_heartbeat();
        }
        if let Some(term) = claim {
            self.send_claim(term);
        }
        heartbeat
    }

    fn send_claim(&mut self, term: Term) {
        let claim = self.node().claim(term);
        self.ctx.send(Destination::Everyone, None, claim);
    }

    fn send_heartbeat(&mut self) {
        let now = self.ctx.now;
        let (heartbeat, lease) = (self.ctx.settings.heartbeat, self.ctx.settings.leader_lease);
        let may_shorten = self.election.may_shorten(now);
        self.durable.keep_promised_lease(lease, may_shorten);
        let Some(lead) = self.lead else { return };
        lead.number_heartbeat(heartbeat, now);
        self.renew_rosters();
        let Some(lead) = self.lead else { return };
        // R1: a leader's own heartbeat is its own acknowledgement, in its promise and in what its votes say.
        let until = now + stretched(lease, DRIFT_PERCENT);
        let term = lead.term();
        let longest = lease >= self.durable.promised_lease;
        self.election.acknowledge((self.ctx.id, self.ctx.session, term), until, longest, now);
        if let Some(message) = self.node().heartbeat() {
            // Whoever has not answered this leader in its term may not know yet that its words are fresh: it is named.
            let lately = self.node().lately() * 2;
            let unmet = self
                .peers
                .iter()
                .filter(|(id, p)| p.is_around(lately, now) && !self.node().has_answered(*id));
            let unmet: Vec<Recipient> =
                unmet.map(|(node, p)| Recipient { node, session: p.session }).collect();
            for recipient in unmet {
                let body = Body::Heartbeat(message.clone());
                self.ctx.send(Destination::Node(recipient.node), Some(recipient), body);
            }
            self.ctx.send(Destination::Everyone, None, Body::Heartbeat(message));
        }
    }

    /// A lossy network must cost no lease: who has not answered the newest heartbeat is told it again, some times, and the
    /// acknowledgement counts from when it was sent first. Without loss nobody is left to be told.
    fn repeat_heartbeat(&mut self) {
        let now = self.ctx.now;
        let patience = self.node().lately() * 2;
        let Some(lead) = self.lead else { return };
        let newest = lead.newest_sent().unwrap_or(now);
        let silent: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(_, p)| p.heard < newest && now.since(p.heard) <= patience && p.gone.is_none())
            .map(|(id, _)| id)
            .collect();
        lead.repeat_at(if silent.is_empty() { Time::NEVER } else { now + self.ctx.settings.heartbeat / 4 });
        let Some(message) = self.node().heartbeat() else { return };
        for node in silent {
            self.ctx.send(Destination::Node(node), None, Body::Heartbeat(message.clone()));
        }
    }

    // --- claiming again above a term that was spent in vain ---

    pub(crate) fn on_refuse(&mut self, from: NodeId, session: Session, newest: Term) {
        if !self.node().counts(from) {
            if let Some(body) = self.node().turns_away(from, newest) {
                self.ctx.answer(from, session, body);
            }
            return;
        }
        self.election.hear_of(newest);
        let Some(lead) = self.lead else { return };
        let resend = self.ctx.now + self.ctx.settings.heartbeat;
        let Some(term) = lead.reclaim_above(newest, self.durable.term, resend) else { return };
        self.durable.vote(term, (self.ctx.id, self.ctx.session));
        self.durable.defer(Deferred::RequestVote(term));
    }

    pub(crate) fn reclaim_is_durable(&mut self, term: Term, own: Ballot) {
        let id = self.ctx.id;
        let Some(lead) = self.lead else { return };
        if !lead.may_say_claim(term) {
            return;
        }
        lead.take_vote(id, term, own);
        self.send_claim(term);
        self.count_reclaim();
    }

    pub(crate) fn on_reclaim_vote(&mut self, from: NodeId, term: Term, ballot: Ballot) {
        if let Some(lead) = self.lead {
            lead.take_vote(from, term, ballot);
            self.count_reclaim();
        }
    }

    fn count_reclaim(&mut self) {
        let votes = self.lead.as_ref().and_then(|lead| lead.claim_votes());
        if !votes.is_some_and(|votes| self.node().elects(votes)) {
            return;
        }
        self.drop_fence();
        let Some(lead) = self.lead else { return };
        let Some(votes) = lead.enter_claimed_term(self.ctx.now) else { return };
        let term = lead.term();
        self.ctx.event(Event::LeadershipGained { term, votes: votes.len() });
        self.adopt_newest(&votes);
    }

    // --- the record (R4) ---

    /// The own copy, or a follower's, has reached a disk: perhaps a quorum has it now.
    pub(crate) fn count_copies(&mut self) {
        let version = self.durable.record.version;
        let open = self.lead.as_ref().is_some_and(|l| version.term == l.term() && l.committed() != version);
        if !open || !(self.node().has_quorum_of_copies(version) || mutant!(CommittedAlone)) {
            return;
        }
        let Some(lead) = self.lead else { return };
        for (id, answered) in lead.commit(version, self.ctx.now) {
            self.ctx.effect(Effect::Answer { id, result: Ok(answered) });
        }
        self.following.inform();
        let before = self.durable.apply(self.durable.record.clone());
        let changes = self.node().changes_since(&before);
        changes.into_iter().for_each(|(group, change)| self.ctx.event_of(&group, change));
        // Whoever is newly named hears it at once. Others are answered when they report: an answer to one that is lost would prolong the wait for it (R6)
        // with each version.
        let first = before.version.term < version.term;
        if first {
            // What an earlier leader has named may not be wanted any more: it is told so together with its lease.
            self.decide();
        }
        let is_new = |(group, m): &(&GroupName, &MasterEntry)| {
            first || before.group(group).master.as_ref() != Some(*m)
        };
        let masters = self.durable.record.masters().filter(is_new);
        let masters: BTreeSet<_> = masters.map(|(_, m)| (m.node, m.session)).collect();
        masters.into_iter().for_each(|(master, session)| self.answer_runner(master, session));
    }

    // --- reports in, answers out (R5) ---

    pub(crate) fn on_report(&mut self, from: NodeId, session: Session, report: Report) {
        let newest = self.peers.is_newest_report(from, session, report.number);
        if newest {
            self.note_report(from, session, &report);
            self.note_hearing(from, session, &report);
        }
        // Members or not: one that is to become a member must hold the record first (R13).
        let admitted = self.node().knows_members() || self.ctx.settings.electors.admits(&report.info.name);
        let masters = self.durable.record.masters().filter(|(_, m)| m.node == from);
        let master_runs: Vec<Session> = masters.map(|(_, m)| m.session).collect();
        // R14, R16: a copy that lacks what others may have decided is none.
        let whole = self.node().knows_what_is_needed(&report.info);
        let Some(lead) = self.lead else { return };
        if report.term != lead.term() {
            return;
        }
        lead.meet(from);
        if report.info.elector && admitted && from != self.ctx.id {
            if let Some(sent) = report.acknowledged.and_then(|number| lead.acknowledge(from, number)) {
                self.peers.prove(from, session, sent);
            }
            if newest && whole {
                lead.note_copy(from, report.durable);
            }
        }
        let beginner = report.info.elector && report.info.origin == StateOrigin::Empty && admitted;
        let (number, picture) = (report.number, report.picture.filter(|_| newest));
        if newest {
            lead.note_runner(from, session, report, &master_runs, self.ctx.now);
        }
        self.count_copies();
        if beginner {
            self.initialise(from, session, number);
        }
        self.answer_runner(from, session);
        if let Some(picture) = picture {
            self.tell_roster(from, session, picture);
        }
    }

    fn note_report(&mut self, from: NodeId, session: Session, report: &Report) {
        let now = self.ctx.now;
        self.peers.note_report(from, session, report, now);
        for (group, note) in
            report.summaries().filter_map(|(group, told)| Some((group, told.failure.clone()?)))
        {
            self.failures.note(&report.info.name, group, note, now);
        }
    }

    /// R10: gives an elector without state the record that counts; this leader's quorum stands without it.
    fn initialise(&mut self, to: NodeId, session: Session, report: u64) {
        if !self.node().acting() || self.node().too_many_electors(to) {
            return;
        }
        let Some(lead) = self.lead else { return };
        if lead.committed() != self.durable.record.version {
            return;
        }
        let record = Some(self.durable.record.clone());
        let answer = Answer { record, ..Answer::empty(lead.term(), report) };
        self.ctx.answer(to, session, Body::Answer(answer));
    }

    /// Grants the leases to the record's masters, and asks for the release of what must not be promoted.
    pub(crate) fn answer_runner(&mut self, to: NodeId, session: Session) {
        if !self.node().acting() {
            return;
        }
        let Some(basis) = self.node().quorum_ack_time() else { return };
        let Some(seen) = self.lead.as_ref().and_then(|lead| lead.runners().of_run(to, session)).cloned()
        else {
            return;
        };
        let Some(term) = self.lead.as_ref().map(|lead| lead.term()) else { return };
        let mut answer = Answer::empty(term, seen.report);
        for (group, summary) in &seen.summaries {
            let ask = self.node().group(group).open_question();
            let verdict = Verdict { ask, ..self.verdict(group, (to, session), seen.at, summary, basis) };
            answer.tell(group, verdict);
        }
        if answer.says_something() {
            self.ctx.answer(to, session, Body::Answer(answer));
        }
    }

    /// What a runner that has reported `summary` at that instant is told about a group.
    fn verdict(
        &mut self,
        group: &GroupName,
        run: (NodeId, Session),
        reported: Time,
        summary: &RunnerSummary,
        basis: Time,
    ) -> Verdict {
        let (record, applied) = (self.durable.record.group(group), self.durable.applied.group(group));
        let counts = |m: &&MasterEntry| applied.master.as_ref().map(|a| a.epoch) == Some(m.epoch);
        let entry = record.master.as_ref().filter(counts).filter(|m| (m.node, m.session) == run);
        let Some(lead) = self.lead else { return Verdict::default() };
        match entry {
            Some(entry) if summary.released < entry.epoch => {
                // R5: counted from when the report was sent, which was not after it came. Another leader would wait for the hold time in
                // the record, so the lease is no longer than that.
                let lease = self.ctx.settings.master_lease.min(entry.hold.saturating_sub(summary.grace));
                let remaining = (basis + lease).since(reported);
                let since = record.attributes.map(|_| lead.committed());
                let placement = lead.placement_mut(group);
                placement.grant(entry.epoch, basis);
                let lease = Lease { epoch: entry.epoch, remaining, since };
                Verdict {
                    lease: (!remaining.is_zero()).then_some(lease),
                    release: placement.wanted_back().filter(|epoch| *epoch == entry.epoch),
                    ask: None,
                }
            }
            Some(_) => Verdict::default(),
            // It holds an epoch that the record does not name: it is asked to release that one, and none that may be given later (R6).
            None => Verdict { release: summary.holds, ..Verdict::default() },
        }
    }
}

impl NodeRef<'_> {
    // --- the lease (R3) ---

    /// When the leader sent the newest heartbeat that a quorum of electors has acknowledged. Its own heartbeat is its own
    /// acknowledgement, which counts only if it is a member (R13).
    pub(crate) fn quorum_ack_time(&self) -> Option<Time> {
        let lead = self.lead.as_ref()?;
        let own = lead.newest_sent()?;
        if mutant!(BasisWithoutQuorum) {
            return Some(own);
        }
        self.quorum().since(lead.acknowledgements(), (self.id, own))
    }

    /// Until when this node may act as leader.
    pub(crate) fn leadership_end(&self) -> Time {
        let Some(lead) = self.lead else { return Time(0) };
        self.quorum_ack_time().unwrap_or(lead.won()) + self.settings.leader_lease
    }

    /// May act as leader now.
    pub(crate) fn acting(&self) -> bool {
        self.quorum_ack_time().is_some_and(|basis| self.now < basis + self.settings.leader_lease)
            && self.lead.as_ref().is_some_and(|l| l.committed().term == l.term())
    }

    pub(crate) fn set_leading_timers(&self, timers: &mut Timers) {
        let Some(lead) = self.lead else { return };
        timers.set(Timer::LeadershipEnd, self.leadership_end());
        lead.set_timers(timers);
    }

    /// Has reported to this leader in its term.
    fn has_answered(&self, node: NodeId) -> bool {
        self.lead.as_ref().is_some_and(|lead| lead.has_met(node))
    }

    /// The newest heartbeat, as it was or is to be sent.
    pub(crate) fn heartbeat(&self) -> Option<Heartbeat> {
        let lead = self.lead.as_ref()?;
        let record = self.durable.record.clone();
        let address = |m: &MasterEntry| match m.node == self.id {
            true => self.address,
            false => self.peers.get(m.node).and_then(|p| p.stated),
        };
        let others = record.masters().filter(|(group, _)| !group.is_main());
        let other_masters = others.filter_map(|(group, m)| Some((group.clone(), address(m)?))).collect();
        let master_address = record.main.master.as_ref().and_then(address);
        Some(Heartbeat {
            info: self.info(),
            term: lead.term(),
            number: lead.number(),
            lease: self.settings.leader_lease,
            record,
            committed: lead.committed(),
            master_address,
            other_masters,
            address: self.address,
        })
    }

    /// Whether a quorum has this version of the record on disk.
    fn has_quorum_of_copies(&self, version: Version) -> bool {
        let Some(lead) = self.lead else { return false };
        let own = (self.durable.record_on_disk() == version).then_some(self.id);
        self.quorum().is_met_by(&lead.holders(version).chain(own).collect())
    }

    /// As many electors as are configured have a record already, and the record has no members yet: one more could make two quorums.
    pub(crate) fn too_many_electors(&self, newcomer: NodeId) -> bool {
        if self.knows_members() {
            return false;
        }
        let configured = usize::from(self.settings.electors.count());
        let name = self.peers.get(newcomer).map(|p| p.info.name.as_str()).unwrap_or_default();
        let members = self.peers.iter().filter(|(id, p)| {
            *id != newcomer
                && p.info.elector
                && p.info.origin == StateOrigin::Member
                && p.info.name != name
                && self.now.since(p.heard) <= self.lately() * 10
        });
        configured > 0 && 1 + members.count() >= configured
    }
}

/// Changes the record (R4).
pub(crate) fn propose(lead: &mut Leadership, durable: &mut Durability, record: Record, now: Time) {
    propose_with(lead, durable, record, Changed::new(), now);
}

/// What attributes of groups are to say, and the number of the last write.
pub(crate) type Changed = BTreeMap<GroupName, (Attributes, WriteNumber)>;

/// The same, and what attributes say.
pub(crate) fn propose_with(
    lead: &mut Leadership,
    durable: &mut Durability,
    mut record: Record,
    changed: Changed,
    now: Time,
) {
    let version = lead.next_version(record.version.n.max(durable.record.version.n), now);
    for (group, (attributes, written)) in changed {
        record.group_mut(&group).attributes = Some(AttributesVersion { changed: version, written });
        durable.keep_attributes(&group, AttributesCopy { changed: version, attributes });
    }
    record.tidy();
    durable.take_record(Record { version, whole: true, known: RULES, ..record });
    durable.defer(Deferred::Record);
}
