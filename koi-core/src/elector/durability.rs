//! What is on disk, and what waits for it.
//!
//! [`Durability`] owns the durable state: it is read through it and changed by its methods alone. Every change notes that the state must be
//! handed out again, so that a change which is not persisted cannot be written. What must be on disk before it is said or done waits here
//! ([`Deferred`]).

use std::collections::{BTreeSet, VecDeque};
use std::ops::Deref;
use std::time::Duration;

use crate::attributes::AttributesCopy;
use crate::group::GroupName;
use crate::limits;
use crate::message::RULES;
use crate::record::{Durable, Record, StateOrigin};
use crate::types::{Epoch, NodeId, Session, Term, Time, Version};

/// What must be on disk before it is done.
#[derive(Clone, Debug)]
pub(crate) enum Deferred {
    /// Acknowledge this heartbeat of the leader.
    Acknowledge { leader: NodeId, term: Term, number: u64, lease: Duration },
    /// Send a vote.
    Vote { to: NodeId, session: Session, term: Term },
    /// Ask for votes in a term, with the own vote.
    RequestVote(Term),
    /// Count the own copy of the leader's record.
    Record,
    /// Promote a group under this mastership.
    Mark(GroupName, Epoch),
}

impl Deferred {
    /// What is asked for again if it is forgotten.
    fn is_repeated(&self) -> bool {
        matches!(self, Deferred::Acknowledge { .. } | Deferred::Vote { .. })
    }

    /// A mutant does not wait for the disk.
    fn is_hasty(&self) -> bool {
        match self {
            Deferred::Acknowledge { .. } => mutant!(AcknowledgedNotDurable),
            Deferred::Vote { .. } | Deferred::RequestVote(_) => mutant!(VoteNotDurable),
            Deferred::Record => mutant!(CommittedAlone),
            Deferred::Mark(..) => mutant!(MarkNotDurable),
        }
    }
}

/// A state on its way to the disk.
#[derive(Clone, Copy, Debug)]
struct Issued {
    number: u64,
    version: Version,
    promised: (Term, Duration),
    at: Time,
}

/// The owner of the durable state.
#[derive(Clone, Debug)]
pub(crate) struct Durability {
    /// What is, or will be, on disk.
    state: Durable,
    /// `state` has changed since it was last handed out.
    dirty: bool,
    /// The number of the newest state handed out, and of the newest that is on disk.
    issued_number: u64,
    written_number: u64,
    /// The states handed out and not yet on disk.
    issued: VecDeque<Issued>,
    /// The term and the promised lease that are on disk: an acknowledgement waits for no more.
    promised_on_disk: (Term, Duration),
    /// The version of the record that is on disk.
    record_on_disk: Version,
    /// How long a state took lately to reach the disk, and when that was measured.
    takes: Duration,
    measured: Time,
    /// What waits, and for the state of which number.
    deferred: VecDeque<(u64, Deferred)>,
    /// The version of the record with which maintenance ended last, as far as this run has seen it. It is on no disk.
    watched_since: Version,
}

impl Deref for Durability {
    type Target = Durable;

    fn deref(&self) -> &Durable {
        &self.state
    }
}

impl Durability {
    /// `state` is on disk.
    pub(crate) fn new(mut state: Durable, now: Time) -> Durability {
        // R14, R16: an older koi has kept a part of the record only. It is no copy before a leader has said the whole once more.
        let is_whole = state.is_whole();
        state.rules = RULES;
        Durability {
            dirty: false,
            issued_number: 0,
            written_number: 0,
            issued: VecDeque::new(),
            promised_on_disk: (state.term, state.promised_lease),
            record_on_disk: if is_whole { state.record.version } else { Version::default() },
            takes: Duration::ZERO,
            measured: now,
            deferred: VecDeque::new(),
            watched_since: Version::default(),
            state,
        }
    }

    // --- changes ---

    /// The one way to the state.
    fn change(&mut self) -> &mut Durable {
        self.dirty = true;
        &mut self.state
    }

    /// R1: this elector takes part in `term`, and votes for that run.
    pub(crate) fn vote(&mut self, term: Term, candidate: (NodeId, Session)) {
        let state = self.change();
        state.term = term;
        state.vote = Some(candidate);
    }

