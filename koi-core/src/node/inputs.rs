//! What becomes of an input, in which order: which handler is given what, and what follows from its answer.

use std::net::SocketAddr;
use std::time::Duration;

use crate::attributes::{AttributesCopy, AttributesWanted, GroupAttributes};
use crate::contact::gone::Gone;
use crate::elector::durability::Deferred;
use crate::event::Event;
use crate::io::{Destination, Effect, Input};
use crate::message::{Body, Message, Recipient};
use crate::node::Node;
use crate::node::contact::identity::{CallEnd, IdVerdict};
use crate::node::contact::receiving::{LastWord, Proof, info_of, last_word};
use crate::node::elections::VoteOutcome;
use crate::reason::{StepDownReason, WarnReason};
use crate::settings::Settings;
use crate::timers::Timers;
use crate::types::{NodeId, Session, Time};

impl Node {
    /// Something happened at `now`. Afterwards drain [`Node::poll_effect`].
    pub fn handle(&mut self, now: Time, input: Input) {
        let now = now.max(self.now);
        self.notice_lateness(now);
        self.now = now;
        if self.leaving.is_finished() {
            return;
        }
        self.take(input);
        self.advance();
    }

    /// A node whose own loop ran late does not count that time as others' silence: it listens first.
    fn notice_lateness(&mut self, now: Time) {
        let late = self.next_timer().map_or(Duration::ZERO, |(_, at)| now.since(at));
        if late > self.settings.heartbeat {
            self.listen_until = self.listen_until.max(now + self.settings.heartbeat * 2);
        }
    }

    /// Lets everything take effect on everything, until nothing moves.
    ///
    /// An input only changes what is known: a report, for one, decides nothing. What follows from it is decided here. Who leads comes first, then
    /// what the services are to do under the record that counts, then what the leader changes in it, and last what is told and written.
    pub(super) fn advance(&mut self) {
        self.end_call();
        // Each round is caused by a message of this node to itself, or by a decision; a handful is normal.
        for _ in 0..64 {
            self.election_handler().try_founding();
            self.advance_leadership();
            self.election_handler().advance_election();
            self.service_handler().advance();
            self.writing_handler().advance_writes();
            self.leadership_handler().decide();
            self.mastership_handler().notice_masterships();
            self.tell_changes();
            self.report_again();
            self.do_deferred();
            self.flush();
            match self.outbox.next_local() {
                Some(body) => self.dispatch(self.id, self.session, body),
                // A decision has made a heartbeat due at once.
                None if self.lead.as_ref().is_some_and(|l| l.heartbeat_is_due(self.now)) => {}
                None => break,
            }
        }
        self.contact_handler().say_hello();
        self.leadership_handler().notice_hearing();
        self.contact_handler().notice_silence();
        self.try_leaving();
        self.set_timers();
    }

    /// Every part sets its timers, from the state as it is now.
    fn set_timers(&mut self) {
        let mut timers = Timers::default();
        if !self.leaving.is_finished() {
            self.read().set_timers(&mut timers);
        }
        self.timers = timers;
    }

    /// Hands the durable state out if it has changed.
    fn flush(&mut self) {
        if let Some((number, durable)) = self.durable.hand_out(self.now) {
            self.fitness.handed_out(self.now);
            self.outbox.effects().push(Effect::Persist { number, durable });
        }
    }

    // --- inputs ---

    fn take(&mut self, input: Input) {
        let now = self.now;
        match input {
            Input::Received { message, source } => self.received(*message, source),
            Input::HookFinished { run, ended } => {
                self.fitness.ran(&ended);
                self.service_handler().hook_ended(run, ended);
            }
            Input::ProcessEnded { service } => self.runners.process_ended(&service),
            Input::Persisted { number } => {
                self.durable.written(number, now);
                self.fitness.written(self.durable.all_written(), now);
            }
            Input::NotPersisted(why) => self.fitness.refused(why),
            Input::Command { id, group, command } => self.command_handler().command(id, &group, command),
            Input::Services { group, specs } => self.service_handler().found(&group, specs),
            Input::Follows(session) => self.follows_run(session),
            Input::Address(address) => self.address = address,
            Input::ServicesUnreadable { group, why } => {
                if let Some(supervisor) = self.runners.get_mut(&group) {
                    supervisor.unreadable(why);
                }
            }
            Input::Armed(armed) => self.runners.note_armed(&armed),
            Input::Guarded(guarded) => self.runners.note_guarded(&guarded),
            Input::FenceEnded { id, outcome } => self.leadership_handler().fence_ended(id, outcome),
            Input::Configure(settings) => self.configure(*settings),
            Input::Shutdown => self.leaving.begin(),
            Input::Tick => {}
        }
        self.do_deferred();
    }

