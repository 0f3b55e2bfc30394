//! Random faults for a given time: `KOI_NEMESIS_SECONDS` (180), `KOI_NEMESIS_SEED` (drawn, and printed), `KOI_NEMESIS_NODES` (3).

use std::time::Duration;

use koi_netns::{World, nemesis};

#[test]
fn whatever_happens_never_two_are_promoted_and_in_the_end_one_is() {
    let (seed, seconds) = (nemesis::seed(), nemesis::seconds(180));
    let nodes = nemesis::from_environment("KOI_NEMESIS_NODES").unwrap_or(3);
    let nodes = usize::try_from(nodes).expect("a small number");
    // Shown when the test fails; the seed brings the same faults, not the same instants.
    println!("KOI_NEMESIS_SEED={seed} KOI_NEMESIS_SECONDS={seconds} KOI_NEMESIS_NODES={nodes}");
    let Some(world) = World::builder(nodes).with_web().start() else { return };
    world.settle();
    nemesis::run(&world, seed, Duration::from_secs(seconds));
}
