//! Who else runs the groups of this node, by its leader's word.

use std::collections::BTreeMap;

use crate::group::GroupName;
use crate::limits;
use crate::roster::{RosterEntry, RosterPart};

/// The newest picture that came whole, and the one that is coming.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownRosters {
    picture: u32,
    groups: BTreeMap<GroupName, Vec<RosterEntry>>,
    coming: Option<Coming>,
}

#[derive(Clone, Debug)]
struct Coming {
    picture: u32,
    parts: BTreeMap<u16, RosterPart>,
}

impl KnownRosters {
    /// Which picture it is; 0: none has come.
    pub(crate) fn picture(&self) -> u32 {
        self.picture
    }

    /// The nodes of a group; none: nothing has been said of it.
    pub(crate) fn of(&self, group: &GroupName) -> Option<&[RosterEntry]> {
        self.groups.get(group).map(Vec::as_slice)
    }

    /// A part of a picture has come. It takes effect with the last one; a later picture takes the place of one that is not whole.
    pub(crate) fn take(&mut self, part: RosterPart) {
        let parts = usize::from(part.parts);
        if part.picture == self.picture || part.part >= part.parts || parts > limits::GROUPS {
            return;
        }
        let mut coming = match self.coming.take() {
            Some(coming) if coming.picture == part.picture => coming,
            Some(_) | None => Coming { picture: part.picture, parts: BTreeMap::new() },
        };
        coming.parts.insert(part.part, part);
        if coming.parts.len() < parts {
            self.coming = Some(coming);
            return;
        }
        self.picture = coming.picture;
        self.groups.clear();
        for part in coming.parts.into_values() {
            self.groups.insert(part.group, part.nodes);
        }
    }

    /// How much is kept of what is coming.
    pub(crate) fn backlog(&self) -> usize {
        self.coming.as_ref().map_or(0, |coming| coming.parts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{NodeId, NodeState, Term};

    fn part(picture: u32, part: u16, parts: u16, group: &str, node: u128) -> RosterPart {
        let entry = RosterEntry {
            node: NodeId(node),
            name: format!("n{node}"),
            state: NodeState::Standby,
            promotable: true,
            score: None,
            address: None,
        };
        let group = group.parse().expect("it is a name");
        RosterPart { term: Term(1), picture, part, parts, group, nodes: vec![entry] }
    }

    fn names(known: &KnownRosters, group: &str) -> Vec<String> {
        let group = group.parse().expect("it is a name");
        known.of(&group).unwrap_or_default().iter().map(|entry| entry.name.clone()).collect()
    }

    #[test]
    fn a_picture_takes_effect_when_it_is_whole_whatever_the_order_of_its_parts() {
        let mut known = KnownRosters::default();
        known.take(part(7, 1, 2, "web", 3));
        known.take(part(7, 1, 2, "web", 3));
        assert_eq!((known.picture(), known.of(&GroupName::MAIN)), (0, None));
        known.take(part(7, 0, 2, "main", 1));
        assert_eq!(known.picture(), 7);
        assert_eq!((names(&known, "main"), names(&known, "web")), (vec!["n1".into()], vec!["n3".into()]));
        assert_eq!(known.backlog(), 0);
    }

    #[test]
    fn a_newer_picture_takes_the_place_of_one_that_never_came_whole() {
        let mut known = KnownRosters::default();
        known.take(part(7, 0, 2, "main", 1));
        known.take(part(8, 0, 1, "main", 2));
        assert_eq!((known.picture(), names(&known, "main")), (8, vec!["n2".to_owned()]));
        known.take(part(7, 1, 2, "main", 3));
        assert_eq!((known.picture(), names(&known, "main")), (8, vec!["n2".to_owned()]));
    }

    #[test]
    fn parts_that_no_leader_makes_are_not_kept() {
        let mut known = KnownRosters::default();
        known.take(part(7, 2, 2, "main", 1));
        known.take(part(7, 0, u16::MAX, "main", 1));
        known.take(part(0, 0, 1, "main", 1));
        assert_eq!((known.picture(), known.backlog()), (0, 0));
    }
}
