//! Daemons that are killed, hang, stop and come back, with and without their guardians (R8).

use std::time::Duration;

use koi_netns::World;
use nix::sys::signal::Signal;

#[test]
fn a_master_whose_daemon_is_killed_is_taken_down_by_its_guardian() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    world.cluster.node(&master).kill();
    world.wait_taken_over(&master);
    assert!(!world.holders().contains(&master.as_str()), "nothing is promoted where nobody watches");
    world.start_all();
    world.settle();
}

#[test]
fn a_leader_and_master_whose_daemon_is_killed_gives_way() {
    let Some(world) = World::builder(3).start() else { return };
    let master = world.unite();
    world.cluster.node(&master).kill();
    world.wait_taken_over(&master);
    world.start_all();
    world.settle();
}

#[test]
fn a_daemon_that_is_killed_and_starts_at_once_joins_with_nothing_promoted() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    let node = world.cluster.node(&master);
    node.kill();
    node.start();
    world.settle();
}

#[test]
fn a_daemon_that_hangs_is_ended_by_its_guardian() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    let node = world.cluster.node(&master);
    node.signal(Signal::SIGSTOP);
    world.pass(Duration::from_secs(3));
    // It may have ended: then there is nothing to continue.
    if node.is_running() {
        node.signal(Signal::SIGCONT);
    }
    world.wait_taken_over(&master);
    node.wait_end();
    world.start_all();
    world.settle();
}

#[test]
fn a_leader_and_master_that_hangs_is_ended_by_its_guardian() {
    let Some(world) = World::builder(3).start() else { return };
    let master = world.unite();
    let node = world.cluster.node(&master);
    node.signal(Signal::SIGSTOP);
    world.pass(Duration::from_secs(3));
    if node.is_running() {
        node.signal(Signal::SIGCONT);
    }
    world.wait_taken_over(&master);
    node.wait_end();
    world.start_all();
    world.settle();
}

#[test]
fn a_daemon_that_hangs_for_a_moment_goes_on() {
    // A busy machine may make the moment a long one: the lease must be longer still.
    let leases = World::builder(3).set("timing.leader_lease", "\"5s\"");
    let Some(world) = leases.set("timing.master_lease", "\"10s\"").start() else { return };
    let (_, master) = world.part();
    let before = world.promotions();
    let node = world.cluster.node(&master);
    node.halt();
    world.pass(Duration::from_secs(2));
    node.signal(Signal::SIGCONT);
    world.pass(Duration::from_secs(2));
    assert!(node.is_running(), "its lease had not run out");
    assert_eq!((world.settle(), world.promotions()), (master, before));
}

#[test]
fn a_guardian_that_is_killed_is_replaced_and_the_new_one_stands_guard() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    let before = world.promotions();
    let old = world.kill_guardian(&master);
    world.wait_guardian(&master, Some(old));
    world.cluster.wait_log(&master, &["guardian has ended", "starting another"]);
    world.wait_guarded(&master);
    assert_eq!((world.settle(), world.promotions()), (master.clone(), before), "nothing else happened");
    // What the first one knew, the second one knows.
    world.cluster.node(&master).kill();
    world.wait_taken_over(&master);
    assert!(!world.holders().contains(&master.as_str()));
    world.start_all();
    world.settle();
}

