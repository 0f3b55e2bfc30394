//! Who leads: polls, claims and votes, in and out (rules R1, R2, R10 and R13).

use std::time::Duration;

use crate::attributes::AttributesWanted;
use crate::elector::durability::Deferred;
use crate::elector::election::{Ballot, CampaignStep, ClaimKind, PollStep};
use crate::event::Event;
use crate::io::Destination;
use crate::message::{Body, PreVote, PreVoteAnswer, RequestVote, StaleTerm, Vote};
use crate::node::elections::VoteOutcome;
use crate::node::handlers::ElectionHandler;
use crate::node::node_ref::NodeRef;
use crate::record::{Record, StateOrigin};
use crate::settings::DRIFT_PERCENT;
use crate::timers::Timers;
use crate::types::{NodeId, Rank, Session, Term, Time, stretched};

/// A campaign waits for disks no longer than this.
const SLOWEST_DISKS: Duration = Duration::from_secs(2);

impl ElectionHandler<'_> {
    /// The newest record, in the answer of or to one who is no member (R13). Its members are in force before it counts; nothing else of it is.
    fn learn(&mut self, from: NodeId, session: Session, record: Record) {
        // R10: an elector without state is initialised by the answer to its own report alone.
        if self.durable.origin == StateOrigin::Empty || !record.supersedes(&self.durable.record) {
            return;
        }
        // R16: with the attributes that it names. Whoever has it is asked for them; the next poll brings the record once more.
        let states = self.copies.missing(self.durable, &record);
        if !states.is_empty() {
            return self.ctx.answer(from, session, Body::AttributesWanted(AttributesWanted { states }));
        }
        self.copies.bring(self.durable, &record);
        self.durable.take_record(record);
        self.durable.set_origin(StateOrigin::Member);
        if !self.node().votes() {
            self.election.give_up_campaign();
        }
    }

    /// Lets time take effect on the election.
    pub(crate) fn advance_election(&mut self) {
        let now = self.ctx.now;
        if !self.node().campaigns() {
            return;
        }
        if self.election.is_follower() {
            if now >= self.node().campaign_due() {
                self.start_poll();
            }
            return;
        }
        match self.election.advance(self.ctx.settings.heartbeat, now) {
            CampaignStep::Wait => {}
            // With quorum off nobody has to agree: being unopposed is enough (classic bully).
            CampaignStep::PollOver { opposed: false } if self.ctx.settings.quorum == 0 => self.start_claim(),
            CampaignStep::PollOver { .. } | CampaignStep::ClaimOver => {
                self.election.give_up(self.ctx.id, self.ctx.settings.election_timeout(), now);
            }
            CampaignStep::AskAgain(term) => self.send_poll(term),
            CampaignStep::ClaimAgain(term) if self.durable.is_on_disk() => self.send_claim(term),
            CampaignStep::ClaimAgain(_) => {}
        }
    }

    pub(crate) fn start_poll(&mut self) {
        if let Some(leader) = self.following.leave() {
            self.ctx.event(Event::LeaderLost { leader: leader.name });
        }
        let (timeout, heartbeat) = (self.ctx.settings.election_timeout(), self.ctx.settings.heartbeat);
        let term = self.election.start_poll(self.durable.term, self.ctx.id, timeout, heartbeat, self.ctx.now);
        self.send_poll(term);
        self.count_poll();
    }

    fn send_poll(&mut self, term: Term) {
        let (info, founding) = (self.node().info(), self.node().founding());
        self.ctx.send(Destination::Everyone, None, Body::PreVote(PreVote { info, term, founding }));
    }

    fn send_claim(&mut self, term: Term) {
        let claim = self.node().claim(term);
        self.ctx.send(Destination::Everyone, None, claim);
    }

    pub(crate) fn on_poll(&mut self, from: NodeId, session: Session, poll: &PreVote) {
        let now = self.ctx.now;
        if !self.node().votes() || !self.node().may_be_elected(from, &poll.info, &poll.founding) {
            return self.turn_away(from, session, poll.term);
        }
        let wait = self.node().bound_to_others(from, session);
        let newest = self.durable.term;
        let theirs = Rank { priority: poll.info.priority, id: from };
        let outranked = self.node().rank() > theirs;
        let mut granted = wait.is_zero() && poll.term > newest;
        // R2: a fit elector of higher rank answers a campaign with its own.
        if granted && outranked && self.node().fit() && !self.election.yields(now) {
            granted = false;
            if self.election.is_follower() {
                self.start_poll();
            }
        }
        if granted && !outranked {
            self.election.yield_for(self.ctx.settings.election_timeout(), now);
        }
        let opposes = self.ctx.settings.quorum == 0 && !outranked;
        self.election.hear_poll(granted, opposes, self.node().room_for_another());
        let answer = PreVoteAnswer {
            term: poll.term,
            granted,
            newest,
            wait,
            record: None,
            disk: self.durable.disk_takes(),
        };
        self.ctx.answer(from, session, Body::PreVoteAnswer(answer));
    }

    fn turn_away(&mut self, from: NodeId, session: Session, term: Term) {
        if let Some(body) = self.node().turns_away(from, term) {
            self.ctx.answer(from, session, body);
        }
    }

    pub(crate) fn on_poll_answer(&mut self, from: NodeId, session: Session, answer: &PreVoteAnswer) {
        let now = self.ctx.now;
        self.peers.note_disk(from, session, answer.disk, now);
        if let Some(record) = &answer.record {
            // The other one may be behind: then it may be a member without knowing.
            let behind = self.durable.record.supersedes(record);
            if let Some(body) = self.node().passes_on_record(answer.term).filter(|_| behind) {
                self.ctx.answer(from, session, body);
            }
            self.learn(from, session, record.clone());
            self.count_poll();
        }
        if !self.node().counts(from) {
            return;
        }
        match self.election.hear_poll_answer(self.ctx.id, from, answer, now) {
            PollStep::Wait => {}
            PollStep::Count => self.count_poll(),
            PollStep::AskAnew(term) => self.send_poll(term),
        }
    }

    fn count_poll(&mut self) {
        let Some(yes) = self.election.poll() else { return };
        if self.ctx.settings.quorum > 0 && self.node().quorum().is_met_by(yes) {
            self.start_claim();
        }
    }

    fn start_claim(&mut self) {
        let now = self.ctx.now;
        let Some((term, disks)) = self.election.polled() else { return };
        let patience = self.ctx.settings.election_timeout() + self.node().disk_patience(disks);
        self.durable.vote(term, (self.ctx.id, self.ctx.session));
        self.election.start_claim(term, now + patience, now + self.ctx.settings.heartbeat);
        self.durable.defer(Deferred::RequestVote(term)); // R1: on disk before it is said
    }

    /// The own vote is on disk.
    pub(crate) fn claim_is_durable(&mut self, term: Term) -> VoteOutcome {
        let ballot = self.node().own_ballot();
        match self.election.take_vote(self.ctx.id, term, &ballot) {
            ClaimKind::Campaign => {
                self.send_claim(term);
                self.node().count_votes()
            }
            ClaimKind::Reclaim => VoteOutcome::OwnReclaim { term, ballot },
            ClaimKind::Over => VoteOutcome::Nothing,
        }
    }

    pub(crate) fn on_claim(&mut self, from: NodeId, session: Session, claim: &RequestVote) {
        if !self.node().votes() {
            return;
        }
        if !self.node().may_be_elected(from, &claim.info, &claim.founding) {
            return self.turn_away(from, session, claim.term);
        }
        let candidate = (from, session);
        if claim.term == self.durable.term && self.durable.vote == Some(candidate) {
            return self.durable.defer(Deferred::Vote { to: from, session, term: claim.term });
        }
        let wait = self.node().bound_to_others(from, session);
        if claim.term <= self.durable.term || !wait.is_zero() {
            let vote = self.node().vote(claim.term, false, wait);
            return self.ctx.answer(from, session, Body::Vote(vote));
        }
        self.durable.vote(claim.term, candidate);
        self.election.vote_for_another(claim.term, self.node().room_for_another());
        self.durable.defer(Deferred::Vote { to: from, session, term: claim.term });
    }

    /// The vote is on disk and may leave (R1).
    pub(crate) fn vote_is_durable(&mut self, to: NodeId, session: Session, term: Term) {
        if self.durable.term == term && self.durable.vote == Some((to, session)) {
            let vote = self.node().vote(term, true, Duration::ZERO);
            self.ctx.answer(to, session, Body::Vote(vote));
        }
    }

    pub(crate) fn on_vote(&mut self, from: NodeId, vote: &Vote) -> VoteOutcome {
        // A voter may know newer members than this node does: who counts is looked at when the votes are counted.
        if self.node().counts(from) {
            self.election.hear_of(vote.newest);
        } else if !self.node().knows_members() {
            return VoteOutcome::Nothing;
        }
        let ballot = Ballot {
            record: vote.record.clone(),
            // The voter's clock may run faster than ours: at least this long ago, on ours.
            acknowledged: vote.acknowledged_ago_us.map(|us| {
                self.ctx.now - Duration::from_micros(us - us.div_ceil(100) * u64::from(DRIFT_PERCENT).min(us))
            }),
            followed: vote.followed,
        };
        if !vote.granted {
            return VoteOutcome::Nothing;
        }
        match self.election.take_vote(from, vote.term, &ballot) {
            ClaimKind::Campaign => self.node().count_votes(),
            ClaimKind::Reclaim => VoteOutcome::Reclaim { from, term: vote.term, ballot },
            ClaimKind::Over => VoteOutcome::Nothing,
        }
    }

    /// A leader of a term that is over: tell it, so that it can claim again above it (R11).
    pub(crate) fn refuse(&mut self, to: NodeId, session: Session) {
        if self.node().votes() {
            let newest = self.durable.term;
            self.ctx.answer(to, session, Body::StaleTerm(StaleTerm { newest }));
        }
    }
}

