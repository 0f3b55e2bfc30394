//! Composes the parts into the brain of one machine.
//!
//! [`Node::handle`] takes one input, lets it and the time take effect everywhere, and leaves what is to be done for
//! [`Node::poll_effect`]. A node's messages to itself go through the same doors as those of others.
//!
//! `Node` itself only says who acts, in which order. What is done is done by `handlers`, each of which may change some parts; what
//! is only looked up is asked of `NodeRef`.

mod attributes;
mod commands;
mod contact;
mod elections;
mod fencing;
mod group_ref;
mod handlers;
mod inputs;
mod leading;
mod leaving;
mod node_ref;
mod services;
mod status;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::attributes::{Attributes, AttributesVersion};
use crate::contact::following::Following;
use crate::contact::greeting::Greeting;
use crate::contact::identity::Identity;
use crate::contact::peers::Peers;
use crate::elector::copies::Copies;
use crate::elector::durability::Durability;
use crate::elector::election::Election;
use crate::group::GroupName;
use crate::guard::{ServiceLevel, Watch};
use crate::io::{Boot, Effect};
use crate::leader::hearing::Hearing;
use crate::leader::leadership::Leadership;
use crate::leader::masterships::Histories;
use crate::local::failures::Failures;
use crate::local::fitness::Fitness;
use crate::local::leaving::Leaving;
use crate::local::told::Told;
use crate::local::writes::Writes;
use crate::node::handlers::Own;
use crate::node::node_ref::NodeRef;
use crate::outbox::Outbox;
use crate::record::{Durable, Record};
use crate::roster::RosterEntry;
use crate::settings::Settings;
use crate::supervision::runners::Runners;
use crate::timers::{Timer, Timers};
use crate::types::{Epoch, Hook, NodeId, Session, Time};
use crate::view::View;

/// The brain of one machine.
#[derive(Clone, Debug)]
pub struct Node {
    settings: Settings,
    id: NodeId,
    session: Session,
    started: Time,
    /// Where this node is reached.
    address: Option<SocketAddr>,
    now: Time,
    /// R10 and late loops: until then it listens, and takes nobody's silence for an absence.
    listen_until: Time,
    timers: Timers,
    outbox: Outbox,
    durable: Durability,
    election: Election,
    lead: Option<Leadership>,
    hearing: Hearing,
    masterships: Histories,
    following: Following,
    peers: Peers,
    identity: Identity,
    greeting: Greeting,
    runners: Runners,
    told: Told,
    fitness: Fitness,
    failures: Failures,
    leaving: Leaving,
    copies: Copies,
    writes: Writes,
}

impl Node {
    /// A node that starts now.
    pub fn new(settings: Settings, boot: Boot) -> Node {
        let had_state = boot.durable.is_some();
        let durable = boot.durable.unwrap_or_default();
        let left = left_promoted(&durable, boot.damaged, &settings);
        let listen = settings.leader_lease;
        let election = Election::new(boot.now, durable.term, durable.promised_lease, had_state, listen);
        let masterships = Histories::found(&durable.applied);
        let mut node = Node {
            id: boot.id,
            session: boot.session,
            started: boot.now,
            address: None,
            now: boot.now,
            listen_until: boot.now,
            timers: Timers::default(),
            outbox: Outbox::new(boot.id, boot.session),
            durable: Durability::new(durable, boot.now),
            election,
            lead: None,
            hearing: Hearing::default(),
            masterships,
            following: Following::default(),
            peers: Peers::default(),
            identity: Identity::new(boot.now, settings.heartbeat),
            greeting: Greeting::new(boot.now),
            runners: Runners::new(&settings.groups, &left),
            told: Told::default(),
            fitness: Fitness::default(),
            failures: Failures::default(),
            leaving: Leaving::default(),
            copies: Copies::default(),
            writes: Writes::default(),
            settings,
        };
        node.advance();
        node
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let mut effect = self.outbox.effects().next();
        if let Some(Effect::RunHook(run)) = &mut effect
            && run.hook != Hook::Changed
        {
            run.peers = self.read().roster(&run.group);
        }
        effect
    }

