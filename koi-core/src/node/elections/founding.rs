//! How a cluster begins: from nothing (R10), and with which electors (R13).

use std::collections::BTreeSet;

use crate::contact::peers::Peer;
use crate::event::Event;
use crate::limits;
use crate::message::{MEMBERS_RULE, NodeInfo};
use crate::node::handlers::ElectionHandler;
use crate::node::node_ref::NodeRef;
use crate::reason::{FoundingWait, NotNowReason};
use crate::record::StateOrigin;
use crate::types::{NodeId, Term, Version};

impl ElectionHandler<'_> {
    /// Begins a new cluster when exactly the configured electors are there, each hears the others, and none has a record. With quorum
    /// off there is nothing to wait for.
    pub(crate) fn try_founding(&mut self) {
        if !self.ctx.settings.elector || !self.node().is_established() || !self.node().may_found() {
            return;
        }
        if self.ctx.settings.quorum == 0 {
            let member = |p: &Peer| p.info.origin == StateOrigin::Member;
            if self.durable.origin == StateOrigin::Empty
                && !self.node().electors_around().any(|(_, p)| member(p))
            {
                self.found(BTreeSet::new());
            }
            return;
        }
        if let Some(members) = self.node().configured_founders()
            && members != self.durable.record.members
        {
            self.found(members);
        }
    }

    fn found(&mut self, members: BTreeSet<NodeId>) {
        let electors = self.node().names_of(&members);
        self.ctx.event(Event::NewCluster { electors });
        self.durable.found(members);
    }
}

impl NodeRef<'_> {
    /// An elector without a record. One that has chosen its members may choose others until it has voted with them: the vote of every one
    /// of them is needed, so nobody can lead them without it.
    fn may_found(&self) -> bool {
        match self.durable.origin {
            StateOrigin::Empty => !self.knows_a_cluster(),
            StateOrigin::Founder => self.durable.term == Term(0) && !self.durable.record.members.is_empty(),
            StateOrigin::Member => false,
        }
    }

    /// An elector without a record that has followed one, in this run or before, or has heard of one: the cluster goes on somewhere, also where
    /// nobody who has its record is heard any more. Only an operator knows better.
    fn knows_a_cluster(&self) -> bool {
        let followed = self.durable.followed != Term(0) || self.durable.applied.version != Version::default();
        let heard = || self.peers.iter().any(|(_, p)| p.info.elector && p.info.origin == StateOrigin::Member);
        (followed || heard()) && !mutant!(FoundsBesideCluster)
    }

    /// The electors heard of late.
    fn electors_around(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        let lately = self.settings.election_timeout() * 3;
        self.peers.iter().filter(move |(_, p)| {
            p.info.elector
                && p.gone.is_none()
                && !p.mute
                && !p.info.name.is_empty()
                && self.now.since(p.heard) <= lately
        })
    }

    /// This node and the electors around it, if they are exactly the configured ones and may begin a cluster.
    fn configured_founders(&self) -> Option<BTreeSet<NodeId>> {
        let around: Vec<(NodeId, &Peer)> = self.electors_around().collect();
        let mut names: BTreeSet<&str> = around.iter().map(|(_, p)| p.info.name.as_str()).collect();
        names.insert(self.settings.name.as_str());
        let electors = &self.settings.electors;
        let count = 1 + around.len();
        let exact =
            count == usize::from(electors.count()) && names.len() == count && count <= limits::MEMBERS;
        let ready = |p: &Peer| p.knows_us() && !p.calls && may_begin(&p.info);
        let all =
            exact && names.iter().all(|name| electors.admits(name)) && around.iter().all(|(_, p)| ready(p));
        all.then(|| around.iter().map(|(id, _)| *id).chain([self.id]).collect())
    }

    /// Why a cluster does not begin yet.
    pub(crate) fn founding_waits_for(&self) -> FoundingWait {
        let around: Vec<(NodeId, &Peer)> = self.electors_around().collect();
        let configured = usize::from(self.settings.electors.count());
        let seen = 1 + around.len();
        let mut names: Vec<&str> = around.iter().map(|(_, p)| p.info.name.as_str()).collect();
        names.push(&self.settings.name);
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let unnamed = names.iter().find(|name| !self.settings.electors.admits(name));
        let member = around.iter().find(|(_, p)| p.info.origin == StateOrigin::Member);
        let old = around.iter().find(|(_, p)| p.info.rules < MEMBERS_RULE);
        if let Some((_, peer)) = member {
            FoundingWait::RecordElsewhere { node: peer.info.name.clone() }
        } else if let Some(name) = twice {
            FoundingWait::NameNotUnique { name: name.to_owned() }
        } else if let Some(name) = unnamed {
            FoundingWait::NotConfigured { name: (*name).to_owned() }
        } else if let Some((_, peer)) = old {
            FoundingWait::MembershipUnknown { node: peer.info.name.clone() }
        } else if self.durable.origin == StateOrigin::Empty && self.knows_a_cluster() {
            FoundingWait::ClusterExists { electors: self.names_of(&self.durable.applied.members) }
        } else if configured > limits::MEMBERS {
            FoundingWait::TooManyConfigured { configured }
        } else if seen < configured {
            FoundingWait::ElectorsMissing { configured, missing: configured - seen }
        } else if seen > configured {
            FoundingWait::TooManySeen { seen, configured }
        } else if self.durable.origin == StateOrigin::Founder {
            FoundingWait::FirstVote
        } else {
            FoundingWait::RecordAwaited
        }
    }

    /// What an operator's `koi bootstrap` begins with: this node, and the electors around it. None of them may have a record.
    pub(crate) fn bootstrap_members(&self) -> Result<BTreeSet<NodeId>, NotNowReason> {
        let mut members = BTreeSet::from([self.id]);
        for (id, peer) in self.electors_around().filter(|(_, p)| p.knows_us()) {
            if !may_begin(&peer.info) {
                return Err(NotNowReason::RecordElsewhere { node: peer.info.name.clone() });
            }
            members.insert(id);
        }
        match members.len() {
            electors if electors > limits::MEMBERS => Err(NotNowReason::TooManyFounders { electors }),
            _ => Ok(members),
        }
    }

    /// R13: a cluster from before membership takes its first members when exactly the configured electors acknowledge, hold the record that
    /// counts, agree, and know the rule.
    pub(crate) fn first_members(&self) -> Option<BTreeSet<NodeId>> {
        let lead = self.lead.as_ref().filter(|_| self.settings.quorum > 0 && self.votes())?;
        let around: Vec<(NodeId, &Peer)> = self.electors_around().collect();
        let agreed = self.settings.agreed();
        let ready = |(id, p): &(NodeId, &Peer)| {
            p.info.rules >= MEMBERS_RULE
                && p.info.agreed == agreed
                && p.info.origin == StateOrigin::Member
                && self.settings.electors.admits(&p.info.name)
                && lead.holds_what_counts(*id)
                && lead.acknowledged_within(*id, self.settings.leader_lease, self.now)
        };
        let names: BTreeSet<&str> = around.iter().map(|(_, p)| p.info.name.as_str()).collect();
        let count = 1 + around.len();
        let exact = count == usize::from(self.settings.electors.count())
            && count <= limits::MEMBERS
            && names.len() == around.len()
            && !names.contains(self.settings.name.as_str());
        (exact && around.iter().all(ready))
            .then(|| around.iter().map(|(id, _)| *id).chain([self.id]).collect())
    }
}

/// Has no record, and knows that a cluster has members.
fn may_begin(info: &NodeInfo) -> bool {
    info.origin != StateOrigin::Member && info.rules >= MEMBERS_RULE
}
