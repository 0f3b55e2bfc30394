//! The leader's side: its lease, the record's replication, and what it answers to reports (rules R3, R4 and R5).
//! Whom it makes master is decided in `placement`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::durability::Deferred;
use crate::election::Ballot;
use crate::event::Event;
use crate::io::{Answered, CommandId, Destination, Effect, Refusal};
use crate::limits;
use crate::message::{Answer, Body, Heartbeat, Lease, Recipient, Report};
use crate::node::Node;
use crate::placement::Placement;
use crate::reason::StepDownReason;
use crate::record::{Record, StateOrigin};
use crate::reports::{Reports, RunnerReport};
use crate::settings::DRIFT_PERCENT;
use crate::types::{NodeId, Session, Term, Time, Version, stretched};

/// What a leader knows and does.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    pub(crate) term: Term,
    pub(crate) won: Time,
    number: u64,
    pub(crate) heartbeat_due: Time,
    /// When whoever has not answered the newest heartbeat is told it again.
    repeat_due: Time,
    /// Heartbeats of which an acknowledgement still counts, with the instant that they were sent.
    sent: VecDeque<(u64, Time)>,
    /// When the newest heartbeat was sent that each elector has acknowledged.
    acknowledged: BTreeMap<NodeId, Time>,
    /// Who has reported in this term.
    met: BTreeSet<NodeId>,
    /// The version that each elector has on disk.
    copies: BTreeMap<NodeId, Version>,
    /// The newest version that counts, and since when.
    pub(crate) committed: Version,
    counted_since: Time,
    /// The latest report of each runner in this term, the own one included.
    pub(crate) runners: Reports,
    pub(crate) commands: VecDeque<(CommandId, Version, Answered)>,
    reclaim: Option<Reclaim>,
    /// What its decisions about masterships build on.
    pub(crate) placement: Placement,
}

/// A sitting leader claims again above a term that someone spent in vain (R11).
#[derive(Clone, Debug)]
struct Reclaim {
    term: Term,
    votes: BTreeMap<NodeId, Ballot>,
    resend: Time,
    said: bool,
}

impl Leadership {
    /// When this heartbeat was sent; none: long ago, or never.
    pub(crate) fn sent_at(&self, number: u64) -> Option<Time> {
        self.sent.iter().find(|(n, _)| *n == number).map(|(_, at)| *at)
    }

    /// When the newest heartbeat was sent that this elector has acknowledged.
    pub(crate) fn acknowledged_at(&self, elector: NodeId) -> Option<Time> {
        self.acknowledged.get(&elector).copied()
    }

    pub(crate) fn backlog(&self) -> usize {
        self.sent.len() + self.commands.len()
    }

    /// Whether this elector has acknowledged a heartbeat that was sent within the last `span`.
    pub(crate) fn acknowledged_within(&self, elector: NodeId, span: Duration, now: Time) -> bool {
        self.acknowledged.get(&elector).is_some_and(|at| now.since(*at) < span)
    }

    /// Whether a version has counted for longer than `patience` that this elector does not have on its disk.
    pub(crate) fn is_behind(&self, elector: NodeId, patience: Duration, now: Time) -> bool {
        now.since(self.counted_since) > patience && !self.holds_what_counts(elector)
    }

    /// Whether this elector has the version that counts on its disk.
    pub(crate) fn holds_what_counts(&self, elector: NodeId) -> bool {
        self.copies.get(&elector) == Some(&self.committed)
    }
}

impl Node {
    // --- winning and losing ---

    /// A quorum has voted for this node. It adopts the newest record of its voters and replicates it under its term before
    /// it changes anything (R4).
    pub(crate) fn win(&mut self, term: Term, votes: BTreeMap<NodeId, Ballot>, now: Time) {
        let count = votes.len();
        let inherited = votes.values().filter_map(|b| b.acknowledged).max();
        let cold = votes.values().all(|b| !b.followed);
        self.election.lead(now);
        self.following.leave();
        self.lead = Some(Leadership {
            term,
            won: now,
            number: 0,
            heartbeat_due: now,
            repeat_due: Time::NEVER,
            sent: VecDeque::new(),
            acknowledged: BTreeMap::new(),
            met: BTreeSet::new(),
            copies: BTreeMap::new(),
            committed: Version::default(),
            counted_since: now,
            runners: Reports::default(),
            commands: VecDeque::new(),
            reclaim: None,
            placement: Placement::new(term, inherited, cold),
        });
        self.durable.set_origin(StateOrigin::Member);
        self.durable.set_promised_lease(self.durable.promised_lease.max(self.settings.leader_lease));
        self.event(Event::LeadershipGained { term, votes: count });
        self.adopt_newest(&votes, now);
    }

    fn adopt_newest(&mut self, votes: &BTreeMap<NodeId, Ballot>, now: Time) {
        let record = self.newest_record(votes).clone();
        self.propose(record, now);
    }