    /// When [`Input::Tick`](crate::io::Input::Tick) is due, unless something happens before.
    pub fn next_deadline(&self) -> Time {
        self.next_timer().map_or(Time::NEVER, |(_, at)| at)
    }

    /// The same, and why.
    pub fn next_timer(&self) -> Option<(Timer, Time)> {
        self.timers.next()
    }

    /// What this node knows at `now`.
    pub fn view(&self, now: Time) -> View {
        self.at(now).view()
    }

    /// May act as leader at `now`.
    pub fn acting(&self, now: Time) -> bool {
        self.at(now).acting()
    }

    /// What a guardian is to watch, by group. When the time of one comes, it takes down all.
    pub fn watches(&self) -> BTreeMap<GroupName, Watch> {
        self.read().watches()
    }

    /// The services of each group that are up, by name; those that are not in it are down.
    pub fn service_levels(&self) -> BTreeMap<GroupName, BTreeMap<String, ServiceLevel>> {
        let all = self.runners.iter();
        all.map(|(group, supervisor)| (group.clone(), supervisor.services().levels())).collect()
    }

    /// The groups that this node runs, or of which something may be up here although they are not configured any more: `main` first.
    pub fn groups(&self) -> Vec<GroupName> {
        self.runners.names()
    }

    /// How much this node keeps for later: effects, messages, reports, commands, states on their way to disk. Bounded, whatever
    /// happens.
    pub fn backlog(&self) -> usize {
        let commands = self.lead.as_ref().map_or(0, |l| l.backlog());
        self.outbox.backlog()
            + self.durable.backlog()
            + self.following.backlog()
            + self.failures.len()
            + self.copies.backlog()
            + self.writes.backlog()
            + commands
    }

    /// This node's identity.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// This run of the node.
    pub fn session(&self) -> Session {
        self.session
    }

    /// The record that this node acts on.
    pub fn applied(&self) -> &Record {
        &self.durable.applied
    }

    /// The attributes of a group that this node acts on (R16), and which state of them it is; none: nothing was ever written.
    pub fn attributes(&self, group: &GroupName) -> Option<(AttributesVersion, &Attributes)> {
        let which = self.durable.applied.group(group).attributes?;
        Some((which, self.durable.attributes_of(group, which)?))
    }

    /// The other nodes that run a group of this one, as the leader told them last; none: there is no leader, or it has said nothing yet.
    pub fn roster(&self, group: &GroupName) -> Option<Vec<RosterEntry>> {
        self.read().roster(group)
    }

    /// The whole node, to read, at `now`.
    fn at(&self, now: Time) -> NodeRef<'_> {
        NodeRef {
            own: Own {
                id: self.id,
                session: self.session,
                started: self.started,
                address: self.address,
                listen_until: self.listen_until,
                settings: &self.settings,
                now,
            },
            durable: &self.durable,
            election: &self.election,
            lead: &self.lead,
            hearing: &self.hearing,
            masterships: &self.masterships,
            following: &self.following,
            peers: &self.peers,
            identity: &self.identity,
            greeting: &self.greeting,
            runners: &self.runners,
            fitness: &self.fitness,
            failures: &self.failures,
            leaving: &self.leaving,
        }
    }

    fn read(&self) -> NodeRef<'_> {
        self.at(self.now)
    }
}

/// What an earlier run may have left promoted, by group (R8). Of a state that was damaged nobody knows what it held.
fn left_promoted(durable: &Durable, damaged: bool, settings: &Settings) -> BTreeMap<GroupName, Epoch> {
    let unknown = [GroupName::MAIN].into_iter().chain(settings.groups.iter().cloned());
    let unknown = unknown.filter(|_| damaged).map(|group| (group, Epoch(0)));
    unknown.chain(durable.marks()).filter(|_| !mutant!(MarkIgnored)).collect()
}
