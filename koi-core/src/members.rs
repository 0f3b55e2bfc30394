//! Whose voice counts, and how many of them make a quorum (R13).

use std::collections::{BTreeMap, BTreeSet};

use crate::record::Record;
use crate::settings::Settings;
use crate::types::{NodeId, Time, Version};

/// What makes a quorum of electors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// Quorum is off: a leader needs nobody.
    Off,
    /// The record has no members yet: so many of the electors that the configuration admits.
    Configured(usize),
    /// A majority of each of these sets: the members, and while a change stands those after it too.
    Majorities(Vec<BTreeSet<NodeId>>),
    /// A cluster is being founded: every one of these.
    Every(BTreeSet<NodeId>),
}

impl Quorum {
    /// What `record` demands. Its membership is in force before it counts.
    pub(crate) fn of(record: &Record, settings: &Settings) -> Quorum {
        if settings.quorum == 0 {
            Quorum::Off
        } else if record.members.is_empty() || broken!(MembersIgnored) {
            Quorum::Configured(settings.votes_needed())
        } else if record.version == Version::default() && !broken!(FoundingByMajority) {
            Quorum::Every(record.members.clone())
        } else {
            let before =
                Some(record.members.clone()).filter(|_| record.change.is_none() || !broken!(ChangeNotJoint));
            let after = record.change.map(|_| record.members_after());
            Quorum::Majorities([before, after].into_iter().flatten().collect())
        }
    }

    /// Whether these electors are a quorum. Whoever is no member is not counted.
    pub(crate) fn is_met_by(&self, voices: &BTreeSet<NodeId>) -> bool {
        let majority = |set: &BTreeSet<NodeId>| set.intersection(voices).count() > set.len() / 2;
        match self {
            Quorum::Off => true,
            Quorum::Configured(needed) => voices.len() >= *needed,
            Quorum::Majorities(sets) => sets.iter().all(majority),
            Quorum::Every(set) => set.is_subset(voices),
        }
    }

    /// The newest instant since which a quorum has spoken; `own`: this node, which hears itself always.
    pub(crate) fn since(&self, voices: &BTreeMap<NodeId, Time>, own: (NodeId, Time)) -> Option<Time> {
        if *self == Quorum::Off {
            return Some(own.1);
        }
        let mut instants: Vec<Time> = voices.values().copied().chain([own.1]).collect();
        instants.sort_unstable_by(|a, b| b.cmp(a));
        instants.dedup();
        instants.into_iter().find(|at| {
            let spoke = voices.iter().filter(|(_, when)| *when >= at).map(|(id, _)| *id);
            let own = (own.1 >= *at).then_some(own.0);
            self.is_met_by(&spoke.chain(own).collect())
        })
    }

    /// How many electors it takes at least.
    pub(crate) fn size(&self) -> usize {
        match self {
            Quorum::Off => 1,
            Quorum::Configured(needed) => *needed,
            Quorum::Majorities(sets) => sets.iter().map(|set| set.len() / 2 + 1).max().unwrap_or(1),
            Quorum::Every(set) => set.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u128]) -> BTreeSet<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    #[test]
    fn while_a_change_stands_both_memberships_must_agree() {
        let joint = Quorum::Majorities(vec![ids(&[1, 2, 3]), ids(&[1, 2, 4])]);
        assert!(joint.is_met_by(&ids(&[1, 2])));
        assert!(!joint.is_met_by(&ids(&[1, 4])), "one of three before");
        assert!(!joint.is_met_by(&ids(&[2, 3])), "one of three after");
        assert!(joint.is_met_by(&ids(&[1, 3, 4])));
    }

    #[test]
    fn nobody_counts_who_is_no_member() {
        let quorum = Quorum::Majorities(vec![ids(&[1, 2, 3])]);
        assert!(!quorum.is_met_by(&ids(&[1, 8, 9])));
        let voices = BTreeMap::from([(NodeId(2), Time(5)), (NodeId(9), Time(8))]);
        assert_eq!(quorum.since(&voices, (NodeId(1), Time(10))), Some(Time(5)));
        assert_eq!(quorum.since(&voices, (NodeId(9), Time(10))), None, "not oneself either");
    }

    #[test]
    fn a_cluster_is_founded_by_all() {
        let founding = Quorum::Every(ids(&[1, 2, 3]));
        assert!(!founding.is_met_by(&ids(&[1, 2])));
        assert!(founding.is_met_by(&ids(&[1, 2, 3])));
    }
}