impl NodeRef<'_> {
    /// Could lead now.
    fn fit(&self) -> bool {
        self.votes() && !self.leaving.has_begun() && self.now >= self.listen_until && !self.steps_back()
    }

    /// When this elector starts a campaign unless it hears a leader before.
    fn campaign_due(&self) -> Time {
        let mut due = self.election.may_campaign_at().max(self.listen_until);
        if let Some(leader) = self.following.leader() {
            due = due.max(leader.heard + stretched(leader.lease, DRIFT_PERCENT));
        }
        if self.steps_back() {
            // R12: another one is to lead, if it can.
            due = due + self.settings.election_timeout() * 10;
        }
        due
    }

    /// Whether this node takes part in campaigns.
    fn campaigns(&self) -> bool {
        self.votes() && !self.leaving.has_begun()
    }

    pub(crate) fn set_election_timers(&self, timers: &mut Timers) {
        if self.campaigns() {
            self.election.set_timers(self.campaign_due(), timers);
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

    /// How long the campaign of another, for whom this elector votes, may take.
    fn room_for_another(&self) -> Time {
        self.now + self.settings.election_timeout() + self.disk_patience(self.durable.disk_takes())
    }

    fn count_votes(&self) -> VoteOutcome {
        match self.election.votes() {
            Some((term, votes)) if votes.contains_key(&self.id) && self.elects(votes) => {
                VoteOutcome::Won { term, votes: votes.clone() }
            }
            Some(_) | None => VoteOutcome::Nothing,
        }
    }
}
