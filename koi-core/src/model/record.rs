//! The one small replicated record (rule R4), and what an elector must find again after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::attributes::{Attributes, AttributesCopy, AttributesVersion};
use crate::fence::FenceIntent;
use crate::group::GroupName;
use crate::limits;
use crate::message::{ATTRIBUTES_RULE, GROUPS_RULE};
use crate::types::{Epoch, NodeId, Session, Term, Version, span, sparse};

/// What the cluster agrees on. Only a leader changes it; a change counts when a quorum has it on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Which version this is.
    pub version: Version,
    /// The group of the services folder.
    pub main: GroupRecord,
    /// The other groups of which there is something to remember; at most [`crate::limits::GROUPS`] with `main`. [`Record::group`] tells of all.
    pub others: BTreeMap<GroupName, GroupRecord>,
    /// No hook runs anywhere, nobody is elected or demoted.
    pub maintenance: bool,
    /// The newest epoch ever given, in any group.
    pub last_epoch: Epoch,
    /// The electors, by id (R13); at most [`crate::limits::MEMBERS`]. In force before the record counts. Empty: quorum is off, or the
    /// record is from before R13.
    pub members: BTreeSet<NodeId>,
    /// The change of the members that is under way. While it stands every quorum is one of the members before and of those after.
    pub change: Option<MemberChange>,
    /// The newest rule that whoever votes, leads or holds a copy must know, as [`crate::message::RULES`] (R14); 0: none beyond R13. It only
    /// grows.
    pub needs: u16,
    /// A koi that knows groups has proposed it, and no older koi has kept it since: an older one drops this mark with what it does not know.
    pub whole: bool,
    /// The fence of another node that is under way (R12); one at a time.
    pub fence: Option<FenceIntent>,
    /// The newest rule that the koi knew which has proposed it, as [`crate::message::RULES`], if that is R16 or later; 0: it is older, or an older one
    /// has kept it since.
    pub known: u16,
}

/// What the cluster agrees on about one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GroupRecord {
    /// Who is master.
    #[n(0)]
    pub master: Option<MasterEntry>,
    /// The node that an operator wants as master and that is not yet.
    #[n(1)]
    pub target: Option<NodeId>,
    /// No master is chosen until an operator says `promote` or `elect`.
    #[n(2)]
    pub manual: bool,
    /// Runners that an operator has stopped; at most [`crate::limits::STOPPED`].
    #[n(3)]
    pub stopped: BTreeSet<NodeId>,
    /// The newest epoch under which all critical services were promoted by their hooks, as the master has told; none: none is known. A leader from before this
    /// field drops it, and it is known again with the next mastership.
    #[n(4)]
    pub promoted: Option<Epoch>,
    /// The mastership before this one; while there is none, the last. Dropped as [`GroupRecord::promoted`] is.
    #[n(5)]
    pub previous: Option<PastMastership>,
    /// Which state of the group's attributes counts with this record (R16); none: nothing was ever written. Whoever has the record has them too.
    #[n(6)]
    pub attributes: Option<AttributesVersion>,
}

/// A mastership that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PastMastership {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its number.
    #[n(1)]
    pub epoch: Epoch,
}

impl GroupRecord {
    /// The mastership ends, and is the previous one now.
    pub fn end_mastership(&mut self) {
        if let Some(MasterEntry { node, epoch, .. }) = self.master.take() {
            self.previous = Some(PastMastership { node, epoch });
        }
    }

    /// There is more to it than what has been.
    pub(crate) fn is_alive(&self) -> bool {
        self.master.is_some() || self.target.is_some() || self.manual || !self.stopped.is_empty()
    }
}

/// A group of which there is nothing to remember.
static UNKNOWN: GroupRecord = GroupRecord {
    master: None,
    target: None,
    manual: false,
    stopped: BTreeSet::new(),
    promoted: None,
    previous: None,
    attributes: None,
};

