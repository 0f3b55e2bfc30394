//! A node, to read.

use std::ops::Deref;
use std::time::Duration;

use crate::contact::following::Following;
use crate::contact::greeting::Greeting;
use crate::contact::identity::Identity;
use crate::contact::peers::Peers;
use crate::elector::durability::Durability;
use crate::elector::election::Election;
use crate::group::GroupName;
use crate::leader::hearing::Hearing;
use crate::leader::leadership::Leadership;
use crate::leader::masterships::Histories;
use crate::leader::reports::RunnerReport;
use crate::local::failures::Failures;
use crate::local::fitness::Fitness;
use crate::local::leaving::Leaving;
use crate::message::{NodeInfo, RULES};
use crate::node::handlers::Own;
use crate::supervision::runners::Runners;
use crate::supervision::supervisor::NodeContext;
use crate::timers::Timers;
use crate::types::{NodeId, Session, Time};

/// All parts of a node as they are at one moment. What is asked of several parts is asked here; who acts on the answer is a handler.
#[derive(Clone, Copy)]
pub(crate) struct NodeRef<'a> {
    pub(super) own: Own<'a>,
    pub(crate) durable: &'a Durability,
    pub(crate) election: &'a Election,
    pub(crate) lead: &'a Option<Leadership>,
    pub(crate) hearing: &'a Hearing,
    pub(crate) masterships: &'a Histories,
    pub(crate) following: &'a Following,
    pub(crate) peers: &'a Peers,
    pub(crate) identity: &'a Identity,
    pub(crate) greeting: &'a Greeting,
    pub(crate) runners: &'a Runners,
    pub(crate) fitness: &'a Fitness,
    pub(crate) failures: &'a Failures,
    pub(crate) leaving: &'a Leaving,
}

impl<'a> Deref for NodeRef<'a> {
    type Target = Own<'a>;

    fn deref(&self) -> &Own<'a> {
        &self.own
    }
}

impl NodeRef<'_> {
    /// What the services of a group of this node are to know of the rest of it.
    pub(crate) fn node_context(&self, group: &GroupName) -> NodeContext {
        let record = &self.durable.applied;
        NodeContext {
            now: self.now,
            connected: self.connected() && self.is_established(),
            informed: self.following.is_informed(),
            maintenance: record.maintenance,
            stopped: self.is_stopped(group),
            leaving: self.leaving.has_begun(),
            epoch: record.last_epoch,
            unfit: self.unfit(),
            busy_beside: self.runners.busy_beside(group),
            followed: self.is_followed(group),
            applied: record.version,
        }
    }

    /// R15: a group that goes together with this one is promoted here, and has not failed.
    fn is_followed(&self, group: &GroupName) -> bool {
        let follows = |name: &GroupName| {
            let placement = self.settings.placement.get(name);
            placement.is_some_and(|placement| placement.policy.together_with.as_ref() == Some(group))
        };
        self.runners.iter().any(|(name, s)| follows(name) && s.maybe_promoted() && s.failed().is_none())
    }

    /// The services of this group are to be down here: by an operator's word, because the group is not configured here, or because another
    /// machine has this node's id.
    fn is_stopped(&self, group: &GroupName) -> bool {
        let configured = group.is_main() || self.settings.groups.contains(group);
        let stopped = self.durable.applied.group(group).stopped.contains(&self.id);
        stopped || !configured || self.durable.mute.is_some()
    }

    /// Every part sets its timers.
    pub(crate) fn set_timers(&self, timers: &mut Timers) {
        self.set_identity_timers(timers);
        self.set_election_timers(timers);
        self.set_leading_timers(timers);
        self.set_following_timers(timers);
        self.set_greeting_timers(timers);
        self.set_fitness_timers(timers);
        self.set_leaving_timers(timers);
        if self.settings.runner {
            for (group, supervisor) in self.runners.iter() {
                supervisor.set_timers(self.settings, &self.node_context(group), timers);
            }
        }
    }

    /// How long a leader may be silent before the node counts as disconnected: by then any lease is over.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.hold(self.settings.demote_grace)
    }

    pub(crate) fn connected(&self) -> bool {
        self.lead.is_some()
            || self.following.leader().is_some_and(|l| self.now.since(l.heard) < self.patience())
    }

    /// What this node says of itself in its messages.
    pub(crate) fn info(&self) -> NodeInfo {
        NodeInfo {
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            elector: self.settings.elector,
            runner: self.settings.runner,
            priority: self.settings.priority,
            origin: self.durable.origin,
            agreed: self.settings.agreed(),
            rules: RULES,
            follows: self.identity.follows(),
        }
    }

    /// How long a node that is there may be silent.
    pub(crate) fn lately(&self) -> Duration {
        self.settings.leader_lease.max(self.settings.heartbeat * 3)
    }
}

/// Who is who.
impl<'a> NodeRef<'a> {
    /// The run that speaks for a node.
    pub(crate) fn current_run(&self, node: NodeId) -> Option<Session> {
        if node == self.id {
            return Some(self.session);
        }
        self.peers.get(node).map(|p| p.session)
    }

    /// The last report in this term of the run that speaks for a node.
    pub(crate) fn latest(&self, node: NodeId) -> Option<&'a RunnerReport> {
        self.lead.as_ref()?.runners().of_run(node, self.current_run(node)?)
    }

    /// The same, if it is recent, and the run is not over.
    pub(crate) fn seen_lately(&self, node: NodeId) -> Option<&'a RunnerReport> {
        self.latest(node).filter(|seen| self.is_recent(node, seen.at))
    }

    /// What a node's run has said then is recent, and the run is not over.
    pub(crate) fn is_recent(&self, node: NodeId, said: Time) -> bool {
        let is_there = || node == self.id || self.peers.get(node).is_some_and(|p| p.gone.is_none());
        self.now.since(said) <= self.lately() && is_there()
    }

    /// The last report of each node's run that speaks for it.
    pub(crate) fn latest_reports(&self) -> impl Iterator<Item = (NodeId, &'a RunnerReport)> {
        let all = self.lead.iter().flat_map(|lead| lead.runners().iter());
        all.filter(|(id, seen)| self.current_run(*id) == Some(seen.session))
    }

    /// The names of these nodes, in their order.
    pub(crate) fn names_of<'i>(&self, nodes: impl IntoIterator<Item = &'i NodeId>) -> Vec<String> {
        let mut names: Vec<String> = nodes.into_iter().map(|id| self.name_of(*id)).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn name_of(&self, node: NodeId) -> String {
        if node == self.id {
            return self.settings.name.clone();
        }
        match self.peers.get(node) {
            Some(peer) if !peer.info.name.is_empty() => peer.info.name.clone(),
            _ => self.durable.names.get(&node).cloned().unwrap_or_else(|| node.to_string()),
        }
    }
}
