//! One real runner under a leader that the story plays.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use koi_core::io::{HookEnd, Input, ServiceSpec};
use koi_core::message::{Answer, Body, Heartbeat, Lease, Message, NodeInfo, Recipient};
use koi_core::record::{MasterEntry, Record, StateOrigin};
use koi_core::settings::Settings;
use koi_core::types::{Epoch, Hook, NodeId, NodeState, ServiceState, Session, Term, Version};

use super::{Cluster, ms, settings};

/// The leader's identity.
const LEADER: NodeId = NodeId(99);
/// The leader's run.
const LEADER_RUN: Session = Session { count: 1, random: 99 };

/// A runner that votes not, and its leader.
pub struct Solo {
    cluster: Cluster,
    /// What the leader's heartbeats carry.
    pub record: Record,
    /// The leader's.
    pub term: Term,
    number: u64,
    /// `L` of the leader.
    pub lease: Duration,
    /// The lease that the leader grants.
    pub grants: Option<Epoch>,
    /// From which version of the record on its leases hold (R16).
    pub since: Option<Version>,
    /// What the leader wants back.
    pub wants_back: Option<Epoch>,
    /// The leader is there.
    pub leader_speaks: bool,
}

impl Deref for Solo {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for Solo {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

impl Solo {
    /// A runner with these services, never started.
    pub fn off(services: &[ServiceSpec], adjust: impl Fn(&mut Settings)) -> Solo {
        let mut own = settings("a", 3);
        own.elector = false;
        adjust(&mut own);
        let mut cluster = Cluster::off(0);
        cluster.add(1, own, services);
        let term = Term(5);
        let record = Record { version: Version { term, n: 1 }, last_epoch: Epoch(7), ..Record::default() };
        let lease = ms(500);
        Solo {
            cluster,
            record,
            term,
            number: 0,
            lease,
            grants: None,
            since: None,
            wants_back: None,
            leader_speaks: true,
        }
    }

    /// The same, started, under a leader that has said nothing yet.
    pub fn unled(services: &[ServiceSpec], adjust: impl Fn(&mut Settings)) -> Solo {
        let mut solo = Solo::off(services, adjust);
        solo.cluster.start(0);
        solo
    }

    /// A standby.
    pub fn standby(services: &[ServiceSpec]) -> Solo {
        Solo::standby_with(services, |_| {})
    }

    /// A standby that is configured otherwise.
    pub fn standby_with(services: &[ServiceSpec], adjust: impl Fn(&mut Settings)) -> Solo {
        let mut solo = Solo::unled(services, adjust);
        solo.pass(300);
        assert_eq!(solo.state(), NodeState::Standby);
        solo
    }

    /// A master.
    pub fn master(services: &[ServiceSpec]) -> Solo {
        Solo::master_with(services, |_| {})
    }

    /// A master that is configured otherwise.
    pub fn master_with(services: &[ServiceSpec], adjust: impl Fn(&mut Settings)) -> Solo {
        let mut solo = Solo::standby_with(services, adjust);
        solo.appoint();
        solo.pass(300);
        assert_eq!(solo.state(), NodeState::Master);
        solo
    }

    /// The leader names the runner master and grants the lease.
    pub fn appoint(&mut self) {
        let epoch = self.record.last_epoch.next_in(self.term);
        let core = self.cluster.machines[0].core.as_ref().expect("its daemon runs");
        let entry = MasterEntry {
            node: core.id(),
            session: core.session(),
            epoch,
            hold: ms(2000),
            in_maintenance: false,
            unclean: false,
            name: "a".to_owned(),
            by_hand: false,
        };
        self.change(|record| {
            record.main.master = Some(entry);
            record.last_epoch = epoch;
        });
        (self.grants, self.wants_back) = (Some(epoch), None);
    }

    /// The record changes, and the change counts.
    pub fn change(&mut self, what: impl FnOnce(&mut Record)) {
        what(&mut self.record);
        self.record.version.n += 1;
    }

    /// Lets time pass under the leader: a heartbeat every 100 ms, an answer to every report.
    pub fn pass(&mut self, span_ms: u64) {
        for _ in 0..span_ms.div_ceil(100) {
            if self.leader_speaks {
                self.heartbeat();
            }
            self.cluster.run(10);
            if self.leader_speaks {
                self.answer();
            }
            self.cluster.run(90);
        }
    }

    /// One heartbeat of the leader.
    pub fn heartbeat(&mut self) {
        self.number += 1;
        let info = NodeInfo {
            name: "leader".to_owned(),
            elector: true,
            origin: StateOrigin::Member,
            agreed: self.cluster.machines[0].settings.agreed(),
            ..NodeInfo::default()
        };
        let heartbeat = Heartbeat {
            info,
            term: self.term,
            number: self.number,
            lease: self.lease,
            record: self.record.clone(),
            committed: self.record.version,
            master_address: None,
            address: None,
            other_masters: BTreeMap::new(),
        };
        let core = self.cluster.machines[0].core.as_ref().map(|core| (core.id(), core.session()));
        let to = core.map(|(node, session)| Recipient { node, session });
        self.leader_says(to, Body::Heartbeat(heartbeat));
    }

    /// The leader answers the last report.
    pub fn answer(&mut self) {
        let report = self.cluster.sent().iter().rev().find_map(|(_, m)| match &m.body {
            Body::Report(report) => Some(report.number),
            _ => None,
        });
        let (Some(report), Some(core)) = (report, &self.cluster.machines[0].core) else { return };
        let lease = self.grants.map(|epoch| Lease { epoch, remaining: ms(1000), since: self.since });
        if lease.is_none() && self.wants_back.is_none() {
            return;
        }
        let answer = Answer {
            term: self.term,
            report,
            lease,
            release: self.wants_back,
            record: None,
            others: BTreeMap::new(),
            ask: None,
        };
        let to = Recipient { node: core.id(), session: core.session() };
        self.leader_says(Some(to), Body::Answer(answer));
    }

    /// The leader says something else.
    pub fn tells(&mut self, body: Body) {
        let core = self.cluster.machines[0].core.as_ref().expect("its daemon runs");
        let to = Recipient { node: core.id(), session: core.session() };
        self.leader_says(Some(to), body);
    }

    fn leader_says(&mut self, to: Option<Recipient>, body: Body) {
        let message = Message { from: LEADER, session: LEADER_RUN, seq: self.number, to, body };
        self.cluster.input(0, Input::Received { message: Box::new(message), source: None });
    }

    // --- short forms of the cluster's words for its only machine ---

    /// The node's state.
    pub fn state(&self) -> NodeState {
        self.cluster.node_state(0)
    }

    /// The state of a service.
    pub fn is(&self, service: &str) -> ServiceState {
        self.cluster.service(0, service).state
    }

    /// The hooks that began since last asked, but for `status`.
    pub fn hooks(&mut self) -> Vec<String> {
        self.cluster.began(0)
    }

    /// A slow hook ends now.
    pub fn ends(&mut self, service: &str, hook: Hook, end: HookEnd) {
        self.cluster.finish(0, service, hook, end);
    }

    /// From now on this hook ends so.
    pub fn will_end(&mut self, service: &str, hook: Hook, end: HookEnd) {
        self.cluster.ending(0, service, hook, end);
    }

    /// From now on this hook ends when the story says so.
    pub fn is_slow(&mut self, service: &str, hook: Hook) {
        self.cluster.slow(0, service, hook);
    }
}
