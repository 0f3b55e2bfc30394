//! What a node tells of itself and of the others, for people and programs.

use std::time::Duration;

use crate::contact::peers::Peer;
use crate::leader::placement::{Choice, MasterDecision};
use crate::message::RULES;
use crate::node::Node;
use crate::reason::WaitReason;
use crate::record::StateOrigin;
use crate::types::{NodeId, NodeState, Time};
use crate::view::{FailureView, NodeView, View, Waiting};

impl Node {
    /// What this node knows at `now`.
    pub fn view(&self, now: Time) -> View {
        let acting = self.acting(now);
        let around = self.node_context(now);
        let mut nodes = vec![self.own_view(now)];
        nodes.extend(
            self.peers
                .iter()
                .filter(|(id, p)| !p.info.name.is_empty() && !self.superseded(*id, p, now))
                .map(|(id, p)| self.peer_view(id, p, now)),
        );
        let waiting = self.waiting(acting, now);
        let concerns = self.concerns(acting, &nodes, !waiting.is_empty(), now);
        let runner = self.settings.runner;
        View {
            id: self.id,
            session: self.session,
            term: self.durable.term,
            origin: self.durable.origin,
            leader: if acting { Some(self.id) } else { self.known_leader(now) },
            acting,
            record: self.durable.applied.clone(),
            quorum: if self.settings.quorum == 0 {
                0
            } else {
                u16::try_from(self.quorum().size()).unwrap_or(u16::MAX)
            },
            electors_known: u16::try_from(self.electors_known()).unwrap_or(u16::MAX),
            electors: self.elector_views(now),
            electors_seen: u16::try_from(self.electors_seen(now)).unwrap_or(u16::MAX),
            services: self.runner.services().views(now),
            lease: self.runner.lease().map(|h| h.ends().since(now)),
            holds: self.runner.lease().map(|h| h.epoch()),
            action: runner.then(|| self.runner.action(&self.settings, &around)),
            reason: if runner { self.runner.reason(&self.settings) } else { String::new() },
            recovers_in: self.runner.recovers_in(now),
            slowest_demote: self.runner.services().slowest_demote(),
            failures: self.failure_views(now),
            healthy: acting && concerns.is_empty(),
            takeover: if acting { self.takeover(now) } else { None },
            advice: self.advice(),
            warnings: concerns.iter().filter(|c| c.is_warning()).map(ToString::to_string).collect(),
            concerns,
            nodes,
            waiting,
        }
    }

    /// An earlier identity of a machine that has come back with a new disk: its name lives on.
    fn superseded(&self, id: NodeId, peer: &Peer, now: Time) -> bool {
        let silent = now.since(peer.heard) > self.lately();
        let same_name = |(other, p): (NodeId, &Peer)| {
            other != id && p.info.name == peer.info.name && p.heard > peer.heard
        };
        silent && (peer.info.name == self.settings.name || self.peers.iter().any(same_name))
    }

    pub(crate) fn known_leader(&self, now: Time) -> Option<NodeId> {
        self.following.leader().filter(|l| now.since(l.heard) <= self.lately()).map(|l| l.id)
    }

    fn own_view(&self, now: Time) -> NodeView {
        let around = self.node_context(now);
        NodeView {
            id: self.id,
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            elector: self.settings.elector,
            runner: self.settings.runner,
            state: self.runner.state(&self.settings, &around),
            address: None,
            seen: Duration::ZERO,
            uptime: now.since(self.started),
            stopped: around.stopped,
            maintenance: around.maintenance || self.settings.maintenance,
            unclean: self.runner.services().unclean(),
            deaf: false,
            reason: if self.settings.runner { self.runner.reason(&self.settings) } else { String::new() },
        }
    }

    fn peer_view(&self, id: NodeId, peer: &Peer, now: Time) -> NodeView {
        let seen = now.since(peer.heard);
        let silent = peer.gone.is_some() || seen > self.lately();
        let summary = peer.summary.as_ref();
        let record = &self.durable.applied;
        let deaf = !silent && self.is_deaf(id, now);
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

    fn failure_views(&self, now: Time) -> Vec<FailureView> {
        self.failures
            .iter()
            .map(|failed| FailureView {
                node: failed.node.clone(),
                message: failed.note.message.clone(),
                service: failed.note.service.clone(),
                hook: failed.note.hook.clone(),
                ago: now.since(failed.at),
            })
            .collect()
    }

    /// What the next step waits for.
    fn waiting(&self, acting: bool, now: Time) -> Vec<Waiting> {
        if !acting {
            return self.waiting_for_leader(now);
        }
        let record = &self.durable.applied;
        if record.maintenance {
            return vec![WaitReason::Maintenance.into()];
        }
        let mut waiting = Vec::new();
        if self.durable.record.version != record.version {
            waiting.push(WaitReason::RecordNotCommitted.into());
        }
        match record.master.as_ref().map(|m| (m, self.fate(m, record, now))) {
            Some((_, MasterDecision::Wait(blocked))) => waiting.push(blocked.view(now)),
            Some((m, MasterDecision::Order(why))) => {
                waiting.push(WaitReason::Demoting { node: m.name.clone(), why }.into());
            }
            Some((m, MasterDecision::Keep)) => waiting.extend(self.waiting_for_promotion(m)),
            Some((_, MasterDecision::Free)) => {}
            None => {
                if let Choice::Wait(blocked) = self.choose(record, now) {
                    waiting.push(blocked.view(now));
                }
            }
        }
        if let Some(target) = record.target.filter(|t| !self.is_candidate(*t, record, now)) {
            waiting.push(WaitReason::TargetNotPromotable { node: self.name_of(target) }.into());
        }
        waiting
    }

    fn waiting_for_promotion(&self, master: &crate::record::MasterEntry) -> Option<Waiting> {
        let seen = self.lead.as_ref()?.runners().of_run(master.node, master.session)?;
        (!seen.summary.promoted).then(|| WaitReason::Promoting { node: master.name.clone() }.into())
    }

    fn waiting_for_leader(&self, now: Time) -> Vec<Waiting> {
        if self.known_leader(now).is_some() {
            return Vec::new();
        }
        let configured = self.electors_known();
        let seen = self.electors_seen(now);
        if self.settings.elector && self.durable.origin != StateOrigin::Member && self.settings.quorum > 0 {
            return vec![WaitReason::Founding(self.founding_waits_for(now)).into()];
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