    /// Does what has waited for the disk and need not any longer.
    fn do_deferred(&mut self) {
        while let Some(what) = self.durable.next_due() {
            match what {
                Deferred::Acknowledge { leader, term, number, lease } => {
                    self.following_handler().acknowledge(leader, term, number, lease);
                }
                Deferred::Vote { to, session, term } => {
                    self.election_handler().vote_is_durable(to, session, term);
                }
                Deferred::RequestVote(term) => {
                    let outcome = self.election_handler().claim_is_durable(term);
                    self.count(outcome);
                }
                Deferred::Record => self.leadership_handler().count_copies(),
                Deferred::Mark(group, epoch) => {
                    if let Some(supervisor) = self.runners.get_mut(&group) {
                        supervisor.marked(epoch);
                    }
                }
            }
        }
    }

    /// What a vote, its own or another's, means for the leader's side.
    fn count(&mut self, outcome: VoteOutcome) {
        match outcome {
            VoteOutcome::Nothing => {}
            VoteOutcome::Won { term, votes } => self.leadership_handler().win(term, votes),
            VoteOutcome::OwnReclaim { term, ballot } => {
                self.leadership_handler().reclaim_is_durable(term, ballot);
            }
            VoteOutcome::Reclaim { from, term, ballot } => {
                self.leadership_handler().on_reclaim_vote(from, term, ballot);
            }
        }
    }

    // --- messages ---

    fn received(&mut self, message: Message, source: Option<SocketAddr>) {
        let Message { from, session, seq, to, body } = message;
        if to.is_some_and(|to| to.node != self.id || to.session != self.session) {
            return;
        }
        if from == self.id {
            let verdict = self.contact_handler().heard_own_id(session, &body);
            return self.give_way(verdict);
        }
        if let Err(implausible) = self.read().plausible(&body) {
            return self.contact_handler().refuse_implausible(from, implausible);
        }
        if let Some(word) = last_word(&body) {
            return match word {
                LastWord::Gone(gone) => self.peer_handler().on_gone(from, session, gone),
                LastWord::Resigned(term) => self.peer_handler().leadership_over(from, session, term),
            };
        }
        if let Some(followed) = info_of(&body).and_then(|info| info.follows) {
            // The word of that run's guardian, by the run that came after it on the same machine.
            self.peer_handler().on_gone(from, followed, Gone::default());
        }
        let addressed = to.is_some();
        match self.peer_handler().admit(from, session, seq, addressed, &body) {
            Proof::Refused => {}
            Proof::Missing => self.unproven(from, session, body),
            Proof::Given => {
                self.peer_handler().note(from, session, source, &body);
                self.dispatch(from, session, body);
            }
        }
    }

    /// A message that may be a recording: it does not show that it was made after this run began. Polls and claims are guarded by their terms.
    /// Whoever sent the others is asked for a word that names this run.
    fn unproven(&mut self, from: NodeId, session: Session, body: Body) {
        match body {
            Body::PreVote(_) | Body::RequestVote(_) | Body::Hello(_) => self.dispatch(from, session, body),
            Body::Heartbeat(heartbeat) if self.read().is_from_before(&heartbeat.info) => {
                let body = Body::Heartbeat(heartbeat);
                self.peer_handler().note(from, session, None, &body);
                self.dispatch(from, session, body);
            }
            Body::Heartbeat(_) => self.contact_handler().ask_for_a_word(from, session),
            Body::Report(_)
            | Body::Answer(_)
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
            | Body::Roster(_) => {}
        }
    }

    fn dispatch(&mut self, from: NodeId, session: Session, body: Body) {
        match body {
            Body::Hello(hello) => self.contact_handler().on_hello(from, session, &hello),
            Body::Heartbeat(heartbeat) => {
                if self.read().is_over(&heartbeat) {
                    return self.election_handler().refuse(from, session);
                }
                if self.lead.is_some() {
                    let Some(reason) = self.read().yields_to(from, &heartbeat) else { return };
                    self.leadership_handler().step_down(reason);
                }
                self.following_handler().on_heartbeat(from, session, heartbeat);
            }
            Body::Report(report) => self.leadership_handler().on_report(from, session, report),
            Body::Answer(answer) => {
                if let Some(granted) = self.following_handler().on_answer(from, answer) {
                    self.service_handler().answered(granted);
                }
            }
            Body::PreVote(poll) => self.election_handler().on_poll(from, session, &poll),
            Body::PreVoteAnswer(answer) => self.election_handler().on_poll_answer(from, session, &answer),
            Body::RequestVote(claim) => self.election_handler().on_claim(from, session, &claim),
            Body::Vote(vote) => {
                let outcome = self.election_handler().on_vote(from, &vote);
                self.count(outcome);
            }
            Body::StaleTerm(refuse) => self.leadership_handler().on_refuse(from, session, refuse.newest),
            Body::OtherRun(other) => {
                let verdict = self.contact_handler().on_other_run(&other);
                self.give_way(verdict);
            }
            Body::Attributes(GroupAttributes { group, copy }) => {
                self.copies.note(group, copy);
                self.leadership_handler().adopt_when_whole();
                self.following_handler().attributes_came();
            }
            Body::AttributesWanted(wanted) => self.send_attributes(from, session, &wanted),
            Body::AttributeWrite(write) => self.leadership_handler().on_write(from, session, write),
            Body::WriteRefused(refused) => self.writing_handler().on_write_refused(from, &refused),
            Body::Roster(part) => self.following_handler().on_roster(from, session, part),
            // Last words were heard before.
            Body::Resign(_) | Body::Farewell(_) | Body::Obituary(_) => {}
        }
        self.do_deferred();
    }

