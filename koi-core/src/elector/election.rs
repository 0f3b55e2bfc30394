//! What an elector has promised, and how far its own campaign has come (rules R1 and R2). Messages come and go in `node::elections::campaign`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::message::PreVoteAnswer;
use crate::record::Record;
use crate::settings::DRIFT_PERCENT;
use crate::timers::{Timer, Timers};
use crate::types::{NodeId, Session, Term, Time, stretched};

/// The elector half of a node.
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

/// What a campaign has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CampaignStep {
    /// Nothing.
    Wait,
    /// Electors that have not answered the poll are asked again.
    AskAgain(Term),
    /// Those that have not answered the claim are.
    ClaimAgain(Term),
    /// The time of the poll is over without a quorum; `opposed`: somebody of higher rank campaigns too.
    PollOver { opposed: bool },
    /// That of the claim is.
    ClaimOver,
}

/// What the answer to a poll means for the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollStep {
    /// Nothing more.
    Wait,
    /// Perhaps it is a quorum now.
    Count,
    /// The term is spent: the poll begins anew with a later one.
    AskAnew(Term),
}

/// Which claim of this node a vote is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    /// Its campaign's. The vote is counted.
    Campaign,
    /// That of a sitting leader, perhaps (R11).
    Reclaim,
    /// None any more.
    Over,
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
        if self.is_follower() {
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
    pub(crate) fn bound(&self, candidate: (NodeId, Session), now: Time) -> Duration {
        let other = |p: &Promise| p.to.is_none_or(|(node, session, _)| (node, session) != candidate);
        match self.promise {
            _ if mutant!(PromiseIgnored) => Duration::ZERO,
            Some(p) if other(&p) => p.until.since(now),
            _ => Duration::ZERO,
        }
    }

    // --- the campaign ---

    /// When this node last acknowledged a leader (R6), and whether it has followed one in this run: what its votes say.
    pub(crate) fn acknowledged(&self) -> (Option<Time>, bool) {
        (self.acknowledged, self.followed)
    }

    /// It neither campaigns nor leads.
    pub(crate) fn is_follower(&self) -> bool {
        matches!(self.phase, ElectionPhase::Follower)
    }

    /// This node is no elector any more: its campaign is over. A leader steps down by itself.
    pub(crate) fn give_up_campaign(&mut self) {
        if !matches!(self.phase, ElectionPhase::Leading) {
            self.phase = ElectionPhase::Follower;
        }
    }

    /// The earliest instant of a campaign, as far as this elector's own promises and tries go.
    pub(crate) fn may_campaign_at(&self) -> Time {
        self.next_try.max(self.promise.map_or(Time(0), |promise| promise.until))
    }

    /// The timers of a campaign; `due`: when a follower begins one.
    pub(crate) fn set_timers(&self, due: Time, timers: &mut Timers) {
        match &self.phase {
            ElectionPhase::Follower => timers.set(Timer::Campaign, due),
            ElectionPhase::Polling { until, resend, .. } | ElectionPhase::Claiming { until, resend, .. } => {
                timers.set(Timer::CampaignRepeat, *resend);
                timers.set(Timer::CampaignEnd, *until);
            }
            ElectionPhase::Leading => {}
        }
    }

    /// Lets time take effect on a campaign that is under way.
    pub(crate) fn advance(&mut self, heartbeat: Duration, now: Time) -> CampaignStep {
        let (until, resend, over, again) = match &mut self.phase {
            ElectionPhase::Polling { term, until, resend, rival, .. } => {
                let over = CampaignStep::PollOver { opposed: *rival };
                (*until, resend, over, CampaignStep::AskAgain(*term))
            }
            ElectionPhase::Claiming { term, until, resend, .. } => {
                (*until, resend, CampaignStep::ClaimOver, CampaignStep::ClaimAgain(*term))
            }
            ElectionPhase::Follower | ElectionPhase::Leading => return CampaignStep::Wait,
        };
        if now >= until {
            return over;
        }
        if now < *resend {
            return CampaignStep::Wait;
        }
        *resend = now + heartbeat;
        again
    }

    /// Begins a poll for the term after all that are known; `voted`: the newest in which this elector has voted.
    pub(crate) fn start_poll(
        &mut self,
        voted: Term,
        own: NodeId,
        timeout: Duration,
        heartbeat: Duration,
        now: Time,
    ) -> Term {
        let term = Term(voted.max(self.newest).0.saturating_add(1));
        self.phase = ElectionPhase::Polling {
            term,
            yes: BTreeSet::from([own]),
            until: now + timeout,
            resend: now + heartbeat,
            rival: false,
            disks: Duration::ZERO,
        };
        term
    }

    /// Who would vote for this node, if it polls.
    pub(crate) fn poll(&self) -> Option<&BTreeSet<NodeId>> {
        match &self.phase {
            ElectionPhase::Polling { yes, .. } => Some(yes),
            ElectionPhase::Follower | ElectionPhase::Claiming { .. } | ElectionPhase::Leading => None,
        }
    }

    /// R2: a campaign that did not win within one election timeout lets the lower rank win.
    pub(crate) fn give_up(&mut self, own: NodeId, timeout: Duration, now: Time) {
        self.tries = self.tries.wrapping_add(1);
        // Two that always try at the same instant would always be in each other's way.
        let mix = (own.0 as u64 ^ (own.0 >> 64) as u64)
            .wrapping_add(u64::from(self.tries))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let jitter = Duration::from_micros((mix >> 32) % (timeout.as_micros() as u64).max(1));
        self.phase = ElectionPhase::Follower;
        if !mutant!(NeverYields) {
            self.yields_until = now + timeout * 2;
        }
        self.next_try = now + timeout + jitter;
    }

    /// R2: lower ranks may win now, for this node's own campaign did not.
    pub(crate) fn yields(&self, now: Time) -> bool {
        now < self.yields_until
    }

    /// Who has just let a higher rank go first is in nobody's way for `timeout`.
    pub(crate) fn yield_for(&mut self, timeout: Duration, now: Time) {
        self.yields_until = self.yields_until.max(now + timeout);
    }

    /// Another elector campaigns. `granted`: it would get this elector's vote, and needs until `room` for its campaign. `opposes`: with
    /// quorum off, one of higher rank.
    pub(crate) fn hear_poll(&mut self, granted: bool, opposes: bool, room: Time) {
        match &mut self.phase {
            ElectionPhase::Polling { rival, .. } if opposes => *rival = true,
            ElectionPhase::Polling { .. } if granted => {
                self.phase = ElectionPhase::Follower;
                self.next_try = room;
            }
            ElectionPhase::Follower if granted => self.next_try = self.next_try.max(room),
            ElectionPhase::Polling { .. }
            | ElectionPhase::Follower
            | ElectionPhase::Claiming { .. }
            | ElectionPhase::Leading => {}
        }
    }

    /// An elector has answered this node's poll.
    pub(crate) fn hear_poll_answer(
        &mut self,
        own: NodeId,
        from: NodeId,
        answer: &PreVoteAnswer,
        now: Time,
    ) -> PollStep {
        self.hear_of(answer.newest);
        let newest = self.newest;
        let ElectionPhase::Polling { term, yes, resend, disks, .. } = &mut self.phase else {
            return PollStep::Wait;
        };
        if answer.term == *term && answer.granted {
            yes.insert(from);
            *disks = (*disks).max(answer.disk);
            return PollStep::Count;
        }
        if newest >= *term {
            *term = Term(newest.0.saturating_add(1));
            *yes = BTreeSet::from([own]);
            return PollStep::AskAnew(*term);
        }
        if !answer.wait.is_zero() {
            // Ask again the moment that the voter is free.
            *resend = (*resend).min(now + answer.wait);
        }
        PollStep::Wait
    }

    /// The term of the poll, and how long the slowest disk of its voters takes.
    pub(crate) fn polled(&self) -> Option<(Term, Duration)> {
        match self.phase {
            ElectionPhase::Polling { term, disks, .. } => Some((term, disks)),
            ElectionPhase::Follower | ElectionPhase::Claiming { .. } | ElectionPhase::Leading => None,
        }
    }

    /// The poll has won: this node claims the term.
    pub(crate) fn start_claim(&mut self, term: Term, until: Time, resend: Time) {
        self.newest = term;
        self.phase = ElectionPhase::Claiming { term, votes: BTreeMap::new(), until, resend };
    }

    /// A vote for this node in `term`, its own too. It is counted if it is for the claim of its campaign.
    pub(crate) fn take_vote(&mut self, from: NodeId, term: Term, ballot: &Ballot) -> ClaimKind {
        match &mut self.phase {
            ElectionPhase::Claiming { term: claimed, votes, .. } if *claimed == term => {
                votes.insert(from, ballot.clone());
                ClaimKind::Campaign
            }
            ElectionPhase::Leading => ClaimKind::Reclaim,
            ElectionPhase::Claiming { .. } | ElectionPhase::Follower | ElectionPhase::Polling { .. } => {
                ClaimKind::Over
            }
        }
    }

    /// The votes for the claim of this node's campaign, and its term.
    pub(crate) fn votes(&self) -> Option<(Term, &BTreeMap<NodeId, Ballot>)> {
        match &self.phase {
            ElectionPhase::Claiming { term, votes, .. } => Some((*term, votes)),
            ElectionPhase::Follower | ElectionPhase::Polling { .. } | ElectionPhase::Leading => None,
        }
    }

    /// R1: has voted for another, who has until `room` to win.
    pub(crate) fn vote_for_another(&mut self, term: Term, room: Time) {
        self.hear_of(term);
        self.phase = ElectionPhase::Follower;
        self.next_try = room;
    }
}
