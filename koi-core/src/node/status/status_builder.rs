//! What a node tells of itself and of the others, for people and programs.

use std::time::Duration;

use crate::contact::peers::Peer;
use crate::leader::placement::{Choice, MasterDecision};
use crate::message::RULES;
use crate::node::node_ref::NodeRef;
use crate::reason::WaitReason;
use crate::record::StateOrigin;
use crate::types::{NodeId, NodeState};
use crate::view::{FailureView, NodeView, View, Waiting};

impl NodeRef<'_> {
    /// What this node knows at `now`.
    pub(crate) fn view(&self) -> View {
        let now = self.now;
        let acting = self.acting();
        let around = self.node_context();
        let mut nodes = vec![self.own_view()];
        nodes.extend(
            self.peers
                .iter()
                .filter(|(id, p)| !p.info.name.is_empty() && !self.superseded(*id, p))
                .map(|(id, p)| self.peer_view(id, p)),
        );
        let waiting = self.waiting(acting);
        let concerns = self.concerns(acting, &nodes, !waiting.is_empty());
        let runner = self.settings.runner;
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
            services: self.runner.services().views(now),
            lease: self.runner.lease().map(|h| h.ends().since(now)),
            holds: self.runner.lease().map(|h| h.epoch()),
            action: runner.then(|| self.runner.action(self.settings, &around)),
            reason: if runner { self.runner.reason(self.settings) } else { String::new() },
            recovers_in: self.runner.recovers_in(now),
            slowest_demote: self.runner.services().slowest_demote(),
            failures: self.failure_views(),
            healthy: acting && concerns.is_empty(),
            takeover: if acting { self.takeover() } else { None },
            advice: self.advice(),
            warnings: concerns.iter().filter(|c| c.is_warning()).map(ToString::to_string).collect(),
            concerns,
            nodes,
            waiting,
        }
    }

    /// An earlier identity of a machine that has come back with a new disk: its name lives on.
    fn superseded(&self, id: NodeId, peer: &Peer) -> bool {
        let silent = self.now.since(peer.heard) > self.lately();
        let same_name = |(other, p): (NodeId, &Peer)| {
            other != id && p.info.name == peer.info.name && p.heard > peer.heard
        };
        silent && (peer.info.name == self.settings.name || self.peers.iter().any(same_name))
    }

    fn own_view(&self) -> NodeView {
        let around = self.node_context();
        NodeView {
            id: self.id,
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            elector: self.settings.elector,
            runner: self.settings.runner,
            state: self.runner.state(self.settings, &around),
            address: None,
            seen: Duration::ZERO,
            uptime: self.now.since(self.started),
            stopped: around.stopped,
            maintenance: around.maintenance || self.settings.maintenance,
            unclean: self.runner.services().unclean(),
            deaf: false,
            reason: if self.settings.runner { self.runner.reason(self.settings) } else { String::new() },
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
            stopped: record.stopped.contains(&id),
            maintenance: record.maintenance || summary.is_some_and(|s| s.maintenance),
            unclean: summary.is_some_and(|s| s.unclean),
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
        let source = peer.address.filter(|_| peer.info.rules < RULES);
        leader.or(peer.stated).or(source)
    }

    fn failure_views(&self) -> Vec<FailureView> {
        self.failures
            .iter()
            .map(|failed| FailureView {
                node: failed.node.clone(),
                message: failed.note.message.clone(),
                service: failed.note.service.clone(),
                hook: failed.note.hook.clone(),
                ago: self.now.since(failed.at),
            })
            .collect()
    }

    /// What the next step waits for.
    fn waiting(&self, acting: bool) -> Vec<Waiting> {
        let now = self.now;
        if !acting {
            return self.waiting_for_leader();
        }
        let record = &self.durable.applied;
        if record.maintenance {
            return vec![WaitReason::Maintenance.into()];
        }
        let mut waiting = Vec::new();
        if self.durable.record.version != record.version {
            waiting.push(WaitReason::RecordNotCommitted.into());
        }
        match record.master.as_ref().map(|m| (m, self.fate(m, record))) {
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

    fn waiting_for_promotion(&self, master: &crate::record::MasterEntry) -> Option<Waiting> {
        let seen = self.lead.as_ref()?.runners().of_run(master.node, master.session)?;
        (!seen.summary.promoted).then(|| WaitReason::Promoting { node: master.name.clone() }.into())
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