    /// The leader of `term` is followed. In a term that is new to it this elector has voted for nobody.
    pub(crate) fn follow(&mut self, term: Term) {
        if term > self.term {
            let state = self.change();
            state.term = term;
            state.vote = None;
        }
        if term > self.followed {
            self.change().followed = term;
        }
    }

    /// A record is taken. It takes effect only when it counts (R4). The attributes that it names are here (R16).
    pub(crate) fn take_record(&mut self, record: Record) {
        self.change().record = record;
        self.forget_attributes();
    }

    /// A state of a group's attributes is kept: a record that names it is taken, or counts, right after.
    pub(crate) fn keep_attributes(&mut self, group: &GroupName, copy: AttributesCopy) {
        if self.copy_of(group, copy.changed).is_none() {
            self.change().attributes.entry(group.clone()).or_default().push(copy);
        }
    }

    /// What a group's attributes say in the newest record.
    pub(crate) fn copy_named(&self, group: &GroupName) -> Option<AttributesCopy> {
        let changed = self.record.group(group).attributes?.changed;
        let attributes = self.copy_of(group, changed)?.clone();
        Some(AttributesCopy { changed, attributes })
    }

    /// Of attributes only what the newest record and the one that counts name is kept.
    fn forget_attributes(&mut self) {
        let Durable { record, applied, attributes, .. } = &mut self.state;
        let named = |group: &GroupName, changed: Version| {
            let of = |record: &Record| record.group(group).attributes.map(|which| which.changed);
            [of(record), of(applied)].contains(&Some(changed))
        };
        attributes.retain(|group, copies| {
            copies.retain(|copy| named(group, copy.changed));
            !copies.is_empty()
        });
    }

    /// A record counts; returns the one that counted before.
    pub(crate) fn apply(&mut self, record: Record) -> Record {
        let before = std::mem::replace(&mut self.change().applied, record);
        self.forget_attributes();
        if before.maintenance != self.applied.maintenance {
            self.watched_since = self.applied.version;
        }
        before
    }

    /// The version of the record with which maintenance began or ended last, as far as this run has seen it.
    pub(crate) fn watched_since(&self) -> Version {
        self.watched_since
    }

    /// R10, R13: a cluster begins with these members, or, with quorum off, with whoever comes.
    pub(crate) fn found(&mut self, members: BTreeSet<NodeId>) {
        self.set_origin(StateOrigin::Founder);
        self.take_record(Record { members, ..Record::default() });
    }

    /// Where this elector's knowledge comes from now (R10).
    pub(crate) fn set_origin(&mut self, origin: StateOrigin) {
        if self.origin != origin {
            self.change().origin = origin;
        }
    }

    /// R10: an elector without state takes the record of the leader of `term`, and counts as one that has promised it `lease`.
    pub(crate) fn join(&mut self, record: Record, term: Term, lease: Duration) {
        let state = self.change();
        state.promised_lease = state.promised_lease.max(lease);
        state.term = state.term.max(term);
        state.record = record;
        state.origin = StateOrigin::Member;
        self.forget_attributes();
    }

    /// The lease says how long an unknown promise may bind after a restart. It grows at once, and shrinks only when no promise of the longer one
    /// binds any more (`may_shorten`): otherwise a restart would free this elector too early.
    pub(crate) fn keep_promised_lease(&mut self, lease: Duration, may_shorten: bool) {
        if lease > self.promised_lease || (lease < self.promised_lease && may_shorten) {
            self.change().promised_lease = lease;
        }
    }

    /// R8: something of a group may be promoted under this mastership from now on.
    pub(crate) fn set_mark(&mut self, group: &GroupName, epoch: Epoch) {
        match group.is_main() {
            true => self.change().held = Some(epoch),
            false => drop(self.change().held_elsewhere.insert(group.clone(), epoch)),
        }
    }

    /// R8: nothing of a group is promoted any more.
    pub(crate) fn clear_mark(&mut self, group: &GroupName) {
        let any = mutant!(MarkOfAnyGroup);
        if (group.is_main() || any) && self.held.is_some() {
            self.change().held = None;
        }
        if any && !self.held_elsewhere.is_empty() {
            self.change().held_elsewhere.clear();
        }
        if self.held_elsewhere.contains_key(group) {
            self.change().held_elsewhere.remove(group);
        }
    }