    /// Changes the record. The change takes effect nowhere before it counts (R4).
    pub(crate) fn propose(&mut self, record: Record, now: Time) {
        let Some(lead) = &mut self.lead else { return };
        let version = Version { term: lead.term, n: record.version.n.max(self.durable.record.version.n) + 1 };
        lead.heartbeat_due = now;
        self.durable.take_record(Record { version, ..record });
        self.when_durable(Deferred::Record, now);
    }

    pub(crate) fn step_down(&mut self, reason: StepDownReason, now: Time) {
        let Some(lead) = self.lead.take() else { return };
        for (id, _, _) in lead.commands {
            self.effect(Effect::Answer { id, result: Err(Refusal::LostLeadership) });
        }
        self.event(Event::LeadershipEnded { term: lead.term, reason });
        self.election.step_down(now + self.settings.election_timeout());
    }

    // --- the lease (R3) ---

    /// When the leader sent the newest heartbeat that a quorum of electors has acknowledged. Its own heartbeat is its own
    /// acknowledgement, which counts only if it is a member (R13).
    pub(crate) fn quorum_ack_time(&self) -> Option<Time> {
        let lead = self.lead.as_ref()?;
        let own = lead.sent.back().map(|(_, at)| *at)?;
        if mutant!(BasisWithoutQuorum) {
            return Some(own);
        }
        self.quorum().since(&lead.acknowledged, (self.id, own))
    }

    /// Until when this node may act as leader.
    pub(crate) fn leadership_end(&self) -> Time {
        let Some(lead) = &self.lead else { return Time(0) };
        self.quorum_ack_time().unwrap_or(lead.won) + self.settings.leader_lease
    }

    /// May act as leader now.
    pub fn acting(&self, now: Time) -> bool {
        self.quorum_ack_time().is_some_and(|basis| now < basis + self.settings.leader_lease)
            && self.lead.as_ref().is_some_and(|l| l.committed.term == l.term)
    }

    pub(crate) fn leading_deadline(&self) -> Time {
        let Some(lead) = &self.lead else { return Time::NEVER };
        let mut next =
            lead.heartbeat_due.min(lead.repeat_due).min(self.leadership_end()).min(lead.placement.deadline());
        if let Some(reclaim) = &lead.reclaim {
            next = next.min(reclaim.resend);
        }
        next
    }

    /// Lets time take effect on the leadership.
    pub(crate) fn advance_leadership(&mut self, now: Time) {
        if self.lead.is_none() {
            return;
        }
        if now >= self.leadership_end() {
            return self.step_down(StepDownReason::NoQuorum, now);
        }
        let mut claim = None;
        let Some(lead) = &mut self.lead else { return };
        if let Some(reclaim) = lead.reclaim.as_mut().filter(|r| now >= r.resend) {
            reclaim.resend = now + self.settings.heartbeat;
            claim = reclaim.said.then_some(reclaim.term);
        }
        if now >= lead.heartbeat_due {
            self.send_heartbeat(now);
        } else if now >= lead.repeat_due {
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
        lead.number += 1;
        lead.heartbeat_due = now + heartbeat;
        lead.repeat_due = now + heartbeat / 4;
        if lead.sent.len() >= limits::IN_FLIGHT {
            lead.sent.pop_front();
        }
        lead.sent.push_back((lead.number, now));
        // R1: a leader's own heartbeat is its own acknowledgement, in its promise and in what its votes say.
        let until = now + stretched(lease, DRIFT_PERCENT);
        let term = lead.term;
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
        self.lead.as_ref().is_some_and(|lead| lead.met.contains(&node))
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
            term: lead.term,
            number: lead.number,
            lease: self.settings.leader_lease,
            record,
            committed: lead.committed,
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
        let newest = lead.sent.back().map_or(now, |(_, at)| *at);
        let silent: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(_, p)| p.heard < newest && now.since(p.heard) <= patience && p.gone.is_none())
            .map(|(id, _)| id)
            .collect();
        lead.repeat_due = if silent.is_empty() { Time::NEVER } else { now + self.settings.heartbeat / 4 };
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
        let beyond = lead.reclaim.as_ref().map_or(lead.term, |r| r.term);
        if newest <= beyond || mutant!(NoReclaim) {
            return;
        }
        let term = Term(newest.0.max(self.durable.term.0).saturating_add(1));
        let resend = now + self.settings.heartbeat;
        lead.reclaim = Some(Reclaim { term, votes: BTreeMap::new(), resend, said: false });
        self.durable.vote(term, (self.id, self.session));
        self.when_durable(Deferred::RequestVote(term), now);
    }

