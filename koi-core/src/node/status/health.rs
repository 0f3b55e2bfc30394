//! Is all well? This is the one place that decides it: whatever is amiss is a [`Concern`], and all is well where there is none.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::concern::Concern;
use crate::contact::gone::Gone;
use crate::contact::peers::Peer;
use crate::group::GroupName;
use crate::message::{NodeInfo, SharedSettings};
use crate::node::group_ref::GroupRef;
use crate::node::leading::PlacementDispute;
use crate::node::node_ref::NodeRef;
use crate::record::{GroupRecord, StateOrigin};
use crate::types::{NodeId, NodeState, Time};
use crate::view::{GroupView, NodeView, Waiting};

/// For so long something that others did wrong is told after it happened.
const TOLD_FOR: Duration = Duration::from_mins(1);
/// Runners that are named where none could take over.
const NAMED: usize = 5;

impl NodeRef<'_> {
    /// Everything that is amiss. What a leader alone can know is left out where this node does not lead: then nothing is known to be well.
    pub(crate) fn concerns(
        &self,
        acting: bool,
        nodes: &[NodeView],
        waiting: &[Waiting],
        groups: &[GroupView],
    ) -> Vec<Concern> {
        let mut concerns = Vec::new();
        if acting {
            if self.durable.applied.maintenance {
                concerns.push(Concern::Maintenance);
            }
            self.group(&GroupName::MAIN).look_at_mastership(&mut concerns, !waiting.is_empty());
            self.look_at_nodes(nodes, &mut concerns);
            self.look_at_electors(&mut concerns);
            self.group(&GroupName::MAIN).look_at_runners(&mut concerns);
            self.look_at_unfit(&mut concerns);
            self.look_at_fences(&mut concerns);
            for view in groups {
                let of_group = self.group(&view.name).concerns(view);
                let named =
                    |concern| Concern::OfGroup { group: view.name.clone(), concern: Box::new(concern) };
                concerns.extend(of_group.into_iter().map(named));
            }
        }
        if let Some(why) = self.unfit().filter(|_| !(acting && self.settings.runner)) {
            let (node, why) = (self.settings.name.clone(), why.to_string());
            concerns.push(match self.settings.runner {
                true => Concern::Unfit { node, why },
                false => Concern::CannotVote { node, why },
            });
        }
        let lately = self.now.since(self.durable.disk_measured()) < TOLD_FOR;
        if self.settings.elector && lately && self.durable.disk_takes() > self.settings.leader_lease / 2 {
            concerns.push(Concern::SlowDisk {
                node: self.settings.name.clone(),
                takes: self.durable.disk_takes(),
            });
        }
        if let Some(why) = self.runners.unguarded().map(str::to_owned) {
            concerns.push(Concern::Unguarded { why });
        }
        self.look_at_agreement(&mut concerns);
        self.look_at_identities(&mut concerns);
        self.look_at_strangers(&mut concerns);
        concerns
    }

    /// What the configuration, and what was measured, mean for a bad day: no fault, and no less true while all is well.
    pub(crate) fn advice(&self) -> Vec<String> {
        let (electors, quorum) = (self.electors_known(), self.settings.quorum);
        let mut advice = Vec::new();
        if quorum == 0 {
            let why = if electors == 0 { "cluster.electors is not set, so quorum" } else { "quorum" };
            advice.push(format!(
                "{why} is off: a partition makes two masters (split brain); a third elector is the remedy"
            ));
        } else if electors == 2 {
            advice.push(
                "two electors need each other: when one is lost there is no failover; a third elector is the remedy"
                    .to_owned(),
            );
        } else if electors > 2 && !self.knows_members() && usize::from(quorum) >= electors {
            advice.push(format!(
                "all {electors} electors are needed: when one is lost there is no failover; cluster.quorum = \"majority\" is the remedy"
            ));
        }
        let grace = self.settings.demote_grace;
        if let Some(took) = self.runners.slowest_demote().filter(|took| *took > grace / 2) {
            advice.push(format!(
                "a demote took {} ms here, more than half of demote_grace ({} ms): raise it, or make demote faster",
                took.as_millis(),
                grace.as_millis()
            ));
        }
        self.advise_of_fences(&mut advice);
        advice
    }

    fn look_at_nodes(&self, nodes: &[NodeView], concerns: &mut Vec<Concern>) {
        // A runner that said farewell and does not vote is nobody's loss. Who votes is in the record, whatever its own configuration says (R13).
        let votes = |n: &NodeView| if self.knows_members() { self.counts(n.id) } else { n.elector };
        let left = |n: &NodeView| {
            let gone = self.peers.get(n.id).and_then(|peer| peer.gone.as_ref());
            gone.is_some_and(Gone::left_clean) && !votes(n)
        };
        for node in nodes {
            let name = node.name.clone();
            if node.unclean {
                concerns.push(Concern::Unclean { node: name.clone() });
            }
            match node.state {
                NodeState::Failed => concerns.push(Concern::Failed { node: name }),
                NodeState::Disconnected if !left(node) => concerns.push(Concern::Missing { node: name }),
                _ => {}
            }
        }
    }

    fn look_at_electors(&self, concerns: &mut Vec<Concern>) {
        let now = self.now;
        let configured = self.electors_known();
        let seen = self.electors_seen();
        if configured > 0 && seen > configured {
            concerns.push(Concern::ElectorsTooMany { seen, configured });
        } else if seen < configured {
            let members = self.durable.record.members.iter().filter(|_| self.knows_members());
            let names = self.names_of(members.filter(|id| !self.is_around(**id)));
            concerns.push(Concern::ElectorsMissing { missing: configured - seen, configured, names });
        }
        if self.knows_members() {
            self.look_at_configured_electors(concerns);
        }
        for (id, peer) in self.peers.iter() {
            let there = peer.gone.is_none() && now.since(peer.heard) <= self.lately();
            if !there || peer.info.name.is_empty() {
                continue;
            }
            let node = peer.info.name.clone();
            if let Some(fast) = peer.pace.strays() {
                concerns.push(Concern::Clock { node: node.clone(), fast });
            }
            let votes = peer.info.elector && self.counts(id);
            if peer.info.elector && self.knows_members() && !votes {
                concerns.push(Concern::NoMember { node: node.clone(), id });
            }
            let (takes, told) = peer.disk;
            if votes && takes > self.settings.leader_lease / 2 && now.since(told) < TOLD_FOR {
                concerns.push(Concern::SlowDisk { node: node.clone(), takes });
            }
            if self.is_deaf(id) {
                concerns.push(Concern::Deaf { node });
            } else if votes && peer.info.origin == StateOrigin::Empty && self.too_many_electors(id) {
                concerns.push(Concern::ElectorTooMany { node, configured });
            } else if let Some(why) = peer.unfit.clone().filter(|_| votes) {
                concerns.push(Concern::CannotVote { node, why });
            } else if votes
                && peer.info.origin == StateOrigin::Member
                && self.is_unacknowledging(id)
                && self.seen_lately(id).is_none_or(|s| s.summaries.values().all(|told| told.unfit.is_none()))
            {
                concerns.push(Concern::Unacknowledging { node });
            }
        }
    }

    /// Runners whose machines cannot do what a master must.
    fn look_at_unfit(&self, concerns: &mut Vec<Concern>) {
        for (id, seen) in self.latest_reports().filter(|(id, _)| self.seen_lately(*id).is_some()) {
            let unfit = seen.summaries.values().find_map(|summary| summary.unfit.clone());
            if let Some(why) = unfit {
                concerns.push(Concern::Unfit { node: self.name_of(id), why });
            }
        }
    }

    /// The configuration founds a cluster; afterwards the record holds, and this says which file is to be mended.
    fn look_at_configured_electors(&self, concerns: &mut Vec<Concern>) {
        let members = &self.durable.record.members;
        let electors = self.names_of(members);
        let mut compare = |node: &str, agreed: &SharedSettings, named: bool| {
            let (node, electors) = (node.to_owned(), electors.clone());
            if usize::from(agreed.electors) != members.len() {
                let (key, is) = ("cluster.electors", agreed.electors);
                concerns.push(Concern::ElectorsDiffer { node, key, is, electors });
            } else if usize::from(agreed.quorum) != members.len() / 2 + 1 {
                let (key, is) = ("cluster.quorum", agreed.quorum);
                concerns.push(Concern::ElectorsDiffer { node, key, is, electors });
            } else if !named {
                concerns.push(Concern::ElectorsNamedOtherwise { node, electors });
            }
        };
        let named = electors.iter().all(|name| self.settings.electors.admits(name));
        compare(&self.settings.name, &self.settings.agreed(), named);
        let around = self.peers.iter().filter(|(id, p)| self.is_around(*id) && !p.info.name.is_empty());
        around.for_each(|(_, peer)| compare(&peer.info.name, &peer.info.agreed, true));
    }

    fn is_around(&self, id: NodeId) -> bool {
        id == self.id || self.peers.get(id).is_some_and(|p| p.is_around(self.lately(), self.now))
    }

    /// Ids that two machines bear.
    fn look_at_identities(&self, concerns: &mut Vec<Concern>) {
        if self.durable.mute.is_some() {
            concerns.push(Concern::Mute { id: self.id });
        } else if self.twin().is_some() {
            concerns.push(Concern::SameId { node: self.settings.name.clone(), id: self.id });
        }
        for (id, peer) in self.peers.iter().filter(|(id, _)| self.is_twice(*id)) {
            concerns.push(Concern::SameId { node: peer.info.name.clone(), id });
        }
    }

    /// One of this node's runs says that it is mute, or two of them speak, the older one still after the younger had begun.
    pub(crate) fn is_twice(&self, id: NodeId) -> bool {
        let heard = |p: &&Peer| {
            p.gone.is_none() && p.heard > Time(0) && self.now.since(p.heard) <= self.twin_told_for()
        };
        if self.peers.runs(id).filter(heard).any(|p| p.mute) {
            return true;
        }
        let mut starts: Vec<Time> = self.peers.runs(id).filter(heard).map(|p| p.since).collect();
        starts.sort_unstable();
        let Some(younger) = starts.get(1).copied() else { return false };
        self.peers.runs(id).filter(heard).any(|p| p.since < younger && p.proven > younger)
    }

    /// What others did that no node of this cluster should.
    fn look_at_strangers(&self, concerns: &mut Vec<Concern>) {
        let now = self.now;
        if let Some((what, at)) = self.peers.implausible()
            && now.since(at) < TOLD_FOR
        {
            concerns.push(Concern::Implausible { what: what.to_owned() });
        }
        if let Some((id, at)) = self.peers.refused
            && now.since(at) < TOLD_FOR
        {
            concerns.push(Concern::NodeTooMany { id, most: crate::limits::NODES });
        }
    }

    /// Nodes whose settings disagree are named until they agree.
    fn look_at_agreement(&self, concerns: &mut Vec<Concern>) {
        let own = self.settings.agreed();
        let mut names: BTreeMap<&str, usize> = BTreeMap::from([(self.settings.name.as_str(), 1)]);
        for (_, peer) in
            self.peers.iter().filter(|(_, p)| self.now.since(p.heard) <= self.lately() && p.gone.is_none())
        {
            let info = &peer.info;
            *names.entry(info.name.as_str()).or_default() += 1;
            let keys = differing(&own, info, self.knows_members());
            if !info.name.is_empty() && !keys.is_empty() {
                let (one, other) = (self.settings.name.clone(), info.name.clone());
                concerns.push(Concern::Disagreement { one, other, keys });
            }
        }
        for (name, _) in names.into_iter().filter(|(name, n)| *n > 1 && !name.is_empty()) {
            concerns.push(Concern::SameName { name: name.to_owned() });
        }
    }
}

