//! Changes of the electors (R13): what operators ask for, and how a change ends.

use std::collections::BTreeSet;

use crate::io::{Answered, CommandError, ElectorChange};
use crate::limits;
use crate::message::MEMBERS_RULE;
use crate::node::handlers::LeadershipHandler;
use crate::node::node_ref::NodeRef;
use crate::reason::{NotNowReason, StepDownReason, UnsafeReason};
use crate::record::{MemberChange, Record};
use crate::types::NodeId;
use crate::view::{ElectorView, Membership};

impl LeadershipHandler<'_> {
    /// What the leader does about the members by itself: whether `next` has changed. A change that counts is ended by the next version; a
    /// cluster from before membership takes its first members.
    pub(crate) fn members_moved(&mut self, next: &mut Record) -> bool {
        if next.change.is_some() {
            next.members = next.members_after();
            next.change = None;
            return true;
        }
        if next.members.is_empty()
            && let Some(members) = self.node().first_members()
        {
            next.members = members;
            return true;
        }
        self.leave_if_removed();
        false
    }

    /// A leader that is no member any more has said that this counts, and resigns.
    fn leave_if_removed(&mut self) {
        let said = self.lead.as_ref().is_some_and(|lead| !lead.heartbeat_is_due(self.ctx.now));
        if said
            && self.node().knows_members()
            && !self.node().counts(self.ctx.id)
            && !mutant!(OwnVoiceAssumed)
        {
            self.resign(StepDownReason::NoElector);
        }
    }
}

