//! Who leads: polls, claims and votes, in and out (rules R1, R2, R10 and R13).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::elector::durability::Deferred;
use crate::elector::election::{Ballot, CampaignStep, ClaimKind, PollStep};
use crate::elector::members::Quorum;
use crate::event::Event;
use crate::io::Destination;
use crate::message::{
    Body, NodeInfo, PreVote, PreVoteAnswer, RULES, Recipient, RequestVote, StaleTerm, Vote,
};
use crate::node::Node;
use crate::record::{Record, StateOrigin};
use crate::settings::DRIFT_PERCENT;
use crate::timers::Timers;
use crate::types::{NodeId, Rank, Session, Term, Time, stretched};

/// A campaign waits for disks no longer than this.
const SLOWEST_DISKS: Duration = Duration::from_secs(2);

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
        if !self.votes() {
            self.election.give_up_campaign();
        }
    }

    /// Could lead now.
    fn fit(&self, now: Time) -> bool {
        self.votes() && !self.leaving.has_begun() && now >= self.listen_until
    }

    /// When this elector starts a campaign unless it hears a leader before.
    fn campaign_due(&self) -> Time {
        let mut due = self.election.may_campaign_at().max(self.listen_until);
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
        if self.campaigns() {
            self.election.set_timers(self.campaign_due(), timers);
        }
    }

    /// Lets time take effect on the election.
    pub(crate) fn advance_election(&mut self, now: Time) {
        if !self.campaigns() {
            return;
        }
        if self.election.is_follower() {
            if now >= self.campaign_due() {
                self.start_poll(now);
            }
            return;
        }
        match self.election.advance(self.settings.heartbeat, now) {
            CampaignStep::Wait => {}
            // With quorum off nobody has to agree: being unopposed is enough (classic bully).
            CampaignStep::PollOver { opposed: false } if self.settings.quorum == 0 => self.start_claim(now),
            CampaignStep::PollOver { .. } | CampaignStep::ClaimOver => {
                self.election.give_up(self.id, self.settings.election_timeout(), now);
            }
            CampaignStep::AskAgain(term) => self.send_poll(term),
            CampaignStep::ClaimAgain(term) if self.durable.is_on_disk() => self.send_claim(term),
            CampaignStep::ClaimAgain(_) => {}
        }
    }

    pub(crate) fn start_poll(&mut self, now: Time) {
        if let Some(leader) = self.following.leave() {
            self.event(Event::LeaderLost { leader: leader.name });
        }
        let (timeout, heartbeat) = (self.settings.election_timeout(), self.settings.heartbeat);
        let term = self.election.start_poll(self.durable.term, self.id, timeout, heartbeat, now);
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
        if granted && outranked && self.fit(now) && !self.election.yields(now) {
            granted = false;
            if self.election.is_follower() {
                self.start_poll(now);
            }
        }
        if granted && !outranked {
            self.election.yield_for(self.settings.election_timeout(), now);
        }
        let opposes = self.settings.quorum == 0 && !outranked;
        self.election.hear_poll(granted, opposes, self.room_for_another(now));
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
        match self.election.hear_poll_answer(self.id, from, answer, now) {
            PollStep::Wait => {}
            PollStep::Count => self.count_poll(now),
            PollStep::AskAnew(term) => self.send_poll(term),
        }
    }

    fn count_poll(&mut self, now: Time) {
        let Some(yes) = self.election.poll() else { return };
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

    /// How long the campaign of another, for whom this elector votes, may take.
    fn room_for_another(&self, now: Time) -> Time {
        now + self.settings.election_timeout() + self.disk_patience(self.durable.disk_takes())
    }

    fn start_claim(&mut self, now: Time) {
        let Some((term, disks)) = self.election.polled() else { return };
        let patience = self.settings.election_timeout() + self.disk_patience(disks);
        self.durable.vote(term, (self.id, self.session));
        self.election.start_claim(term, now + patience, now + self.settings.heartbeat);
        self.when_durable(Deferred::RequestVote(term), now); // R1: on disk before it is said
    }

    /// The own vote is on disk.
    pub(crate) fn claim_is_durable(&mut self, term: Term, now: Time) {
        let own = self.own_ballot();
        match self.election.take_vote(self.id, term, &own) {
            ClaimKind::Campaign => {
                self.send_claim(term);
                self.count_votes(now);
            }
            ClaimKind::Reclaim => self.reclaim_is_durable(term, own, now),
            ClaimKind::Over => {}
        }
    }

    fn own_ballot(&self) -> Ballot {
        let (acknowledged, followed) = self.election.acknowledged();
        Ballot { record: self.durable.record.clone(), acknowledged, followed }
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
        self.election.vote_for_another(claim.term, self.room_for_another(now));
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
        let (acknowledged, followed) = self.election.acknowledged();
        Vote {
            term,
            granted,
            newest: self.durable.term,
            record: self.durable.record.clone(),
            acknowledged_ago_us: acknowledged.map(|at| crate::types::micros(now.since(at))),
            followed,
            wait,
        }
    }

    pub(crate) fn on_vote(&mut self, from: NodeId, vote: &Vote, now: Time) {
        // A voter may know newer members than this node does: who counts is looked at when the votes are counted.
        if self.counts(from) {
            self.election.hear_of(vote.newest);
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
        if !vote.granted {
            return;
        }
        match self.election.take_vote(from, vote.term, &ballot) {
            ClaimKind::Campaign => self.count_votes(now),
            ClaimKind::Reclaim => self.on_reclaim_vote(from, vote.term, ballot, now),
            ClaimKind::Over => {}
        }
    }

    fn count_votes(&mut self, now: Time) {
        let Some((term, votes)) = self.election.votes() else { return };
        if votes.contains_key(&self.id) && self.elects(votes) {
            let votes = votes.clone();
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
