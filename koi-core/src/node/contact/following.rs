//! The follower's side of a leadership: heartbeats in, reports out, leases and records back (rules R1, R4, R5 and R10).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::attributes::AttributesWanted;
use crate::contact::following::Leader;
use crate::elector::copies::Awaiting;
use crate::elector::durability::Deferred;
use crate::event::Event;
use crate::group::GroupName;
use crate::limits::{self, clip};
use crate::message::{Answer, Body, Heartbeat, Report};
use crate::node::handlers::FollowingHandler;
use crate::node::node_ref::NodeRef;
use crate::node::services::LeaderAnswer;
use crate::reason::{DropReason, StepDownReason};
use crate::record::{GroupRecord, Record, StateOrigin};
use crate::roster::{RosterEntry, RosterPart};
use crate::settings::DRIFT_PERCENT;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Rank, Session, Term, Time, stretched};

impl FollowingHandler<'_> {
    pub(crate) fn on_heartbeat(&mut self, from: NodeId, session: Session, heartbeat: Heartbeat) {
        self.election.follow();
        self.follow(from, session, &heartbeat);
        if self.durable.origin == StateOrigin::Empty && self.ctx.settings.elector {
            // R10: a heartbeat initialises nobody; the answer to this report does.
            return self.report(None);
        }
        self.take_record(from, session, &heartbeat);
        if !self.node().is_established() {
            return;
        }
        // One that is no member may have spent a term beyond its leader's in vain: it reports without a word that could count.
        if self.ctx.settings.elector && self.durable.term == heartbeat.term {
            let Heartbeat { term, number, lease, .. } = heartbeat;
            let on_its_way = !self.durable.is_on_disk();
            // What else is on its way to the disk, the record above all, is told when it is there.
            self.durable.defer(Deferred::Acknowledge { leader: from, term, number, lease });
            let on_its_way = on_its_way && !mutant!(ReportAwaitsDisk);
            if on_its_way && self.durable.promise_is_on_disk(term, lease) {
                self.acknowledge(from, term, number, lease);
            } else if on_its_way {
                // What waits for a disk is the promise, not the word of how this node is: a sitting master keeps its lease.
                self.report(None);
            }
        } else {
            self.report(None);
        }
    }

    fn follow(&mut self, from: NodeId, session: Session, heartbeat: &Heartbeat) {
        let now = self.ctx.now;
        self.durable.follow(heartbeat.term);
        self.election.hear_of(heartbeat.term);
        if self.following.leader().is_none_or(|l| l.id != from || l.session != session) {
            let leader = heartbeat.info.name.clone();
            self.ctx.event(Event::LeaderElected { leader, term: heartbeat.term });
            self.election.stop_yielding(now);
        }
        self.following.follow(Leader {
            id: from,
            session,
            term: heartbeat.term,
            name: heartbeat.info.name.clone(),
            heard: now,
            number: heartbeat.number,
            lease: heartbeat.lease,
            master_address: heartbeat.master_address,
            other_masters: heartbeat.other_masters.clone(),
            address: heartbeat.address,
        });
    }

    /// R4: the newest record goes to disk; only the version that counts takes effect.
    fn take_record(&mut self, from: NodeId, session: Session, heartbeat: &Heartbeat) {
        if heartbeat.record.members.is_empty() && self.node().knows_members() {
            return; // R13: a leader from before membership; its copy is not acknowledged either
        }
        // With quorum off the winner of two halves imposes its record, once it has proposed it; otherwise versions of one line only grow.
        let imposes = heartbeat.record.version.term == heartbeat.term;
        let same = heartbeat.record.version == self.durable.record.version;
        let newer = heartbeat.record.supersedes(&self.durable.record)
            || (same
                && self.durable.all_written()
                && self.durable.record_on_disk() != self.durable.record.version)
            || (self.ctx.settings.quorum == 0 && imposes && heartbeat.record != self.durable.record);
        let counts = heartbeat.record.version == heartbeat.committed;
        // What an older koi has kept of the version that counts is said once more.
        let again = heartbeat.committed == self.durable.applied.version
            && heartbeat.record.supersedes(&self.durable.applied);
        let known =
            heartbeat.committed > self.durable.applied.version || again || self.ctx.settings.quorum == 0;
        let applies = counts && known && heartbeat.record != self.durable.applied;
        // R16: it is taken with the attributes that it names, or not yet.
        let whole = !(newer || applies) || self.has_attributes(from, session, heartbeat);
        if newer && whole {
            self.durable.take_record(heartbeat.record.clone());
        }
        if whole {
            self.durable.set_origin(StateOrigin::Member);
        }
        let may_shorten = self.election.may_shorten(self.ctx.now);
        self.durable.keep_promised_lease(heartbeat.lease, may_shorten);
        if applies && whole {
            self.apply(heartbeat.record.clone());
        } else if heartbeat.committed > self.durable.applied.version
            && heartbeat.committed == self.durable.record.version
        {
            self.apply(self.durable.record.clone());
        }
        // A leader that has just begun has nothing that counts yet: what it says is not known to hold.
        if heartbeat.committed.term == heartbeat.term && self.durable.applied.version == heartbeat.committed {
            self.following.inform();
        }
    }

    /// R16: whether the attributes that the record of a heartbeat names are here. What is not is asked for, and the heartbeat waits.
    fn has_attributes(&mut self, from: NodeId, session: Session, heartbeat: &Heartbeat) -> bool {
        let states = self.copies.missing(self.durable, &heartbeat.record);
        if states.is_empty() {
            self.copies.bring(self.durable, &heartbeat.record);
            self.copies.stop_waiting();
            return true;
        }
        self.copies.wait(Awaiting { from, session, heartbeat: heartbeat.clone() });
        self.ctx.answer(from, session, Body::AttributesWanted(AttributesWanted { states }));
        false
    }

    /// R16: attributes have come. If the record of a heartbeat has waited for them it is taken, and told when it is on disk.
    pub(crate) fn attributes_came(&mut self) {
        let Some(awaiting) = self.copies.stop_waiting() else { return };
        let Awaiting { from, session, heartbeat } = *awaiting;
        let follows = |l: &Leader| l.id == from && l.session == session && l.term == heartbeat.term;
        if !self.following.leader().is_some_and(follows) {
            return;
        }
        if !self.copies.missing(self.durable, &heartbeat.record).is_empty() {
            return self.copies.wait(Awaiting { from, session, heartbeat });
        }
        self.take_record(from, session, &heartbeat);
        if self.ctx.settings.elector && self.durable.term == heartbeat.term && self.node().is_established() {
            let Heartbeat { term, number, lease, .. } = heartbeat;
            self.durable.defer(Deferred::Acknowledge { leader: from, term, number, lease });
        } else {
            self.report(None);
        }
    }

    /// A version counts: the node acts on it from now on.
    fn apply(&mut self, record: Record) {
        let before = self.durable.apply(record);
        let changes = self.node().changes_since(&before);
        changes.into_iter().for_each(|(group, change)| self.ctx.event_of(&group, change));
    }

    /// What the acknowledgement needs is on disk. From here on the promise counts (R1).
    pub(crate) fn acknowledge(&mut self, leader: NodeId, term: Term, number: u64, lease: Duration) {
        let now = self.ctx.now;
        let Some(current) = self.following.leader().filter(|l| l.id == leader && l.term == term) else {
            return;
        };
        if self.durable.term != term {
            return; // it has voted for another since
        }
        let to = (leader, current.session, term);
        let longest = lease >= self.durable.promised_lease;
        self.election.acknowledge(to, now + stretched(lease, DRIFT_PERCENT), longest, now);
        self.report(Some(number));
    }

    /// Tells the leader how this node is.
    pub(crate) fn report(&mut self, acknowledged: Option<u64>) {
        if !self.node().is_established() {
            return;
        }
        let to = match (&self.lead, self.following.leader()) {
            (Some(lead), _) => (self.ctx.id, self.ctx.session, lead.term()),
            (None, Some(leader)) => (leader.id, leader.session, leader.term),
            (None, None) => return,
        };
        let (leader, session, term) = to;
        let number = self.following.number_report(self.ctx.now);
        let report = self.node().report(term, number, acknowledged);
        self.ctx.answer(leader, session, Body::Report(report));
    }

    /// The leader has answered a report; returns what its answer means for the services.
    pub(crate) fn on_answer(&mut self, from: NodeId, answer: Answer) -> Option<LeaderAnswer> {
        let leads = match (self.lead, self.following.leader()) {
            (Some(lead), _) => from == self.ctx.id && answer.term == lead.term(),
            (None, Some(leader)) => from == leader.id && answer.term == leader.term,
            (None, None) => false,
        };
        if !leads {
            return None;
        }
        let sent = self.following.note_answer(answer.report)?;
        if let Some(record) = answer.record.clone() {
            self.join(from, record, answer.term);
        }
        Some(LeaderAnswer { sent, verdicts: answer.verdicts().collect() })
    }

    /// The leader says who else runs the groups of this node.
    pub(crate) fn on_roster(&mut self, from: NodeId, session: Session, part: RosterPart) {
        let leads = match (self.lead, self.following.leader()) {
            (Some(lead), _) => from == self.ctx.id && part.term == lead.term(),
            (None, Some(leader)) => (leader.id, leader.session, leader.term) == (from, session, part.term),
            (None, None) => false,
        };
        if leads {
            self.following.rosters_mut().take(part);
        }
    }

    /// R10: an elector without state takes the record from the answer to its own report.
    fn join(&mut self, from: NodeId, record: Record, term: Term) {
        let now = self.ctx.now;
        if !self.ctx.settings.elector || self.durable.origin != StateOrigin::Empty {
            return;
        }
        let Some(leader) = self.following.leader().filter(|l| l.id == from) else { return };
        // R16: with the attributes that it names. The answer to another report brings it once more.
        let states = self.copies.missing(self.durable, &record);
        if !states.is_empty() {
            let session = leader.session;
            return self.ctx.answer(from, session, Body::AttributesWanted(AttributesWanted { states }));
        }
        self.copies.bring(self.durable, &record);
        let (to, lease) = ((from, leader.session, leader.term), leader.lease);
        self.durable.join(record, term, lease);
        // It may have acknowledged someone before its disk was wiped: as after a restart, count it as now.
        self.election.count_as_acknowledged(to, now + stretched(lease, DRIFT_PERCENT), true, now);
        self.ctx.event(Event::Joined { votes: self.node().votes() });
    }
}

