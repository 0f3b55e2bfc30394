//! Whose voice counts, and how many of them make a quorum (R13).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::limits;
use crate::record::Record;
use crate::settings::Settings;
use crate::types::{NodeId, Time, Version};

/// What makes a quorum of electors, by a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Quorum<'a> {
    /// Quorum is off: a leader needs nobody.
    Off,
    /// The record has no members yet: so many of the electors that the configuration admits.
    Configured(usize),
    /// A majority of the members, and while a change stands a majority of those after it too.
    Majorities { members: Cow<'a, BTreeSet<NodeId>>, after: Option<BTreeSet<NodeId>> },
    /// A cluster is being founded: every one of these.
    Every(&'a BTreeSet<NodeId>),
}

impl<'a> Quorum<'a> {
    /// What `record` demands. Its membership is in force before it counts.
    pub(crate) fn of(record: &'a Record, settings: &Settings) -> Quorum<'a> {
        if settings.quorum == 0 {
            Quorum::Off
        } else if record.members.is_empty() || mutant!(MembersIgnored) {
            Quorum::Configured(settings.votes_needed())
        } else if record.version == Version::default() && !mutant!(FoundingByMajority) {
            Quorum::Every(&record.members)
        } else if record.change.is_some() && mutant!(ChangeNotJoint) {
            Quorum::Majorities { members: Cow::Owned(record.members_after()), after: None }
        } else {
            Quorum::Majorities {
                members: Cow::Borrowed(&record.members),
                after: record.change.is_some().then(|| record.members_after()),
            }
        }
    }

    /// Whether these electors are a quorum. Whoever is no member is not counted.
    pub(crate) fn is_met_by(&self, voices: &BTreeSet<NodeId>) -> bool {
        let majority = |set: &BTreeSet<NodeId>| set.intersection(voices).count() >= majority_of(set);
        match self {
            Quorum::Off => true,
            Quorum::Configured(needed) => voices.len() >= *needed,
            Quorum::Majorities { members, after } => majority(members) && after.as_ref().is_none_or(majority),
            Quorum::Every(set) => set.is_subset(voices),
        }
    }

    /// The newest instant since which a quorum has spoken; `own`: this node, which hears itself always.
    pub(crate) fn since(&self, voices: &BTreeMap<NodeId, Time>, own: (NodeId, Time)) -> Option<Time> {
        let spoke = |id: &NodeId| if *id == own.0 { Some(own.1) } else { voices.get(id).copied() };
        let by = |set: &BTreeSet<NodeId>, needed| nth_newest(set.iter().filter_map(spoke), needed);
        match self {
            Quorum::Off => Some(own.1),
            Quorum::Configured(needed) => {
                let others = voices.iter().filter(|(id, _)| **id != own.0).map(|(_, at)| *at);
                nth_newest(others.chain([own.1]), *needed)
            }
            Quorum::Majorities { members, after } => {
                let before = by(members, majority_of(members))?;
                match after {
                    Some(set) => by(set, majority_of(set)).map(|after| after.min(before)),
                    None => Some(before),
                }
            }
            Quorum::Every(set) => by(set, set.len()),
        }
    }

    /// How many electors it takes at least.
    pub(crate) fn size(&self) -> usize {
        match self {
            Quorum::Off => 1,
            Quorum::Configured(needed) => *needed,
            Quorum::Majorities { members, after } => {
                after.as_ref().map_or(0, majority_of).max(majority_of(members))
            }
            Quorum::Every(set) => set.len(),
        }
    }
}

fn majority_of(set: &BTreeSet<NodeId>) -> usize {
    set.len() / 2 + 1
}

/// Often asked: it allocates nothing.
fn nth_newest(instants: impl Iterator<Item = Time>, n: usize) -> Option<Time> {
    let mut sorted = [Time(0); limits::NODES + 1];
    let mut count = 0;
    for (at, slot) in instants.zip(&mut sorted) {
        *slot = at;
        count += 1;
    }
    let sorted = sorted.get_mut(..count)?;
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.get(n.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u128]) -> BTreeSet<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    #[test]
    fn while_a_change_stands_both_memberships_must_agree() {
        let joint = Quorum::Majorities { members: Cow::Owned(ids(&[1, 2, 3])), after: Some(ids(&[1, 2, 4])) };
        assert!(joint.is_met_by(&ids(&[1, 2])));
        assert!(!joint.is_met_by(&ids(&[1, 4])), "one of three before");
        assert!(!joint.is_met_by(&ids(&[2, 3])), "one of three after");
        assert!(joint.is_met_by(&ids(&[1, 3, 4])));
        let voices = BTreeMap::from([(NodeId(2), Time(5)), (NodeId(3), Time(8)), (NodeId(4), Time(7))]);
        assert_eq!(joint.since(&voices, (NodeId(1), Time(9))), Some(Time(7)), "3 before, 4 afterwards");
    }

    #[test]
    fn nobody_counts_who_is_no_member() {
        let quorum = Quorum::Majorities { members: Cow::Owned(ids(&[1, 2, 3])), after: None };
        assert!(!quorum.is_met_by(&ids(&[1, 8, 9])));
        let voices = BTreeMap::from([(NodeId(2), Time(5)), (NodeId(9), Time(8))]);
        assert_eq!(quorum.since(&voices, (NodeId(1), Time(10))), Some(Time(5)));
        assert_eq!(quorum.since(&voices, (NodeId(9), Time(10))), None, "not oneself either");
    }

    #[test]
    fn a_cluster_is_founded_by_all() {
        let founders = ids(&[1, 2, 3]);
        let founding = Quorum::Every(&founders);
        assert!(!founding.is_met_by(&ids(&[1, 2])));
        assert!(founding.is_met_by(&ids(&[1, 2, 3])));
    }
}
