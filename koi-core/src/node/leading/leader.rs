//! The leader's side: its lease, the record's replication, and what it answers to reports (rules R3, R4 and R5).
//! Whom it makes master is decided in `placement`.

use std::collections::BTreeMap;

use crate::elector::durability::Deferred;
use crate::elector::election::Ballot;
use crate::event::Event;
use crate::io::{Answered, CommandId, Destination, Effect, Refusal};
use crate::leader::leadership::Leadership;
use crate::message::{Answer, Body, Heartbeat, Lease, Recipient, Report};
use crate::node::Node;
use crate::reason::StepDownReason;
use crate::record::{Record, StateOrigin};
use crate::settings::DRIFT_PERCENT;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Session, Term, Time, stretched};

impl Node {
    // --- winning and losing ---

    /// A quorum has voted for this node. It adopts the newest record of its voters and replicates it under its term before
    /// it changes anything (R4).
    pub(crate) fn win(&mut self, term: Term, votes: BTreeMap<NodeId, Ballot>, now: Time) {
        self.election.lead(now);
        self.following.leave();
        self.lead = Some(Leadership::new(term, &votes, now));
        self.durable.set_origin(StateOrigin::Member);
        self.durable.set_promised_lease(self.durable.promised_lease.max(self.settings.leader_lease));
        self.event(Event::LeadershipGained { term, votes: votes.len() });
        self.adopt_newest(&votes, now);
    }

    fn adopt_newest(&mut self, votes: &BTreeMap<NodeId, Ballot>, now: Time) {
        let record = self.newest_record(votes).clone();
        self.propose(record, now);
    }

    /// Changes the record. The change takes effect nowhere before it counts (R4).
    pub(crate) fn propose(&mut self, record: Record, now: Time) {
        let Some(lead) = &mut self.lead else { return };
        let version = lead.next_version(record.version.n.max(self.durable.record.version.n), now);
        self.durable.take_record(Record { version, ..record });
        self.when_durable(Deferred::Record, now);
    }