impl NodeRef<'_> {
    /// The members, and whoever is configured to vote and is none.
    pub(crate) fn elector_views(&self) -> Vec<ElectorView> {
        let now = self.now;
        let record = &self.durable.record;
        let change = record.change.unwrap_or_default();
        let mut ids: BTreeSet<NodeId> = match self.knows_members() {
            true => record.members.iter().copied().chain(change.add).collect(),
            false => BTreeSet::new(),
        };
        let around = self.peers.iter().filter(|(_, p)| p.info.elector && p.is_around(self.lately(), now));
        ids.extend(around.map(|(id, _)| id).chain(self.settings.elector.then_some(self.id)));
        let there =
            |id: NodeId| id == self.id || self.peers.get(id).is_some_and(|p| p.is_around(self.lately(), now));
        let membership = |id: NodeId| match record.has_member(id) {
            _ if !self.knows_members() => Membership::Configured,
            false => Membership::Outside,
            true if change.add == Some(id) => Membership::Joining,
            true if change.remove == Some(id) => Membership::Leaving,
            true => Membership::Member,
        };
        let view = |id: NodeId| ElectorView {
            id,
            name: self.name_of(id),
            membership: membership(id),
            there: there(id),
        };
        ids.into_iter().map(view).collect()
    }

    /// The record with this change of the electors under way.
    pub(crate) fn change_electors(&self, change: &ElectorChange) -> Result<(Record, Answered), CommandError> {
        self.may_change_electors()?;
        let change = match change {
            ElectorChange::Add(new) => MemberChange { add: Some(self.newcomer(new)?), remove: None },
            ElectorChange::Remove(old) => MemberChange { add: None, remove: Some(self.member(old)?) },
            ElectorChange::Replace { old, new } => {
                let remove = Some(self.member(old)?);
                MemberChange { add: Some(self.newcomer(new)?), remove }
            }
        };
        let next = Record { change: Some(change), ..self.durable.record.clone() };
        self.names_stay_unique(&next)?;
        self.has_both_quorums(&next)?;
        let names: Vec<String> = self.names_of(&next.members_after());
        let message = format!(
            "the electors are to be {}: a quorum is {} of them. Set cluster.electors so in every koi.toml",
            names.join(", "),
            names.len() / 2 + 1
        );
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    fn may_change_electors(&self) -> Result<(), CommandError> {
        let Some(lead) = &self.lead else { return Err(CommandError::NotLeader { leader: None }) };
        let record = &self.durable.record;
        if self.settings.quorum == 0 {
            return Err(NotNowReason::QuorumOff.into());
        }
        if record.members.is_empty() {
            return Err(NotNowReason::ElectorsNotRecorded.into());
        }
        if record.change.is_some() {
            return Err(NotNowReason::ElectorsChanging.into());
        }
        if lead.committed() != record.version || record.version.term != lead.term() {
            return Err(NotNowReason::RecordNotCommitted.into());
        }
        Ok(())
    }

    /// The member with this id or name.
    fn member(&self, who: &str) -> Result<NodeId, CommandError> {
        let members = &self.durable.record.members;
        if let Some(id) = who.parse().ok().filter(|id| members.contains(id)) {
            return Ok(id);
        }
        let named: Vec<NodeId> = members.iter().copied().filter(|id| self.name_of(*id) == who).collect();
        match named[..] {
            [id] => Ok(id),
            [] => {
                let electors = members.iter().map(|id| self.with_id(*id)).collect();
                Err(NotNowReason::NoSuchElector { name: who.to_owned(), electors }.into())
            }
            _ => Err(self.ambiguous(who, &named)),
        }
    }

    /// The node with this id or name that is no member, answers, and could become one.
    fn newcomer(&self, who: &str) -> Result<NodeId, CommandError> {
        let record = &self.durable.record;
        let own = (self.id, self.settings.name.as_str());
        let there =
            self.peers.iter().filter(|(_, p)| p.gone.is_none() && self.now.since(p.heard) <= self.lately());
        let there = there.map(|(id, p)| (id, p.info.name.as_str())).chain([own]);
        let bears = |(id, name): &(NodeId, &str)| *name == who || id.to_string() == who;
        let (members, others): (Vec<_>, Vec<_>) =
            there.filter(bears).partition(|(id, _)| record.has_member(*id));
        let id = match others[..] {
            [(id, _)] => id,
            [] if members.is_empty() => {
                return Err(NotNowReason::NoAnswer { name: who.to_owned() }.into());
            }
            [] => return Err(NotNowReason::ElectorAlready { name: who.to_owned() }.into()),
            _ => {
                let ids: Vec<NodeId> = others.iter().map(|(id, _)| *id).collect();
                return Err(self.ambiguous(who, &ids));
            }
        };
        self.may_become_member(id)?;
        Ok(id)
    }

    fn may_become_member(&self, id: NodeId) -> Result<(), CommandError> {
        let node = self.name_of(id);
        let holds = id == self.id || self.lead.as_ref().is_some_and(|lead| lead.holds_what_counts(id));
        let (elector, rules) = match self.peers.get(id) {
            Some(peer) if self.now.since(peer.heard) <= self.lately() => (peer.info.elector, peer.info.rules),
            _ => (self.settings.elector, MEMBERS_RULE),
        };
        if !elector {
            return Err(NotNowReason::ConfiguredNotToVote { node }.into());
        }
        if rules < MEMBERS_RULE.max(self.durable.record.needs) {
            return Err(NotNowReason::MembershipUnknown { node }.into());
        }
        if !holds {
            return Err(NotNowReason::RecordNotThere { node }.into());
        }
        Ok(())
    }

    fn names_stay_unique(&self, next: &Record) -> Result<(), CommandError> {
        let after = next.members_after();
        if after.is_empty() {
            return Err(NotNowReason::LastElector.into());
        }
        if after.len() > limits::MEMBERS {
            return Err(NotNowReason::TooManyElectors.into());
        }
        let mut names = BTreeSet::new();
        for id in &after {
            let name = self.name_of(*id);
            if !names.insert(name.clone()) {
                let bearers: Vec<NodeId> =
                    after.iter().copied().filter(|id| self.name_of(*id) == name).collect();
                return Err(self.ambiguous(&name, &bearers));
            }
        }
        Ok(())
    }

    /// Those who acknowledge now must be a quorum of the members before and of those after: otherwise the change would end the leadership.
    fn has_both_quorums(&self, next: &Record) -> Result<(), CommandError> {
        let Some(lead) = &self.lead else { return Err(CommandError::NotLeader { leader: None }) };
        let lease = self.settings.leader_lease;
        let all = next.members.iter().chain(next.change.iter().filter_map(|change| change.add.as_ref()));
        let (there, missing): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
            all.copied().partition(|id| *id == self.id || lead.acknowledged_within(*id, lease, self.now));
        let before = Record { change: None, ..next.clone() };
        let after = Record { members: next.members_after(), ..before.clone() };
        for (record, afterwards) in [(&before, false), (&after, true)] {
            if !crate::elector::members::Quorum::of(record, self.settings).is_met_by(&there) {
                let missing = self.names_of(&missing);
                return Err(CommandError::Unsafe(UnsafeReason::QuorumLost { afterwards, missing }));
            }
        }
        Ok(())
    }

    fn with_id(&self, id: NodeId) -> String {
        match self.name_of(id) {
            name if name == id.to_string() => name,
            name => format!("{name} ({id})"),
        }
    }

    /// Several nodes bear one name: only an id says which is meant.
    pub(crate) fn ambiguous(&self, name: &str, ids: &[NodeId]) -> CommandError {
        NotNowReason::NameNotUnique { name: name.to_owned(), ids: ids.to_vec() }.into()
    }
}
