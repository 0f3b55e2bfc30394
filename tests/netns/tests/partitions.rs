//! Nodes that cannot reach each other: whoever is promoted, it is never two.

use std::time::Duration;

use koi_netns::{Faults, World};

/// The master, on the leader's node or on another.
fn master(world: &World, leads: bool) -> String {
    if leads { world.unite() } else { world.part().1 }
}

#[test]
fn a_master_that_is_cut_off_gives_way_and_does_not_come_back() {
    let Some((world, _)) = World::start(3) else { return };
    let (leader, master) = world.part();
    world.cut_off(&[&master]);
    let next = world.wait_taken_over(&master);
    world.wait_some("the leader, which was not concerned, leads", |world| {
        (world.cluster.leader()? == leader).then_some(())
    });
    world.heal();
    assert_eq!(world.settle(), next, "a node that comes back displaces nobody");
}

#[test]
fn a_node_that_is_leader_and_master_gives_way_when_it_is_cut_off() {
    let Some(world) = World::builder(3).start() else { return };
    let master = world.unite();
    world.cut_off(&[&master]);
    let next = world.wait_taken_over(&master);
    world.heal();
    assert_eq!(world.settle(), next, "a node that comes back displaces nobody");
}

#[test]
fn leader_and_master_are_cut_off_together_and_three_of_five_go_on() {
    let Some((world, _)) = World::start(5) else { return };
    let (leader, master) = world.part();
    world.cut_off(&[&leader, &master]);
    let next = world.wait_taken_over(&master);
    assert_ne!(next, leader, "two of five are no majority");
    world.heal();
    assert_eq!(world.settle(), next, "a node that comes back displaces nobody");
}

#[test]
fn without_a_majority_nobody_is_promoted() {
    let Some((world, _)) = World::start(3) else { return };
    world.network(&Faults::default().cut_pair(0, 1).cut_pair(1, 2).cut_pair(0, 2));
    world.wait_some("nobody is promoted", |world| {
        let all_over = world.masterships().iter().all(|m| m.until.is_some());
        (all_over && world.holders().is_empty()).then_some(())
    });
    let before = world.promotions();
    world.pass(Duration::from_secs(5));
    assert_eq!(world.promotions(), before, "one of three is no majority");
    world.heal();
    world.settle();
}

#[test]
fn a_master_that_hears_nobody_or_that_nobody_hears_gives_way() {
    let Some((world, _)) = World::start(3) else { return };
    for one_way in [Faults::deaf, Faults::mute] {
        for leads in [false, true] {
            let master = master(&world, leads);
            world.network(&one_way(Faults::default(), world.number(&master), 3));
            world.wait_taken_over(&master);
            world.heal();
            world.settle();
        }
    }
}

#[test]
fn a_standby_that_hears_nobody_is_named_and_is_no_standby() {
    let Some((world, _)) = World::start(3) else { return };
    let (leader, master) = world.part();
    let deaf = world.cluster.others(&master).map(|n| n.name.clone()).find(|n| *n != leader).unwrap();
    world.network(&Faults::default().deaf(world.number(&deaf), 3));
    world.wait_some("it is said to hear nobody", |world| {
        let status = world.cluster.node(&leader).status().ok()?;
        let node = status.nodes.iter().find(|n| n.name == deaf)?;
        let said = status.cluster.warnings.iter().any(|w| w.contains("hears nobody"));
        (said && node.deaf && node.state == "Disconnected" && !status.cluster.healthy).then_some(())
    });
    assert_eq!(world.holders(), [master.as_str()]);
    world.heal();
    world.settle();
}

#[test]
fn a_leader_cut_off_from_half_of_the_others_goes_on_with_the_rest() {
    let Some((world, _)) = World::start(5) else { return };
    let (leader, master) = world.part();
    let others: Vec<&str> = world
        .cluster
        .nodes()
        .iter()
        .map(|n| n.name.as_str())
        .filter(|n| *n != leader && *n != master)
        .collect();
    let leads = world.number(&leader);
    let before = world.promotions();
    // Leader, master and one more are three of five; the two others hear them all but the leader.
    let half =
        others[..2].iter().fold(Faults::default(), |faults, n| faults.cut_pair(leads, world.number(n)));
    world.network(&half);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.promotions(), before, "a healthy master was touched\n{}", world.cluster.report());
    assert_eq!(world.holders(), [master.as_str()]);
    world.heal();
    assert_eq!(world.settle(), master);
}

#[test]
fn a_leader_that_the_master_alone_cannot_reach() {
    let Some((world, _)) = World::start(3) else { return };
    let (leader, master) = world.part();
    world.network(&Faults::default().cut_pair(world.number(&leader), world.number(&master)));
    // The master gives way, or another leader comes; in either case one is promoted in the end.
    world.pass(Duration::from_secs(8));
    world.wait_some("exactly one is promoted", |world| (world.holders().len() == 1).then_some(()));
    world.heal();
    world.settle();
}

#[test]
fn a_flapping_link_leaves_one_master() {
    // Off for shorter and longer than the leases last, and on for so long in between.
    const OFF_MS: [&[u64]; 2] = [
        &[150, 400, 700, 1000, 1300, 1600, 2000, 2400, 300, 900],
        &[200, 600, 1100, 1700, 2300, 500, 900, 1900],
    ];
    const ON_MS: [u64; 2] = [300, 250];
    let Some((world, _)) = World::start(3) else { return };
    for (leads, (off_ms, on_ms)) in [false, true].into_iter().zip(OFF_MS.into_iter().zip(ON_MS)) {
        let master = master(&world, leads);
        for off_ms in off_ms {
            world.cut_off(&[&master]);
            world.pass(Duration::from_millis(*off_ms));
            world.heal();
            world.pass(Duration::from_millis(on_ms));
        }
        world.settle();
    }
}
