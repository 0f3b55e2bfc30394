//! Nodes that half work: a disk that takes nothing, a network that passes only one way.

use koi_core::concern::Concern;
use koi_core::io::{Command, HookEnd, Input, Observed};
use koi_core::types::{Hook, NodeState};
use koi_sim::scripted::{Cluster, fails, saw, scores};

fn warns(cluster: &Cluster, what: &str) -> bool {
    let leader = cluster.leader().expect("someone leads");
    cluster.view(leader).warnings.iter().any(|w| w.contains(what))
}

#[test]
fn a_master_whose_disk_is_full_stays_master_and_says_so() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.hang_disk(master);
    cluster.order(Command::Stop(cluster.name(third)));
    cluster.input(master, Input::NotPersisted("No space left on device".to_owned()));
    cluster.run(1000);
    cluster.order(Command::Start(cluster.name(third)));
    let epoch = cluster.record().last_epoch;
    cluster.run(30_000);
    assert_eq!((cluster.master(), cluster.record().last_epoch), (Some(master), epoch), "only R7 ends it");
    let name = cluster.name(master);
    assert!(warns(&cluster, &format!("{name} cannot be master: its state cannot be written: No space left")));
    assert!(!cluster.view(leader).healthy);

    cluster.mend_disk(master);
    cluster.run(1000);
    assert!(cluster.view(leader).healthy, "{:?}", cluster.view(leader).concerns);
}

#[test]
fn a_standby_whose_disk_hangs_is_not_named() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    // It would be the best otherwise.
    cluster.ending(third, "web", Hook::Status, scores(9));
    cluster.run(10_500);
    cluster.hang_disk(third);
    cluster.order(Command::Elect);
    cluster.order(Command::Promote { node: cluster.name(master), dry_run: false });
    cluster.run(3000);
    cluster.order(Command::Stop(cluster.name(master)));
    cluster.run_until(3000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_eq!(cluster.master(), Some(leader));
    assert!(warns(&cluster, "its disk hangs"));
}

#[test]
fn one_that_was_named_and_cannot_write_its_mark_gives_way_to_another() {
    let (mut cluster, leader, master) = Cluster::apart(5);
    let others: Vec<usize> = (0..5).filter(|m| *m != leader && *m != master).collect();
    cluster.ending(others[0], "web", Hook::Status, scores(9));
    cluster.run(10_500);
    // Nobody has noticed yet: there was nothing to write.
    cluster.hang_disk(others[0]);
    cluster.ending(master, "web", Hook::Status, fails());
    let took = cluster.run_until(16_000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_ne!(cluster.master(), Some(others[0]), "after {took} ms");
    cluster.run(20_000);
    assert_ne!(cluster.master(), Some(others[0]));
    let given = cluster.record().last_epoch.0 & 0xffff;
    assert!(given <= 4, "it was named once and no more: {given}");
}

#[test]
fn a_node_that_hears_nobody_is_no_standby_and_is_named() {
    for deaf_is_master in [true, false] {
        let (mut cluster, leader, master) = Cluster::apart(3);
        let deaf = if deaf_is_master { master } else { 3 - leader - master };
        (0..3).filter(|m| *m != deaf).for_each(|m| cluster.cut(m, deaf));
        cluster.run(12_000);
        assert_eq!(cluster.leader(), Some(leader), "its campaigns change nothing");
        let view = cluster.view(leader);
        let seen = view.nodes.iter().find(|n| n.name == cluster.name(deaf)).expect("it is known");
        assert_eq!((seen.state, seen.deaf), (NodeState::Disconnected, true));
        assert!(warns(&cluster, &format!("{} hears nobody", cluster.name(deaf))), "{:?}", view.warnings);
        assert!(!view.healthy);
        assert!(cluster.master().is_some_and(|m| m != deaf));

        cluster.mend_network();
        cluster.run(12_000);
        assert!(cluster.view(leader).healthy, "{:?}", cluster.view(leader).concerns);
    }
}

#[test]
fn an_elector_that_cannot_promise_says_why() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.machines[third].settings.runner = false;
    cluster.lose_power(third);
    cluster.start(third);
    cluster.run(3000);
    cluster.hang_disk(third);
    cluster.order(Command::Elect);
    cluster.order(Command::Demote);
    cluster.order(Command::Promote { node: cluster.name(master), dry_run: false });
    cluster.run(3000);
    let why = format!("{} cannot vote: its disk hangs", cluster.name(third));
    assert!(warns(&cluster, &why), "{:?}", cluster.view(leader).concerns);
    cluster.mend_disk(third);
    cluster.run(2000);
    assert!(!warns(&cluster, "cannot vote"));
    cluster.input(third, Input::NotPersisted("no space left".to_owned()));
    cluster.run(500);
    assert!(warns(&cluster, "cannot vote: its state cannot be written: no space left"));
}