/// The record as it is on the wire and on disk. What concerns `main` stands where it stood before there were other groups.
#[derive(Encode, Decode)]
struct WireRecord {
    #[n(0)]
    version: Version,
    #[n(1)]
    master: Option<MasterEntry>,
    #[n(2)]
    target: Option<NodeId>,
    #[n(3)]
    manual: bool,
    #[n(4)]
    maintenance: bool,
    #[n(5)]
    stopped: BTreeSet<NodeId>,
    #[n(6)]
    last_epoch: Epoch,
    #[n(7)]
    #[cbor(default)]
    members: BTreeSet<NodeId>,
    #[n(8)]
    change: Option<MemberChange>,
    #[n(9)]
    promoted: Option<Epoch>,
    #[n(10)]
    previous: Option<PastMastership>,
    #[n(11)]
    #[cbor(default, with = "sparse", has_nil)]
    others: BTreeMap<GroupName, GroupRecord>,
    #[n(12)]
    #[cbor(default, with = "sparse", has_nil)]
    needs: u16,
    #[n(13)]
    #[cbor(default, with = "sparse", has_nil)]
    whole: bool,
    #[n(14)]
    fence: Option<FenceIntent>,
    #[n(15)]
    #[cbor(default, with = "sparse", has_nil)]
    known: u16,
    #[n(16)]
    attributes: Option<AttributesVersion>,
}

impl<C> Encode<C> for Record {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let Record {
            version,
            main,
            others,
            maintenance,
            last_epoch,
            members,
            change,
            needs,
            whole,
            fence,
            known,
        } = self.clone();
        let GroupRecord { master, target, manual, stopped, promoted, previous, attributes } = main;
        let wire = WireRecord {
            version,
            master,
            target,
            manual,
            maintenance,
            stopped,
            last_epoch,
            members,
            change,
            promoted,
            previous,
            others,
            needs,
            whole,
            fence,
            known,
            attributes,
        };
        wire.encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut minicbor::Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        let wire = WireRecord::decode(d, context)?;
        let WireRecord { version, master, target, manual, maintenance, stopped, last_epoch, .. } = wire;
        let (promoted, previous, attributes) = (wire.promoted, wire.previous, wire.attributes);
        let main = GroupRecord { master, target, manual, stopped, promoted, previous, attributes };
        let mut others = wire.others;
        if others.remove(&GroupName::MAIN).is_some() || others.len() >= limits::GROUPS {
            return Err(minicbor::decode::Error::message(
                "a record with too many groups, or two of one name",
            ));
        }
        others.retain(|_, group| *group != UNKNOWN);
        let (members, change, needs) = (wire.members, wire.change, wire.needs);
        let (whole, fence, known) = (wire.whole, wire.fence, wire.known);
        Ok(Record {
            version,
            main,
            others,
            maintenance,
            last_epoch,
            members,
            change,
            needs,
            whole,
            fence,
            known,
        })
    }
}

/// One elector more, one less, or one in another's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MemberChange {
    /// Becomes a member.
    #[n(0)]
    pub add: Option<NodeId>,
    /// Is none any more.
    #[n(1)]
    pub remove: Option<NodeId>,
}

impl Record {
    /// What is agreed on about this group.
    pub fn group(&self, name: &GroupName) -> &GroupRecord {
        match name.is_main() {
            true => &self.main,
            false => self.others.get(name).unwrap_or(&UNKNOWN),
        }
    }

    /// The same, to change it.
    pub(crate) fn group_mut(&mut self, name: &GroupName) -> &mut GroupRecord {
        match name.is_main() {
            true => &mut self.main,
            false => self.others.entry(name.clone()).or_default(),
        }
    }

    /// Forgets groups of which there is nothing to remember any more, and where there is no room, those of which only the past is known.
    pub(crate) fn tidy(&mut self) {
        self.others.retain(|_, group| *group != UNKNOWN);
        while self.others.len() >= limits::GROUPS {
            // What has attributes is forgotten last.
            let past = self.others.iter().filter(|(_, group)| !group.is_alive());
            let past = past.min_by_key(|(_, group)| group.attributes.is_some()).map(|(name, _)| name.clone());
            let Some(past) = past else { return };
            self.others.remove(&past);
        }
    }

