//! What the leader tells runners of one another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::group::GroupName;
use crate::leader::rosters::Basis;
use crate::limits::{self, clip};
use crate::message::Body;
use crate::node::group_ref::GroupRef;
use crate::node::handlers::LeadershipHandler;
use crate::node::node_ref::NodeRef;
use crate::roster::RosterEntry;
use crate::types::{NodeId, NodeState, Session};

impl LeadershipHandler<'_> {
    /// Looks how everyone is. A new leader that has not heard of everyone yet says nothing: nobody has gone because it does not know them.
    pub(super) fn renew_rosters(&mut self) {
        if !self.node().acting() || self.node().group(&GroupName::MAIN).settling().is_some() {
            return;
        }
        let (basis, now) = (self.node().roster_basis(), self.ctx.now);
        if !self.lead.as_mut().is_some_and(|lead| lead.rosters_mut().are_due(&basis, now)) {
            return;
        }
        let groups = self.node().rosters();
        let silent: BTreeSet<NodeId> =
            self.peers.iter().map(|(id, _)| id).filter(|id| self.node().latest(*id).is_none()).collect();
        if let Some(lead) = self.lead {
            lead.rosters_mut().set(groups, |node| silent.contains(&node), (basis, now));
        }
    }

    /// A runner has reported which picture it has of the others. It is told what is another by now.
    pub(super) fn tell_roster(&mut self, to: NodeId, session: Session, picture: u32) {
        let Some(lead) = self.lead else { return };
        let parts = lead.roster_for((to, session), picture);
        parts.into_iter().for_each(|part| self.ctx.answer(to, session, Body::Roster(part)));
    }
}

impl NodeRef<'_> {
    fn roster_basis(&self) -> Basis {
        let heard = self.latest_reports().filter(|(id, seen)| self.is_recent(*id, seen.at));
        Basis {
            record: (self.durable.record.version, self.durable.applied.version),
            heard: heard.map(|(id, seen)| (id, seen.session)).collect(),
        }
    }

    /// Who runs which group, and how it is.
    fn rosters(&self) -> BTreeMap<GroupName, Vec<RosterEntry>> {
        let mut rosters = BTreeMap::new();
        for group in self.latest_reports().flat_map(|(_, seen)| seen.summaries.keys()) {
            if !rosters.contains_key(group) {
                rosters.insert(group.clone(), self.group(group).roster());
            }
        }
        rosters
    }

    /// Where a node is reached, by its own word.
    fn stated_ip(&self, node: NodeId) -> Option<IpAddr> {
        let own = self.address.filter(|_| node == self.id);
        own.or_else(|| self.peers.get(node)?.stated).map(|address| address.ip())
    }
}

impl GroupRef<'_> {
    /// Every node that has reported in this term that it runs the group, and its master.
    fn roster(&self) -> Vec<RosterEntry> {
        let nodes: BTreeSet<NodeId> = self.all_reports().map(|(id, _)| id).collect();
        let mut roster: Vec<RosterEntry> =
            nodes.iter().take(limits::NODES).map(|id| self.roster_entry(*id)).collect();
        let unheard = self.entry().filter(|m| !nodes.contains(&m.node));
        roster.extend(unheard.map(|m| RosterEntry { name: m.name.clone(), ..self.roster_entry(m.node) }));
        roster
    }

    fn roster_entry(&self, node: NodeId) -> RosterEntry {
        // One that has just been started again has said nothing yet in its new run.
        let seen = self.recent_report(node);
        RosterEntry {
            node,
            name: clip(&self.name_of(node), limits::NAME_BYTES),
            state: seen.map_or(NodeState::Disconnected, |seen| seen.summary.state),
            promotable: self.is_candidate(node, self.of(&self.durable.record)),
            score: seen.and_then(|seen| seen.summary.score()),
            address: self.stated_ip(node),
        }
    }
}