    /// Another machine has this node's id: that run, and this node takes part in nothing.
    pub(crate) fn mute(&mut self, other: Session) {
        self.change().mute = Some(other);
    }

    /// The names of the electors are kept: one that is lost is still called by its name after a restart.
    pub(crate) fn remember_name(&mut self, node: NodeId, name: &str) {
        let known = self.names.get(&node).is_some_and(|known| known == name);
        if known || name.is_empty() || !self.record.has_member(node) {
            return;
        }
        let state = self.change();
        state.names.retain(|id, _| state.record.has_member(*id));
        state.names.insert(node, name.to_owned());
    }

    // --- on its way to the disk ---

    /// The state, if it has changed since it was last handed out, with its number.
    pub(crate) fn hand_out(&mut self, now: Time) -> Option<(u64, Box<Durable>)> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        self.issued_number += 1;
        if self.issued.len() >= limits::IN_FLIGHT {
            // A disk that takes nothing must not pile them up. This one stands for the one before it, of which nothing is claimed then.
            self.issued.pop_back();
        }
        self.issued.push_back(Issued {
            number: self.issued_number,
            version: self.record.version,
            promised: (self.term, self.promised_lease),
            at: now,
        });
        Some((self.issued_number, Box::new(self.state.clone())))
    }

    /// The state of this number, and with it every earlier one, is on disk.
    pub(crate) fn written(&mut self, number: u64, now: Time) {
        self.written_number = self.written_number.max(number.min(self.issued_number));
        while let Some(issued) = self.issued.pop_front_if(|issued| issued.number <= self.written_number) {
            self.record_on_disk = issued.version;
            self.promised_on_disk = issued.promised;
            // The slow ones count, and are forgotten by and by.
            self.takes = now.since(issued.at).max(self.takes * 7 / 8);
            self.measured = now;
        }
    }

    /// Everything that was handed out is on disk.
    pub(crate) fn all_written(&self) -> bool {
        self.written_number == self.issued_number
    }

    /// The state as it is now is on disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        !self.dirty && self.all_written()
    }

    /// What an acknowledgement promises is on disk: its term, and a lease that is no shorter. Whatever else is on its way there may follow.
    pub(crate) fn promise_is_on_disk(&self, term: Term, lease: Duration) -> bool {
        let (on_disk, promised) = self.promised_on_disk;
        on_disk == term && self.term == term && promised >= lease
    }

    /// The version of the record that is on disk.
    pub(crate) fn record_on_disk(&self) -> Version {
        self.record_on_disk
    }

    /// How long a state took lately to reach the disk.
    pub(crate) fn disk_takes(&self) -> Duration {
        self.takes
    }

    /// When that was measured.
    pub(crate) fn disk_measured(&self) -> Time {
        self.measured
    }

    // --- what waits for the disk ---

    /// Does `what` when the state as it is now is on disk: [`Durability::next_due`] returns it then, at once if it is.
    pub(crate) fn defer(&mut self, what: Deferred) {
        if what.is_hasty() || self.is_on_disk() {
            return self.deferred.push_front((self.written_number, what));
        }
        // Only the newest record is counted: while a disk takes nothing, others may make many count.
        if matches!(what, Deferred::Record) {
            self.deferred.retain(|(_, other)| !matches!(other, Deferred::Record));
        }
        // A disk that hangs must not pile up what waits for it: these are asked for again, and the oldest is worth least.
        if self.deferred.len() >= limits::IN_FLIGHT
            && let Some(oldest) = self.deferred.iter().position(|(_, what)| what.is_repeated())
        {
            self.deferred.remove(oldest);
        }
        let number = self.issued_number + u64::from(self.dirty);
        self.deferred.push_back((number, what));
    }

    /// The next thing whose state is on disk by now.
    pub(crate) fn next_due(&mut self) -> Option<Deferred> {
        let due = self.deferred.pop_front_if(|(number, _)| *number <= self.written_number)?;
        Some(due.1)
    }

    /// How much is kept for later.
    pub(crate) fn backlog(&self) -> usize {
        self.deferred.len() + self.issued.len()
    }
}