    /// `main`, and the other groups of which there is something to remember.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupName, &GroupRecord)> {
        [(&GroupName::MAIN, &self.main)].into_iter().chain(&self.others)
    }

    /// The masterships of all groups, to change them.
    pub(crate) fn masters_mut(&mut self) -> impl Iterator<Item = &mut MasterEntry> {
        [&mut self.main].into_iter().chain(self.others.values_mut()).filter_map(|group| group.master.as_mut())
    }

    /// The masterships of all groups.
    pub fn masters(&self) -> impl Iterator<Item = (&GroupName, &MasterEntry)> {
        self.groups().filter_map(|(name, group)| Some((name, group.master.as_ref()?)))
    }

    /// The members when the change that is under way has ended.
    pub fn members_after(&self) -> BTreeSet<NodeId> {
        let MemberChange { add, remove } = self.change.unwrap_or_default();
        self.members.iter().copied().filter(|id| Some(*id) != remove).chain(add).collect()
    }

    /// Whether `node` is a member, before or after the change that is under way. Meaningless while there are no members.
    pub fn has_member(&self, node: NodeId) -> bool {
        self.members.contains(&node) || self.change.is_some_and(|change| change.add == Some(node))
    }

    /// Whether this record replaces `other`: the newer version does, but no record without members replaces one that has some (R13), and what a
    /// koi that does not know a rule may have kept of a record replaces none that needs the rule (R14, R16).
    pub fn supersedes(&self, other: &Record) -> bool {
        let loses_members = self.members.is_empty() && !other.members.is_empty();
        let age = |record: &Record| (record.version, record.whole, record.known);
        age(self) > age(other) && !loses_members && !self.may_be_a_part(other.needs)
    }

    /// R14, R16: a koi that does not know the rule `needed` may have kept only a part of it, or may have proposed it. One from before R14 drops what
    /// it does not know; a later one keeps [`Record::needs`] and [`Record::whole`], and drops [`Record::known`].
    pub(crate) fn may_be_a_part(&self, needed: u16) -> bool {
        let of_groups = needed > 0 && !self.whole && self.needs == 0 && !mutant!(GroupsForgotten);
        let of_attributes = needed >= ATTRIBUTES_RULE && self.known < needed && !mutant!(AttributesForgotten);
        of_groups || of_attributes
    }

    /// The states of attributes that count with this record, group by group.
    pub fn attributes(&self) -> impl Iterator<Item = (&GroupName, AttributesVersion)> {
        self.groups().filter_map(|(name, group)| Some((name, group.attributes?)))
    }
}

/// A mastership: a session of a node, not the node, holds it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MasterEntry {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// The run of its daemon.
    #[n(1)]
    pub session: Session,
    /// The fencing token.
    #[n(2)]
    pub epoch: Epoch,
    /// `M+g` under which it was given: how long after the last basis it may still be promoted.
    #[n(3)]
    #[cbor(with = "span")]
    pub hold: Duration,
    /// The node may be acting on a version with maintenance on, and so may stay promoted without a lease (R6).
    #[n(4)]
    pub in_maintenance: bool,
    /// The node could not stop what it had promoted (R7).
    #[n(5)]
    pub unclean: bool,
    /// The node's name, for scripts and people.
    #[n(6)]
    pub name: String,
    /// An operator has named it by `koi promote`: it does not move for a preference (R15). Said only of a group that moves for one.
    #[n(7)]
    #[cbor(default, with = "sparse", has_nil)]
    pub by_hand: bool,
}

