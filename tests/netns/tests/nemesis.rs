//! Random faults for a given time: `KOI_NEMESIS_SECONDS` (180), `KOI_NEMESIS_SEED` (drawn, and printed), `KOI_NEMESIS_NODES` (3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use koi_netns::{World, nemesis};

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text:?}: {error}")))
}

#[test]
fn whatever_happens_never_two_are_promoted_and_in_the_end_one_is() {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::from(d.subsec_nanos()));
    let seed = from_environment("KOI_NEMESIS_SEED").unwrap_or_else(drawn);
    let seconds = from_environment("KOI_NEMESIS_SECONDS").unwrap_or(180);
    let nodes = from_environment("KOI_NEMESIS_NODES").unwrap_or(3);
    let nodes = usize::try_from(nodes).expect("a small number");
    // Shown when the test fails; the seed brings the same faults, not the same instants.
    println!("KOI_NEMESIS_SEED={seed} KOI_NEMESIS_SECONDS={seconds} KOI_NEMESIS_NODES={nodes}");
    let Some((world, _)) = World::start(nodes) else { return };
    nemesis::run(&world, seed, Duration::from_secs(seconds));
}