    pub(crate) fn step_down(&mut self, reason: StepDownReason, now: Time) {
        let Some(lead) = self.lead.take() else { return };
        let term = lead.term();
        for id in lead.into_commands() {
            self.effect(Effect::Answer { id, result: Err(Refusal::LostLeadership) });
        }
        self.event(Event::LeadershipEnded { term, reason: reason.to_owned() });
        self.election.step_down(now + self.settings.election_timeout());
    }

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
        let Some(lead) = &self.lead else { return Time(0) };
        self.quorum_ack_time().unwrap_or(lead.won()) + self.settings.leader_lease
    }

    /// May act as leader now.
    pub fn acting(&self, now: Time) -> bool {
        self.quorum_ack_time().is_some_and(|basis| now < basis + self.settings.leader_lease)
            && self.lead.as_ref().is_some_and(|l| l.committed().term == l.term())
    }

    pub(crate) fn set_leading_timers(&self, timers: &mut Timers) {
        let Some(lead) = &self.lead else { return };
        timers.set(Timer::LeadershipEnd, self.leadership_end());
        lead.set_timers(timers);
    }

    /// Lets time take effect on the leadership.
    pub(crate) fn advance_leadership(&mut self, now: Time) {
        if self.lead.is_none() {
            return;
        }
        if now >= self.leadership_end() {
            return self.step_down(StepDownReason::NoQuorum, now);
        }
        let Some(lead) = &mut self.lead else { return };
        let claim = lead.repeat_claim(self.settings.heartbeat, now);
        if lead.heartbeat_is_due(now) {
            self.send_heartbeat(now);
        } else if lead.repeat_is_due(now) {
            self.repeat_heartbeat(now);
        }
        if let Some(term) = claim {
            self.send_claim(term);
        }
    }

    fn send_heartbeat(&mut self, now: Time) {
        let (heartbeat, lease) = (self.settings.heartbeat, self.settings.leader_lease);
        self.keep_promised_lease(lease, now);
        let Some(lead) = &mut self.lead else { return };
        lead.number_heartbeat(heartbeat, now);
        // R1: a leader's own heartbeat is its own acknowledgement, in its promise and in what its votes say.
        let until = now + stretched(lease, DRIFT_PERCENT);
        let term = lead.term();
        let longest = lease >= self.durable.promised_lease;
        self.election.acknowledge((self.id, self.session, term), until, longest, now);
        if let Some(message) = self.heartbeat() {
            // Whoever has not answered this leader in its term may not know yet that its words are fresh: it is named.
            let lately = self.lately() * 2;
            let unmet =
                self.peers.iter().filter(|(id, p)| p.is_around(lately, now) && !self.has_answered(*id));
            let unmet: Vec<Recipient> =
                unmet.map(|(node, p)| Recipient { node, session: p.session }).collect();
            for recipient in unmet {
                let body = Body::Heartbeat(message.clone());
                self.send(Destination::Node(recipient.node), Some(recipient), body);
            }
            self.send(Destination::Everyone, None, Body::Heartbeat(message));
        }
        self.report(None, now);
    }

    /// Has reported to this leader in its term.
    fn has_answered(&self, node: NodeId) -> bool {
        self.lead.as_ref().is_some_and(|lead| lead.has_met(node))
    }

    /// Answers a hello with the newest heartbeat.
    pub(crate) fn answer_with_heartbeat(&mut self, node: NodeId, session: Session) {
        if let Some(message) = self.heartbeat() {
            let recipient = Some(Recipient { node, session });
            self.send(Destination::Node(node), recipient, Body::Heartbeat(message));
        }
    }

    /// The newest heartbeat, as it was or is to be sent.
    fn heartbeat(&self) -> Option<Heartbeat> {
        let lead = self.lead.as_ref()?;
        let record = self.durable.record.clone();
        let master = record.master.as_ref().map(|m| m.node);
        Some(Heartbeat {
            info: self.info(),
            term: lead.term(),
            number: lead.number(),
            lease: self.settings.leader_lease,
            record,
            committed: lead.committed(),
            master_address: match master {
                Some(master) if master == self.id => self.address,
                Some(master) => self.peers.get(master).and_then(|p| p.stated),
                None => None,
            },
            address: self.address,
        })
    }

    /// A lossy network must cost no lease: who has not answered the newest heartbeat is told it again, some times, and the
    /// acknowledgement counts from when it was sent first. Without loss nobody is left to be told.
    fn repeat_heartbeat(&mut self, now: Time) {
        let patience = self.lately() * 2;
        let Some(lead) = &mut self.lead else { return };
        let newest = lead.newest_sent().unwrap_or(now);
        let silent: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(_, p)| p.heard < newest && now.since(p.heard) <= patience && p.gone.is_none())
            .map(|(id, _)| id)
            .collect();
        lead.repeat_at(if silent.is_empty() { Time::NEVER } else { now + self.settings.heartbeat / 4 });
        let Some(message) = self.heartbeat() else { return };
        for node in silent {
            self.send(Destination::Node(node), None, Body::Heartbeat(message.clone()));
        }
    }

    // --- claiming again above a term that was spent in vain ---

    pub(crate) fn on_refuse(&mut self, from: NodeId, session: Session, newest: Term, now: Time) {
        if !self.counts(from) {
            return self.turn_away(from, session, newest);
        }
        self.election.hear_of(newest);
        let Some(lead) = &mut self.lead else { return };
        let resend = now + self.settings.heartbeat;
        let Some(term) = lead.reclaim_above(newest, self.durable.term, resend) else { return };
        self.durable.vote(term, (self.id, self.session));
        self.when_durable(Deferred::RequestVote(term), now);
    }

    pub(crate) fn reclaim_is_durable(&mut self, term: Term, own: Ballot, now: Time) {
        let id = self.id;
        let Some(lead) = &mut self.lead else { return };
        if !lead.may_say_claim(term) {
            return;
        }
        lead.take_vote(id, term, own);
        self.send_claim(term);
        self.count_reclaim(now);
    }

    pub(crate) fn on_reclaim_vote(&mut self, from: NodeId, term: Term, ballot: Ballot, now: Time) {
        if let Some(lead) = &mut self.lead {
            lead.take_vote(from, term, ballot);
            self.count_reclaim(now);
        }
    }

    fn count_reclaim(&mut self, now: Time) {
        let votes = self.lead.as_ref().and_then(|lead| lead.claim_votes());
        if !votes.is_some_and(|votes| self.elects(votes)) {
            return;
        }
        let Some(lead) = &mut self.lead else { return };
        let Some(votes) = lead.enter_claimed_term(now) else { return };
        let term = lead.term();
        self.event(Event::LeadershipGained { term, votes: votes.len() });
        self.adopt_newest(&votes, now);
    }

    // --- the record (R4) ---

    /// The own copy, or a follower's, has reached a disk: perhaps a quorum has it now.
    pub(crate) fn count_copies(&mut self, now: Time) {
        let version = self.durable.record.version;
        let own = (self.durable.record_on_disk() == version).then_some(self.id);
        let Some(lead) = &self.lead else { return };
        if version.term != lead.term() || lead.committed() == version {
            return;
        }
        let copies = lead.holders(version).chain(own);
        if !self.quorum().is_met_by(&copies.collect()) && !mutant!(CommittedAlone) {
            return;
        }
        let Some(lead) = &mut self.lead else { return };
        for (id, answered) in lead.commit(version, now) {
            self.effect(Effect::Answer { id, result: Ok(answered) });
        }
        self.following.inform();
        self.apply(self.durable.record.clone());
        if let Some((master, session)) = self.durable.record.master.as_ref().map(|m| (m.node, m.session)) {
            self.answer_runner(master, session, now);
        }
    }

    /// A command is answered "done" when its change counts.
    pub(crate) fn answer_when_counted(&mut self, id: CommandId, answered: Answered) {
        let version = self.durable.record.version;
        let Some(lead) = &mut self.lead else { return };
        if lead.committed() >= version {
            return self.effect(Effect::Answer { id, result: Ok(answered) });
        }
        lead.await_commit(id, version, answered);
    }

    // --- reports in, answers out (R5) ---

    pub(crate) fn on_report(&mut self, from: NodeId, session: Session, report: Report, now: Time) {
        let newest = self.peers.is_newest_report(from, session, report.number);
        if newest {
            self.note_report(from, session, &report, now);
            self.note_hearing(from, session, &report, now);
        }
        // Members or not: one that is to become a member must hold the record first (R13).
        let admitted = self.knows_members() || self.settings.electors.admits(&report.info.name);
        let master = self.durable.record.master.as_ref().filter(|m| m.node == from);
        let master_run = master.map(|m| m.session);
        let Some(lead) = &mut self.lead else { return };
        if report.term != lead.term() {
            return;
        }
        lead.meet(from);
        if report.info.elector && admitted && from != self.id {
            if let Some(sent) = report.acknowledged.and_then(|number| lead.acknowledge(from, number)) {
                self.peers.prove(from, session, sent);
            }
            if newest {
                lead.note_copy(from, report.durable);
            }
        }
        let beginner = report.info.elector && report.info.origin == StateOrigin::Empty && admitted;
        let number = report.number;
        if newest {
            lead.note_runner(from, session, report, master_run, now);
        }
        self.count_copies(now);
        if beginner {
            self.initialise(from, session, number, now);
        }
        self.answer_runner(from, session, now);
    }

    fn note_report(&mut self, from: NodeId, session: Session, report: &Report, now: Time) {
        self.peers.note_report(from, session, report, now);
        if let Some(note) = report.runner.as_ref().and_then(|r| r.failure.clone()) {
            self.failures.note(&report.info.name, note, now);
        }
    }

    /// R10: gives an elector without state the record that counts; this leader's quorum stands without it.
    fn initialise(&mut self, to: NodeId, session: Session, report: u64, now: Time) {
        if !self.acting(now) || self.too_many_electors(to, now) {
            return;
        }
        let Some(lead) = &self.lead else { return };
        if lead.committed() != self.durable.record.version {
            return;
        }
        let record = Some(self.durable.record.clone());
        let answer = Answer { term: lead.term(), report, lease: None, release: None, record };
        let recipient = Some(Recipient { node: to, session });
        self.send(Destination::Node(to), recipient, Body::Answer(answer));
    }

    /// As many electors as are configured have a record already, and the record has no members yet: one more could make two quorums.
    pub(crate) fn too_many_electors(&self, newcomer: NodeId, now: Time) -> bool {
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
                && now.since(p.heard) <= self.lately() * 10
        });
        configured > 0 && 1 + members.count() >= configured
    }

    /// Grants the lease to the record's master, and asks for the release of what must not be promoted.
    pub(crate) fn answer_runner(&mut self, to: NodeId, session: Session, now: Time) {
        if !self.acting(now) {
            return;
        }
        let Some(basis) = self.quorum_ack_time() else { return };
        let own = (&self.durable.record, &self.durable.applied);
        let entry = own.0.master.clone().filter(|m| own.1.master.as_ref().map(|a| a.epoch) == Some(m.epoch));
        let Some(lead) = &mut self.lead else { return };
        let Some(seen) = lead.runners().of_run(to, session).cloned() else { return };
        let entry = entry.filter(|m| m.node == to && m.session == seen.session);
        let mut answer =
            Answer { term: lead.term(), report: seen.report, lease: None, release: None, record: None };
        match &entry {
            Some(entry) if seen.summary.released < entry.epoch => {
                // R5: counted from when the report was sent, which was not after it came. Another leader would wait for the hold time in
                // the record, so the lease is no longer than that.
                let lease = self.settings.master_lease.min(entry.hold.saturating_sub(seen.summary.grace));
                let remaining = (basis + lease).since(seen.at);
                answer.lease = (!remaining.is_zero()).then_some(Lease { epoch: entry.epoch, remaining });
                lead.placement_mut().grant(entry.epoch, basis);
                answer.release = lead.placement().wanted_back().filter(|epoch| *epoch == entry.epoch);
            }
            Some(_) => {}
            // It holds an epoch that the record does not name: it is asked to release that one, and none that may be given later (R6).
            None => answer.release = seen.summary.holds,
        }
        if answer.lease.is_none() && answer.release.is_none() {
            return;
        }
        let recipient = Some(Recipient { node: to, session: seen.session });
        self.send(Destination::Node(to), recipient, Body::Answer(answer));
    }

    /// A runner's session is over.
    pub(crate) fn runner_gone(&mut self, node: NodeId, session: Session) {
        if let Some(lead) = &mut self.lead {
            lead.forget_runner(node, session);
        }
    }
}