#[test]
fn all_is_not_well_where_nobody_could_take_over() {
    let mut cluster = Cluster::off(3);
    cluster.machines[2].settings.runner = false;
    cluster.folder(2, &[]);
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    cluster.run(500);
    let (master, standby) = (cluster.master().expect("there is one"), cluster.standby());
    let leader = cluster.leader().expect("someone leads");
    let view = cluster.view(leader);
    assert!(view.healthy, "{:?}", view.concerns);
    assert_eq!(view.takeover, cluster.machines[standby].core.as_ref().map(koi_core::Node::id));

    cluster.ending(standby, "web", Hook::Status, saw(Observed::Live));
    cluster.run(10_500);
    let view = cluster.view(leader);
    assert_eq!((view.healthy, view.takeover), (false, None));
    assert!(warns(&cluster, &format!("nobody could take over: {} is Live", cluster.name(standby))));
    cluster.ending(standby, "web", Hook::Status, saw(Observed::Standby));
    cluster.run(10_500);
    assert!(cluster.view(leader).healthy);

    cluster.order(Command::Stop(cluster.name(standby)));
    cluster.run(500);
    assert!(warns(&cluster, "was stopped by hand"));
    assert_eq!(cluster.master(), Some(master));
}

#[test]
fn in_maintenance_nothing_is_known_to_be_well() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    assert!(cluster.view(leader).healthy);
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    let view = cluster.view(leader);
    assert!(!view.healthy && view.concerns.contains(&Concern::Maintenance), "{:?}", view.concerns);
    assert!(view.warnings.is_empty(), "it is a mode and no reason: {:?}", view.warnings);
    cluster.order(Command::Maintenance(false));
    cluster.run(2000);
    assert!(cluster.view(leader).healthy, "{:?}", cluster.view(leader).concerns);
}

fn no_room() -> HookEnd {
    HookEnd::NoRoom("no further process is allowed".to_owned())
}

#[test]
fn a_master_whose_status_cannot_be_run_stays_master_and_says_so() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let epoch = cluster.record().last_epoch;
    cluster.ending(master, "web", Hook::Status, no_room());
    cluster.run(60_000);
    assert_eq!((cluster.master(), cluster.record().last_epoch), (Some(master), epoch));
    let name = cluster.name(master);
    assert!(warns(
        &cluster,
        &format!("{name} cannot be master: its hooks cannot be run: no further process")
    ));
    cluster.ending(master, "web", Hook::Status, saw(Observed::Promoted));
    cluster.run(11_000);
    assert!(cluster.view(leader).healthy, "{:?}", cluster.view(leader).concerns);
}

#[test]
fn a_machine_without_room_for_a_promote_gives_way_and_holds_nothing() {
    let (mut cluster, _, master) = Cluster::apart(3);
    for m in (0..3).filter(|m| *m != master) {
        cluster.ending(m, "web", Hook::Promote, no_room());
    }
    cluster.order(Command::Stop(cluster.name(master)));
    cluster.run(20_000);
    let promotes = (0..3).map(|m| cluster.seen(m).began.iter().filter(|h| *h == "web.promote").count());
    let promotes: usize = promotes.sum();
    assert!(promotes < 30, "{promotes} promotes in 20 s");
    assert!(
        (0..3).filter(|m| *m != master).all(|m| !cluster.service(m, "web").maybe_promoted),
        "nothing has run"
    );
    assert!(cluster.view(cluster.leader().expect("someone leads")).nodes.iter().all(|n| !n.unclean));

    for m in (0..3).filter(|m| *m != master) {
        cluster.ending(m, "web", Hook::Promote, HookEnd::Done);
    }
    cluster.run_until(60_000, "a master", |c| c.master().is_some_and(|m| m != master));
}

#[test]
fn a_start_without_room_is_tried_again_and_is_no_failure() {
    let mut cluster = Cluster::off(3);
    cluster.ending(1, "web", Hook::Start, no_room());
    cluster.start_all();
    cluster.run(60_000);
    let starts = cluster.seen(1).began.iter().filter(|h| *h == "web.start").count();
    assert!((3..10).contains(&starts), "{starts}");
    assert_eq!(cluster.node_state(1), NodeState::Live);
    cluster.ending(1, "web", Hook::Start, HookEnd::Done);
    cluster.run(45_000);
    assert_eq!(cluster.node_state(1), NodeState::Standby);
}
