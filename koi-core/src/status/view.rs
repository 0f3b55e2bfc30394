//! What the brain tells about itself: the API is drawn from this.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::concern::Concern;
use crate::group::GroupName;
use crate::io::HandlerInstance;
use crate::reason::WaitReason;
use crate::record::{Record, StateOrigin};
use crate::types::{Epoch, Hook, NodeId, NodeState, ServiceState, Session, Term};

/// A node's knowledge at one instant.
#[derive(Clone, Debug)]
pub struct View {
    /// The node.
    pub id: NodeId,
    /// Its run.
    pub session: Session,
    /// The newest term that it knows.
    pub term: Term,
    /// What its state on disk is worth.
    pub origin: StateOrigin,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// It leads itself, and its lease holds: what it says of the cluster is true.
    pub acting: bool,
    /// The record that it acts on.
    pub record: Record,
    /// How many electors must agree; zero: quorum is off.
    pub quorum: u16,
    /// How many electors the cluster has, by the record, or before it has members by the configuration; zero: unknown.
    pub electors_known: u16,
    /// The members, and the nodes that are configured to vote and are none.
    pub electors: Vec<ElectorView>,
    /// Electors heard from now, itself included.
    pub electors_seen: u16,
    /// All nodes that it knows, itself first.
    pub nodes: Vec<NodeView>,
    /// Its own services in the order of their priorities.
    pub services: Vec<ServiceView>,
    /// What is amiss; empty on an acting leader: all is well.
    pub concerns: Vec<Concern>,
    /// The warnings among them, a sentence each: what stands nowhere else.
    pub warnings: Vec<String>,
    /// What the configuration, and what was measured, mean for a bad day, a sentence each: no fault.
    pub advice: Vec<String>,
    /// Who would be master next, as far as this node leads; none: nobody could.
    pub takeover: Option<NodeId>,
    /// What the next step waits for.
    pub waiting: Vec<Waiting>,
    /// What is left of its lease on the mastership.
    pub lease: Option<Duration>,
    /// The mastership that it holds.
    pub holds: Option<Epoch>,
    /// What it does with its services.
    pub action: Option<Action>,
    /// Why its own node has failed, or what it waits for; empty: nothing.
    pub reason: String,
    /// Until it tries again by itself after a failure.
    pub recovers_in: Option<Duration>,
    /// The slowest demote of late.
    pub slowest_demote: Option<Duration>,
    /// The last failures of this cluster that it knows of, the newest last.
    pub failures: Vec<FailureView>,
    /// The groups beside `main`.
    pub groups: Vec<GroupView>,
    /// All is well: this node acts as leader, and there is no concern.
    pub healthy: bool,
}

impl View {
    /// The services of this node with their groups: those of `main` first.
    pub fn own_services(&self) -> impl Iterator<Item = (&GroupName, &ServiceView)> {
        let main = self.services.iter().map(|service| (&GroupName::MAIN, service));
        let own = self.groups.iter().filter_map(|group| Some((&group.name, group.own.as_ref()?)));
        main.chain(own.flat_map(|(name, own)| own.services.iter().map(move |service| (name, service))))
    }
}

/// What a node knows of a group other than `main`; the record says the rest.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// The group.
    pub name: GroupName,
    /// Who would be master next, as far as this node leads; none: nobody could.
    pub takeover: Option<NodeId>,
    /// What the next step waits for.
    pub waiting: Vec<Waiting>,
    /// How the group is on each node that runs it.
    pub states: BTreeMap<NodeId, NodeState>,
    /// Why it has failed, or what it waits for, on each node that says so.
    pub reasons: BTreeMap<NodeId, String>,
    /// What this node does with it; none: it does not run it.
    pub own: Option<GroupRunnerView>,
}

/// What a node does with a group.
#[derive(Clone, Debug, Default)]
pub struct GroupRunnerView {
    /// Its services in the order of their priorities.
    pub services: Vec<ServiceView>,
    /// What is left of its lease on the mastership.
    pub lease: Option<Duration>,
    /// The mastership that it holds.
    pub holds: Option<Epoch>,
    /// What it does with its services.
    pub action: Option<Action>,
    /// Why the group has failed here, or what it waits for; empty: nothing.
    pub reason: String,
    /// Until it tries again by itself after a failure.
    pub recovers_in: Option<Duration>,
}

