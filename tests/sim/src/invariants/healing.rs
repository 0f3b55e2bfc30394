//! A healed cluster has exactly one master within a bound, and keeps it.

use crate::world::{MS, World};

/// Within which all is well: a failed node tries again after 10 s, a hook may hang for 20 s, one after the other.
const BOUND: u64 = 100_000 * MS;
/// For so long nothing moves afterwards: longer than a failed node waits before it tries again. That costs as much as the faults before it, so
/// most seeds look for a shorter time.
const CALM: u64 = 15_000 * MS;
const SHORT_CALM: u64 = 3000 * MS;

/// Lets time pass; what was wrong. `long`: in calm too.
pub fn check(world: &mut World, long: bool) -> Option<String> {
    // A status that hangs has not told yet what was mended meanwhile.
    let hanging = world.running_hooks();
    let over = |w: &World| w.running_hooks().iter().all(|hook| !hanging.contains(hook));
    if !world.run_until(BOUND, |w| w.is_well() && over(w)) {
        return Some(format!(
            "{} s after healing the masters are {:?}; {}",
            BOUND / MS / 1000,
            world.all_masters(),
            world.diagnosis()
        ));
    }
    let before = world.all_masters();
    world.run_for(if long { CALM } else { SHORT_CALM });
    (world.all_masters() != before)
        .then(|| format!("in calm the master moved from {before:?} to {:?}", world.all_masters()))
}
