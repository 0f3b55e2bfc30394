//! Attributes of groups (R16): what a master writes counts when a quorum has it on disk, and the next one sees it.

use koi_core::attributes::{
    AttributeWrite, Attributes, AttributesCopy, AttributesVersion, GroupAttributes, WriteNumber,
};
use koi_core::group::GroupName;
use koi_core::io::{Command, CommandError};
use koi_core::message::{ATTRIBUTES_RULE, Body};
use koi_core::reason::NotNowReason;
use koi_core::types::{Epoch, Hook, ServiceState};
use koi_sim::scripted::{Cluster, Solo, service};
use koi_sim::world::{Lacks, change};

fn not_master() -> CommandError {
    NotNowReason::NotMaster { group: GroupName::MAIN }.into()
}

/// The machines that are neither of these.
fn third(a: usize, b: usize) -> usize {
    (0..3).find(|m| *m != a && *m != b).expect("there are three")
}

/// From now on the attributes that each promote sees on this machine are noted before anything else happens.
fn promoted_with(cluster: &mut Cluster, m: usize, key: &str) -> Option<String> {
    cluster.slow(m, "web", Hook::Promote);
    cluster.run_until(6000, "its promote begins", |c| {
        c.machines[m].hooks.values().any(|run| run.hook == Hook::Promote)
    });
    cluster.attribute(m, key)
}

#[test]
fn a_cluster_without_attributes_says_nothing_of_them() {
    let (cluster, ..) = Cluster::apart(3);
    for (_, message) in cluster.sent() {
        match &message.body {
            Body::Heartbeat(heartbeat) => {
                assert_eq!(heartbeat.record.attributes().count(), 0);
                assert!(heartbeat.record.needs < ATTRIBUTES_RULE);
            }
            Body::Answer(answer) => assert!(answer.lease.is_none_or(|lease| lease.since.is_none())),
            Body::Attributes(_)
            | Body::AttributesWanted(_)
            | Body::AttributeWrite(_)
            | Body::WriteRefused(_) => panic!("{message:?}"),
            _ => {}
        }
    }
}

#[test]
fn a_write_is_answered_when_a_quorum_has_it_on_disk_and_everyone_reads_it() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    cluster.write(master, "sync", "b is in sync").expect("it is written");
    assert_eq!(
        cluster.attribute(master, "sync").as_deref(),
        Some("b is in sync"),
        "its writer reads it at once"
    );
    cluster.run(200);
    for m in 0..3 {
        assert_eq!(cluster.attribute(m, "sync").as_deref(), Some("b is in sync"));
        let durable = cluster.machines[m].disk.synced.as_ref().expect("there is a state");
        let which = durable.record.main.attributes.expect("the record names them");
        assert_eq!(durable.attributes_of(&GroupName::MAIN, which).map(|all| all.iter().count()), Some(1));
        assert_eq!(which.written, WriteNumber { epoch: cluster.epoch_of(&GroupName::MAIN), n: 1 });
    }
    assert_eq!(cluster.record().needs, ATTRIBUTES_RULE);
    // Nobody else has a disk that works: it is not answered, and not read.
    for m in (0..3).filter(|m| *m != leader) {
        cluster.hang_disk(m);
    }
    let id = cluster.begin_write(master, "sync", "I go on alone");
    cluster.run(400);
    assert_eq!(cluster.answer(id), None);
    assert_eq!(cluster.attribute(master, "sync").as_deref(), Some("b is in sync"));
    cluster.mend_disk(master);
    cluster.run(200);
    assert!(cluster.answer(id).is_some_and(Result::is_ok), "{:?}", cluster.answer(id));
    assert_eq!(cluster.attribute(master, "sync").as_deref(), Some("I go on alone"));
}

#[test]
fn writes_are_made_in_their_order_and_what_was_overtaken_is_made_no_more() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let ids: Vec<_> = (0..5).map(|n| cluster.begin_write(master, "at", &n.to_string())).collect();
    cluster.run(500);
    assert!(ids.iter().all(|id| cluster.answer(*id).is_some_and(Result::is_ok)));
    assert_eq!(cluster.attribute(leader, "at").as_deref(), Some("4"));
    // A datagram was on its way for long.
    let epoch = cluster.epoch_of(&GroupName::MAIN);
    let number = WriteNumber { epoch, n: 2 };
    let write = AttributeWrite { group: GroupName::MAIN, number, change: change("at", Some("1")) };
    cluster.say(master, Body::AttributeWrite(write));
    cluster.run(500);
    assert_eq!(cluster.attribute(leader, "at").as_deref(), Some("4"));
}