/// With daemon and guardian gone nobody takes the service down: it stays up, and the others promote when the lease and the
/// grace are over. The promise needs a fence for that (R7), so two are allowed meanwhile. What R8 says of the next start is
/// asserted.
#[test]
fn with_daemon_and_guardian_killed_the_next_start_takes_down_before_it_joins() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    world.allow_two();
    world.kill_both(&master);
    assert!(world.holders().contains(&master.as_str()), "nobody is left to take it down");
    let next = world.wait_some("another is promoted", |world| {
        let (masterships, seen) = (world.masterships(), world.holders());
        let next = masterships.iter().find(|m| m.node != master && m.until.is_none())?;
        seen.contains(&next.node.as_str()).then(|| next.node.clone())
    });
    let log_before = world.cluster.hooks().count();
    world.cluster.node(&master).start();
    assert_eq!(world.settle(), next);
    let since = world.cluster.hooks().since(log_before);
    let hooks = since.of(&master);
    let down = hooks.iter().position(|h| h == "address:demote" || h == "address:stop");
    let up = hooks.iter().position(|h| h == "address:start");
    assert!(down.is_some() && down < up, "it takes down what it finds before it starts anything: {hooks:?}");
    assert!(!hooks.contains(&"address:promote".to_owned()), "{hooks:?}");
    koi_netns::checker::duals(&world.masterships())
        .iter()
        .for_each(|dual| eprintln!("as expected without a fence, {dual}"));
}

#[test]
fn a_machine_that_loses_its_power_is_replaced_and_comes_back_clean() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    world.kill_everything(&master);
    let next = world.wait_taken_over(&master);
    world.start_all();
    assert_eq!(world.settle(), next);
}

#[test]
fn leader_and_master_on_a_machine_that_loses_its_power() {
    let Some(world) = World::builder(3).start() else { return };
    let master = world.unite();
    world.kill_everything(&master);
    let next = world.wait_taken_over(&master);
    world.start_all();
    assert_eq!(world.settle(), next);
}

#[test]
fn all_machines_lose_their_power_and_come_back() {
    let Some((world, _)) = World::start(3) else { return };
    for node in world.cluster.nodes() {
        world.kill_everything(&node.name);
    }
    world.start_all();
    world.settle();
}

#[test]
fn a_clean_stop_hands_over() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    world.cluster.node(&master).stop();
    world.wait_taken_over(&master);
    world.wait_some("the guardian leaves with its daemon", |world| {
        world.guardians(&master).is_empty().then_some(())
    });
    world.start_all();
    world.settle();
}

#[test]
fn a_slow_demote_by_order_is_waited_for() {
    let Some((world, _)) = World::start(3) else { return };
    let (_, master) = world.part();
    // Longer than lease and grace together: nobody else may be promoted while it runs.
    world.tell_service(&master, "demote-takes", "4");
    world.cluster.node(&master).stop();
    world.wait_taken_over(&master);
    world.tell_service(&master, "demote-takes", "");
    world.start_all();
    world.settle();
}

#[test]
fn a_rolling_restart_leaves_one_master_throughout() {
    let Some((world, master)) = World::start(3) else { return };
    let before = world.promotions();
    let others: Vec<&str> = world.cluster.others(&master).map(|n| n.name.as_str()).collect();
    for name in &others {
        world.cluster.node(name).stop();
        world.cluster.node(name).start();
        assert_eq!(world.settle(), master, "the others' restarts leave the master alone");
    }
    assert_eq!(world.promotions(), before);
    world.cluster.node(&master).stop();
    world.wait_taken_over(&master);
    world.cluster.node(&master).start();
    world.settle();
    assert_eq!(world.promotions(), before + 1, "one hand-over, when the master itself was restarted");
}

#[test]
fn no_hook_outlives_a_killed_daemon() {
    let Some((world, _)) = World::start(3) else { return };
    let (leader, _) = world.part();
    let slow = "30.5"; // a command line that nothing else has
    world.tell_service(&leader, "promote-takes", slow);
    world.wait_some("the slow promote runs", |world| {
        world.cluster.any().koi(&["promote", &leader, "-t", "2s"]);
        world.runs(&leader, slow).then_some(())
    });
    world.cluster.node(&leader).kill();
    world.wait_some("the promote hook is gone", |world| (!world.runs(&leader, slow)).then_some(()));
    world.wait_taken_over(&leader);
    world.tell_service(&leader, "promote-takes", "");
    world.start_all();
    world.settle();
}
