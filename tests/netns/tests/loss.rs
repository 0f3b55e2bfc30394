//! Packets get lost: leases are renewed all the same, or the promise is kept at least.

use std::time::Duration;

use koi_netns::{Faults, World};

const WHILE: Duration = Duration::from_secs(20);

/// Loses so much, with leader and master on two nodes; how many promotions that brought about.
fn promotions_at(loss_percent: u8) -> Option<usize> {
    let (world, _) = World::start(3)?;
    world.part();
    let before = world.promotions();
    world.network(&Faults::default().lose_percent(loss_percent));
    world.pass(WHILE);
    let brought_about = world.promotions() - before;
    if brought_about > 0 {
        eprintln!("{loss_percent} % loss, promotions: {brought_about}\n{}", world.cluster.report());
    }
    world.heal();
    world.settle();
    Some(brought_about)
}

#[test]
fn five_percent_loss_changes_nothing() {
    let Some(promotions) = promotions_at(5) else { return };
    assert_eq!(promotions, 0, "false failover");
}

#[test]
fn twenty_percent_loss_changes_nothing() {
    let Some(promotions) = promotions_at(20) else { return };
    assert_eq!(promotions, 0, "false failover");
}

#[test]
fn half_of_all_packets_lost_never_makes_two_masters() {
    let Some(promotions) = promotions_at(50) else { return };
    eprintln!("50 % loss for {} s: {promotions} failovers", WHILE.as_secs());
}
