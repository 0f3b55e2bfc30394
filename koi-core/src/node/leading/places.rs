//! Where a group's master is wanted (rule R15): what its runners agree on, which group it goes together with, and which it is to be apart from.
//!
//! All of that stands in the reports of the runners: a leader need not run the group, nor know it by its own configuration.

use crate::group::GroupName;
use crate::leader::placement::MasterDecision;
use crate::leader::reports::GroupReport;
use crate::limits;
use crate::node::group_ref::GroupRef;
use crate::placing::{PlacementPolicy, Preference, first_of};
use crate::reason::DropReason;
use crate::record::{GroupRecord, MasterEntry};
use crate::types::{NodeId, NodeState, Session};

/// Two runners of a group that say different things of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacementDispute {
    pub(crate) one: String,
    pub(crate) other: String,
    pub(crate) keys: Vec<&'static str>,
}

/// Where the master is with which another goes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartnerPlace {
    pub(crate) node: NodeId,
    pub(crate) session: Session,
    /// Everything of it is promoted there.
    pub(crate) promoted: bool,
}

impl<'a> GroupRef<'a> {
    /// What every runner of the group that is heard from says of its place; `None`: they do not agree, or nobody is heard.
    fn stated(&self) -> Option<&'a PlacementPolicy> {
        let mut heard = self.recent_of_all().map(|(_, seen)| seen).chain(self.master_unheard());
        let policy = &heard.next()?.summary.placement.policy;
        heard.all(|seen| seen.summary.placement.policy == *policy).then_some(policy)
    }

    /// The report of the master's run, where another run speaks for its node: a copy of its disk must not make its place unknown.
    fn master_unheard(&self) -> Option<GroupReport<'a>> {
        let entry = self.entry().filter(|m| self.current_run(m.node) != Some(m.session))?;
        let lives = self.peers.run(entry.node, entry.session).is_some_and(|run| run.gone.is_none());
        let seen = self.report_of(entry.node, entry.session).filter(|_| lives)?;
        (self.now.since(seen.at) <= self.lately()).then_some(seen)
    }

    /// The first two runners that do not agree on its place. While there are any, it is not kept.
    pub(crate) fn dispute(&self) -> Option<PlacementDispute> {
        let mut heard = self.recent_of_all();
        let (first, seen) = heard.next()?;
        let policy = &seen.summary.placement.policy;
        let (other, seen) = heard.find(|(_, seen)| seen.summary.placement.policy != *policy)?;
        let keys = policy.differing(&seen.summary.placement.policy);
        Some(PlacementDispute { one: self.name_of(first), other: self.name_of(other), keys })
    }

    /// What is kept of its place: what all of its runners agree on.
    pub(crate) fn policy(&self) -> Option<&'a PlacementPolicy> {
        self.stated().filter(|policy| **policy != PlacementPolicy::default())
    }

    /// The group that this one goes together with. Each configuration is free of circles; those of several nodes together may have one. Who is
    /// in it, or leads to it, goes by itself.
    pub(crate) fn partner(&self) -> Option<&'a GroupName> {
        let node = **self;
        let own = self.policy()?.together_with.as_ref()?;
        let with = |group: &'a GroupName| node.group(group).stated_partner();
        first_of(own, with).is_ok_and(|first| first != self.group).then_some(own)
    }

    fn stated_partner(&self) -> Option<&'a GroupName> {
        self.policy()?.together_with.as_ref()
    }

    /// How many groups come before this one: a group is decided about after the one that it goes together with.
    pub(crate) fn depth(&self) -> usize {
        let (node, mut depth, mut group) = (**self, 0, self.group);
        while let Some(with) = node.group(group).partner().filter(|_| depth < limits::GROUPS) {
            (depth, group) = (depth + 1, with);
        }
        depth
    }

    /// How gladly this node is made master of the group.
    pub(crate) fn preference(&self, node: NodeId) -> Preference {
        self.latest_report(node).map(|seen| seen.summary.placement.preference).unwrap_or_default()
    }

    /// Its preference is 0.
    pub(crate) fn is_never(&self, node: NodeId) -> bool {
        self.preference(node).is_never() && !mutant!(PreferenceZeroIgnored)
    }

    // --- together ---

    /// On which node the record has the master of another group.
    pub(crate) fn entry_of(&self, other: &GroupName) -> Option<NodeId> {
        (**self).group(other).entry().map(|m| m.node)
    }

    /// Where the master of that group stays. None: it has none, or it does not stay.
    pub(crate) fn partner_place(&self, with: &GroupName) -> Option<PartnerPlace> {
        let of = (**self).group(with);
        let entry = of.entry()?;
        let stays = of.fate(entry, of.of(&self.durable.applied)) == MasterDecision::Keep
            && of.placement().is_some_and(|p| p.wanted_back() != Some(entry.epoch));
        let seen = of.report_of(entry.node, entry.session).filter(|_| stays)?;
        let promoted = seen.summary.promoted && seen.summary.holds == Some(entry.epoch);
        Some(PartnerPlace { node: entry.node, session: entry.session, promoted })
    }

    /// R15: the group goes together with another, which is not where this master is, or does not stay there.
    pub(crate) fn parted(&self, entry: &MasterEntry) -> Option<DropReason> {
        let with = self.partner().filter(|_| !mutant!(TogetherIgnored))?;
        let beside = self.partner_place(with).is_some_and(|place| place.node == entry.node);
        (!beside).then(|| DropReason::GoesTogether { with: with.clone() })
    }

    /// R15: whether the node is one where the group may be promoted, as far as the group goes that it goes together with.
    pub(crate) fn goes_to(&self, node: NodeId) -> bool {
        let Some(with) = self.partner().filter(|_| !mutant!(TogetherIgnored)) else { return true };
        let place = self.partner_place(with).filter(|place| place.promoted && place.node == node);
        place.is_some_and(|place| self.current_run(node) == Some(place.session))
    }

    /// A group whose master is to be demoted before this one's, where this one's has to go in order. What fails, or cannot be taken down, is not
    /// waited for.
    pub(crate) fn follower_first(&self, entry: &MasterEntry, why: &DropReason) -> Option<GroupName> {
        if !self.is_in_order(entry, why) || mutant!(FollowerLast) {
            return None;
        }
        let node = **self;
        let masters = self.durable.applied.masters();
        let beside = masters.filter(|(group, other)| *group != self.group && other.node == entry.node);
        let waits = |(group, other): &(&GroupName, &MasterEntry)| {
            let of = node.group(group);
            let up = of.report_of(other.node, other.session).is_some_and(|seen| {
                let s = seen.summary;
                self.now.since(seen.at) <= self.lately()
                    && s.released < other.epoch
                    && s.state != NodeState::Failed
                    && !s.unclean
            });
            up && of.partner() == Some(self.group)
        };
        beside.into_iter().find(waits).map(|(group, _)| group.clone())
    }

    /// The groups that go together with this one, and have their masters on this node.
    pub(crate) fn followers_on(&self, node: NodeId) -> Vec<GroupName> {
        let all = **self;
        let beside = self.durable.applied.masters().filter(|(_, m)| m.node == node);
        let follows = |group: &&GroupName| all.group(group).partner() == Some(self.group);
        beside.map(|(group, _)| group).filter(follows).cloned().collect()
    }

    /// Nothing of it has failed: it is demoted because somebody wants that.
    fn is_in_order(&self, entry: &MasterEntry, why: &DropReason) -> bool {
        match why {
            DropReason::Stopping
            | DropReason::StoppedByHand
            | DropReason::OtherTarget { .. }
            | DropReason::DemotedByHand
            | DropReason::Preferred { .. }
            | DropReason::NeverHere
            | DropReason::ToBeFenced => true,
            DropReason::GoesTogether { with } => {
                let of = (**self).group(with);
                let partner = of.entry().filter(|other| other.node == entry.node);
                let well = |other: &MasterEntry| {
                    let seen = of.report_of(other.node, other.session);
                    seen.is_some_and(|seen| seen.summary.promoted && self.now.since(seen.at) <= self.lately())
                };
                partner.is_some_and(well)
            }
            DropReason::NotThere
            | DropReason::Failed { .. }
            | DropReason::CannotPromote { .. }
            | DropReason::NotPromotable { .. }
            | DropReason::Released => false,
        }
    }

    // --- apart ---

    /// The master of the group is on this node, or is to be.
    fn claims(&self, node: NodeId) -> bool {
        let record = self.of(&self.durable.record);
        let moving = self.placement().and_then(|placement| placement.moves().moving_to());
        record.master.as_ref().is_some_and(|m| m.node == node)
            || record.target == Some(node)
            || moving == Some(node)
    }

    /// Other groups whose masters are on this node, or are to be.
    fn beside(&self, node: NodeId) -> impl Iterator<Item = &'a GroupName> {
        let (all, own) = (**self, self.group);
        all.durable
            .record
            .groups()
            .map(|(group, _)| group)
            .filter(move |group| *group != own && all.group(group).claims(node))
    }

    /// How many other groups have their masters on this node.
    pub(crate) fn masterships_beside(&self, node: NodeId) -> usize {
        self.beside(node).count()
    }

    /// No group that this one is to be apart from has its master there.
    pub(crate) fn keeps_apart(&self, node: NodeId) -> bool {
        let Some(policy) = self.policy().filter(|policy| !policy.apart_from.is_empty()) else { return true };
        !self.beside(node).any(|group| policy.apart_from.contains(group))
    }

    /// A master that moved there would break what this group wishes, or what one that is there wishes of this one.
    pub(crate) fn would_break_apart(&self, node: NodeId) -> bool {
        let all = **self;
        let wishes = |group: &GroupName| {
            all.group(group).policy().is_some_and(|policy| policy.apart_from.contains(self.group))
        };
        !self.keeps_apart(node) || self.beside(node).any(wishes)
    }

    /// Some runner of the group says that its master moves for a preference: then the record says which masterships an operator has asked for.
    pub(crate) fn speaks_of_failback(&self) -> bool {
        self.latest_of_all().any(|(_, seen)| seen.summary.placement.policy.failback().is_some())
    }

    /// A target to which the group never goes.
    pub(crate) fn bars_target(&self, target: NodeId) -> Option<DropReason> {
        if self.is_never(target) {
            return Some(DropReason::NeverHere);
        }
        let with = self.partner().filter(|_| !mutant!(TogetherIgnored))?;
        Some(DropReason::GoesTogether { with: with.clone() })
    }

    /// Who would be master next of a group that goes together with another: whoever is, of that one.
    pub(crate) fn follows_to(&self, record: &GroupRecord, but: Option<NodeId>) -> Option<NodeId> {
        let with = self.partner()?;
        let next = (**self).group(with).takeover()?;
        (Some(next) != but && self.is_candidate(next, record)).then_some(next)
    }
}
