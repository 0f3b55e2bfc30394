//! Whose voice counts, who may be elected, and what is said with a vote (rules R1, R10 and R13).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::elector::election::Ballot;
use crate::elector::members::Quorum;
use crate::message::{
    ATTRIBUTES_RULE, Body, FENCES_RULE, MEMBERS_RULE, NodeInfo, PreVoteAnswer, RequestVote, Vote,
};
use crate::node::node_ref::NodeRef;
use crate::record::{Record, StateOrigin};
use crate::types::{NodeId, Rank, Session, Term};

impl NodeRef<'_> {
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
        let mut quorum = Quorum::of(record, self.settings);
        if let (Quorum::Majorities { members, after }, true) = (&mut quorum, mutant!(OwnVoiceAssumed)) {
            for set in [members.to_mut()].into_iter().chain(after).filter(|set| !set.contains(&self.id)) {
                set.pop_last();
                set.insert(self.id);
            }
        }
        quorum
    }

    /// The members with which this node founds a cluster; empty: it has a record, or is from before R13.
    pub(crate) fn founding(&self) -> BTreeSet<NodeId> {
        match self.durable.origin {
            StateOrigin::Founder => self.durable.record.members.clone(),
            StateOrigin::Empty | StateOrigin::Member => BTreeSet::new(),
        }
    }

    /// R13, R14: whether `from` may be elected, as far as membership and the rules that it knows go.
    pub(crate) fn may_be_elected(&self, from: NodeId, info: &NodeInfo, founding: &BTreeSet<NodeId>) -> bool {
        if !self.counts(from) {
            return false;
        }
        let own = self.founding();
        let same_set = own.is_empty() || founding.is_empty() || *founding == own;
        let members = !self.knows_members() || info.rules >= MEMBERS_RULE;
        same_set && members && self.knows_what_is_needed(info)
    }

    /// R14, R16: a node that knows less than the record needs would lose a part of it: it leads nobody, and its copy is none.
    pub(crate) fn knows_what_is_needed(&self, info: &NodeInfo) -> bool {
        let needed = match self.durable.record.needs {
            ATTRIBUTES_RULE if mutant!(AttributesForgotten) => FENCES_RULE,
            needed => needed,
        };
        info.rules >= needed || mutant!(GroupsForgotten)
    }

    /// R1: how long this elector may not vote for `candidate`, because of what it promised, or leads itself.
    pub(crate) fn bound_to_others(&self, candidate: NodeId, session: Session) -> Duration {
        let now = self.now;
        let mut wait = self.election.bound((candidate, session), now);
        if self.lead.is_some() {
            wait = wait.max(self.leadership_end().since(now)).max(Duration::from_micros(1));
        }
        wait
    }

    /// The claim of a term, for everyone.
    pub(crate) fn claim(&self, term: Term) -> Body {
        Body::RequestVote(RequestVote { info: self.info(), term, founding: self.founding() })
    }

    /// A poll, claim or refusal of one who is no member raises no term. The answer says who the members are; so does that of one who is none
    /// any more to those who still count on its voice, because they have not heard that it was removed.
    pub(crate) fn turns_away(&self, from: NodeId, term: Term) -> Option<Body> {
        self.passes_on_record(term).filter(|_| !self.counts(from) || !self.counts(self.id))
    }

    pub(crate) fn passes_on_record(&self, term: Term) -> Option<Body> {
        if !self.knows_members() || !self.is_established() || !self.durable.is_on_disk() {
            return None;
        }
        Some(Body::PreVoteAnswer(PreVoteAnswer {
            term,
            granted: false,
            newest: self.durable.term,
            wait: Duration::ZERO,
            record: Some(self.durable.record.clone()),
            disk: self.durable.disk_takes(),
        }))
    }

    pub(crate) fn own_ballot(&self) -> Ballot {
        let (acknowledged, followed) = self.election.acknowledged();
        Ballot { record: self.durable.record.clone(), acknowledged, followed }
    }

    pub(crate) fn vote(&self, term: Term, granted: bool, wait: Duration) -> Vote {
        let (acknowledged, followed) = self.election.acknowledged();
        Vote {
            term,
            granted,
            newest: self.durable.term,
            record: self.durable.record.clone(),
            acknowledged_ago_us: acknowledged.map(|at| crate::types::micros(self.now.since(at))),
            followed,
            wait,
        }
    }

    /// Whether these votes are a quorum, by the newest record among them (R13).
    pub(crate) fn elects(&self, votes: &BTreeMap<NodeId, Ballot>) -> bool {
        let newest = self.newest_record(votes);
        let quorum = self.quorum_by(newest);
        let founds =
            |ballot: &Ballot| !matches!(quorum, Quorum::Every(_)) || ballot.record.members == newest.members;
        // R14, R16: whoever may have kept only a part of something newer proves that the newest is not here.
        let lacks = |ballot: &Ballot| {
            ballot.record.may_be_a_part(newest.needs) && ballot.record.version > newest.version
        };
        let counts = votes.iter().filter(|(_, ballot)| founds(ballot) && !lacks(ballot));
        quorum.is_met_by(&counts.map(|(id, _)| *id).collect())
    }

    /// The newest record of this node and of its voters.
    pub(crate) fn newest_record<'a>(&'a self, votes: &'a BTreeMap<NodeId, Ballot>) -> &'a Record {
        let own = &self.durable.record;
        let others = votes.values().map(|ballot| &ballot.record).filter(|_| !mutant!(OwnRecordKept));
        let all: Vec<&Record> = [own].into_iter().chain(others).collect();
        // R14, R16: where one of them needs a rule, what may be a part of a record is none.
        let needed = all.iter().map(|record| record.needs).max().unwrap_or_default();
        let whole = all.into_iter().filter(|record| !record.may_be_a_part(needed));
        let newest = whole.reduce(|newest, record| if record.supersedes(newest) { record } else { newest });
        newest.unwrap_or(own)
    }

    /// Electors heard from now, this node included.
    pub(crate) fn electors_seen(&self) -> usize {
        let others = self.peers.iter().filter(|(id, p)| {
            p.info.elector && p.gone.is_none() && self.counts(*id) && self.now.since(p.heard) <= self.lately()
        });
        usize::from(self.settings.elector && self.counts(self.id)) + others.count()
    }

    /// How many electors the cluster has: by the record, or, before there are members, by the configuration; 0: unknown.
    pub(crate) fn electors_known(&self) -> usize {
        match self.knows_members() {
            true => self.durable.record.members.len(),
            false => usize::from(self.settings.electors.count()),
        }
    }
}
