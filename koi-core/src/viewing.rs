//! What a node tells of itself and of the others, for people and programs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::choice::{Choice, Fate};
use crate::message::Card;
use crate::node::Node;
use crate::peers::Peer;
use crate::record::Standing;
use crate::types::{NodeId, NodeState, Time};
use crate::view::{FailureView, NodeView, View, Waiting};

impl Node {
    /// What this node knows at `now`.
    pub fn view(&self, now: Time) -> View {
        let acting = self.acting(now);
        let around = self.surroundings(now);
        let mut nodes = vec![self.own_view(now)];
        nodes.extend(
            self.peers
                .iter()
                .filter(|(id, p)| !p.card.name.is_empty() && !self.superseded(*id, p, now))
                .map(|(id, p)| self.peer_view(id, p, now)),
        );
        let waiting = self.waiting(acting, now);
        let warnings = self.warnings(acting, now);
        let runner = self.settings.runner;
        View {
            id: self.id,
            session: self.session,
            term: self.durable.term,
            standing: self.durable.standing,
            leader: if acting { Some(self.id) } else { self.known_leader(now) },
            acting,
            record: self.durable.applied.clone(),
            electors_seen: u16::try_from(self.electors_seen(now)).unwrap_or(u16::MAX),
            services: self.runner.services.views(now),
            lease: self.runner.holding.map(|h| h.ends.since(now)),
            holds: self.runner.holding.map(|h| h.epoch),
            action: runner.then(|| self.runner.action(&self.settings, &around)),
            reason: if runner { self.runner.reason(&self.settings) } else { String::new() },
            recovers_in: self.runner.recovers_in(now),
            slowest_demote: self.runner.services.slowest_demote,
            failures: self.failure_views(now),
            healthy: acting && self.all_is_well(&nodes, now),
            nodes,
            warnings,
            waiting,
        }
    }

    /// An earlier identity of a machine that has come back with a new disk: its name lives on.
    fn superseded(&self, id: NodeId, peer: &Peer, now: Time) -> bool {
        let silent = now.since(peer.heard) > self.lately();
        let same_name = |(other, p): (NodeId, &Peer)| {
            other != id && p.card.name == peer.card.name && p.heard > peer.heard
        };
        silent && (peer.card.name == self.settings.name || self.peers.iter().any(same_name))
    }

    pub(crate) fn known_leader(&self, now: Time) -> Option<NodeId> {
        self.leader.as_ref().filter(|l| now.since(l.heard) <= self.lately()).map(|l| l.id)
    }

