//! What a leader's decisions about masterships build on, and what they are (rules R6 and R9). They are made in `node::leading::placement`.

use std::collections::BTreeMap;

use crate::group::GroupName;
use crate::leader::preferred::PreferenceMoves;
use crate::reason::{DropReason, WaitReason};
use crate::types::{Epoch, NodeId, Term, Time, Version};
use crate::view::Waiting;

/// The bits of a question's number below those of the term.
const QUESTION_BITS: u32 = 16;

/// What is to become of the record's master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MasterDecision {
    /// It stays.
    Keep,
    /// It is to demote, in no hurry.
    Order(DropReason),
    /// It holds nothing any more.
    Free,
    /// Nothing can be done before this.
    Wait(Box<Wait>),
}

/// Whom to make master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Name(NodeId),
    /// The candidates are asked first how they are now.
    Ask,
    Wait(Box<Wait>),
}

/// Why nothing happens, and until when that is so by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) reason: WaitReason,
    pub(crate) until: Option<Time>,
}

impl Wait {
    pub(crate) fn until(reason: WaitReason, until: Time) -> Wait {
        Wait { reason, until: Some(until) }
    }

    pub(crate) fn view(&self, now: Time) -> Waiting {
        Waiting { reason: self.reason.clone(), remaining: self.until.map(|until| until.since(now)) }
    }
}

/// A wait that something else than time ends.
impl From<WaitReason> for Wait {
    fn from(reason: WaitReason) -> Wait {
        Wait { reason, until: None }
    }
}

/// What a leader's decisions about the masterships of one group build on.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    /// A node may be chosen once it acts on this version or a newer one: those before it may say maintenance.
    act_since: Version,
    /// R6: the latest acknowledgement that any voter gave to an earlier leader.
    inherited: Option<Time>,
    /// R6: the newest basis used in a grant to the record's master, or the report from which its hold time is counted
    /// anew after maintenance.
    granted: Option<(Epoch, Time)>,
    /// No voter has followed a leader in its present run: the cluster starts.
    cold: bool,
    /// The mastership that is wanted back.
    wanted_back: Option<Epoch>,
    /// What the places of the group build on (R15).
    moves: PreferenceMoves,
    /// What the candidates were asked last.
    question: Option<Question>,
}

/// How are your services now? Asked of the candidates for a mastership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Greater than that of every question before, of whatever leader.
    pub(crate) number: u64,
    pub(crate) at: Time,
}

impl Placement {
    fn new(term: Term, inherited: Option<Time>, cold: bool) -> Placement {
        Placement {
            act_since: Version { term, n: 0 },
            inherited,
            granted: None,
            cold,
            wanted_back: None,
            moves: PreferenceMoves::default(),
            question: None,
        }
    }

    /// What the candidates were asked last.
    pub(crate) fn question(&self) -> Option<Question> {
        self.question
    }

    /// Asks them now.
    pub(crate) fn ask(&mut self, term: Term, now: Time) {
        let before = self.question.map_or(0, |question| question.number);
        let number = before.saturating_add(1).max(term.0 << QUESTION_BITS);
        self.question = Some(Question { number, at: now });
    }

    /// A lease was granted on this basis, or is counted as if it had been.
    pub(crate) fn grant(&mut self, epoch: Epoch, basis: Time) {
        let at = match self.granted {
            Some((granted, at)) if granted == epoch => at.max(basis),
            Some(_) | None => basis,
        };
        self.granted = Some((epoch, at));
    }

    /// The mastership that is wanted back.
    pub(crate) fn wanted_back(&self) -> Option<Epoch> {
        self.wanted_back
    }

    /// A mastership begins: the cluster starts no more, and nothing is wanted back.
    pub(crate) fn begin(&mut self) {
        self.cold = false;
        self.wanted_back = None;
        self.moves.stay();
    }

    /// What the places of the group build on (R15).
    pub(crate) fn moves(&self) -> &PreferenceMoves {
        &self.moves
    }

    /// The same, for whoever decides.
    pub(crate) fn moves_mut(&mut self) -> &mut PreferenceMoves {
        &mut self.moves
    }

    /// Wants a mastership back. False: it wanted that already.
    pub(crate) fn want_back(&mut self, epoch: Epoch) -> bool {
        self.wanted_back.replace(epoch) != Some(epoch)
    }

    /// A node may be chosen once it acts on this version or a newer one.
    pub(crate) fn act_since(&self) -> Version {
        self.act_since
    }

    /// The cluster starts.
    pub(crate) fn is_cold(&self) -> bool {
        self.cold
    }

    /// R6: the latest instant from which the hold time of this mastership counts, as far as it is known.
    pub(crate) fn hold_counts_from(&self, epoch: Epoch) -> (Option<Time>, Option<Time>) {
        let own = self.granted.filter(|(granted, _)| *granted == epoch).map(|(_, at)| at);
        (own, self.inherited)
    }

    /// Whoever acts on an earlier version may still act on maintenance.
    fn maintenance_ended(&mut self, version: Version) {
        self.act_since = version;
    }

    /// The leader leads in a later term now; `inherited`: the latest acknowledgement that any voter gave to an earlier leader.
    fn reclaimed(&mut self, term: Term, inherited: Option<Time>) {
        self.act_since = Version { term, n: 0 };
        self.inherited = self.inherited.max(inherited);
    }
}

/// The same of all groups.
#[derive(Clone, Debug)]
pub(crate) struct Placements {
    groups: BTreeMap<GroupName, Placement>,
    /// That of a group about which nothing was decided in this leadership.
    fresh: Placement,
    /// The next instant at which time alone changes a decision.
    decide_at: Time,
}

impl Placements {
    /// See [`Placement::new`].
    pub(crate) fn new(term: Term, inherited: Option<Time>, cold: bool) -> Placements {
        let fresh = Placement::new(term, inherited, cold);
        Placements { groups: BTreeMap::new(), fresh, decide_at: Time::NEVER }
    }

    /// That of a group.
    pub(crate) fn of(&self, group: &GroupName) -> &Placement {
        self.groups.get(group).unwrap_or(&self.fresh)
    }

    /// The same, to change it.
    pub(crate) fn of_mut(&mut self, group: &GroupName) -> &mut Placement {
        self.groups.entry(group.clone()).or_insert_with(|| self.fresh.clone())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Placement> {
        self.groups.values_mut().chain([&mut self.fresh])
    }

    /// See [`Placement::maintenance_ended`].
    pub(crate) fn maintenance_ended(&mut self, version: Version) {
        self.all_mut().for_each(|placement| placement.maintenance_ended(version));
    }

    /// See [`Placement::reclaimed`].
    pub(crate) fn reclaimed(&mut self, term: Term, inherited: Option<Time>) {
        self.all_mut().for_each(|placement| placement.reclaimed(term, inherited));
    }

    /// Time alone changes a decision at this instant; never: nothing but news does.
    pub(crate) fn decide_again(&mut self, at: Time) {
        self.decide_at = at;
    }

    /// When the next decision is due, unless something happens before.
    pub(crate) fn decide_at(&self) -> Time {
        self.decide_at
    }
}
