//! A healed cluster has exactly one master of each group within a bound, and keeps it. Where groups have places (R15), masters may still move to what is
//! preferred, and come to rest.

use std::collections::BTreeMap;

use koi_core::group::GroupName;
use koi_core::placing::Preference;

use crate::invariants::{changes, rosters};
use crate::world::{MS, World};

/// Within which all is well: a failed node tries again after 10 s, a hook may hang for 20 s, one after the other.
const BOUND: u64 = 100_000 * MS;
/// Within which services are told of a change.
const TOLD: u64 = 3000 * MS;
/// For so long nothing moves afterwards: longer than a failed node waits before it tries again. That costs as much as the faults before it, so
/// most seeds look for a shorter time.
const CALM: u64 = 15_000 * MS;
const SHORT_CALM: u64 = 3000 * MS;

type Masters = BTreeMap<GroupName, Vec<usize>>;

/// Lets time pass; what was wrong. `long`: in calm too.
pub fn check(world: &mut World, long: bool) -> Option<String> {
    // A status that hangs has not told yet what was mended meanwhile.
    let hanging = world.running_hooks();
    let over = |w: &World| w.running_hooks().iter().all(|hook| !hanging.contains(hook));
    let placed = world.machines.iter().any(|m| !m.settings.placement.is_empty());
    // A master may move to what is preferred when the failures there are forgotten, and then all has to come to rest once more.
    let bound = if placed { 2 * BOUND } else { BOUND };
    if !world.run_until(bound, |w| w.is_well() && over(w)) {
        return Some(format!(
            "{} s after healing the masters are {:?}; {}",
            bound / MS / 1000,
            world.all_masters(),
            world.diagnosis()
        ));
    }
    // Each move goes up in some group's preferences, of which there are three above 0.
    let mut moves = if placed { 2 * world.groups().len() } else { 0 };
    loop {
        let before = world.all_masters();
        world.run_for(if long { CALM } else { SHORT_CALM });
        // What moves when the calm ends is waited for.
        if placed && !world.run_until(bound, World::is_well) {
            return Some(format!("in calm all was well no more: {}", world.diagnosis()));
        }
        let after = world.all_masters();
        if after == before {
            let wrong = astray(world, &after).or_else(|| rosters::wrong(world));
            // What has changed just now is told in a moment.
            world.run_until(TOLD, |w| changes::untold(w).is_none());
            return wrong.or_else(|| changes::untold(world));
        }
        if moves == 0 || !only_upwards(world, &before, &after) {
            return Some(format!("in calm the master moved from {before:?} to {after:?}"));
        }
        moves -= 1;
    }
}

/// Every group that has moved by itself has gone to where it is preferred.
fn only_upwards(world: &World, before: &Masters, after: &Masters) -> bool {
    let gone_up = |(group, now): (&GroupName, &Vec<usize>)| {
        let then = &before[group];
        let up = || preference(world, group, now) > preference(world, group, then);
        now == then || partner(world, group).is_some() || up()
    };
    after.iter().all(gone_up)
}

/// A master that is where it must not be.
fn astray(world: &World, masters: &Masters) -> Option<String> {
    let wrong = |(group, at): (&GroupName, &Vec<usize>)| {
        let never = preference(world, group, at).is_some_and(Preference::is_never);
        let parted = partner(world, group).is_some_and(|with| masters.get(&with) != Some(at));
        (never || parted).then(|| format!("in calm {group} is astray: {masters:?}"))
    };
    masters.iter().find_map(wrong)
}

fn preference(world: &World, group: &GroupName, at: &[usize]) -> Option<Preference> {
    let placement = world.machines[*at.first()?].settings.placement.get(group);
    Some(placement.map(|placement| placement.preference).unwrap_or_default())
}

fn partner(world: &World, group: &GroupName) -> Option<GroupName> {
    world.machines.iter().find_map(|m| m.settings.placement.get(group)?.policy.together_with.clone())
}
