//! Who may change what.
//!
//! A node consists of parts, each with a state that only its own methods change. A handler borrows the parts that it may change, sees all
//! others, and is given a [`Context`]. [`Node`] makes a handler for each thing that happens, and passes what it returns on to the next.

use std::net::SocketAddr;
use std::ops::Deref;

use crate::contact::following::Following;
use crate::contact::greeting::Greeting;
use crate::contact::identity::Identity;
use crate::contact::peers::Peers;
use crate::elector::copies::Copies;
use crate::elector::durability::Durability;
use crate::elector::election::Election;
use crate::event::Event;
use crate::group::GroupName;
use crate::io::{Destination, Effect};
use crate::leader::hearing::Hearing;
use crate::leader::leadership::Leadership;
use crate::leader::masterships::Histories;
use crate::local::failures::Failures;
use crate::local::fitness::Fitness;
use crate::local::leaving::Leaving;
use crate::local::told::Told;
use crate::local::writes::Writes;
use crate::message::{Body, Recipient};
use crate::node::Node;
use crate::node::node_ref::NodeRef;
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::supervision::runners::Runners;
use crate::types::{NodeId, Session, Time};

/// Who this node is, its settings, and now.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) id: NodeId,
    pub(crate) session: Session,
    pub(crate) started: Time,
    /// Where this node is reached.
    pub(crate) address: Option<SocketAddr>,
    /// Until then it takes nobody's silence for an absence.
    pub(crate) listen_until: Time,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Time,
}

/// What every handler is given: all of that, and where effects go.
pub(crate) struct Context<'a> {
    own: Own<'a>,
    pub(crate) outbox: &'a mut Outbox,
}

impl<'a> Deref for Context<'a> {
    type Target = Own<'a>;

    fn deref(&self) -> &Own<'a> {
        &self.own
    }
}

impl Context<'_> {
    pub(crate) fn send(&mut self, to: Destination, recipient: Option<Recipient>, body: Body) {
        self.outbox.send(to, recipient, body);
    }

    /// Sends to one run of a node.
    pub(crate) fn answer(&mut self, node: NodeId, session: Session, body: Body) {
        self.outbox.send(Destination::Node(node), Some(Recipient { node, session }), body);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outbox.effects().event(event);
    }

    /// Tells something about a group.
    pub(crate) fn event_of(&mut self, group: &GroupName, event: Event) {
        self.outbox.effects().about(group, |effects| effects.event(event));
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.outbox.effects().push(effect);
    }
}

/// The type of each part.
macro_rules! part {
    (durable) => { Durability };
    (election) => { Election };
    (lead) => { Option<Leadership> };
    (hearing) => { Hearing };
    (masterships) => { Histories };
    (following) => { Following };
    (peers) => { Peers };
    (identity) => { Identity };
    (greeting) => { Greeting };
    (runners) => { Runners };
    (told) => { Told };
    (fitness) => { Fitness };
    (failures) => { Failures };
    (leaving) => { Leaving };
    (copies) => { Copies };
    (writes) => { Writes };
}

/// A handler, and how a node makes it: the parts that it changes, those that nobody else sees, and those that it reads.
macro_rules! handler {
    (
        $(#[$doc:meta])*
        $Handler:ident of $name:ident
        changes [$($changed:ident),*] $(owns [$($owned:ident),+])? reads [$($read:ident),+]
    ) => {
        $(#[$doc])*
        pub(crate) struct $Handler<'a> {
            pub(crate) ctx: Context<'a>,
            $(pub(super) $changed: &'a mut part!($changed),)*
            $($(pub(super) $owned: &'a mut part!($owned),)+)?
            $(pub(super) $read: &'a part!($read),)+
        }

        impl Node {
            pub(super) fn $name(&mut self) -> $Handler<'_> {
                $Handler {
                    ctx: Context {
                        own: Own {
                            id: self.id,
                            session: self.session,
                            started: self.started,
                            address: self.address,
                            listen_until: self.listen_until,
                            settings: &self.settings,
                            now: self.now,
                        },
                        outbox: &mut self.outbox,
                    },
                    $($changed: &mut self.$changed,)*
                    $($($owned: &mut self.$owned,)+)?
                    $($read: &self.$read,)+
                }
            }
        }

        impl $Handler<'_> {
            /// The whole node, to read.
            pub(super) fn node(&self) -> NodeRef<'_> {
                NodeRef {
                    own: self.ctx.own,
                    $($changed: &*self.$changed,)*
                    $($read: self.$read,)+
                }
            }
        }
    };
}

handler! {
    /// Who leads: polls, claims and votes (R1, R2, R10, R13).
    ElectionHandler of election_handler
    changes [durable, election, following, peers]
    owns [copies]
    reads [lead, hearing, masterships, identity, greeting, runners, fitness, failures, leaving]
}

handler! {
    /// The leader's lease, its record, and what it decides (R3 to R6, R9).
    LeadershipHandler of leadership_handler
    changes [lead, durable, election, following, peers, hearing, failures]
    owns [copies]
    reads [masterships, identity, greeting, runners, fitness, leaving]
}

handler! {
    /// Which masterships have begun and ended.
    MastershipHandler of mastership_handler
    changes [masterships]
    reads [durable, election, lead, hearing, following, peers, identity, greeting, runners, fitness, failures, leaving]
}

handler! {
    /// A follower's side of a leadership: heartbeats in, reports out (R1, R4, R5, R10).
    FollowingHandler of following_handler
    changes [following, durable, election]
    owns [copies]
    reads [lead, hearing, masterships, peers, identity, greeting, runners, fitness, failures, leaving]
}

handler! {
    /// Other nodes' runs: what is known of each, and what ends with it.
    PeerHandler of peer_handler
    changes [peers, durable, election, following, lead]
    reads [hearing, masterships, identity, greeting, runners, fitness, failures, leaving]
}

handler! {
    /// How nodes find each other, and that each id is one machine's.
    ContactHandler of contact_handler
    changes [identity, greeting, peers]
    reads [durable, election, lead, hearing, masterships, following, runners, fitness, failures, leaving]
}

handler! {
    /// The services of this node, the lease that they are promoted under, and its mark (R5, R7, R8).
    ServiceHandler of service_handler
    changes [runners, durable]
    owns [told]
    reads [election, lead, hearing, masterships, following, peers, identity, greeting, fitness, failures, leaving]
}

handler! {
    /// What the services of this node write (R16).
    WritingHandler of writing_handler
    changes []
    owns [writes]
    reads [durable, election, lead, hearing, masterships, following, peers, identity, greeting, runners, fitness, failures, leaving]
}

handler! {
    /// What operators say.
    CommandHandler of command_handler
    changes [lead, durable, runners]
    owns [writes]
    reads [election, hearing, masterships, following, peers, identity, greeting, fitness, failures, leaving]
}

handler! {
    /// A clean stop (R11).
    LeavingHandler of leaving_handler
    changes [leaving]
    reads [durable, election, lead, hearing, masterships, following, peers, identity, greeting, runners, fitness, failures]
}
