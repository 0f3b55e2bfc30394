//! Where the masters of groups are wanted (R15): what a node says of itself, what a group says of its place, and what of that contradicts itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::group::GroupName;
use crate::types::{micros, sparse};

/// How gladly a node is made master of a group: 0 to [`Preference::MOST`]; the higher, the sooner. 0: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Preference(u16);

/// A preference is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a preference is 0 (never master here) to {most}, and not {given}", most = Preference::MOST)]
pub struct PreferenceOutOfRange {
    /// What was given.
    pub given: u64,
}

impl Preference {
    /// The greatest number that a preference can be.
    pub const MOST: u16 = 1000;
    /// The node is never made master of the group.
    pub const NEVER: Preference = Preference(0);

    /// Refuses numbers above [`Preference::MOST`].
    pub fn new(number: u64) -> Result<Preference, PreferenceOutOfRange> {
        match u16::try_from(number) {
            Ok(n) if n <= Preference::MOST => Ok(Preference(n)),
            Ok(_) | Err(_) => Err(PreferenceOutOfRange { given: number }),
        }
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// Whether the node is never made master of the group.
    pub fn is_never(self) -> bool {
        self == Preference::NEVER
    }
}

/// That of a node that says nothing: in the middle, so that others can be preferred to it, and it to others.
impl Default for Preference {
    fn default() -> Preference {
        Preference(500)
    }
}

impl<C> Encode<C> for Preference {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u16(self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Preference {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Preference::new(d.u64()?).map_err(|_| minicbor::decode::Error::message("not a preference"))
    }
}

/// What a node is configured with about the place of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GroupPlacement {
    /// `preference`: of this node.
    #[n(0)]
    #[cbor(default, with = "sparse", has_nil)]
    pub preference: Preference,
    /// The rest: of the group. It holds while all nodes that run the group agree on it.
    #[n(1)]
    #[cbor(default, with = "sparse", has_nil)]
    pub policy: PlacementPolicy,
}

/// What is wanted of a group's place. All nodes that run the group must agree on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PlacementPolicy {
    /// `apart_from`: its master is not where a master of these is, if another node can be master.
    #[n(0)]
    #[cbor(default, with = "sparse", has_nil)]
    pub apart_from: BTreeSet<GroupName>,
    /// `together_with`: its master is where this group's is, and nowhere else.
    #[n(1)]
    pub together_with: Option<GroupName>,
    /// `failback` in µs.
    #[n(2)]
    failback_us: Option<u64>,
    /// `score_slack`: scores that differ by no more count as equal.
    #[n(3)]
    #[cbor(default, with = "sparse", has_nil)]
    pub score_slack: u64,
}

impl PlacementPolicy {
    /// `failback`: none is `"off"`.
    pub fn new(
        apart_from: BTreeSet<GroupName>,
        together_with: Option<GroupName>,
        failback: Option<Duration>,
        score_slack: u64,
    ) -> PlacementPolicy {
        PlacementPolicy { apart_from, together_with, failback_us: failback.map(micros), score_slack }
    }

    /// For how long a node of higher preference has been ready before the master moves there; none: it does not move for that.
    pub fn failback(&self) -> Option<Duration> {
        self.failback_us.map(Duration::from_micros)
    }

    /// The keys in which the two differ.
    pub fn differing(&self, other: &PlacementPolicy) -> Vec<&'static str> {
        [
            (self.apart_from != other.apart_from, "apart_from"),
            (self.together_with != other.together_with, "together_with"),
            (self.failback_us != other.failback_us, "failback"),
            (self.score_slack != other.score_slack, "score_slack"),
        ]
        .into_iter()
        .filter_map(|(differs, key)| differs.then_some(key))
        .collect()
    }
}

/// What a set of groups says of their places contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// A group goes together with itself.
    #[error("group {group} goes together with itself: name another group, or leave together_with out")]
    TogetherWithItself {
        /// The group.
        group: GroupName,
    },
    /// A group is to be apart from itself.
    #[error("group {group} is to be apart from itself: leave it out of its apart_from")]
    ApartFromItself {
        /// The group.
        group: GroupName,
    },
    /// Groups go together with one another in a circle: none of them would ever come first.
    #[error(
        "groups go together in a circle: {}; one of them must come first, and has no together_with",
        names(circle)
    )]
    Circle {
        /// The group whose `together_with` closes the circle.
        group: GroupName,
        /// All of them, in order.
        circle: Vec<GroupName>,
    },
    /// A group is to be apart from one that is always where it is.
    #[error("group {group} is apart from {other}, and goes together with it: leave one of the two out")]
    TogetherAndApart {
        /// The group whose `apart_from` it is.
        group: GroupName,
        /// The other.
        other: GroupName,
    },
    /// A group goes together with one, and is to move by itself.
    #[error(
        "group {group} goes together with {with} and moves after it: leave failback out, and say it of group {with}"
    )]
    FailbackOfFollower {
        /// The group.
        group: GroupName,
        /// The group that it goes together with.
        with: GroupName,
    },
}

impl PlacementError {
    /// The group, and the key of its table, that the configuration can show.
    pub fn at(&self) -> (&GroupName, &'static str) {
        match self {
            PlacementError::TogetherWithItself { group } | PlacementError::Circle { group, .. } => {
                (group, "together_with")
            }
            PlacementError::ApartFromItself { group } | PlacementError::TogetherAndApart { group, .. } => {
                (group, "apart_from")
            }
            PlacementError::FailbackOfFollower { group, .. } => (group, "failback"),
        }
    }
}

