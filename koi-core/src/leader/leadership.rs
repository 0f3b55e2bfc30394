//! What a leader knows and has sent: its term, heartbeats and who acknowledged them, copies of the record, reports, and the claim
//! for a later term (rules R3, R4 and R11). Messages come and go in `node::leading::leader`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::elector::election::Ballot;
use crate::group::GroupName;
use crate::io::{Answered, CommandId};
use crate::leader::fence::Fencing;
use crate::leader::placement::{Placement, Placements};
use crate::leader::reports::{Reports, RunnerReport};
use crate::leader::rosters::Rosters;
use crate::leader::writes::WriteQueue;
use crate::limits;
use crate::message::Report;
use crate::record::Record;
use crate::roster::RosterPart;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Session, Term, Time, Version};

/// A leadership, from the election to its end.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    term: Term,
    won: Time,
    number: u64,
    heartbeat_due: Time,
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
    committed: Version,
    counted_since: Time,
    /// The latest report of each runner in this term, the own one included.
    runners: Reports,
    commands: VecDeque<(CommandId, Version, Answered)>,
    reclaim: Option<Reclaim>,
    /// What its decisions about masterships build on.
    placements: Placements,
    /// The fence of another node that it runs (R12).
    fencing: Fencing,
    /// R16: the newest record of its voters, while attributes that it names are not here yet.
    adopting: Option<Record>,
    /// Writes of attributes that are not made yet.
    writes: WriteQueue,
    /// Who runs which group, as its runners are told.
    rosters: Rosters,
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
    /// Begins with these votes.
    pub(crate) fn new(term: Term, votes: &BTreeMap<NodeId, Ballot>, now: Time) -> Leadership {
        let inherited = votes.values().filter_map(|b| b.acknowledged).max();
        let cold = votes.values().all(|b| !b.followed);
        Leadership {
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
            placements: Placements::new(term, inherited, cold),
            fencing: Fencing::default(),
            adopting: None,
            writes: WriteQueue::default(),
            rosters: Rosters::default(),
        }
    }

    /// R16: the newest record of its voters, while attributes that it names are not here yet.
    pub(crate) fn adopting(&self) -> Option<&Record> {
        self.adopting.as_ref()
    }

    /// The newest record of its voters waits for attributes, or nothing does any more.
    pub(crate) fn set_adopting(&mut self, record: Option<Record>) {
        self.adopting = record;
    }

    /// Writes of attributes that are not made yet.
    pub(crate) fn writes(&self) -> &WriteQueue {
        &self.writes
    }

    /// The same, to change them.
    pub(crate) fn writes_mut(&mut self) -> &mut WriteQueue {
        &mut self.writes
    }

    /// Who runs which group, for whoever tells the runners.
    pub(crate) fn rosters_mut(&mut self) -> &mut Rosters {
        &mut self.rosters
    }

    /// What a run is to be told of the groups that it runs, if it has another picture of them.
    pub(crate) fn roster_for(&mut self, run: (NodeId, Session), picture: u32) -> Vec<RosterPart> {
        let Some(seen) = self.runners.of_run(run.0, run.1) else { return Vec::new() };
        self.rosters.tell(run, seen.summaries.keys(), picture, (self.term, self.number))
    }

    /// Its term.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Since when it leads in its term.
    pub(crate) fn won(&self) -> Time {
        self.won
    }

    /// The newest version that counts.
    pub(crate) fn committed(&self) -> Version {
        self.committed
    }

    /// The latest report of each runner in this term, the own one included.
    pub(crate) fn runners(&self) -> &Reports {
        &self.runners
    }

    /// A run is over: it reports no more.
    pub(crate) fn forget_runner(&mut self, node: NodeId, session: Session) {
        self.runners.remove(node, session);
    }

    /// What its decisions about the masterships of a group build on.
    pub(crate) fn placement(&self, group: &GroupName) -> &Placement {
        self.placements.of(group)
    }

    /// The same, for whoever decides.
    pub(crate) fn placement_mut(&mut self, group: &GroupName) -> &mut Placement {
        self.placements.of_mut(group)
    }

    /// The same of all groups.
    pub(crate) fn placements_mut(&mut self) -> &mut Placements {
        &mut self.placements
    }

    /// The fence of another node that it runs.
    pub(crate) fn fencing(&self) -> &Fencing {
        &self.fencing
    }

    /// The same, for whoever runs it.
    pub(crate) fn fencing_mut(&mut self) -> &mut Fencing {
        &mut self.fencing
    }

    /// Its timers, but for the end of the leadership.
    pub(crate) fn set_timers(&self, timers: &mut Timers) {
        timers.set(Timer::Heartbeat, self.heartbeat_due);
        timers.set(Timer::HeartbeatRepeat, self.repeat_due);
        timers.set(Timer::Decision, self.placements.decide_at());
        if let Some(reclaim) = &self.reclaim {
            timers.set(Timer::ReclaimRepeat, reclaim.resend);
        }
    }

    // --- heartbeats ---

    /// The number of the newest heartbeat.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A heartbeat is due.
    pub(crate) fn heartbeat_is_due(&self, now: Time) -> bool {
        now >= self.heartbeat_due
    }

    /// The newest heartbeat is to be sent again to whoever has not answered it.
    pub(crate) fn repeat_is_due(&self, now: Time) -> bool {
        now >= self.repeat_due
    }

    /// The next heartbeat is sent at once: there is news.
    pub(crate) fn hasten(&mut self, now: Time) {
        self.heartbeat_due = now;
    }

    /// Numbers a heartbeat that is sent now.
    pub(crate) fn number_heartbeat(&mut self, heartbeat: Duration, now: Time) {
        self.number += 1;
        self.heartbeat_due = now + heartbeat;
        self.repeat_due = now + heartbeat / 4;
        if self.sent.len() >= limits::IN_FLIGHT {
            self.sent.pop_front();
        }
        self.sent.push_back((self.number, now));
    }

    /// When the newest heartbeat was sent.
    pub(crate) fn newest_sent(&self) -> Option<Time> {
        self.sent.back().map(|(_, at)| *at)
    }

    /// The newest heartbeat is sent again at this instant; never: everyone has answered.
    pub(crate) fn repeat_at(&mut self, at: Time) {
        self.repeat_due = at;
    }

    /// When each elector's newest acknowledged heartbeat was sent.
    pub(crate) fn acknowledgements(&self) -> &BTreeMap<NodeId, Time> {
        &self.acknowledged
    }

    /// Has reported in this term.
    pub(crate) fn has_met(&self, node: NodeId) -> bool {
        self.met.contains(&node)
    }

    // --- reports ---

    /// A node has reported in this term.
    pub(crate) fn meet(&mut self, node: NodeId) {
        self.met.insert(node);
    }

    /// An elector has acknowledged a heartbeat; returns when that was sent, if it still counts.
    pub(crate) fn acknowledge(&mut self, elector: NodeId, number: u64) -> Option<Time> {
        let sent = self.sent_at(number)?;
        let newest = self.acknowledged.entry(elector).or_insert(sent);
        *newest = (*newest).max(sent);
        Some(sent)
    }

    /// An elector has this version on its disk.
    pub(crate) fn note_copy(&mut self, elector: NodeId, version: Version) {
        self.copies.insert(elector, version);
    }

    /// What a runner reports of itself; `masters`: the runs of it that the record names.
    pub(crate) fn note_runner(
        &mut self,
        node: NodeId,
        session: Session,
        report: Report,
        masters: &[Session],
        now: Time,
    ) {
        let Report { number, applied, uptime, runner, mut others, .. } = report;
        if let Some(main) = runner {
            others.insert(GroupName::MAIN, main);
            let before = self.runners.of_run(node, session);
            if before.is_none_or(|seen| seen.summaries != others || seen.applied != applied) {
                self.rosters.note_news();
            }
            let seen = RunnerReport { session, report: number, at: now, summaries: others, applied, uptime };
            self.runners.insert(node, seen, masters);
        }
    }

    // --- the record (R4) ---

    /// The version of a change after `newest`; it is told at once.
    pub(crate) fn next_version(&mut self, newest: u64, now: Time) -> Version {
        self.hasten(now);
        Version { term: self.term, n: newest + 1 }
    }

    /// The electors that have this version on disk.
    pub(crate) fn holders(&self, version: Version) -> impl Iterator<Item = NodeId> {
        self.copies.iter().filter(move |(_, v)| **v == version).map(|(id, _)| *id)
    }

    /// A version counts, and a heartbeat says so at once: returns the commands that are done with it.
    pub(crate) fn commit(&mut self, version: Version, now: Time) -> Vec<(CommandId, Answered)> {
        self.committed = version;
        self.counted_since = now;
        self.hasten(now);
        let (done, waiting): (VecDeque<_>, _) =
            std::mem::take(&mut self.commands).into_iter().partition(|(_, v, _)| *v <= version);
        self.commands = waiting;
        done.into_iter().map(|(id, _, answered)| (id, answered)).collect()
    }

    /// A command is done when this version counts.
    pub(crate) fn await_commit(&mut self, id: CommandId, version: Version, answered: Answered) {
        self.commands.push_back((id, version, answered));
    }

    /// How many commands wait for a version to count, or to be made.
    pub(crate) fn waiting_commands(&self) -> usize {
        self.commands.len() + self.writes.commands().count()
    }

    /// The commands that will never be answered: the leadership is over.
    pub(crate) fn into_commands(self) -> impl Iterator<Item = CommandId> {
        let written: Vec<CommandId> = self.writes.commands().collect();
        self.commands.into_iter().map(|(id, _, _)| id).chain(written)
    }

    // --- claiming again above a term that was spent in vain (R11) ---

    /// Somebody knows this term. Returns the term to claim, if this leader must lead above it; `voted`: the newest in which this node
    /// has voted.
    pub(crate) fn reclaim_above(&mut self, newest: Term, voted: Term, resend: Time) -> Option<Term> {
        let beyond = self.reclaim.as_ref().map_or(self.term, |r| r.term);
        if newest <= beyond || mutant!(NoReclaim) {
            return None;
        }
        let term = Term(newest.0.max(voted.0).saturating_add(1));
        self.reclaim = Some(Reclaim { term, votes: BTreeMap::new(), resend, said: false });
        Some(term)
    }

    /// Whether the claim is to be said again: its term, if it has been said.
    pub(crate) fn repeat_claim(&mut self, heartbeat: Duration, now: Time) -> Option<Term> {
        let reclaim = self.reclaim.as_mut().filter(|r| now >= r.resend)?;
        reclaim.resend = now + heartbeat;
        reclaim.said.then_some(reclaim.term)
    }

    /// The own vote for this claim is on disk: it may be said. False: it is not the claim any more.
    pub(crate) fn may_say_claim(&mut self, term: Term) -> bool {
        match self.reclaim.as_mut().filter(|r| r.term == term) {
            Some(reclaim) => {
                reclaim.said = true;
                true
            }
            None => false,
        }
    }

    /// Counts a vote for this claim.
    pub(crate) fn take_vote(&mut self, from: NodeId, term: Term, ballot: Ballot) {
        if let Some(reclaim) = self.reclaim.as_mut().filter(|r| r.term == term) {
            reclaim.votes.insert(from, ballot);
        }
    }

    /// The votes for the claim.
    pub(crate) fn claim_votes(&self) -> Option<&BTreeMap<NodeId, Ballot>> {
        self.reclaim.as_ref().map(|reclaim| &reclaim.votes)
    }

    /// The claim is won: it leads in that term now. How everyone is, it learns anew. Returns the votes.
    pub(crate) fn enter_claimed_term(&mut self, now: Time) -> Option<BTreeMap<NodeId, Ballot>> {
        let reclaim = self.reclaim.take()?;
        self.term = reclaim.term;
        self.copies.clear();
        self.met.clear();
        self.runners.clear();
        self.won = now;
        let latest = reclaim.votes.values().filter_map(|b| b.acknowledged).max();
        self.placements.reclaimed(reclaim.term, latest);
        Some(reclaim.votes)
    }

    /// When this heartbeat was sent; none: long ago, or never.
    pub(crate) fn sent_at(&self, number: u64) -> Option<Time> {
        self.sent.iter().find(|(n, _)| *n == number).map(|(_, at)| *at)
    }

    /// When the newest heartbeat was sent that this elector has acknowledged.
    pub(crate) fn acknowledged_at(&self, elector: NodeId) -> Option<Time> {
        self.acknowledged.get(&elector).copied()
    }

    pub(crate) fn backlog(&self) -> usize {
        self.sent.len() + self.commands.len() + self.writes.backlog()
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
