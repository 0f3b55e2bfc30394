//! What the machines of a world say of the places of their groups (R15).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::placing::{GroupPlacement, PlacementPolicy, Preference};

use super::{Shape, group_name};
use crate::rng::Rng;

/// What a machine is configured with; nothing in a world where nothing is said of places. `index`: of the machine.
pub(super) fn places(shape: Shape, seed: u64, index: usize) -> BTreeMap<GroupName, GroupPlacement> {
    if !shape.placed {
        return BTreeMap::new();
    }
    // All machines throw the same dice for what they must agree on.
    let mut dice = Rng::new(seed ^ 0x9e37_79b9_7f4a_7c15);
    let [main, first, second] = [GroupName::MAIN, group_name(0), group_name(1)];
    let mut placed = BTreeMap::new();
    for n in 0..=shape.groups.min(2) {
        let patience = dice.pick(&[500, 2000, 5000]);
        let failback = dice.percent(70).then(|| Duration::from_millis(patience));
        let slack = dice.pick(&[0, 10]);
        let (follows, keeps) = (dice.percent(60), dice.percent(60));
        // One founder is never master, where two others can be; who that is differs by group.
        let never = (shape.runners > 2 && dice.percent(50))
            .then(|| dice.between(0, shape.runners as u64 - 1) as usize);
        let preferences: Vec<u64> =
            (0..shape.founders() + shape.spares).map(|_| dice.pick(&[100, 500, 500, 900])).collect();
        let (name, with, apart) = match n {
            0 => (main.clone(), None, (shape.groups > 1 && keeps).then(|| second.clone())),
            1 => (first.clone(), follows.then(|| main.clone()), keeps.then(|| main.clone())),
            _ => (second.clone(), None, keeps.then(|| main.clone())),
        };
        let apart_from: BTreeSet<GroupName> = apart.into_iter().filter(|_| with.is_none()).collect();
        let failback = failback.filter(|_| with.is_none());
        let preference = match never == Some(index) && with.is_none() {
            true => 0,
            false => preferences.get(index).copied().unwrap_or(500),
        };
        let placement = GroupPlacement {
            preference: Preference::new(preference).expect("it is in range"),
            policy: PlacementPolicy::new(apart_from, with, failback, slack),
        };
        placed.insert(name, placement);
    }
    placed
}
