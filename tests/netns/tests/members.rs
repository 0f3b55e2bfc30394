//! Electors that come and go while everything fails, machines that are replaced, and copies of machines.
//! `KOI_NEMESIS_SECONDS` (20), `KOI_NEMESIS_SEED` (drawn, and printed).

use std::time::Duration;

use koi_cluster_tests::Node;
use koi_netns::{World, nemesis};

/// One change after the other, from three electors to five and back, again and again.
const CHANGES: [([&str; 2], [bool; 2]); 4] = [
    (["add", "d"], [true, false]),
    (["add", "e"], [true, true]),
    (["remove", "e"], [true, false]),
    (["remove", "d"], [false, false]),
];

/// Who votes, if all who answer know the same.
fn electors(world: &World) -> Option<Vec<String>> {
    let running = world.cluster.nodes().iter().filter(|node| node.is_running());
    let mut known = running.map(|node| node.electors("member")).filter(|all| !all.is_empty());
    let first = known.next()?;
    known.all(|other| other == first).then_some(first)
}

/// What is still to be done.
struct Operator {
    next: usize,
}

impl Operator {
    /// Says the next change to some node. Whether it is done, by its answer or by what all know: an answer may have been lost.
    fn works(&mut self, world: &World) -> bool {
        let ([change, name], there) = CHANGES[self.next % CHANGES.len()];
        let Some(node) = world.cluster.nodes().iter().find(|node| node.is_running()) else { return false };
        let said = node.koi(&["-t", "2s", "electors", change, name]);
        let members = electors(world);
        let all = members
            .as_ref()
            .is_some_and(|members| ["d", "e"].map(|name| members.iter().any(|m| m == name)) == there);
        let done = said.code == 0 || all;
        println!("           koi electors {change} {name}: {}; the electors are {members:?}", said.code);
        self.next += usize::from(done);
        done
    }
}

#[test]
fn electors_come_and_go_under_the_nemesis_and_never_two_are_promoted() {
    let (seed, seconds) = (nemesis::seed(), nemesis::seconds(20));
    println!("KOI_NEMESIS_SEED={seed} KOI_NEMESIS_SECONDS={seconds}");
    let Some(world) = World::builder(5).founders(3).start() else { return };
    world.settle();
    ["d", "e"].iter().for_each(|name| world.cluster.node(name).start());
    let mut operator = Operator { next: 0 };
    // Some faults leave no quorum for long: then others follow, so that something changes among them.
    for round in 0..4 {
        if round == 0 || operator.next < 2 {
            let duration = Duration::from_secs(seconds);
            nemesis::strike(&world, seed.wrapping_add(round), duration, |world| _ = operator.works(world));
        }
    }
    println!("{} changes were made among faults", operator.next);
    nemesis::mend(&world);
    // All five once more, whatever was reached, and back to three. At least one change is made now: the last one among the
    // faults may have been given up by whoever asked, and have been made since.
    let among_faults = operator.next;
    while operator.next == among_faults || !operator.next.is_multiple_of(CHANGES.len()) {
        world.wait_some("the next change is made", |world| operator.works(world).then_some(()));
    }
    ["d", "e"].iter().for_each(|name| world.cluster.node(name).stop());
    let master = world.settle();
    assert_eq!(electors(&world).unwrap_or_default(), ["a", "b", "c"]);
    println!("{master} is master after {} changes and {} promotions", operator.next, world.promotions());
}

/// A new machine has the name and the address of one that is gone, and nothing of its state. It does not vote.
fn come_anew(world: &World, lost: &Node, keeper: &Node) {
    lost.lose_state();
    world.heal();
    lost.start();
    let name = lost.name.as_str();
    world.wait_some("the new machine is told of", |_| (keeper.electors("outside") == [name]).then_some(()));
    let status = keeper.status().expect("the others answer");
    assert!(!status.cluster.healthy, "an elector is missing");
}

/// The new machine votes in the place of the one that is gone.
fn replace(world: &World, lost: &Node, keeper: &Node) {
    let name = lost.name.as_str();
    world.wait_some("it takes the other's place", |_| {
        (keeper.koi(&["electors", "replace", name, name]).code == 0).then_some(())
    });
}

#[test]
fn a_standby_that_is_lost_is_replaced_under_its_name() {
    let Some((world, master)) = World::start(3) else { return };
    let lost = world.cluster.others(&master).next().expect("there are three");
    let before = world.promotions();
    world.lose(&lost.name);
    let keeper = world.cluster.node(&master);
    come_anew(&world, lost, keeper);
    replace(&world, lost, keeper);
    assert_eq!(world.settle(), master);
    assert_eq!(world.promotions(), before, "nothing has moved");
}

#[test]
fn a_master_that_is_lost_in_maintenance_is_replaced_under_its_name() {
    let Some((world, master)) = World::start(3) else { return };
    let (lost, keeper) = (world.cluster.node(&master), world.cluster.others(&master).next());
    let keeper = keeper.expect("there are three");
    keeper.order(&["maintenance", "on"]).exits(0);
    world.lose(&master);
    world.wait_some("the others lead", |_| keeper.status().ok().filter(|s| s.cluster.leader.is_some()));
    // The new machine answers before anybody has said that the old one is off: the word is about the old one.
    come_anew(&world, lost, keeper);
    keeper.order(&["maintenance", "off"]).exits(0);
    world.wait_some("its mastership is waited for", |_| {
        keeper.status().ok().filter(|status| !status.cluster.waiting.is_empty())
    });
    assert_eq!(world.holders(), Vec::<&str>::new(), "nobody else is promoted before an operator says so");
    keeper.order(&["confirm-down", &master]).exits(0);
    replace(&world, lost, keeper);
    world.settle();
}

#[test]
fn a_copy_beside_its_original_is_mute_on_every_node_in_turn() {
    let Some(world) = World::builder(4).founders(3).start() else { return };
    let master = world.settle();
    let before = world.promotions();
    let copy = world.cluster.node("d");
    for name in ["a", "b", "c"] {
        copy.copy_state_of(world.cluster.node(name));
        copy.spawn();
        world.cluster.wait_log("d", &["takes part in nothing", "koi reset-identity"]);
        for node in ["a", "b", "c"].map(|name| world.cluster.node(name)) {
            world.wait_some("every status warns", |_| {
                let warnings = node.status().ok()?.cluster.warnings;
                warnings
                    .iter()
                    .any(|w| w.contains("two machines have the id") && w.contains("koi reset-identity"))
                    .then_some(())
            });
        }
        world.pass(Duration::from_secs(3));
        assert_eq!(world.holders(), [master.as_str()], "a copy of {name} has changed nothing");

        copy.stop();
        copy.koi(&["reset-identity"]).exits(0);
        copy.start();
        world.wait_some("it is a node of its own", |_| {
            (world.cluster.node(&master).electors("outside") == ["d"]).then_some(())
        });
        copy.stop();
        assert_eq!(world.settle(), master, "the copy of {name} is gone, and all is well");
    }
    assert_eq!(world.promotions(), before, "one master throughout");
}