    /// R16: another node lacks states of attributes that this one may have.
    fn send_attributes(&mut self, to: NodeId, session: Session, wanted: &AttributesWanted) {
        for (group, changed) in &wanted.states {
            let Some(attributes) = self.durable.copy_of(group, *changed).cloned() else { continue };
            let copy = AttributesCopy { changed: *changed, attributes };
            let told = Body::Attributes(GroupAttributes { group: group.clone(), copy });
            let recipient = Recipient { node: to, session };
            self.outbox.send(Destination::Node(to), Some(recipient), told);
        }
    }

    // --- this node's identity ---

    /// The run before is over on this machine: the others hear it at once, it frees what was promised to that one (R1, R6).
    fn follows_run(&mut self, session: Session) {
        self.identity.follow_run(session);
        if self.lead.is_some() || self.read().known_leader().is_some() {
            self.following_handler().report(None);
        } else {
            self.greeting.hasten(self.now);
        }
    }

    /// Ends the call for the own id when its time is over.
    fn end_call(&mut self) {
        match self.contact_handler().end_call() {
            CallEnd::NotYet => {}
            CallEnd::Established => self.following_handler().report(None),
            CallEnd::Outdated { newest } => {
                // What this node has voted and acknowledged since its backup is forgotten: it begins again as a run after the newest, and as
                // an elector without state (R10).
                let effects = self.outbox.effects();
                effects.event(Event::Restored { known: newest.count, own: self.session.count });
                effects.push(Effect::CountUp { beyond: newest.count });
                self.leaving.finish();
            }
        }
    }

    /// Of two machines with this id the younger leads no more, votes no more and takes its services down, until an operator gives it an
    /// identity of its own.
    fn give_way(&mut self, verdict: IdVerdict) {
        if let IdVerdict::Younger(other) = verdict {
            self.leadership_handler().step_down(StepDownReason::IdNotUnique);
            self.following.leave();
            self.durable.mute(other);
        }
    }

    // --- the leader's side ---

    fn advance_leadership(&mut self) {
        if self.leadership_handler().advance_leadership() {
            self.following_handler().report(None);
        }
    }

    fn configure(&mut self, settings: Settings) {
        let old = std::mem::replace(&mut self.settings, settings);
        if old.runner != self.settings.runner {
            // A change here would leave services running that no supervisor watches.
            self.settings.runner = old.runner;
            self.outbox.effects().event(Event::Warned { what: WarnReason::RunnerChanged });
        }
        self.runners.configure(&self.settings.groups);
        if old.elector && !self.settings.elector {
            self.leadership_handler().resign(StepDownReason::NoElector);
        } else if old.leader_lease != self.settings.leader_lease {
            // Electors have promised the old lease. The leader resigns, so that the new lease begins with a new term.
            self.leadership_handler().resign(StepDownReason::LeaseChanged);
        }
    }

    // --- this node's services, and its end ---

    /// R11: what has changed is said when it changes.
    fn tell_changes(&mut self) {
        if self.service_handler().has_news() {
            self.following_handler().report(None);
        }
    }

    /// The master whose report was not answered reports again: the answer is its lease.
    fn report_again(&mut self) {
        if self.read().report_is_due() {
            self.following_handler().report(None);
        }
    }

    /// R11: a clean stop says farewell; a leader hands over first.
    fn try_leaving(&mut self) {
        if self.leaving_handler().may_leave() {
            self.leaving_handler().say_farewell();
            self.leadership_handler().step_down(StepDownReason::Stopping);
            self.leaving.finish();
            self.outbox.effects().push(Effect::Finished);
        }
    }
}
