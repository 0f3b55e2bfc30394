//! Who leads: promises, polls, claims and votes (rules R1, R2, R3 and R10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::durability::Deferred;
use crate::event::Event;
use crate::io::Destination;
use crate::members::Quorum;
use crate::message::{
    Body, NodeInfo, PreVote, PreVoteAnswer, RULES, Recipient, RequestVote, StaleTerm, Vote,
};
use crate::node::Node;
use crate::record::{Record, StateOrigin};
use crate::settings::DRIFT_PERCENT;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Rank, Session, Term, Time, stretched};

/// A campaign waits for disks no longer than this.
const SLOWEST_DISKS: Duration = Duration::from_secs(2);

/// The elector half of a node. Its fields are changed in this file alone.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    phase: ElectionPhase,
    /// R1: whom this elector has acknowledged last, and until when it votes for nobody else.
    promise: Option<Promise>,
    /// When every promise of the longest lease that is on disk is over: then a shorter one may take its place there.
    longest_until: Time,
    /// When it last acknowledged any leader, itself included (R6).
    acknowledged: Option<Time>,
    /// It has followed a leader in this run.
    followed: bool,
    /// The newest term heard of; proposals go beyond it.
    newest: Term,
    /// R2: until then a lower rank may win, for this node's own campaign did not.
    yields_until: Time,
    /// No campaign before this instant.
    next_try: Time,
    tries: u32,
}

/// R1. An unknown leader (`None`) is the one that an earlier run of this node may have acknowledged.
#[derive(Clone, Copy, Debug)]
struct Promise {
    to: Option<(NodeId, Session, Term)>,
    until: Time,
}

/// What this elector is doing about the leadership.
#[derive(Clone, Debug)]
enum ElectionPhase {
    /// It follows, or listens.
    Follower,
    /// It asks whether it would be elected; no term is spent.
    Polling { term: Term, yes: BTreeSet<NodeId>, until: Time, resend: Time, rival: bool, disks: Duration },
    /// It claims the term.
    Claiming { term: Term, votes: BTreeMap<NodeId, Ballot>, until: Time, resend: Time },
    /// It leads; see `Leadership`.
    Leading,
}

/// What a vote brought.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    pub(crate) record: Record,
    /// When the voter last acknowledged an earlier leader, on our clock, at the latest.
    pub(crate) acknowledged: Option<Time>,
    pub(crate) followed: bool,
}

impl Election {
    pub(crate) fn new(
        now: Time,
        term: Term,
        promised: Duration,
        had_state: bool,
        listen: Duration,
    ) -> Election {
        // R1: an elector that restarted counts as having acknowledged an earlier leader at its own start.
        let until = now + stretched(promised, DRIFT_PERCENT);
        Election {
            phase: ElectionPhase::Follower,
            promise: (had_state && !mutant!(RestartForgetsPromise)).then_some(Promise { to: None, until }),
            longest_until: until,
            acknowledged: (had_state && !mutant!(RestartForgetsPromise)).then_some(now),
            followed: false,
            newest: term,
            yields_until: Time(0),
            next_try: now + listen,
            tries: 0,
        }
    }

    /// R1: acknowledges a leadership now, and votes for nobody else until then. `longest`: no lease on disk is longer than the one
    /// that was acknowledged.
    pub(crate) fn acknowledge(&mut self, to: (NodeId, Session, Term), until: Time, longest: bool, now: Time) {
        self.count_as_acknowledged(to, until, longest, now);
        self.followed = true;
    }

    /// The same of an elector that may have acknowledged somebody before its disk was wiped. It has followed nobody in this run.
    pub(crate) fn count_as_acknowledged(
        &mut self,
        to: (NodeId, Session, Term),
        until: Time,
        longest: bool,
        now: Time,
    ) {
        self.promise = Some(Promise { to: Some(to), until });
        if longest {
            self.longest_until = self.longest_until.max(until);
        }
        self.acknowledged = Some(now);
    }

    /// The newest term heard of.
    pub(crate) fn newest(&self) -> Term {
        self.newest
    }

    /// Somebody has spoken of a term.
    pub(crate) fn hear_of(&mut self, term: Term) {
        self.newest = self.newest.max(term);
    }