    pub(crate) fn reclaim_is_durable(&mut self, term: Term, own: Ballot, now: Time) {
        let id = self.id;
        let Some(reclaim) = self.lead.as_mut().and_then(|l| l.reclaim.as_mut()) else { return };
        if reclaim.term != term {
            return;
        }
        reclaim.said = true;
        reclaim.votes.insert(id, own);
        self.send_claim(term);
        self.count_reclaim(now);
    }

    pub(crate) fn on_reclaim_vote(&mut self, from: NodeId, term: Term, ballot: Ballot, now: Time) {
        let Some(reclaim) = self.lead.as_mut().and_then(|l| l.reclaim.as_mut()) else { return };
        if reclaim.term == term {
            reclaim.votes.insert(from, ballot);
            self.count_reclaim(now);
        }
    }

    fn count_reclaim(&mut self, now: Time) {
        let claimed = self.lead.as_ref().and_then(|l| l.reclaim.as_ref());
        let elected = claimed.is_some_and(|reclaim| self.elects(&reclaim.votes));
        let Some(lead) = &mut self.lead else { return };
        let Some(reclaim) = lead.reclaim.take_if(|_| elected) else { return };
        lead.term = reclaim.term;
        lead.copies.clear();
        lead.met.clear();
        lead.runners.clear();
        // How everyone is, it learns anew.
        lead.won = now;
        let latest = reclaim.votes.values().filter_map(|b| b.acknowledged).max();
        lead.placement.reclaimed(reclaim.term, latest);
        let votes = reclaim.votes.len();
        self.event(Event::LeadershipGained { term: reclaim.term, votes });
        self.adopt_newest(&reclaim.votes, now);
    }

    // --- the record (R4) ---

    /// The own copy, or a follower's, has reached a disk: perhaps a quorum has it now.
    pub(crate) fn count_copies(&mut self, now: Time) {
        let version = self.durable.record.version;
        let own = (self.durable.record_on_disk() == version).then_some(self.id);
        let Some(lead) = &self.lead else { return };
        if version.term != lead.term || lead.committed == version {
            return;
        }
        let copies = lead.copies.iter().filter(|(_, v)| **v == version).map(|(id, _)| *id).chain(own);
        if !self.quorum().is_met_by(&copies.collect()) && !mutant!(CommittedAlone) {
            return;
        }
        let Some(lead) = &mut self.lead else { return };
        lead.committed = version;
        lead.counted_since = now;
        lead.heartbeat_due = now;
        let (done, waiting) =
            std::mem::take(&mut lead.commands).into_iter().partition(|(_, v, _)| *v <= version);
        lead.commands = waiting;
        let done: VecDeque<(CommandId, Version, Answered)> = done;
        for (id, _, answered) in done {
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
        if lead.committed >= version {
            return self.effect(Effect::Answer { id, result: Ok(answered) });
        }
        lead.commands.push_back((id, version, answered));
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
        if report.term != lead.term {
            return;
        }
        lead.met.insert(from);
        if report.info.elector && admitted && from != self.id {
            if let Some(number) = report.acknowledged
                && let Some((_, sent)) = lead.sent.iter().find(|(n, _)| *n == number)
            {
                let newest = lead.acknowledged.entry(from).or_insert(*sent);
                *newest = (*newest).max(*sent);
                self.peers.prove(from, session, *sent);
            }
            if newest {
                lead.copies.insert(from, report.durable);
            }
        }
        let beginner = report.info.elector && report.info.origin == StateOrigin::Empty && admitted;
        if let Some(summary) = report.runner.filter(|_| newest) {
            let (report, applied, uptime) = (report.number, report.applied, report.uptime);
            let seen = RunnerReport { session, report, at: now, summary, applied, uptime };
            lead.runners.insert(from, seen, master_run);
        }
        self.count_copies(now);
        if beginner {
            self.initialise(from, session, report.number, now);
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
        if lead.committed != self.durable.record.version {
            return;
        }
        let record = Some(self.durable.record.clone());
        let answer = Answer { term: lead.term, report, lease: None, release: None, record };
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
        let Some(seen) = lead.runners.of_run(to, session) else { return };
        let entry = entry.filter(|m| m.node == to && m.session == seen.session);
        let mut answer =
            Answer { term: lead.term, report: seen.report, lease: None, release: None, record: None };
        match &entry {
            Some(entry) if seen.summary.released < entry.epoch => {
                // R5: counted from when the report was sent, which was not after it came. Another leader would wait for the hold time in
                // the record, so the lease is no longer than that.
                let lease = self.settings.master_lease.min(entry.hold.saturating_sub(seen.summary.grace));
                let remaining = (basis + lease).since(seen.at);
                answer.lease = (!remaining.is_zero()).then_some(Lease { epoch: entry.epoch, remaining });
                lead.placement.grant(entry.epoch, basis);
                answer.release = lead.placement.wanted_back().filter(|epoch| *epoch == entry.epoch);
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
            lead.runners.remove(node, session);
        }
    }
}
