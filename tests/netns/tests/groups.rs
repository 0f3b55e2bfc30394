//! Two groups that are active on two nodes: whatever befalls one of the nodes, the other group is not touched, and none is promoted twice.

use std::time::Duration;

use koi_netns::{Faults, WEB, World};
use nix::sys::signal::Signal;

/// Something that befalls a node.
type Fault = fn(&World, &str);

/// Does something to the node that is master of `WEB` alone, and has it undone by [`World::heal`] and [`World::start_all`].
fn befalls(what: &str, world: &World, fault: impl FnOnce(&World, &str)) {
    let (main, web) = world.part_groups();
    let before = world.promotions();
    println!("{what}: {main} is master of main, {web} of {WEB}");
    fault(world, &web);
    world.wait_some(&format!("{what}: another node has {WEB}"), |world| {
        world.promoted_in(WEB).filter(|master| *master != web)
    });
    assert_eq!(world.promotions(), before, "{what}: main is not concerned\n{}", world.cluster.report());
    assert_eq!(world.promoted_in("main"), Some(main.clone()), "{what}");
    world.heal();
    world.start_all();
    assert_eq!(world.settle(), main, "{what}: main stays where it is");
}

#[test]
fn whatever_befalls_the_master_of_one_group_the_other_goes_on() {
    let Some(world) = World::builder(3).with_web().start() else { return };
    befalls("it is cut off", &world, |world, web| {
        world.cut_off(&[web]);
    });
    befalls("it hears nobody", &world, |world, web| {
        world.network(&Faults::default().deaf(world.number(web), 3));
    });
    befalls("nobody hears it", &world, |world, web| {
        world.network(&Faults::default().mute(world.number(web), 3));
    });
    befalls("its daemon is killed", &world, |world, web| world.cluster.node(web).kill());
    befalls("it loses its power", &world, |world, web| {
        world.lose(web);
    });
    befalls("it is stopped", &world, |world, web| world.cluster.node(web).stop());
    befalls("its daemon hangs", &world, |world, web| {
        world.wait_guarded(web);
        world.cluster.node(web).signal(Signal::SIGSTOP);
        world
            .wait_some("its guardian ends it", |world| (!world.cluster.node(web).is_running()).then_some(()));
        world.cluster.node(web).wait_end();
    });
}

#[test]
fn whoever_is_master_of_both_groups_gives_both_up() {
    let Some(world) = World::builder(3).with_web().start() else { return };
    let faults: [(&str, Fault); 3] = [
        ("cut off", |world, node| {
            world.cut_off(&[node]);
        }),
        ("killed", |world, node| world.cluster.node(node).kill()),
        ("without power", |world, node| {
            world.lose(node);
        }),
    ];
    for (what, fault) in faults {
        let master = world.settle();
        world.unite_groups(&master);
        fault(&world, &master);
        for group in ["main", WEB] {
            world.wait_some(&format!("{what}: another node has {group}"), |world| {
                world.promoted_in(group).filter(|other| *other != master)
            });
        }
        world.heal();
        world.start_all();
        world.settle();
    }
}

#[test]
fn without_a_majority_no_group_has_a_master() {
    let Some(world) = World::builder(3).with_web().start() else { return };
    world.part_groups();
    world.network(&Faults::default().cut_pair(0, 1).cut_pair(1, 2).cut_pair(0, 2));
    world.wait_some("nobody is promoted", |world| {
        let over = |group| world.masterships_of(group).iter().all(|m| m.until.is_some());
        (over("main") && over(WEB)).then_some(())
    });
    world.pass(Duration::from_secs(3));
    world.heal();
    world.settle();
    world.wait_some("web has a master again", |world| world.promoted_in(WEB));
}