    /// Somebody leads: the own campaign, if there is one, is over.
    pub(crate) fn follow(&mut self) {
        self.phase = ElectionPhase::Follower;
    }

    /// R2: a campaign has ended, and with it the reason to yield to a lower rank.
    pub(crate) fn stop_yielding(&mut self, now: Time) {
        self.yields_until = now;
    }

    /// This node leads.
    pub(crate) fn lead(&mut self, now: Time) {
        self.phase = ElectionPhase::Leading;
        self.stop_yielding(now);
    }

    /// This node leads no more, and campaigns no earlier than `next_try`.
    pub(crate) fn step_down(&mut self, next_try: Time) {
        self.phase = ElectionPhase::Follower;
        self.next_try = next_try;
    }

    /// R11: the leader is gone, by its own word: whoever follows need not wait.
    pub(crate) fn leader_is_gone(&mut self, now: Time) {
        if matches!(self.phase, ElectionPhase::Follower) {
            self.next_try = now;
        }
    }

    /// Whether a promise to this run binds.
    pub(crate) fn is_bound_to(&self, node: NodeId, run: Session) -> bool {
        self.promise.and_then(|p| p.to).is_some_and(|to| to.0 == node && to.1 == run)
    }

    /// A run of a node is over, or what it led in terms up to `term`: what was promised to it then binds no more (R1).
    pub(crate) fn release(&mut self, node: NodeId, session: Session, term: Option<Term>) {
        let ends = |(n, s, t): (NodeId, Session, Term)| {
            n == node && s == session && term.is_none_or(|over| t <= over)
        };
        if self.promise.is_some_and(|p| p.to.is_some_and(ends)) {
            self.promise = None;
        }
    }

    /// Whether a lease shorter than the one on disk may take its place: no promise of the longer one binds any more.
    pub(crate) fn may_shorten(&self, now: Time) -> bool {
        now >= self.longest_until || self.promise.is_none()
    }

    /// How long the promise keeps this elector from voting for `candidate`.
    fn bound(&self, candidate: (NodeId, Session), now: Time) -> Duration {
        let other = |p: &Promise| p.to.is_none_or(|(node, session, _)| (node, session) != candidate);
        match self.promise {
            _ if mutant!(PromiseIgnored) => Duration::ZERO,
            Some(p) if other(&p) => p.until.since(now),
            _ => Duration::ZERO,
        }
    }
}

impl Node {
    pub(crate) fn rank(&self) -> Rank {
        Rank { priority: self.settings.priority, id: self.id }
    }

    /// Takes part in elections (R10, R13).
    pub(crate) fn votes(&self) -> bool {
        self.settings.elector
            && self.is_established()
            && (self.durable.origin != StateOrigin::Empty || mutant!(EmptyVotes))
            && self.counts(self.id)
    }

    /// Who the electors are is in the record (R13), and not a matter of the configuration.
    pub(crate) fn knows_members(&self) -> bool {
        self.settings.quorum > 0 && !self.durable.record.members.is_empty() && !mutant!(MembersIgnored)
    }

    /// Whether the voice of this node counts: it is a member or, while the record has no members, the configuration admits it.
    pub(crate) fn counts(&self, id: NodeId) -> bool {
        if self.knows_members() {
            return self.durable.record.has_member(id);
        }
        match self.peers.get(id) {
            _ if id == self.id => self.settings.elector && self.settings.electors.admits(&self.settings.name),
            Some(peer) => self.admits(&peer.info),
            None => false,
        }
    }

    fn admits(&self, info: &NodeInfo) -> bool {
        info.elector && self.settings.electors.admits(&info.name)
    }