/// An elector, or a node that could become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectorView {
    /// The node.
    pub id: NodeId,
    /// Its name, or its id if nobody has heard it.
    pub name: String,
    /// Its part in the membership (R13).
    pub membership: Membership,
    /// It is heard from now.
    pub there: bool,
}

/// A node's part in the membership (R13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It votes.
    Member,
    /// It is to become a member, and votes already.
    Joining,
    /// It is to be a member no more, and votes until then.
    Leaving,
    /// It is configured to vote, and does not.
    Outside,
    /// It votes by the configuration: the record has no members.
    Configured,
}

impl Membership {
    /// The word that people read and that the API carries.
    pub fn as_str(self) -> &'static str {
        match self {
            Membership::Member => "member",
            Membership::Joining => "joining",
            Membership::Leaving => "leaving",
            Membership::Outside => "outside",
            Membership::Configured => "configured",
        }
    }
}

/// A node as this one sees it.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// The node.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its version of koi.
    pub version: String,
    /// Whether it votes.
    pub elector: bool,
    /// Whether it runs services.
    pub runner: bool,
    /// Its state.
    pub state: NodeState,
    /// Where it was last heard from.
    pub address: Option<SocketAddr>,
    /// How long ago.
    pub seen: Duration,
    /// How long its daemon runs.
    pub uptime: Duration,
    /// Stopped by hand.
    pub stopped: bool,
    /// Stays out by its own configuration, or the whole cluster is in maintenance.
    pub maintenance: bool,
    /// Could not stop what it had promoted.
    pub unclean: bool,
    /// It is heard, and hears nobody.
    pub deaf: bool,
    /// Why it has failed; empty: it has not.
    pub reason: String,
}

/// A service of this node.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: Option<u8>,
    /// Which handler runs it.
    pub handler: String,
    /// The opened handler that its hooks are run by.
    pub instance: HandlerInstance,
    /// Nothing of it runs, and no hook does: whatever the folder says of it holds at once.
    pub down: bool,
    /// It is promoted, or perhaps.
    pub maybe_promoted: bool,
    /// Its state.
    pub state: ServiceState,
    /// The hook that runs, and for how long.
    pub hook: Option<(Hook, Duration)>,
    /// It has failed.
    pub failed: bool,
    /// `disabled` lies in its folder.
    pub disabled: bool,
    /// Its node has failed when it has.
    pub critical: bool,
    /// It could be promoted now, or is.
    pub promotable: bool,
    /// Preference among candidates.
    pub score: Option<i64>,
    /// The last word of its handler, or why it failed.
    pub message: Option<String>,
}

/// What a node does with its services: each moves one step at a time towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Take them down: `failed`, then `stop`.
    Fail,
    /// Stop them.
    Stop,
    /// Start them.
    Start,
    /// Demote them; start those that do not run.
    Demote,
    /// Promote them.
    Promote,
}

impl Action {
    /// The word that people read and that the API carries.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Fail => "Fail",
            Action::Stop => "Stop",
            Action::Start => "Start",
            Action::Demote => "Demote",
            Action::Promote => "Promote",
        }
    }
}

/// Something that must happen, or a time that must pass, before the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What for. Its words, rule and hint are methods of it.
    pub reason: WaitReason,
    /// Until the wait is over by itself.
    pub remaining: Option<Duration>,
}

/// A wait that something else than time ends.
impl From<WaitReason> for Waiting {
    fn from(reason: WaitReason) -> Waiting {
        Waiting { reason, remaining: None }
    }
}

/// A failure that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureView {
    /// The node's name.
    pub node: String,
    /// The group.
    pub group: GroupName,
    /// What happened, with service and hook.
    pub message: String,
    /// The service; empty: the node as a whole.
    pub service: String,
    /// The hook.
    pub hook: String,
    /// How long ago.
    pub ago: Duration,
}
