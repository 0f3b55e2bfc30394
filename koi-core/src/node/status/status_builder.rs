//! What a node tells of itself and of the others, for people and programs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::contact::peers::Peer;
use crate::group::GroupName;
use crate::leader::placement::{Choice, MasterDecision};
use crate::message::MEMBERS_RULE;
use crate::node::group_ref::GroupRef;
use crate::node::node_ref::NodeRef;
use crate::reason::WaitReason;
use crate::record::{MasterEntry, StateOrigin};
use crate::types::{NodeId, NodeState};
use crate::view::{FailureView, GroupRunnerView, GroupView, NodeView, View, Waiting};

impl NodeRef<'_> {
    /// What this node knows at `now`.
    pub(crate) fn view(&self) -> View {
        let acting = self.acting();
        let mut nodes = vec![self.own_view()];
        nodes.extend(
            self.peers
                .iter()
                .filter(|(id, p)| !p.info.name.is_empty() && !self.superseded(*id, p))
                .map(|(id, p)| self.peer_view(id, p)),
        );
        let waiting = self.waiting(acting);
        let groups: Vec<GroupName> = self.all_groups().into_iter().filter(|group| !group.is_main()).collect();
        let groups: Vec<GroupView> = groups.iter().map(|group| self.group(group).view(acting)).collect();
        let concerns = self.concerns(acting, &nodes, &waiting, &groups);
        let own = self.runner_view(&GroupName::MAIN).unwrap_or_default();
        View {
            id: self.id,
            session: self.session,
            term: self.durable.term,
            origin: self.durable.origin,
            leader: if acting { Some(self.id) } else { self.known_leader() },
            acting,
            record: self.durable.applied.clone(),
            quorum: if self.settings.quorum == 0 {
                0
            } else {
                u16::try_from(self.quorum().size()).unwrap_or(u16::MAX)
            },
            electors_known: u16::try_from(self.electors_known()).unwrap_or(u16::MAX),
            electors: self.elector_views(),
            electors_seen: u16::try_from(self.electors_seen()).unwrap_or(u16::MAX),
            services: own.services,
            lease: own.lease,
            holds: own.holds,
            action: own.action,
            reason: own.reason,
            recovers_in: own.recovers_in,
            slowest_demote: self.runners.slowest_demote(),
            failures: self.failure_views(),
            healthy: acting && concerns.is_empty(),
            takeover: self.group(&GroupName::MAIN).takeover().filter(|_| acting),
            advice: self.advice(),
            warnings: concerns.iter().filter(|c| c.is_warning()).map(ToString::to_string).collect(),
            concerns,
            nodes,
            waiting,
            groups,
        }
    }

    /// The groups that there are, as far as this node knows.
    fn all_groups(&self) -> BTreeSet<GroupName> {
        // Of a group that nobody runs any more the record keeps what went before.
        let alive = self.durable.applied.groups().filter(|(name, group)| name.is_main() || group.is_alive());
        let applied = alive.map(|(group, _)| group.clone());
        let own = self.runners.names().into_iter().filter(|_| self.settings.runner);
        let around = self.peers.iter().flat_map(|(_, peer)| peer.others.keys().cloned());
        self.known_groups().into_iter().chain(applied).chain(own).chain(around).collect()
    }

    /// What this node does with a group; none: it does not run it.
    fn runner_view(&self, group: &GroupName) -> Option<GroupRunnerView> {
        let supervisor = self.runners.get(group)?;
        let (runner, now) = (self.settings.runner, self.now);
        Some(GroupRunnerView {
            services: supervisor.services().views(now),
            lease: supervisor.lease().map(|h| h.ends().since(now)),
            holds: supervisor.lease().map(|h| h.epoch()),
            action: runner.then(|| supervisor.action(self.settings, &self.node_context(group))),
            reason: if runner { supervisor.reason(self.settings) } else { String::new() },
            recovers_in: supervisor.recovers_in(now),
        })
    }

    /// An earlier identity of a machine that has come back with a new disk: its name lives on.
    pub(super) fn superseded(&self, id: NodeId, peer: &Peer) -> bool {
        let silent = self.now.since(peer.heard) > self.lately();
        let same_name = |(other, p): (NodeId, &Peer)| {
            other != id && p.info.name == peer.info.name && p.heard > peer.heard
        };
        silent && (peer.info.name == self.settings.name || self.peers.iter().any(same_name))
    }

    fn own_view(&self) -> NodeView {
        let main = &GroupName::MAIN;
        let around = self.node_context(main);
        NodeView {
            id: self.id,
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            elector: self.settings.elector,
            runner: self.settings.runner,
            state: self.runners.main().state(self.settings, &around),
            address: None,
            seen: Duration::ZERO,
            uptime: self.now.since(self.started),
            stopped: around.stopped,
            maintenance: around.maintenance || self.settings.maintenance,
            unclean: self.runners.unclean(),
            deaf: false,
            reason: match self.settings.runner {
                true => self.runners.main().reason(self.settings),
                false => String::new(),
            },
        }
    }

    fn peer_view(&self, id: NodeId, peer: &Peer) -> NodeView {
        let now = self.now;
        let seen = now.since(peer.heard);
        let silent = peer.gone.is_some() || seen > self.lately();
        let summary = peer.summary.as_ref();
        let record = &self.durable.applied;
        let deaf = !silent && self.is_deaf(id);
        let state = match summary {
            // What it has said before says nothing of now.
            _ if silent || deaf => NodeState::Disconnected,
            Some(summary) => summary.state,
            None if peer.info.runner => NodeState::Disconnected,
            None => NodeState::Elector,
        };
        NodeView {
            id,
            name: peer.info.name.clone(),
            version: peer.info.version.clone(),
            elector: peer.info.elector,
            runner: peer.info.runner,
            state,
            address: self.address_of(id, peer),
            seen,
            uptime: now.since(peer.since),
            stopped: record.main.stopped.contains(&id),
            maintenance: record.maintenance || summary.is_some_and(|s| s.maintenance),
            unclean: summary.into_iter().chain(peer.others.values()).any(|s| s.unclean),
            deaf,
            reason: match summary {
                _ if deaf => "it hears nobody: its network passes only one way".to_owned(),
                summary => summary.map(|s| s.reason.clone()).unwrap_or_default(),
            },
        }
    }

    /// Where a node's API answers, by its own word. A koid from before R13 does not say: there it is where its datagrams come from.
    fn address_of(&self, id: NodeId, peer: &Peer) -> Option<std::net::SocketAddr> {
        let leader = self.following.leader().filter(|l| l.id == id).and_then(|l| l.address);
        let source = peer.address.filter(|_| peer.info.rules < MEMBERS_RULE);
        leader.or(peer.stated).or(source)
    }

    fn failure_views(&self) -> Vec<FailureView> {
        self.failures
            .iter()
            .map(|failed| FailureView {
                node: failed.node.clone(),
                group: failed.group.clone(),
                message: failed.note.message.clone(),
                service: failed.note.service.clone(),
                hook: failed.note.hook.clone(),
                ago: self.now.since(failed.at),
            })
            .collect()
    }

    /// What the next step of `main`, or of all, waits for.
    fn waiting(&self, acting: bool) -> Vec<Waiting> {
        if !acting {
            return self.waiting_for_leader();
        }
        if self.durable.applied.maintenance {
            return vec![WaitReason::Maintenance.into()];
        }
        let mut waiting = Vec::new();
        if self.durable.record.version != self.durable.applied.version {
            waiting.push(WaitReason::RecordNotCommitted.into());
        }
        if let Some(fence) = &self.durable.record.fence {
            waiting.push(WaitReason::Fencing { node: fence.name.clone() }.into());
        }
        waiting.extend(self.group(&GroupName::MAIN).waiting());
        waiting.dedup();
        waiting
    }

    fn waiting_for_leader(&self) -> Vec<Waiting> {
        if self.known_leader().is_some() {
            return Vec::new();
        }
        let configured = self.electors_known();
        let seen = self.electors_seen();
        if self.settings.elector && self.durable.origin != StateOrigin::Member && self.settings.quorum > 0 {
            return vec![WaitReason::Founding(self.founding_waits_for()).into()];
        }
        let needed = self.quorum().size();
        if seen < needed {
            return vec![WaitReason::NoQuorum { seen, configured, needed }.into()];
        }
        let reason = match self.lead {
            Some(_) => WaitReason::LeadershipNotConfirmed,
            None => WaitReason::Election,
        };
        vec![reason.into()]
    }
}