impl NodeRef<'_> {
    /// A heartbeat of a term that is over: its leader is told so.
    pub(crate) fn is_over(&self, heartbeat: &Heartbeat) -> bool {
        heartbeat.term < self.oldest_acceptable_term()
    }

    /// Two leaders meet. With quorum on the later term wins, and there is never one of the same; with quorum off the higher rank does (classic
    /// bully). Why this one leads no more, if it yields.
    pub(crate) fn yields_to(&self, from: NodeId, heartbeat: &Heartbeat) -> Option<StepDownReason> {
        let own = self.lead.as_ref().map_or(Term(0), |l| l.term());
        let theirs = Rank { priority: heartbeat.info.priority, id: from };
        let yields = heartbeat.term > own || (heartbeat.term == own && theirs > self.rank());
        let node = heartbeat.info.name.clone();
        yields.then_some(StepDownReason::OtherLeader { node, term: heartbeat.term })
    }

    /// How this node is, for its leader.
    fn report(&self, term: Term, number: u64, acknowledged: Option<u64>) -> Report {
        let runner = self.settings.runner;
        let mut others = if runner { self.summaries() } else { BTreeMap::new() };
        let main = others.remove(&GroupName::MAIN);
        Report {
            info: self.info(),
            term,
            number,
            acknowledged,
            durable: if mutant!(AcknowledgedNotDurable) {
                self.durable.record.version
            } else {
                self.durable.record_on_disk()
            },
            applied: self.durable.applied.version,
            runner: main,
            uptime: self.now.since(self.started),
            address: self.address,
            heard: self.following.leader().filter(|_| self.lead.is_none()).map(|leader| leader.number),
            unfit: (!runner)
                .then(|| self.unfit())
                .flatten()
                .map(|why| clip(&why.to_string(), limits::UNFIT_BYTES)),
            others,
            picture: runner.then(|| self.following.rosters().picture()),
        }
    }

    /// What has changed in the record that this node acts on, since it acted on `before`, and in which group.
    pub(crate) fn changes_since(&self, before: &Record) -> Vec<(GroupName, Event)> {
        let after = &self.durable.applied;
        let mut changes = Vec::new();
        let mut of_all = |event| changes.push((GroupName::MAIN, event));
        if before.maintenance != after.maintenance {
            of_all(Event::Maintenance { on: after.maintenance });
        }
        if before.members != after.members && after.change.is_none() {
            of_all(Event::Electors { members: self.names_of(&after.members) });
        }
        let names: BTreeSet<&GroupName> =
            before.groups().chain(after.groups()).map(|(name, _)| name).collect();
        for name in names {
            let events = group_changes(before.group(name), after.group(name));
            changes.extend(events.into_iter().map(|event| (name.clone(), event)));
        }
        changes
    }

    /// R13: what a node that is no member has claimed or voted for is nobody's business; it measures leaders by those that it has followed.
    fn oldest_acceptable_term(&self) -> Term {
        if self.knows_members() && !self.counts(self.id) && !mutant!(OutsiderMeasuresByVote) {
            return self.durable.followed;
        }
        self.durable.term
    }

    pub(crate) fn set_following_timers(&self, timers: &mut Timers) {
        timers.set(Timer::ReportRepeat, self.report_again_at());
        if let Some(leader) = self.following.leader() {
            timers.set_after(Timer::LeaderSilence, leader.heard + self.patience(), self.now);
        }
    }

    /// The master's report was not answered, and the answer is its lease: it reports again.
    pub(crate) fn report_is_due(&self) -> bool {
        self.now >= self.report_again_at()
    }

    fn report_again_at(&self) -> Time {
        let waits = self.lead.is_none() && self.runners.needs_leases();
        match self.following.unanswered_since() {
            Some(sent) if waits => sent + self.settings.heartbeat / 4,
            Some(_) | None => Time::NEVER,
        }
    }

    /// Who else runs a group of this node, by the leader's word; none: there is no leader, or it has said nothing yet.
    pub(crate) fn roster(&self, group: &GroupName) -> Option<Vec<RosterEntry>> {
        let known = self.following.rosters().of(group).filter(|_| self.connected())?;
        Some(known.iter().filter(|entry| entry.node != self.id).cloned().collect())
    }

    /// The leader that this node follows, if it was heard lately.
    pub(crate) fn known_leader(&self) -> Option<NodeId> {
        self.following.leader().filter(|l| self.now.since(l.heard) <= self.lately()).map(|l| l.id)
    }

    /// Where the master of a group can be reached, by its own word. A datagram's source is nobody's word.
    pub(crate) fn master_address(&self, group: &GroupName, master: NodeId) -> Option<IpAddr> {
        if master == self.id {
            return self.address.map(|a| a.ip());
        }
        let stated = self.peers.get(master).and_then(|p| p.stated).filter(|_| self.lead.is_some());
        let told = || match self.following.leader() {
            Some(leader) if group.is_main() => leader.master_address,
            Some(leader) => leader.other_masters.get(group).copied(),
            None => None,
        };
        stated.or_else(told).map(|a| a.ip())
    }
}

/// What has changed in a group.
fn group_changes(before: &GroupRecord, after: &GroupRecord) -> Vec<Event> {
    let mut changes = Vec::new();
    if before.manual != after.manual {
        changes.push(Event::Manual { on: after.manual });
    }
    let epoch = |group: &GroupRecord| group.master.as_ref().map(|m| m.epoch);
    if epoch(before) == epoch(after) {
        return changes;
    }
    match (&before.master, &after.master) {
        (_, Some(m)) => changes.push(Event::MasterNamed { node: m.name.clone(), epoch: m.epoch }),
        (Some(m), None) => {
            let reason = DropReason::Released;
            changes.push(Event::MasterDropped { node: m.name.clone(), epoch: m.epoch, reason });
        }
        (None, None) => {}
    }
    changes
}