    fn own_view(&self, now: Time) -> NodeView {
        let around = self.surroundings(now);
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
            unclean: self.runner.services.unclean(),
            reason: if self.settings.runner { self.runner.reason(&self.settings) } else { String::new() },
        }
    }

    fn peer_view(&self, id: NodeId, peer: &Peer, now: Time) -> NodeView {
        let seen = now.since(peer.heard);
        let silent = peer.gone.is_some() || seen > self.lately();
        let summary = peer.summary.as_ref();
        let record = &self.durable.applied;
        let state = match summary {
            _ if silent => NodeState::Disconnected,
            Some(summary) => summary.state,
            None if peer.card.runner => NodeState::Disconnected,
            None => NodeState::Elector,
        };
        NodeView {
            id,
            name: peer.card.name.clone(),
            version: peer.card.version.clone(),
            elector: peer.card.elector,
            runner: peer.card.runner,
            state,
            address: peer.address,
            seen,
            uptime: now.since(peer.since),
            stopped: record.stopped.contains(&id),
            maintenance: record.maintenance || summary.is_some_and(|s| s.maintenance),
            unclean: summary.is_some_and(|s| s.unclean),
            reason: summary.map(|s| s.reason.clone()).unwrap_or_default(),
        }
    }

    fn failure_views(&self, now: Time) -> Vec<FailureView> {
        self.failures
            .iter()
            .map(|(at, node, note)| FailureView {
                node: node.clone(),
                message: note.message.clone(),
                service: note.service.clone(),
                hook: note.hook.clone(),
                ago: now.since(*at),
            })
            .collect()
    }

    /// A master is promoted with all its services, and no node has failed or is missing.
    fn all_is_well(&self, nodes: &[NodeView], now: Time) -> bool {
        let record = &self.durable.applied;
        let lead = self.lead.as_ref();
        let promoted = record.master.as_ref().is_some_and(|m| {
            lead.and_then(|l| l.runners.get(&m.node))
                .is_some_and(|s| s.summary.promoted || record.maintenance)
        });
        let left = |n: &NodeView| {
            matches!(self.peers.get(n.id), Some(Peer { gone: Some(crate::peers::Gone::Left(Some(_))), .. }))
        };
        let electors = usize::from(self.settings.electors.count());
        promoted
            && self.electors_seen(now) >= electors
            && nodes.iter().all(|n| {
                !n.unclean
                    && n.state != NodeState::Failed
                    && (n.state != NodeState::Disconnected || (left(n) && !n.elector))
            })
    }

    /// What the next step waits for.
    fn waiting(&self, acting: bool, now: Time) -> Vec<Waiting> {
        if !acting {
            return self.waiting_for_leader(now);
        }
        let record = &self.durable.applied;
        let mut waiting = Vec::new();
        if record.maintenance {
            waiting.push(Waiting {
                what: "maintenance mode is on: no hook runs, nobody is elected or demoted".to_owned(),
                hint: "koi maintenance off".to_owned(),
                ..Waiting::default()
            });
            return waiting;
        }
        if self.durable.record.version != record.version {
            waiting.push(Waiting {
                what: "a change of the record waits for the disks of a quorum of electors".to_owned(),
                rule: Some("R4"),
                ..Waiting::default()
            });
        }
        match record.master.as_ref().map(|m| (m, self.fate(m, record, now))) {
            Some((_, Fate::Wait(blocked))) => waiting.push(blocked.view(now)),
            Some((m, Fate::Order(why))) => waiting.push(Waiting {
                what: format!("{} is demoting: {why}", m.name),
                node: Some(m.name.clone()),
                ..Waiting::default()
            }),
            Some((m, Fate::Keep)) => waiting.extend(self.waiting_for_promotion(m)),
            Some((_, Fate::Free(_))) => {}
            None => {
                if let Choice::Wait(blocked) = self.choose(record, now) {
                    waiting.push(blocked.view(now));
                }
            }
        }
        if let Some(target) = record.target.filter(|t| !self.is_candidate(*t, record, now)) {
            let name = self.name_of(target);
            waiting.push(Waiting {
                what: format!("{name} is to be master as soon as it is promotable"),
                node: Some(name),
                hint: "koi elect drops that wish".to_owned(),
                ..Waiting::default()
            });
        }
        waiting
    }

    fn waiting_for_promotion(&self, master: &crate::record::MasterEntry) -> Option<Waiting> {
        let seen = self.lead.as_ref()?.runners.get(&master.node)?;
        (!seen.summary.promoted).then(|| Waiting {
            what: format!("{} is promoting its services", master.name),
            node: Some(master.name.clone()),
            ..Waiting::default()
        })
    }

    fn waiting_for_leader(&self, now: Time) -> Vec<Waiting> {
        if self.known_leader(now).is_some() {
            return Vec::new();
        }
        let configured = usize::from(self.settings.electors.count());
        let seen = self.electors_seen(now);
        if self.settings.elector && self.durable.standing == Standing::Empty {
            let missing = configured.saturating_sub(seen);
            let what = match missing {
                0 => "this elector has no state yet, and waits to be given the cluster's".to_owned(),
                n => format!(
                    "this elector has no state yet: it waits for a leader, or until all {configured} electors are seen ({n} missing)"
                ),
            };
            let hint = "for a new cluster without them: koi bootstrap, on a quorum of electors".to_owned();
            return vec![Waiting { what, rule: Some("R10"), hint, ..Waiting::default() }];
        }
        let needed = self.settings.votes_needed();
        if seen < needed {
            let what = format!("no quorum: {seen} of {configured} electors are seen, {needed} are needed");
            let hint = "start koid on the others, or mend the network between them".to_owned();
            return vec![Waiting { what, rule: Some("R3"), hint, ..Waiting::default() }];
        }
        let what = match self.lead {
            Some(_) => "this node was elected, and waits for a quorum of electors to answer",
            None => "an election is under way",
        };
        vec![Waiting { what: what.to_owned(), rule: Some("R1"), ..Waiting::default() }]
    }

    /// What is wrong, or will be.
    fn warnings(&self, acting: bool, now: Time) -> Vec<String> {
        let mut warnings = Vec::new();
        self.warn_of_quorum(&mut warnings);
        if acting {
            self.warn_of_electors(&mut warnings, now);
        }
        self.warn_of_disagreement(&mut warnings, now);
        warnings.extend(self.runner.guarded.clone().err());
        let slow = self.runner.services.slowest_demote.filter(|took| *took > self.settings.demote_grace / 2);
        if let Some(took) = slow {
            warnings.push(format!(
                "a demote took {} ms here, more than half of demote_grace ({} ms): raise it, or make demote faster",
                took.as_millis(),
                self.settings.demote_grace.as_millis()
            ));
        }
        warnings
    }

    fn warn_of_quorum(&self, warnings: &mut Vec<String>) {
        let electors = self.settings.electors.count();
        if self.settings.quorum == 0 {
            let why = if electors == 0 { "cluster.electors is not set, so quorum" } else { "quorum" };
            warnings.push(format!(
                "{why} is off: a partition makes two masters (split brain); a third elector is the remedy"
            ));
        } else if electors == 2 {
            warnings.push(
                "two electors need each other: when one is lost there is no failover; a third elector is the remedy"
                    .to_owned(),
            );
        }
    }

    fn warn_of_electors(&self, warnings: &mut Vec<String>, now: Time) {
        let configured = usize::from(self.settings.electors.count());
        let seen = self.electors_seen(now);
        if configured > 0 && seen > configured {
            warnings.push(format!(
                "{seen} electors are seen and cluster.electors is {configured}: two quorums could form; set it right everywhere"
            ));
        } else if seen < configured {
            warnings.push(format!("{} of {configured} electors are missing", configured - seen));
        }
        for (id, peer) in self.peers.iter() {
            let beginner = peer.card.elector && peer.card.standing == Standing::Empty && peer.gone.is_none();
            if beginner && now.since(peer.heard) <= self.lately() && self.too_many_electors(id, now) {
                warnings.push(format!(
                    "{} is an elector too many: cluster.electors is {configured}; it does not vote",
                    peer.card.name
                ));
            }
        }
    }

    /// Nodes whose settings disagree are named until they agree.
    fn warn_of_disagreement(&self, warnings: &mut Vec<String>, now: Time) {
        let own = self.settings.agreed();
        let mut names: BTreeMap<&str, usize> = BTreeMap::from([(self.settings.name.as_str(), 1)]);
        for (_, peer) in
            self.peers.iter().filter(|(_, p)| now.since(p.heard) <= self.lately() && p.gone.is_none())
        {
            let card = &peer.card;
            *names.entry(card.name.as_str()).or_default() += 1;
            let differing = differing(&own, card);
            if !card.name.is_empty() && !differing.is_empty() {
                warnings.push(format!(
                    "{} and {} disagree on {}: make their configurations agree",
                    self.settings.name,
                    card.name,
                    differing.join(", ")
                ));
            }
        }
        for (name, _) in names.into_iter().filter(|(name, n)| *n > 1 && !name.is_empty()) {
            warnings.push(format!("two nodes are called {name}: give each its own node.name"));
        }
    }
}

fn differing(own: &crate::message::Agreed, card: &Card) -> Vec<&'static str> {
    let their = &card.agreed;
    [
        (own.electors != their.electors, "cluster.electors"),
        (own.quorum != their.quorum, "cluster.quorum"),
        (own.heartbeat != their.heartbeat, "timing.heartbeat"),
        (own.leader_lease != their.leader_lease, "timing.leader_lease"),
        (own.master_lease != their.master_lease, "timing.master_lease"),
    ]
    .into_iter()
    .filter_map(|(differs, key)| differs.then_some(key))
    .collect()
}