impl GroupRef<'_> {
    /// Who would be master next; none: nobody could.
    pub(crate) fn takeover(&self) -> Option<NodeId> {
        let record = self.of(&self.durable.applied);
        if self.durable.applied.maintenance || record.manual {
            return None;
        }
        let master = record.master.as_ref().map(|m| m.node);
        match self.partner() {
            Some(_) => self.follows_to(record, master),
            None => self.best_candidate(record, master),
        }
    }

    /// What is amiss in a group other than `main`.
    fn concerns(&self, view: &GroupView) -> Vec<Concern> {
        let mut concerns = Vec::new();
        self.look_at_mastership(&mut concerns, !view.waiting.is_empty());
        let failed = view.states.iter().filter(|(_, state)| **state == NodeState::Failed);
        concerns.extend(failed.map(|(id, _)| Concern::Failed { node: self.name_of(*id) }));
        self.look_at_runners(&mut concerns);
        concerns
    }

    fn look_at_mastership(&self, concerns: &mut Vec<Concern>, waits: bool) {
        if waits {
            concerns.push(Concern::Waiting);
        }
        match self.entry() {
            None => concerns.push(Concern::NoMaster),
            Some(m) if !self.report_of(m.node, m.session).is_some_and(|s| s.summary.promoted) => {
                concerns.push(Concern::Promoting { node: m.name.clone() });
            }
            Some(_) => {}
        }
        if let Some(flapping) = self.flapping() {
            let within = self.now.since(flapping.since);
            concerns.push(Concern::Flapping { masterships: flapping.masterships, within });
        }
        self.look_for_takeover(concerns);
    }

    fn look_at_runners(&self, concerns: &mut Vec<Concern>) {
        if let Some(PlacementDispute { one, other, keys }) = self.dispute() {
            concerns.push(Concern::PlacementDiffers { one, other, keys });
        }
        for (id, _) in self.latest_of_all() {
            let Some(seen) = self.recent_report(id) else { continue };
            let node = self.name_of(id);
            if let Some(restless) = &seen.summary.restless {
                let (service, times) = (restless.service.clone(), restless.times);
                concerns.push(Concern::Restless { node: node.clone(), service, times });
            }
            // One that does not know yet that maintenance is over has asked nobody.
            if seen.summary.unasked
                || (seen.applied < self.durable.watched_since() && !mutant!(MaintenanceTrusted))
            {
                concerns.push(Concern::Unasked { node: node.clone() });
            }
        }
    }

    /// Where there is more than one runner, somebody else could be master now.
    fn look_for_takeover(&self, concerns: &mut Vec<Concern>) {
        let record = self.of(&self.durable.applied);
        let Some(master) = record.master.as_ref().map(|m| m.node) else { return };
        if self.durable.applied.maintenance || self.takeover().is_some() {
            return;
        }
        let runs = |id: NodeId, p: &Peer| match self.group.is_main() {
            true => p.info.runner && !self.is_never(id),
            false => p.others.contains_key(self.group) && !self.is_never(id),
        };
        let there = |id: NodeId, p: &Peer| runs(id, p) && !p.gone.as_ref().is_some_and(Gone::said_farewell);
        let other = |(id, p): &(NodeId, &Peer)| *id != master && there(*id, p) && !self.superseded(*id, p);
        let others = self.peers.iter().filter(other).map(|(id, _)| id);
        let runs_here =
            self.settings.runner && self.runners.get(self.group).is_some() && !self.is_never(self.id);
        let own = (runs_here && self.id != master).then_some(self.id);
        let mut why: Vec<String> = others.chain(own).map(|id| self.why_not_master(id, record)).collect();
        why.truncate(NAMED);
        if !why.is_empty() {
            concerns.push(Concern::NoTakeover { why });
        }
    }

    fn why_not_master(&self, node: NodeId, record: &GroupRecord) -> String {
        let name = self.name_of(node);
        let Some(seen) = self.recent_report(node) else { return format!("{name} is not heard from") };
        let summary = seen.summary;
        if record.stopped.contains(&node) {
            format!("{name} was stopped by hand")
        } else if self.is_deaf(node) {
            format!("{name} hears nobody")
        } else if summary.maintenance {
            format!("{name} stays out (node.maintenance)")
        } else if summary.leaving {
            format!("{name} is stopping")
        } else if !summary.promotable {
            format!("{name} is {}", summary.state.as_str())
        } else if self.rests_until(node, &seen) > self.now {
            format!("{name} has been master in vain of late")
        } else if let Some(with) = self.partner() {
            format!("{name} would not be master of group {with}, with which this one goes")
        } else {
            format!("{name} cannot be master")
        }
    }
}

/// Where there are members, each configuration of the electors is compared with the record instead.
fn differing(own: &SharedSettings, info: &NodeInfo, members_known: bool) -> Vec<&'static str> {
    let their = &info.agreed;
    [
        (own.electors != their.electors && !members_known, "cluster.electors"),
        (own.quorum != their.quorum && !members_known, "cluster.quorum"),
        (own.heartbeat != their.heartbeat, "timing.heartbeat"),
        (own.leader_lease != their.leader_lease, "timing.leader_lease"),
        (own.master_lease != their.master_lease, "timing.master_lease"),
    ]
    .into_iter()
    .filter_map(|(differs, key)| differs.then_some(key))
    .collect()
}