fn names(groups: &[GroupName]) -> String {
    groups.iter().map(GroupName::as_str).collect::<Vec<_>>().join(", ")
}

/// Refuses what contradicts itself. A group that is not in `all` says nothing of its place.
pub fn check_placements(all: &BTreeMap<GroupName, GroupPlacement>) -> Result<(), PlacementError> {
    let with = |group: &GroupName| all.get(group).and_then(|p| p.policy.together_with.as_ref());
    for (group, placement) in all {
        let policy = &placement.policy;
        if policy.together_with.as_ref() == Some(group) {
            return Err(PlacementError::TogetherWithItself { group: group.clone() });
        }
        if policy.apart_from.contains(group) {
            return Err(PlacementError::ApartFromItself { group: group.clone() });
        }
        let first = first_of(group, with).map_err(|circle| {
            let group = group.clone();
            PlacementError::Circle { group, circle: circle.into_iter().cloned().collect() }
        })?;
        let mut apart = policy.apart_from.iter();
        if let Some(other) = apart.find(|other| first_of(other, with).is_ok_and(|theirs| theirs == first)) {
            return Err(PlacementError::TogetherAndApart { group: group.clone(), other: other.clone() });
        }
        if let (Some(with), Some(_)) = (&policy.together_with, policy.failback()) {
            return Err(PlacementError::FailbackOfFollower { group: group.clone(), with: with.clone() });
        }
    }
    Ok(())
}

/// The group that leads those with which `group` goes together, itself if it follows none; a circle has none.
pub(crate) fn first_of<'g>(
    group: &'g GroupName,
    with: impl Fn(&'g GroupName) -> Option<&'g GroupName>,
) -> Result<&'g GroupName, Vec<&'g GroupName>> {
    let mut line = vec![group];
    while let Some(next) = line.last().copied().and_then(&with) {
        if line.contains(&next) {
            return Err(line);
        }
        line.push(next);
    }
    Ok(line.last().copied().unwrap_or(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupName {
        name.parse().expect("it is a name")
    }

    fn set(groups: &[(&str, Option<&str>, &[&str])]) -> BTreeMap<GroupName, GroupPlacement> {
        let placed = |(name, with, apart): &(&str, Option<&str>, &[&str])| {
            let apart = apart.iter().map(|name| group(name)).collect();
            let policy = PlacementPolicy::new(apart, with.map(group), None, 0);
            (group(name), GroupPlacement { policy, ..GroupPlacement::default() })
        };
        groups.iter().map(placed).collect()
    }

    #[test]
    fn a_preference_has_a_range_and_a_middle() {
        assert_eq!(Preference::new(1000).map(Preference::get), Ok(1000));
        assert_eq!(Preference::new(1001), Err(PreferenceOutOfRange { given: 1001 }));
        assert_eq!(Preference::default().get(), 500);
        assert!(Preference::new(0).is_ok_and(Preference::is_never));
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_place() {
        let wrong = |groups: &[(&str, Option<&str>, &[&str])]| {
            let error = check_placements(&set(groups)).expect_err("it contradicts itself");
            let (group, key) = error.at();
            format!("{group}.{key}: {error}")
        };
        assert_eq!(
            wrong(&[("web", Some("web"), &[])]),
            "web.together_with: group web goes together with itself: name another group, or leave together_with out"
        );
        assert_eq!(
            wrong(&[("web", None, &["web"])]),
            "web.apart_from: group web is to be apart from itself: leave it out of its apart_from"
        );
        assert_eq!(
            wrong(&[("a", Some("b"), &[]), ("b", Some("c"), &[]), ("c", Some("a"), &[])]),
            "a.together_with: groups go together in a circle: a, b, c; one of them must come first, and has no together_with"
        );
        assert_eq!(
            wrong(&[("a", Some("main"), &["b"]), ("b", Some("main"), &[])]),
            "a.apart_from: group a is apart from b, and goes together with it: leave one of the two out"
        );
        let policy =
            PlacementPolicy::new(BTreeSet::new(), Some(GroupName::MAIN), Some(Duration::from_secs(1)), 0);
        let follower = BTreeMap::from([(group("web"), GroupPlacement { policy, ..Default::default() })]);
        let error = check_placements(&follower).expect_err("it moves after another");
        assert_eq!(error.at(), (&group("web"), "failback"));
    }

    #[test]
    fn what_can_be_kept_is_taken() {
        let groups = set(&[
            ("main", None, &["c"]),
            ("a", Some("main"), &["c"]),
            ("b", Some("a"), &["c"]),
            ("c", None, &["main"]),
        ]);
        assert_eq!(check_placements(&groups), Ok(()));
    }

    #[test]
    fn what_says_nothing_takes_no_room() {
        let nothing = minicbor::to_vec(GroupPlacement::default()).expect("it is written");
        assert_eq!(nothing, [0x80]);
        let policy = PlacementPolicy::new(
            [group("a")].into(),
            Some(GroupName::MAIN),
            Some(Duration::from_secs(600)),
            7,
        );
        let said = GroupPlacement { preference: Preference::NEVER, policy };
        let bytes = minicbor::to_vec(&said).expect("it is written");
        assert_eq!(minicbor::decode::<GroupPlacement>(&bytes).expect("it is read"), said);
        assert!(minicbor::decode::<GroupPlacement>(&[0x81, 0x19, 0x03, 0xe9]).is_err(), "1001 is none");
    }
}