    /// What makes a quorum of electors, by the newest record that this node has.
    pub(crate) fn quorum(&self) -> Quorum<'_> {
        self.quorum_by(&self.durable.record)
    }

    fn quorum_by<'a>(&self, record: &'a Record) -> Quorum<'a> {
        let mut quorum = Quorum::of(record, &self.settings);
        if let (Quorum::Majorities { members, after }, true) = (&mut quorum, mutant!(OwnVoiceAssumed)) {
            for set in [members.to_mut()].into_iter().chain(after).filter(|set| !set.contains(&self.id)) {
                set.pop_last();
                set.insert(self.id);
            }
        }
        quorum
    }

    /// The members with which this node founds a cluster; empty: it has a record, or is from before R13.
    fn founding(&self) -> BTreeSet<NodeId> {
        match self.durable.origin {
            StateOrigin::Founder => self.durable.record.members.clone(),
            StateOrigin::Empty | StateOrigin::Member => BTreeSet::new(),
        }
    }

    /// R13: whether `from` may be elected, as far as membership goes.
    fn may_be_elected(&self, from: NodeId, info: &NodeInfo, founding: &BTreeSet<NodeId>) -> bool {
        if !self.counts(from) {
            return false;
        }
        let own = self.founding();
        let same_set = own.is_empty() || founding.is_empty() || *founding == own;
        same_set && (!self.knows_members() || info.rules >= RULES)
    }

    /// The newest record, in the answer of or to one who is no member (R13). Its members are in force before it counts; nothing else of it is.
    fn learn(&mut self, record: Record) {
        // R10: an elector without state is initialised by the answer to its own report alone.
        if self.durable.origin == StateOrigin::Empty || !record.supersedes(&self.durable.record) {
            return;
        }
        self.durable.take_record(record);
        self.durable.set_origin(StateOrigin::Member);
        if !self.votes() && !matches!(self.election.phase, ElectionPhase::Leading) {
            self.election.phase = ElectionPhase::Follower;
        }
    }

    /// Could lead now.
    fn fit(&self, now: Time) -> bool {
        self.votes() && !self.leaving.has_begun() && now >= self.listen_until
    }

    /// When this elector starts a campaign unless it hears a leader before.
    fn campaign_due(&self) -> Time {
        let mut due = self.election.next_try.max(self.listen_until);
        if let Some(promise) = self.election.promise {
            due = due.max(promise.until);
        }
        if let Some(leader) = self.following.leader() {
            due = due.max(leader.heard + stretched(leader.lease, DRIFT_PERCENT));
        }
        due
    }

    /// Whether this node takes part in campaigns.
    fn campaigns(&self) -> bool {
        self.votes() && !self.leaving.has_begun()
    }

    pub(crate) fn set_election_timers(&self, timers: &mut Timers) {
        if !self.campaigns() {
            return;
        }
        match &self.election.phase {
            ElectionPhase::Follower => timers.set(Timer::Campaign, self.campaign_due()),
            ElectionPhase::Polling { until, resend, .. } | ElectionPhase::Claiming { until, resend, .. } => {
                timers.set(Timer::CampaignRepeat, *resend);
                timers.set(Timer::CampaignEnd, *until);
            }
            ElectionPhase::Leading => {}
        }
    }

    /// Lets time take effect on the election.
    pub(crate) fn advance_election(&mut self, now: Time) {
        if !self.campaigns() {
            return;
        }
        match &mut self.election.phase {
            ElectionPhase::Follower => {
                if now >= self.campaign_due() {
                    self.start_poll(now);
                }
            }
            ElectionPhase::Polling { term, until, resend, rival, .. } => {
                let term = *term;
                if now >= *until {
                    // With quorum off nobody has to agree: being unopposed is enough (classic bully).
                    if self.settings.quorum == 0 && !*rival {
                        return self.start_claim(now);
                    }
                    return self.give_up(now);
                }
                if now >= *resend {
                    *resend = now + self.settings.heartbeat;
                    self.send_poll(term);
                }
            }
            ElectionPhase::Claiming { term, until, resend, .. } => {
                let term = *term;
                if now >= *until {
                    return self.give_up(now);
                }
                if now >= *resend {
                    *resend = now + self.settings.heartbeat;
                    if self.durable.is_on_disk() {
                        self.send_claim(term);
                    }
                }
            }
            ElectionPhase::Leading => {}
        }
    }

    pub(crate) fn start_poll(&mut self, now: Time) {
        let term = Term(self.durable.term.max(self.election.newest).0.saturating_add(1));
        if let Some(leader) = self.following.leave() {
            self.event(Event::LeaderLost { leader: leader.name });
        }
        self.election.phase = ElectionPhase::Polling {
            term,
            yes: BTreeSet::from([self.id]),
            until: now + self.settings.election_timeout(),
            resend: now + self.settings.heartbeat,
            rival: false,
            disks: Duration::ZERO,
        };
        self.send_poll(term);
        self.count_poll(now);
    }

    fn send_poll(&mut self, term: Term) {
        let (info, founding) = (self.info(), self.founding());
        self.send(Destination::Everyone, None, Body::PreVote(PreVote { info, term, founding }));
    }

    pub(crate) fn send_claim(&mut self, term: Term) {
        let (info, founding) = (self.info(), self.founding());
        self.send(Destination::Everyone, None, Body::RequestVote(RequestVote { info, term, founding }));
    }

    /// R2: a campaign that did not win within one election timeout lets the lower rank win.
    fn give_up(&mut self, now: Time) {
        let timeout = self.settings.election_timeout();
        self.election.tries = self.election.tries.wrapping_add(1);
        // Two that always try at the same instant would always be in each other's way.
        let mix = (self.id.0 as u64 ^ (self.id.0 >> 64) as u64)
            .wrapping_add(u64::from(self.election.tries))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let jitter = Duration::from_micros((mix >> 32) % (timeout.as_micros() as u64).max(1));
        self.election.phase = ElectionPhase::Follower;
        if !mutant!(NeverYields) {
            self.election.yields_until = now + timeout * 2;
        }
        self.election.next_try = now + timeout + jitter;
    }

    pub(crate) fn on_poll(&mut self, from: NodeId, session: Session, poll: &PreVote, now: Time) {
        if !self.votes() {
            return self.turn_away(from, session, poll.term);
        }
        if !self.may_be_elected(from, &poll.info, &poll.founding) {
            return self.turn_away(from, session, poll.term);
        }
        let wait = self.bound_to_others(from, session, now);
        let newest = self.durable.term;
        let theirs = Rank { priority: poll.info.priority, id: from };
        let outranked = self.rank() > theirs;
        let mut granted = wait.is_zero() && poll.term > newest;
        // R2: a fit elector of higher rank answers a campaign with its own.
        if granted && outranked && self.fit(now) && now >= self.election.yields_until {
            granted = false;
            if matches!(self.election.phase, ElectionPhase::Follower) {
                self.start_poll(now);
            }
        }
        if granted && !outranked {
            // Who has just let a higher rank go first is in nobody's way.
            self.election.yields_until =
                self.election.yields_until.max(now + self.settings.election_timeout());
        }
        match &mut self.election.phase {
            ElectionPhase::Polling { rival, .. } if self.settings.quorum == 0 && !outranked => *rival = true,
            ElectionPhase::Polling { .. } if granted => {
                self.election.phase = ElectionPhase::Follower;
                self.election.next_try =
                    now + self.settings.election_timeout() + self.disk_patience(self.durable.disk_takes());
            }
            ElectionPhase::Follower if granted => {
                let room =
                    now + self.settings.election_timeout() + self.disk_patience(self.durable.disk_takes());
                self.election.next_try = self.election.next_try.max(room);
            }
            ElectionPhase::Polling { .. }
            | ElectionPhase::Follower
            | ElectionPhase::Claiming { .. }
            | ElectionPhase::Leading => {}
        }
        let answer = PreVoteAnswer {
            term: poll.term,
            granted,
            newest,
            wait,
            record: None,
            disk: self.durable.disk_takes(),
        };
        self.answer(from, session, Body::PreVoteAnswer(answer));
    }

    /// A poll, claim or refusal of one who is no member raises no term. The answer says who the members are; so does that of one who is none
    /// any more to those who still count on its voice, because they have not heard that it was removed.
    pub(crate) fn turn_away(&mut self, from: NodeId, session: Session, term: Term) {
        if !self.counts(from) || !self.counts(self.id) {
            self.pass_on_record(from, session, term);
        }
    }

    fn pass_on_record(&mut self, from: NodeId, session: Session, term: Term) {
        if self.knows_members() && self.is_established() && self.durable.is_on_disk() {
            let record = self.durable.record.clone();
            let (newest, wait) = (self.durable.term, Duration::ZERO);
            let disk = self.durable.disk_takes();
            let answer = PreVoteAnswer { term, granted: false, newest, wait, record: Some(record), disk };
            self.answer(from, session, Body::PreVoteAnswer(answer));
        }
    }

    /// R1: how long this elector may not vote for `candidate`, because of what it promised, or leads itself.
    fn bound_to_others(&self, candidate: NodeId, session: Session, now: Time) -> Duration {
        let mut wait = self.election.bound((candidate, session), now);
        if self.lead.is_some() {
            wait = wait.max(self.leadership_end().since(now)).max(Duration::from_micros(1));
        }
        wait
    }

    pub(crate) fn on_poll_answer(
        &mut self,
        from: NodeId,
        session: Session,
        answer: &PreVoteAnswer,
        now: Time,
    ) {
        self.peers.note_disk(from, session, answer.disk, now);
        if let Some(record) = &answer.record {
            if self.durable.record.supersedes(record) {
                // The other one is behind: it may be a member without knowing.
                self.pass_on_record(from, session, answer.term);
            }
            self.learn(record.clone());
            self.count_poll(now);
        }
        if !self.counts(from) {
            return;
        }
        self.election.newest = self.election.newest.max(answer.newest);
        let newest = self.election.newest;
        let ElectionPhase::Polling { term, yes, resend, disks, .. } = &mut self.election.phase else {
            return;
        };
        if answer.term == *term && answer.granted {
            yes.insert(from);
            *disks = (*disks).max(answer.disk);
            return self.count_poll(now);
        }
        if newest >= *term {
            let term_now = Term(newest.0.saturating_add(1));
            *term = term_now;
            *yes = BTreeSet::from([self.id]);
            return self.send_poll(term_now);
        }
        if !answer.wait.is_zero() {
            // Ask again the moment that the voter is free.
            *resend = (*resend).min(now + answer.wait);
        }
    }

    fn count_poll(&mut self, now: Time) {
        let ElectionPhase::Polling { yes, .. } = &self.election.phase else { return };
        if self.settings.quorum > 0 && self.quorum().is_met_by(yes) {
            self.start_claim(now);
        }
    }

    /// How much longer than usual a campaign takes: the own vote and those of others must reach disks, of which the slowest takes `disks`. Leases
    /// and promises never adapt.
    fn disk_patience(&self, disks: Duration) -> Duration {
        if mutant!(DisksHurried) {
            return Duration::ZERO;
        }
        (self.durable.disk_takes() + disks).min(SLOWEST_DISKS)
    }

    fn start_claim(&mut self, now: Time) {
        let ElectionPhase::Polling { term, disks, .. } = self.election.phase else { return };
        let patience = self.settings.election_timeout() + self.disk_patience(disks);
        self.durable.vote(term, (self.id, self.session));
        self.election.newest = term;
        self.election.phase = ElectionPhase::Claiming {
            term,
            votes: BTreeMap::new(),
            until: now + patience,
            resend: now + self.settings.heartbeat,
        };
        self.when_durable(Deferred::RequestVote(term), now); // R1: on disk before it is said
    }

    /// The own vote is on disk.
    pub(crate) fn claim_is_durable(&mut self, term: Term, now: Time) {
        let own = self.own_ballot();
        match &mut self.election.phase {
            ElectionPhase::Claiming { term: claimed, votes, .. } if *claimed == term => {
                votes.insert(self.id, own);
            }
            ElectionPhase::Leading => return self.reclaim_is_durable(term, own, now),
            ElectionPhase::Claiming { .. } | ElectionPhase::Follower | ElectionPhase::Polling { .. } => {
                return;
            }
        }
        self.send_claim(term);
        self.count_votes(now);
    }

    fn own_ballot(&self) -> Ballot {
        Ballot {
            record: self.durable.record.clone(),
            acknowledged: self.election.acknowledged,
            followed: self.election.followed,
        }
    }

    pub(crate) fn on_claim(&mut self, from: NodeId, session: Session, claim: &RequestVote, now: Time) {
        if !self.votes() {
            return;
        }
        if !self.may_be_elected(from, &claim.info, &claim.founding) {
            return self.turn_away(from, session, claim.term);
        }
        let candidate = (from, session);
        if claim.term == self.durable.term && self.durable.vote == Some(candidate) {
            return self.when_durable(Deferred::Vote { to: from, session, term: claim.term }, now);
        }
        let wait = self.bound_to_others(from, session, now);
        if claim.term <= self.durable.term || !wait.is_zero() {
            let vote = self.vote(claim.term, false, wait, now);
            return self.answer(from, session, Body::Vote(vote));
        }
        self.durable.vote(claim.term, candidate);
        self.election.hear_of(claim.term);
        self.election.phase = ElectionPhase::Follower;
        self.election.next_try =
            now + self.settings.election_timeout() + self.disk_patience(self.durable.disk_takes());
        self.when_durable(Deferred::Vote { to: from, session, term: claim.term }, now);
    }

    /// The vote is on disk and may leave (R1).
    pub(crate) fn vote_is_durable(&mut self, to: NodeId, session: Session, term: Term, now: Time) {
        if self.durable.term == term && self.durable.vote == Some((to, session)) {
            let vote = self.vote(term, true, Duration::ZERO, now);
            self.answer(to, session, Body::Vote(vote));
        }
    }

    fn vote(&self, term: Term, granted: bool, wait: Duration, now: Time) -> Vote {
        Vote {
            term,
            granted,
            newest: self.durable.term,
            record: self.durable.record.clone(),
            acknowledged_ago_us: self.election.acknowledged.map(|at| crate::types::micros(now.since(at))),
            followed: self.election.followed,
            wait,
        }
    }

    pub(crate) fn on_vote(&mut self, from: NodeId, vote: &Vote, now: Time) {
        // A voter may know newer members than this node does: who counts is looked at when the votes are counted.
        if self.counts(from) {
            self.election.newest = self.election.newest.max(vote.newest);
        } else if !self.knows_members() {
            return;
        }
        let ballot = Ballot {
            record: vote.record.clone(),
            // The voter's clock may run faster than ours: at least this long ago, on ours.
            acknowledged: vote.acknowledged_ago_us.map(|us| {
                now - Duration::from_micros(us - us.div_ceil(100) * u64::from(DRIFT_PERCENT).min(us))
            }),
            followed: vote.followed,
        };
        match &mut self.election.phase {
            ElectionPhase::Claiming { term, votes, .. } if *term == vote.term => {
                if vote.granted {
                    votes.insert(from, ballot);
                    self.count_votes(now);
                }
            }
            ElectionPhase::Leading if vote.granted => self.on_reclaim_vote(from, vote.term, ballot, now),
            ElectionPhase::Leading
            | ElectionPhase::Claiming { .. }
            | ElectionPhase::Follower
            | ElectionPhase::Polling { .. } => {}
        }
    }

    fn count_votes(&mut self, now: Time) {
        let ElectionPhase::Claiming { term, votes, .. } = &self.election.phase else { return };
        if votes.contains_key(&self.id) && self.elects(votes) {
            let (term, votes) = (*term, votes.clone());
            self.win(term, votes, now);
        }
    }

    /// Whether these votes are a quorum, by the newest record among them (R13).
    pub(crate) fn elects(&self, votes: &BTreeMap<NodeId, Ballot>) -> bool {
        let newest = self.newest_record(votes);
        let quorum = self.quorum_by(newest);
        let founds =
            |ballot: &Ballot| !matches!(quorum, Quorum::Every(_)) || ballot.record.members == newest.members;
        quorum.is_met_by(&votes.iter().filter(|(_, b)| founds(b)).map(|(id, _)| *id).collect())
    }

    /// The newest record of this node and of its voters.
    pub(crate) fn newest_record<'a>(&'a self, votes: &'a BTreeMap<NodeId, Ballot>) -> &'a Record {
        let own = &self.durable.record;
        let others = votes.values().map(|ballot| &ballot.record).filter(|_| !mutant!(OwnRecordKept));
        others.fold(own, |newest, record| if record.supersedes(newest) { record } else { newest })
    }

    /// A leader of a term that is over: tell it, so that it can claim again above it (R11).
    pub(crate) fn refuse(&mut self, to: NodeId, session: Session) {
        if self.votes() {
            let newest = self.durable.term;
            self.answer(to, session, Body::StaleTerm(StaleTerm { newest }));
        }
    }

    pub(crate) fn answer(&mut self, to: NodeId, session: Session, body: Body) {
        self.send(Destination::Node(to), Some(Recipient { node: to, session }), body);
    }
}
