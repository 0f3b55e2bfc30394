//! States of attributes that have come and that no record on this node's disk names yet (R16), and what waits for them.

use std::collections::BTreeMap;

use crate::attributes::AttributesCopy;
use crate::elector::durability::Durability;
use crate::group::GroupName;
use crate::limits;
use crate::message::Heartbeat;
use crate::record::Record;
use crate::types::{NodeId, Session, Version};

/// States of one group's attributes that are kept: two may be on their way, and each may be overtaken.
const STATES: usize = 4;

/// A heartbeat whose record cannot be taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Awaiting {
    pub(crate) from: NodeId,
    pub(crate) session: Session,
    pub(crate) heartbeat: Heartbeat,
}

/// What has come, and what waits for more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copies {
    come: BTreeMap<GroupName, Vec<AttributesCopy>>,
    awaiting: Option<Box<Awaiting>>,
}

impl Copies {
    /// A state of a group's attributes has come. What came last is kept.
    pub(crate) fn note(&mut self, group: GroupName, copy: AttributesCopy) {
        if self.come.len() >= limits::GROUPS && !self.come.contains_key(&group) {
            self.come.clear();
        }
        let states = self.come.entry(group).or_default();
        if states.iter().any(|known| known.changed == copy.changed) {
            return;
        }
        states.push(copy);
        if states.len() > STATES {
            states.remove(0);
        }
    }

    fn find(&self, group: &GroupName, changed: Version) -> Option<&AttributesCopy> {
        self.come.get(group)?.iter().find(|copy| copy.changed == changed)
    }

    /// The states of attributes that `record` names and that are neither on disk nor have come.
    pub(crate) fn missing(&self, durable: &Durability, record: &Record) -> BTreeMap<GroupName, Version> {
        let named = record.attributes().map(|(group, which)| (group, which.changed));
        let here = |group: &GroupName, changed: Version| {
            durable.copy_of(group, changed).is_some() || self.find(group, changed).is_some()
        };
        let missing =
            named.filter(|(group, changed)| !here(group, *changed) && !mutant!(CopyWithoutAttributes));
        missing.map(|(group, changed)| (group.clone(), changed)).collect()
    }

    /// What `record` names goes to disk with it: it is taken, or counts, right after.
    pub(crate) fn bring(&self, durable: &mut Durability, record: &Record) {
        for (group, which) in record.attributes() {
            if let Some(copy) = self.find(group, which.changed) {
                durable.keep_attributes(group, copy.clone());
            }
        }
    }

    /// The record of this heartbeat waits for attributes; a later one takes its place.
    pub(crate) fn wait(&mut self, awaiting: Awaiting) {
        self.awaiting = Some(Box::new(awaiting));
    }

    /// Nothing waits any more; what did.
    pub(crate) fn stop_waiting(&mut self) -> Option<Box<Awaiting>> {
        self.awaiting.take()
    }

    /// How much is kept for later.
    pub(crate) fn backlog(&self) -> usize {
        self.come.values().map(Vec::len).sum::<usize>() + usize::from(self.awaiting.is_some())
    }
}
