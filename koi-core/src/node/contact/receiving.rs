//! What comes from other nodes: which runs are listened to, what is fresh, and to whom each message goes.

use std::net::SocketAddr;

use crate::contact::following::Leader;
use crate::contact::peers::Gone;
use crate::elector::election::Election;
use crate::event::Event;
use crate::message::{Body, Message, NodeInfo, RULES};
use crate::node::Node;
use crate::record::Durable;
use crate::types::{NodeId, Session, Term, Time};

impl Node {
    pub(crate) fn received(&mut self, message: Message, source: Option<SocketAddr>, now: Time) {
        let Message { from, session, seq, to, body } = message;
        if to.is_some_and(|to| to.node != self.id || to.session != self.session) {
            return;
        }
        if from == self.id {
            return self.heard_own_id(session, &body, now);
        }
        if let Err(absurd) = self.plausible(&body) {
            return self.refuse_absurd(from, absurd, now);
        }
        if self.last_word(from, session, &body, now) {
            return;
        }
        if let Some(followed) = info_of(&body).and_then(|info| info.follows) {
            // The word of that run's guardian, by the run that came after it on the same machine.
            self.on_gone(from, followed, Gone::Dead { all_down: false }, now);
        }
        if !self.admit(from, session, now) {
            return;
        }
        let addressed = to.is_some() || names(&body, self.session);
        match self.peers.is_fresh(from, session, seq, addressed) {
            None => return,
            Some(false) => return self.unproven(from, session, body, now),
            Some(true) => {}
        }
        self.note_run(from, session, source, &body, now);
        self.note_info(from, session, &body);
        self.dispatch(from, session, body, now);
    }

    /// Whether this run is one to listen to: there is room for it, and its end has not been told.
    fn admit(&mut self, from: NodeId, session: Session, now: Time) -> bool {
        let Node { durable, election, following, peers, .. } = self;
        let keep = |run: Session| matters(durable, election, following.leader(), from, run);
        peers.meet(from, session, &keep, now).is_some_and(|run| run.gone.is_none())
    }