#[test]
fn only_the_master_writes_and_only_under_its_mastership() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let other = third(leader, master);
    assert_eq!(cluster.write(other, "k", "v"), Err(not_master()));
    let old = cluster.epoch_of(&GroupName::MAIN);
    cluster.write(master, "k", "1").expect("it is written");
    cluster.promote(&cluster.name(other)).expect("it is done");
    cluster.run_until(3000, "the new master", |c| c.master() == Some(other));
    for machine in [master, other] {
        let id = cluster.write_under(machine, &GroupName::MAIN, old, "k", "2");
        cluster.run(300);
        assert_eq!(cluster.answer(id), Some(&Err(not_master())));
    }
    // One of them does not know better, and says it all the same.
    let number = WriteNumber { epoch: old, n: 2 };
    let write = AttributeWrite { group: GroupName::MAIN, number, change: change("k", Some("2")) };
    cluster.say(master, Body::AttributeWrite(write));
    cluster.run(500);
    assert_eq!(cluster.attribute(leader, "k").as_deref(), Some("1"));
}

#[test]
fn a_service_may_write_while_it_is_demoted_in_order() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    cluster.slow(master, "web", Hook::Demote);
    let other = third(leader, master);
    let order = Command::Promote { node: cluster.name(other), dry_run: false };
    cluster.order(order);
    cluster.run(500);
    cluster.write(master, "handed-over", "at 0/1234").expect("it holds the mastership still");
    cluster.finish(master, "web", Hook::Demote, koi_core::io::HookEnd::Done);
    assert_eq!(promoted_with(&mut cluster, other, "handed-over").as_deref(), Some("at 0/1234"));
}

#[test]
fn the_next_master_sees_what_was_written_though_its_node_lacked_it() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let other = third(leader, master);
    cluster.write(master, "sync", "old").expect("it is written");
    // It hears nothing of the leader, and is told nothing, until the master is lost.
    cluster.network.cut.extend([(leader, other), (master, other)]);
    cluster.run(200);
    cluster.write(master, "sync", "new").expect("two of three are a quorum");
    assert_eq!(cluster.attribute(other, "sync").as_deref(), Some("old"));
    cluster.lose_power(master);
    cluster.network.cut.clear();
    cluster.order(Command::Stop(cluster.name(leader)));
    assert_eq!(promoted_with(&mut cluster, other, "sync").as_deref(), Some("new"));
}

#[test]
fn a_lease_promotes_nothing_before_the_node_acts_on_the_version_that_gave_it() {
    let mut solo = Solo::standby(&[service("db")]);
    solo.appoint();
    let written = WriteNumber { epoch: Epoch(7), n: 1 };
    let changed = solo.record.version;
    solo.change(|record| record.main.attributes = Some(AttributesVersion { changed, written }));
    solo.since = Some(solo.record.version);
    solo.pass(1000);
    assert_eq!(solo.is("db"), ServiceState::Started, "it holds the lease, and lacks the attributes");
    assert!(solo.sent().iter().any(|(_, message)| matches!(message.body, Body::AttributesWanted(_))));
    let mut attributes = Attributes::default();
    attributes.change(change("sync", Some("I go on alone"))).expect("there is room");
    let copy = AttributesCopy { changed, attributes };
    solo.tells(Body::Attributes(GroupAttributes { group: GroupName::MAIN, copy }));
    solo.run(10);
    assert_eq!(solo.is("db"), ServiceState::Promoted);
    assert_eq!(solo.attribute(0, "sync").as_deref(), Some("I go on alone"));
}

#[test]
fn a_winner_fetches_what_its_voters_have() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let other = third(leader, master);
    // Of those who are left one lacks the write: whoever of them wins, it is there.
    cluster.network.cut.extend([(leader, other), (master, other)]);
    cluster.run(100);
    cluster.write(master, "sync", "new").expect("two of three are a quorum");
    cluster.lose_power(leader);
    cluster.network.cut.clear();
    cluster.run_until(5000, "a new leader", |c| c.leader().is_some_and(|l| l != leader));
    cluster.run(500);
    for m in [master, other] {
        assert_eq!(cluster.attribute(m, "sync").as_deref(), Some("new"));
    }
}