/// What a node has on disk. Written whole; read at the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Durable {
    /// The newest term that this elector has taken part in.
    #[n(0)]
    pub term: Term,
    /// Whom it voted for in that term.
    #[n(1)]
    pub vote: Option<(NodeId, Session)>,
    /// The newest record that it has taken; the leader may not count it yet.
    #[n(2)]
    pub record: Record,
    /// The newest record that counts, as far as this node knows: the one that it acts on.
    #[n(3)]
    pub applied: Record,
    /// The longest leader lease that it has promised: how long an unknown promise may still hold after a restart.
    #[n(4)]
    #[cbor(with = "span")]
    pub promised_lease: Duration,
    /// Where this elector's knowledge comes from (R10).
    #[n(5)]
    pub origin: StateOrigin,
    /// Set before anything of `main` is promoted, cleared when nothing is any more. Found at a start, it means that the last run
    /// did not end cleanly and that something may still be promoted (R8).
    #[n(6)]
    pub held: Option<Epoch>,
    /// The newest term whose leader it has followed. Whoever is no member measures leaders by it (R13).
    #[n(7)]
    #[cbor(default)]
    pub followed: Term,
    /// The names of electors as it heard them last, for people: at most [`crate::limits::NODES`].
    #[n(8)]
    #[cbor(default)]
    pub names: BTreeMap<NodeId, String>,
    /// Another machine has this node's id, and is older: this one takes part in nothing.
    #[n(9)]
    pub mute: Option<Session>,
    /// The same as [`Durable::held`] of the other groups.
    #[n(10)]
    #[cbor(default, with = "sparse", has_nil)]
    pub held_elsewhere: BTreeMap<GroupName, Epoch>,
    /// The newest rule that the koi knew which wrote this, as [`crate::message::RULES`]; 0: it is from before R14. Of what it did not know
    /// nothing is here.
    #[n(11)]
    #[cbor(default, with = "sparse", has_nil)]
    pub rules: u16,
    /// The attributes of each group that [`Durable::record`] and [`Durable::applied`] name (R16).
    #[n(12)]
    #[cbor(default, with = "sparse", has_nil)]
    pub attributes: BTreeMap<GroupName, Vec<AttributesCopy>>,
}

/// What an elector's state on disk is worth (R10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum StateOrigin {
    /// Nothing on disk: it neither votes nor leads.
    #[default]
    #[n(0)]
    Empty,
    /// Begins a new cluster with the members in its record, and has taken no record from a leader yet.
    #[n(1)]
    Founder,
    /// Has taken a record from a leader.
    #[n(2)]
    Member,
}

impl Durable {
    /// What may still be promoted, group by group (R8).
    pub fn marks(&self) -> impl Iterator<Item = (GroupName, Epoch)> {
        let others = self.held_elsewhere.iter().map(|(group, epoch)| (group.clone(), *epoch));
        self.held.map(|epoch| (GroupName::MAIN, epoch)).into_iter().chain(others)
    }

    /// Nothing of what an earlier run held is promoted any more: the machine was started anew since.
    pub fn clear_marks(&mut self) {
        self.held = None;
        self.held_elsewhere.clear();
    }

    /// The koi that wrote this knew all that its record needs (R14, R16): it has kept the whole of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.rules >= GROUPS_RULE.max(self.record.needs) || mutant!(GroupsForgotten)
    }

    /// What a group's attributes say in this state; none: it is not here.
    pub fn attributes_of(&self, group: &GroupName, which: AttributesVersion) -> Option<&Attributes> {
        self.copy_of(group, which.changed)
    }

    pub(crate) fn copy_of(&self, group: &GroupName, changed: Version) -> Option<&Attributes> {
        let copies = self.attributes.get(group)?;
        copies.iter().find(|copy| copy.changed == changed).map(|copy| &copy.attributes)
    }

    /// What is left of a state that was restored from a backup: it may have voted and acknowledged since, and begins as an elector without
    /// state (R10). What it was may still be promoted.
    pub fn after_restore(&self) -> Durable {
        Durable {
            held: self.held,
            held_elsewhere: self.held_elsewhere.clone(),
            names: self.names.clone(),
            ..Durable::default()
        }
    }
}