    /// The last words of a run are true for ever, and teach nothing else: no address, no life. True if this was one.
    fn last_word(&mut self, from: NodeId, session: Session, body: &Body, now: Time) -> bool {
        let gone = match body {
            Body::Obituary(obituary) => Gone::Dead { all_down: obituary.all_down },
            Body::Farewell(farewell) => Gone::Left(farewell.released),
            Body::Resign(resign) => {
                let term = Some(resign.term).filter(|_| !mutant!(ResignUnbound));
                self.leadership_over(from, session, term, now);
                return true;
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
            | Body::OtherRun(_) => return false,
        };
        self.on_gone(from, session, gone, now);
        true
    }

    /// A message that may be a recording: it does not show that it was made after this run began. Polls and claims are guarded by their terms.
    /// Whoever sent the others is asked for a word that names this run.
    fn unproven(&mut self, from: NodeId, session: Session, body: Body, now: Time) {
        match body {
            Body::PreVote(poll) => self.on_poll(from, session, &poll, now),
            Body::RequestVote(claim) => self.on_claim(from, session, &claim, now),
            Body::Hello(hello) => self.on_hello(from, session, &hello, now),
            Body::Heartbeat(heartbeat) if self.is_from_before(&heartbeat.info) => {
                let body = Body::Heartbeat(heartbeat);
                self.note_run(from, session, None, &body, now);
                self.note_info(from, session, &body);
                self.dispatch(from, session, body, now);
            }
            Body::Heartbeat(_) => self.ask_for_a_word(from, session, now),
            Body::Report(_)
            | Body::Answer(_)
            | Body::PreVoteAnswer(_)
            | Body::Vote(_)
            | Body::StaleTerm(_)
            | Body::Resign(_)
            | Body::Farewell(_)
            | Body::Obituary(_)
            | Body::OtherRun(_) => {}
        }
    }

    /// A koid from before R13 answers no hello: its heartbeats are taken as they come, while the record has no members, which is until the last
    /// one is upgraded.
    fn is_from_before(&self, info: &NodeInfo) -> bool {
        info.rules < RULES && self.durable.record.members.is_empty()
    }

    /// What a fresh message says of the run that sent it, whatever it is about.
    fn note_run(
        &mut self,
        from: NodeId,
        session: Session,
        source: Option<SocketAddr>,
        body: &Body,
        now: Time,
    ) {
        let lately = self.lately();
        self.peers.note_message(from, session, body, now);
        self.peers.hear(from, session, source, lately, now);
    }

    fn note_info(&mut self, from: NodeId, session: Session, body: &Body) {
        let Some(info) = info_of(body) else { return };
        let new = self.peers.note_info(from, session, info);
        self.durable.remember_name(from, &info.name);
        if new {
            self.event(Event::NodeSeen { node: info.name.clone() });
        }
    }

    pub(crate) fn dispatch(&mut self, from: NodeId, session: Session, body: Body, now: Time) {
        match body {
            Body::Hello(hello) => self.on_hello(from, session, &hello, now),
            Body::Heartbeat(heartbeat) => self.on_heartbeat(from, session, heartbeat, now),
            Body::Report(report) => self.on_report(from, session, report, now),
            Body::Answer(answer) => self.on_answer(from, answer, now),
            Body::PreVote(poll) => self.on_poll(from, session, &poll, now),
            Body::PreVoteAnswer(answer) => self.on_poll_answer(from, session, &answer, now),
            Body::RequestVote(claim) => self.on_claim(from, session, &claim, now),
            Body::Vote(vote) => self.on_vote(from, &vote, now),
            Body::StaleTerm(refuse) => self.on_refuse(from, session, refuse.newest, now),
            Body::OtherRun(other) => self.on_other_run(&other, now),
            // Last words were heard before.
            Body::Resign(_) | Body::Farewell(_) | Body::Obituary(_) => {}
        }
    }

    /// A run of a node is over, by its own word, its guardian's, or that of the run that follows it on the same machine. Exactly that run, and
    /// whatever was heard since.
    fn on_gone(&mut self, from: NodeId, session: Session, gone: Gone, now: Time) {
        let Node { durable, election, following, peers, .. } = self;
        let keep = |run: Session| matters(durable, election, following.leader(), from, run);
        if peers.run(from, session).is_none() && keep(session) {
            peers.meet(from, session, &keep, now);
        }
        if self.peers.ends(from, session, gone) {
            let node = self.name_of(from);
            self.event(match gone {
                Gone::Left(_) => Event::NodeLeft { node },
                Gone::Dead { .. } => Event::NodeDead { node },
            });
        }
        self.leadership_over(from, session, None, now);
        self.runner_gone(from, session);
    }

    /// What this run of `node` led, up to `term`, is over: votes are free (R1), and a follower need not wait (R11).
    fn leadership_over(&mut self, node: NodeId, session: Session, term: Option<Term>, now: Time) {
        self.election.release(node, session, term);
        let led = |l: &Leader| l.id == node && l.session == session && term.is_none_or(|over| l.term <= over);
        if self.following.leader().is_some_and(led) {
            if let Some(leader) = self.following.leave() {
                self.event(Event::LeaderLost { leader: leader.name });
            }
            self.election.leader_is_gone(now);
        }
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
    let masters = [&durable.record.master, &durable.applied.master];
    masters.into_iter().flatten().any(|m| m.node == node && m.session == run)
        || election.is_bound_to(node, run)
        || leader.is_some_and(|l| l.id == node && l.session == run)
}

/// What a message says of its sender.
fn info_of(body: &Body) -> Option<&NodeInfo> {
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
        | Body::OtherRun(_) => None,
    }
}

/// A hello that names this run was made after it began, though it is for everyone.
fn names(body: &Body, session: Session) -> bool {
    matches!(body, Body::Hello(hello) if hello.heard.contains(&session.random))
}
