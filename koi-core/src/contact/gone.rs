//! What is known of a run that is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::group::GroupName;
use crate::message::{Farewell, Obituary};
use crate::types::Epoch;

/// A run that is over, by its own word, its guardian's, or that of the run after it on the same machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// What it said when it left in order; none: it said nothing.
    farewell: Option<Released>,
    /// Nothing is promoted there any more, of any group.
    all_down: bool,
    /// Of these groups nothing is promoted there any more.
    down: BTreeSet<GroupName>,
}

/// Up to which epoch a run that left holds nothing, by group. Of a group that is not in it something may be promoted.
type Released = BTreeMap<GroupName, Epoch>;

impl Gone {
    /// What is known after `later` was heard too: datagrams come in any order, and the end of a run is final.
    pub(crate) fn and(mut self, later: Gone) -> Gone {
        self.all_down |= later.all_down;
        self.down.extend(later.down);
        let Some(released) = later.farewell else { return self };
        let known = self.farewell.get_or_insert_default();
        for (group, epoch) in released {
            let newest = known.entry(group).or_insert(epoch);
            *newest = (*newest).max(epoch);
        }
        self
    }

    /// It left in order.
    pub(crate) fn said_farewell(&self) -> bool {
        self.farewell.is_some()
    }

    /// It left in order, and holds nothing of `main` any more.
    pub(crate) fn left_clean(&self) -> bool {
        self.farewell.as_ref().is_some_and(|released| released.contains_key(&GroupName::MAIN))
    }

    /// It holds nothing of this mastership any more.
    pub(crate) fn has_released(&self, group: &GroupName, epoch: Epoch) -> bool {
        let any = mutant!(FarewellOfAnyGroup);
        let mut left = self.farewell.iter().flatten().filter(|(of, _)| any || *of == group);
        self.is_down(group) || left.any(|(_, released)| *released >= epoch)
    }

    /// It left, and could not take everything of this group down (R7).
    pub(crate) fn left_unclean(&self, group: &GroupName) -> bool {
        let says_not = |released: &Released| !released.contains_key(group);
        !self.is_down(group) && self.farewell.as_ref().is_some_and(says_not)
    }

    fn is_down(&self, group: &GroupName) -> bool {
        let named = self.down.contains(group) || (mutant!(ObituaryOfAnyGroup) && !self.down.is_empty());
        self.all_down || named
    }
}

impl From<&Obituary> for Gone {
    fn from(obituary: &Obituary) -> Gone {
        Gone { farewell: None, all_down: obituary.all_down, down: obituary.down.clone() }
    }
}

impl From<&Farewell> for Gone {
    fn from(farewell: &Farewell) -> Gone {
        let main = farewell.released.map(|epoch| (GroupName::MAIN, epoch));
        let others = farewell.others.iter().map(|(group, epoch)| (group.clone(), *epoch));
        Gone { farewell: Some(others.chain(main).collect()), ..Gone::default() }
    }
}