impl GroupRef<'_> {
    fn view(&self, acting: bool) -> GroupView {
        let maintenance = self.durable.applied.maintenance;
        GroupView {
            name: self.group.clone(),
            takeover: self.takeover().filter(|_| acting),
            waiting: if acting && !maintenance { self.waiting() } else { Vec::new() },
            states: self.states(),
            reasons: self.reasons(),
            own: self.runner_view(self.group).filter(|_| self.settings.runner),
        }
    }

    /// How the group is on each node that runs it.
    fn states(&self) -> BTreeMap<NodeId, NodeState> {
        let own = self.runners.get(self.group).filter(|_| self.settings.runner);
        let own = own.map(|s| (self.id, s.state(self.settings, &self.node_context(self.group))));
        let state = |(id, peer): (NodeId, &Peer)| {
            let summary = peer.others.get(self.group)?;
            let silent =
                peer.gone.is_some() || self.now.since(peer.heard) > self.lately() || self.is_deaf(id);
            Some((id, if silent { NodeState::Disconnected } else { summary.state }))
        };
        self.peers.iter().filter_map(state).chain(own).collect()
    }

    /// What the nodes that have failed say of it.
    fn reasons(&self) -> BTreeMap<NodeId, String> {
        let own = self.runners.get(self.group).filter(|_| self.settings.runner);
        let own = own.map(|supervisor| (self.id, supervisor.reason(self.settings)));
        let said = |(id, peer): (NodeId, &Peer)| Some((id, peer.others.get(self.group)?.reason.clone()));
        let all = self.peers.iter().filter_map(said).chain(own);
        all.filter(|(_, reason)| !reason.is_empty()).collect()
    }

    /// What the next step of the group waits for, on the leader.
    fn waiting(&self) -> Vec<Waiting> {
        let (now, record) = (self.now, self.of(&self.durable.applied));
        let mut waiting = Vec::new();
        if self.waits_for_upgrade() {
            waiting.push(WaitReason::GroupsUnknown { nodes: self.know_no_groups() }.into());
            return waiting;
        }
        let fenced = |m: &&MasterEntry| self.durable.record.fence.as_ref().is_some_and(|f| f.node == m.node);
        match record.master.as_ref().map(|m| (m, self.fate(m, record))) {
            Some((m, MasterDecision::Wait(_) | MasterDecision::Order(_))) if fenced(&m) => {
                waiting.push(WaitReason::Fencing { node: m.name.clone() }.into());
            }
            Some((_, MasterDecision::Wait(blocked))) => waiting.push(blocked.view(now)),
            Some((m, MasterDecision::Order(why))) => {
                waiting.push(WaitReason::Demoting { node: m.name.clone(), why }.into());
            }
            Some((m, MasterDecision::Keep)) => waiting.extend(self.waiting_for_promotion(m)),
            Some((_, MasterDecision::Free)) => {}
            None => {
                if let Choice::Wait(blocked) = self.choose(record) {
                    waiting.push(blocked.view(now));
                }
            }
        }
        if let Some(target) = record.target.filter(|t| !self.is_candidate(*t, record)) {
            waiting.push(WaitReason::TargetNotPromotable { node: self.name_of(target) }.into());
        }
        waiting
    }

    fn waiting_for_promotion(&self, master: &MasterEntry) -> Option<Waiting> {
        let seen = self.report_of(master.node, master.session)?;
        (!seen.summary.promoted).then(|| WaitReason::Promoting { node: master.name.clone() }.into())
    }
}
