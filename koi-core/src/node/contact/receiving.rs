//! What comes from other nodes: which runs are listened to, what is fresh, and what ends with a run.

use std::net::SocketAddr;

use crate::contact::following::Leader;
use crate::contact::gone::Gone;
use crate::elector::election::Election;
use crate::event::Event;
use crate::message::{Body, MEMBERS_RULE, NodeInfo};
use crate::node::handlers::PeerHandler;
use crate::node::node_ref::NodeRef;
use crate::record::Durable;
use crate::types::{NodeId, Session, Term};

/// Whether a message shows that it was made after this run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Given,
    /// It may be a recording.
    Missing,
    /// It is old, or its sender is not listened to.
    Refused,
}

/// The last words of a run are true for ever, and teach nothing else: no address, no life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LastWord {
    /// The run is over.
    Gone(Gone),
    /// What it led up to this term is over; none: whatever it led.
    Resigned(Option<Term>),
}

impl PeerHandler<'_> {
    /// Whether this run is one to listen to: there is room for it, its end has not been told, and the message is none of yesterday.
    pub(crate) fn admit(
        &mut self,
        from: NodeId,
        session: Session,
        seq: u64,
        addressed: bool,
        body: &Body,
    ) -> Proof {
        let addressed = addressed || names(body, self.ctx.session);
        if !self.meet(from, session) {
            return Proof::Refused;
        }
        match self.peers.is_fresh(from, session, seq, addressed) {
            None => Proof::Refused,
            Some(false) => Proof::Missing,
            Some(true) => Proof::Given,
        }
    }

    fn meet(&mut self, from: NodeId, session: Session) -> bool {
        let PeerHandler { durable, election, following, peers, .. } = self;
        let keep = |run: Session| matters(durable, election, following.leader(), from, run);
        peers.meet(from, session, &keep, self.ctx.now).is_some_and(|run| run.gone.is_none())
    }

    /// What a fresh message says of the run that sent it, whatever it is about.
    pub(crate) fn note(&mut self, from: NodeId, session: Session, source: Option<SocketAddr>, body: &Body) {
        let (lately, now) = (self.node().lately(), self.ctx.now);
        self.peers.note_message(from, session, body, now);
        self.peers.hear(from, session, source, lately, now);
        let Some(info) = info_of(body) else { return };
        let new = self.peers.note_info(from, session, info);
        self.durable.remember_name(from, &info.name);
        if new {
            self.ctx.event(Event::NodeSeen { node: info.name.clone() });
        }
    }

    /// A run of a node is over, by its own word, its guardian's, or that of the run that follows it on the same machine. Exactly that run, and
    /// whatever was heard since.
    pub(crate) fn on_gone(&mut self, from: NodeId, session: Session, gone: Gone) {
        let PeerHandler { durable, election, following, peers, .. } = self;
        let keep = |run: Session| matters(durable, election, following.leader(), from, run);
        if peers.run(from, session).is_none() && keep(session) {
            peers.meet(from, session, &keep, self.ctx.now);
        }
        let farewell = gone.said_farewell();
        if self.peers.ends(from, session, gone) {
            let node = self.node().name_of(from);
            self.ctx.event(match farewell {
                true => Event::NodeLeft { node },
                false => Event::NodeDead { node },
            });
        }
        self.leadership_over(from, session, None);
        if let Some(lead) = self.lead {
            lead.forget_runner(from, session);
        }
    }

    /// What this run of `node` led, up to `term`, is over: votes are free (R1), and a follower need not wait (R11).
    pub(crate) fn leadership_over(&mut self, node: NodeId, session: Session, term: Option<Term>) {
        self.election.release(node, session, term);
        let led = |l: &Leader| l.id == node && l.session == session && term.is_none_or(|over| l.term <= over);
        if self.following.leader().is_some_and(led) {
            if let Some(leader) = self.following.leave() {
                self.ctx.event(Event::LeaderLost { leader: leader.name });
            }
            self.election.leader_is_gone(self.ctx.now);
        }
    }
}

impl NodeRef<'_> {
    /// A koid from before R13 answers no hello: its heartbeats are taken as they come, while the record has no members, which is until the last
    /// one is upgraded.
    pub(crate) fn is_from_before(&self, info: &NodeInfo) -> bool {
        info.rules < MEMBERS_RULE && self.durable.record.members.is_empty()
    }
}

/// The message as a last word, if it is one.
pub(crate) fn last_word(body: &Body) -> Option<LastWord> {
    match body {
        Body::Obituary(obituary) => Some(LastWord::Gone(obituary.into())),
        Body::Farewell(farewell) => Some(LastWord::Gone(farewell.into())),
        Body::Resign(resign) => {
            Some(LastWord::Resigned(Some(resign.term).filter(|_| !mutant!(ResignUnbound))))
        }
        Body::Hello(_)
        | Body::Heartbeat(_)
        | Body::Report(_)
        | Body::Answer(_)
        | Body::PreVote(_)
        | Body::PreVoteAnswer(_)
        | Body::RequestVote(_)
        | Body::Vote(_)
        | Body::StaleTerm(_)
        | Body::OtherRun(_)
        | Body::Attributes(_)
        | Body::AttributesWanted(_)
        | Body::AttributeWrite(_)
        | Body::WriteRefused(_)
        | Body::Roster(_) => None,
    }
}

/// Whether the end of this run of a node matters: the record, a promise, or what is followed names it.
fn matters(
    durable: &Durable,
    election: &Election,
    leader: Option<&Leader>,
    node: NodeId,
    run: Session,
) -> bool {
    let masters = durable.record.masters().chain(durable.applied.masters());
    masters.into_iter().any(|(_, m)| m.node == node && m.session == run)
        || election.is_bound_to(node, run)
        || leader.is_some_and(|l| l.id == node && l.session == run)
}

/// What a message says of its sender.
pub(crate) fn info_of(body: &Body) -> Option<&NodeInfo> {
    match body {
        Body::Hello(m) => Some(&m.info),
        Body::Heartbeat(m) => Some(&m.info),
        Body::Report(m) => Some(&m.info),
        Body::PreVote(m) => Some(&m.info),
        Body::RequestVote(m) => Some(&m.info),
        Body::Answer(_)
        | Body::PreVoteAnswer(_)
        | Body::Vote(_)
        | Body::StaleTerm(_)
        | Body::Resign(_)
        | Body::Farewell(_)
        | Body::Obituary(_)
        | Body::OtherRun(_)
        | Body::Attributes(_)
        | Body::AttributesWanted(_)
        | Body::AttributeWrite(_)
        | Body::WriteRefused(_)
        | Body::Roster(_) => None,
    }
}

/// A hello that names this run was made after it began, though it is for everyone.
fn names(body: &Body, session: Session) -> bool {
    matches!(body, Body::Hello(hello) if hello.heard.contains(&session.random))
}