#[test]
fn what_nobody_can_send_any_more_did_not_count_and_is_given_up() {
    let (mut cluster, leader, master) = Cluster::apart(5);
    cluster.write(master, "sync", "old").expect("it is written");
    cluster.run(200);
    // One elector has a write that does not count: the leader, which is lost, has told it alone.
    let holder = (0..5).find(|m| *m != leader && *m != master).expect("there are five");
    let rest: Vec<usize> = (0..5).filter(|m| ![leader, holder].contains(m)).collect();
    let id = cluster.begin_write(master, "sync", "lost");
    cluster.run_until(50, "the leader has heard it", |c| {
        c.sent().iter().any(|(m, message)| *m == leader && matches!(message.body, Body::Attributes(_)))
    });
    cluster.run(0);
    rest.iter().for_each(|m| cluster.cut(leader, *m));
    cluster.run(20);
    assert_eq!(cluster.answer(id), None);
    cluster.lose_power(leader);
    cluster.run_until(3000, "it has voted", |c| {
        c.sent().iter().any(|(m, message)| {
            *m == holder && matches!(&message.body, Body::Vote(vote) if vote.granted && vote.term.0 > 1)
        }) || c.leader().is_some()
    });
    cluster.lose_power(holder);
    cluster.run_until(15_000, "a leader of the three others", |c| c.leader().is_some());
    cluster.run(2000);
    assert_eq!(cluster.masters().len(), 1);
}

#[test]
fn a_write_ends_with_the_lease_and_a_demote_does_not_wait_for_it() {
    let (mut cluster, _, master) = Cluster::apart(3);
    cluster.write(master, "k", "1").expect("it is written");
    cluster.isolate(master);
    let first = cluster.begin_write(master, "k", "2");
    let second = cluster.begin_write(master, "k", "3");
    let took = cluster.run_until(1500, "the lease is over", |c| c.answer(first).is_some());
    assert!(took <= 1000, "no longer than the lease: {took} ms");
    assert_eq!(cluster.answer(first), Some(&Err(CommandError::LostLease)), "it may yet take effect");
    assert_eq!(cluster.answer(second), Some(&Err(not_master())), "it was never told");
}

/// How long it takes until another is promoted when the master is lost, while operators write.
fn takeover(writes: bool) -> u64 {
    let (mut cluster, leader, master) = Cluster::apart(3);
    cluster.force("k", Some("0")).expect("it is written");
    cluster.run(1000);
    cluster.lose_power(master);
    let began = cluster.now;
    let other = |c: &Cluster| c.masters().iter().any(|m| *m != master);
    while !other(&cluster) {
        assert!(cluster.now - began < 10_000_000, "nobody is promoted for 10 s");
        // Two are waiting always: one is made when the other counts.
        let waiting = cluster.open_commands();
        for _ in waiting..2 {
            if writes && cluster.leader() == Some(leader) {
                cluster.ask(leader, Command::ForceAttribute(change("k", Some("x"))));
            }
        }
        cluster.run(1);
    }
    (cluster.now - began) / 1000
}

#[test]
fn steady_writers_starve_no_failover() {
    let (alone, beside) = (takeover(false), takeover(true));
    assert!(beside <= alone + 20, "{beside} ms beside writers, {alone} ms without");
}

#[test]
fn operators_write_by_force_and_the_limits_hold() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    for n in 0..8 {
        cluster.force(&format!("k{n}"), Some("v")).expect("it is written");
    }
    let full = Err(NotNowReason::TooManyAttributes.into());
    assert_eq!(cluster.force("k8", Some("v")), full);
    assert_eq!(cluster.write(master, "k8", "v"), full);
    cluster.write(master, "k7", "mine").expect("what is there can be written");
    cluster.force("k0", None).expect("it is removed");
    cluster.write(master, "k8", "v").expect("there is room");
    cluster.run(200);
    assert_eq!(cluster.attribute(leader, "k0"), None);
    assert_eq!(cluster.attribute(leader, "k7").as_deref(), Some("mine"));
    assert!(cluster.count(leader, "commanded") > 0, "it is told");
    let follower = third(leader, leader);
    let refused = cluster.command(follower, Command::ForceAttribute(change("k1", None)));
    assert_eq!(refused, Err(CommandError::NotLeader { leader: Some(cluster.id(leader)) }));
    let long = koi_core::attributes::AttributeValue::try_from("x".repeat(257));
    assert_eq!(long.map_err(|e| e.bytes), Err(257));
}

#[test]
fn attributes_outlive_all_daemons() {
    let (mut cluster, _, master) = Cluster::apart(3);
    cluster.write(master, "k", "v").expect("it is written");
    cluster.run(200);
    (0..3).for_each(|m| cluster.lose_power(m));
    cluster.run(1000);
    cluster.start_all();
    cluster.run_until(15_000, "a master", |c| c.master().is_some());
    assert_eq!(cluster.attribute(cluster.master().expect("there is one"), "k").as_deref(), Some("v"));
}

#[test]
fn a_machine_with_a_new_disk_is_given_the_attributes_too() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let other = third(leader, master);
    cluster.write(master, "k", "v").expect("it is written");
    cluster.lose_power(other);
    cluster.wipe(other);
    cluster.start(other);
    cluster.run(3000);
    assert_eq!(cluster.attribute(other, "k").as_deref(), Some("v"));
    let durable = cluster.machines[other].disk.synced.as_ref().expect("there is a state");
    assert!(durable.record.main.attributes.is_some());
}

#[test]
fn nothing_is_written_while_an_elector_does_not_know_attributes() {
    let mut cluster = Cluster::off(3);
    cluster.machines[2].set_lacks(Some(Lacks::Attributes));
    cluster.start_all();
    cluster.run_until(10_000, "a first master", |c| c.master().is_some());
    cluster.run(1000);
    let leader = cluster.leader().expect("someone leads");
    if leader != 2 {
        let nodes = vec![cluster.name(2)];
        assert_eq!(cluster.force("k", Some("v")), Err(NotNowReason::AttributesUnknown { nodes }.into()));
        let master = cluster.master().expect("there is one");
        if master != 2 {
            let refused = NotNowReason::AttributesUnknown { nodes: Vec::new() };
            assert_eq!(cluster.write(master, "k", "v"), Err(refused.into()));
        }
    }
    assert_eq!(cluster.record().needs, 0);
    cluster.lose_power(2);
    cluster.machines[2].set_lacks(None);
    cluster.start(2);
    cluster.run_until(15_000, "all is well", |c| c.is_well());
    cluster.force("k", Some("v")).expect("all electors know it");
}

#[test]
fn an_elector_that_forgets_attributes_is_no_copy_and_leads_nobody() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let old = third(leader, master);
    cluster.write(master, "k", "v").expect("it is written");
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_lacks(Some(Lacks::Attributes));
    cluster.start(old);
    cluster.run(3000);
    let kept = cluster.machines[old].disk.synced.as_ref().expect("there is a state");
    assert_eq!((kept.record.main.attributes, kept.record.needs), (None, ATTRIBUTES_RULE), "what it keeps");
    cluster.lose_power(leader);
    cluster.run(15_000);
    assert_eq!(cluster.leader(), None, "what it has is a part of the record");
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_lacks(None);
    cluster.start(old);
    cluster.run_until(15_000, "a master", |c| c.master().is_some());
    for m in [old, master] {
        assert_eq!(cluster.attribute(m, "k").as_deref(), Some("v"));
    }
}

#[test]
fn without_a_quorum_nothing_is_written() {
    let mut cluster = Cluster::off(2);
    cluster.machines.iter_mut().for_each(|m| m.settings.quorum = 0);
    cluster.start_all();
    cluster.run_until(15_000, "a master", |c| c.master().is_some());
    let refused = Err(NotNowReason::QuorumOff.into());
    assert_eq!(cluster.force("k", Some("v")), refused);
    let master = cluster.master().expect("there is one");
    assert_eq!(cluster.write(master, "k", "v"), refused);
}

#[test]
fn each_group_has_attributes_of_its_own() {
    let web: GroupName = "web".parse().expect("it is a name");
    let mut cluster = Cluster::off(3);
    for m in 0..3 {
        cluster.folder(m, &[service("db")]);
        cluster.machines[m].settings.groups.insert(web.clone());
        cluster.group_folder(m, &web, &[service("nginx")]);
    }
    cluster.start_all();
    cluster
        .run_until(10_000, "two masters", |c| c.all_masters().values().all(|m| m.len() == 1) && c.is_well());
    let (of_main, of_web) = (cluster.masters()[0], cluster.masters_of(&web)[0]);
    let ids = [cluster.begin_write(of_main, "k", "main"), cluster.begin_write_of(of_web, &web, "k", "web")];
    cluster.run(500);
    assert!(ids.iter().all(|id| cluster.answer(*id).is_some_and(Result::is_ok)));
    for m in 0..3 {
        assert_eq!(cluster.attribute(m, "k").as_deref(), Some("main"));
        assert_eq!(cluster.attribute_of(m, &web, "k").as_deref(), Some("web"));
    }
    // The mastership of one group is none of another.
    let epoch = cluster.epoch_of(&GroupName::MAIN);
    let id = cluster.write_under(of_main, &web, epoch, "k", "x");
    cluster.run(300);
    let refused = NotNowReason::NotMaster { group: web.clone() };
    assert_eq!(cluster.answer(id), Some(&Err(refused.into())));
    assert!(epoch > Epoch(0));
}
