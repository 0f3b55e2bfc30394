//! The fence of other nodes (R12): who is turned off, when, and what that frees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use koi_core::concern::Concern;
use koi_core::event::Event;
use koi_core::fence::{FenceOutcome, FenceRun};
use koi_core::group::GroupName;
use koi_core::io::{Command, CommandError, Input};
use koi_core::message::{FENCES_RULE, GROUPS_RULE};
use koi_core::reason::{NotNowReason, UnsafeReason, WaitReason};
use koi_core::types::Hook;
use koi_core::view::Waiting;
use koi_sim::scripted::{Cluster, fails, service};

const LIMIT: Duration = Duration::from_secs(30);

fn web() -> GroupName {
    "web".parse().expect("it is a name")
}

/// Three machines with two groups, which know how to turn each other off; none of them is started.
fn off() -> Cluster {
    let mut cluster = Cluster::off(3);
    let fences: BTreeMap<String, Duration> = (0..3).map(|m| (cluster.name(m), LIMIT)).collect();
    for m in 0..3 {
        cluster.folder(m, &[service("db")]);
        cluster.machines[m].settings.groups.insert(web());
        cluster.machines[m].configure_fences(fences.clone());
        cluster.group_folder(m, &web(), &[service("nginx")]);
    }
    cluster
}

/// The same, started and well, with `main` and `web` on one node that does not lead: leader and master.
fn apart() -> (Cluster, usize, usize) {
    let mut cluster = off();
    cluster.start_all();
    cluster.run_until(10_000, "two masters", has_both);
    cluster.run(2000);
    let leader = cluster.leader().expect("someone leads");
    let master = (leader + 1) % 3;
    for group in [GroupName::MAIN, web()] {
        let node = cluster.name(master);
        cluster.command_about(leader, group.clone(), Command::Promote { node, dry_run: false });
        cluster.run_until(3000, "the new master", |c| c.masters_of(&group) == [master] && c.is_well());
    }
    assert_eq!(cluster.record().needs, FENCES_RULE, "every elector knows fences");
    (cluster, leader, master)
}

fn has_both(cluster: &Cluster) -> bool {
    cluster.all_masters().values().all(|masters| masters.len() == 1) && cluster.is_well()
}

/// What is wrong with nginx cannot be stopped.
fn nginx_is_stuck(cluster: &mut Cluster, m: usize) {
    for hook in [Hook::Demote, Hook::Stop, Hook::Status] {
        cluster.ending(m, "nginx", hook, fails());
    }
}

fn fencing(cluster: &Cluster, m: usize) -> Vec<FenceRun> {
    cluster.seen(m).fencing.clone()
}

/// The device that was asked last says this.
fn device_says(cluster: &mut Cluster, leader: usize, outcome: FenceOutcome) {
    let id = fencing(cluster, leader).last().expect("a fence was begun").id;
    cluster.input(leader, Input::FenceEnded { id, outcome });
}

/// The last fence has turned the node off, and has seen that.
fn goes_off(cluster: &mut Cluster, leader: usize, m: usize) {
    cluster.lose_power(m);
    device_says(cluster, leader, FenceOutcome::Off);
}

#[test]
fn an_unclean_node_is_turned_off_once_what_is_well_has_moved_away() {
    let (mut cluster, leader, master) = apart();
    nginx_is_stuck(&mut cluster, master);
    cluster.run_until(20_000, "the fence", |c| !fencing(c, leader).is_empty());
    let main = cluster.masters();
    assert!(main.len() == 1 && main != [master], "main has moved away first: {main:?}");
    assert_eq!(cluster.masters_of(&web()), [master], "web could not");
    let run = fencing(&cluster, leader)[0].clone();
    assert_eq!((run.name, run.limit), (cluster.name(master), LIMIT));
    let waits = |w: &Waiting| w.reason == WaitReason::Fencing { node: cluster.name(master) };
    assert!(cluster.view(leader).waiting.iter().any(waits), "{}", cluster.diagnosis());
    goes_off(&mut cluster, leader, master);
    cluster.run_until(2000, "web elsewhere", |c| matches!(c.masters_of(&web())[..], [m] if m != master));
    assert_eq!(cluster.masters(), main, "main stays where it went");
    assert_eq!(cluster.count(leader, "fence-done"), 1);
    assert!(cluster.record().fence.is_none());
}

#[test]
fn a_fence_that_fails_promotes_nobody_and_is_tried_again_after_a_longer_while() {
    let (mut cluster, leader, master) = apart();
    nginx_is_stuck(&mut cluster, master);
    for times in 1..=3 {
        cluster.run_until(30_000, "the fence", |c| fencing(c, leader).len() == times);
        device_says(&mut cluster, leader, FenceOutcome::Failed("no route to the device".to_owned()));
        cluster.run(900);
        assert_eq!(fencing(&cluster, leader).len(), times, "it waits");
        assert_eq!(cluster.masters_of(&web()), [master], "nobody is promoted on its account");
    }
    let failed = |c: &Concern| matches!(c, Concern::FenceFailed { times: 3, why, .. } if why == "no route to the device");
    assert!(cluster.concerns().is_some_and(|all| all.iter().any(failed)));
    let took = cluster.run_until(30_000, "the fence", |c| fencing(c, leader).len() == 4);
    assert!(took > 2000, "the fourth comes 4 s after the third: {took} ms");
}

/// It hangs for longer than it may.
#[test]
fn a_fence_that_hangs_is_ended_and_what_it_says_then_counts_for_nothing() {
    let (mut cluster, leader, master) = apart();
    nginx_is_stuck(&mut cluster, master);
    cluster.run_until(20_000, "the fence", |c| !fencing(c, leader).is_empty());
    let id = fencing(&cluster, leader)[0].id;
    cluster.run_until(LIMIT.as_millis() as u64 + 100, "its end", |c| c.seen(leader).fences_ended == [id]);
    device_says(&mut cluster, leader, FenceOutcome::Off);
    cluster.run(500);
    assert_eq!(cluster.masters_of(&web()), [master]);
    assert_eq!(cluster.count(leader, "fence-failed"), 1);
}

#[test]
fn a_master_that_was_lost_in_maintenance_is_turned_off_and_not_before_maintenance_is_over() {
    let (mut cluster, leader, master) = apart();
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    cluster.isolate(master);
    cluster.run(5000);
    assert_eq!(fencing(&cluster, leader), []);
    let leader = cluster.leader().expect("someone leads");
    cluster.command(leader, Command::Maintenance(false)).expect("it is done");
    cluster.run_until(5000, "the fence", |c| !fencing(c, leader).is_empty());
    goes_off(&mut cluster, leader, master);
    cluster.run_until(2000, "both elsewhere", |c| {
        c.all_masters().values().all(|masters| matches!(masters[..], [m] if m != master))
    });
}

/// The fence is under way, the node is started anew by somebody, and the late word of the fence is about the run before.
#[test]
fn the_success_of_a_fence_counts_for_no_later_run_of_the_node() {
    let (mut cluster, leader, master) = apart();
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    cluster.isolate(master);
    cluster.run(1000);
    cluster.order(Command::Maintenance(false));
    cluster.run_until(5000, "the fence", |c| !fencing(c, leader).is_empty());
    let id = fencing(&cluster, leader)[0].id;
    cluster.lose_power(master);
    cluster.network.cut.clear();
    cluster.start(master);
    cluster.run_until(3000, "its end", |c| c.seen(leader).fences_ended == [id]);
    device_says(&mut cluster, leader, FenceOutcome::Off);
    assert_eq!(cluster.count(leader, "fence-done"), 0);
    cluster.run(20_000);
    assert!(has_both(&cluster), "{}", cluster.diagnosis());
}

#[test]
fn whoever_leads_no_more_kills_its_fence_and_its_success_frees_nobody() {
    let (mut cluster, leader, master) = apart();
    nginx_is_stuck(&mut cluster, master);
    cluster.run_until(20_000, "the fence", |c| !fencing(c, leader).is_empty());
    let id = fencing(&cluster, leader)[0].id;
    cluster.isolate(leader);
    cluster.run_until(3000, "another leader", |c| c.leader().is_some_and(|l| l != leader));
    assert_eq!(cluster.seen(leader).fences_ended, [id]);
    device_says(&mut cluster, leader, FenceOutcome::Off);
    let second = cluster.leader().expect("someone leads");
    assert_eq!(cluster.count(leader, "fence-done"), 0);
    // The next leader does not know what the first one has begun: it waits for as long as that may take.
    let third = fencing(&cluster, second);
    assert_eq!(third, []);
    assert!(cluster.record().fence.is_some());
}

#[test]
fn an_unclean_leader_lets_another_one_lead_and_is_turned_off() {
    let (mut cluster, leader, _) = apart();
    let node = cluster.name(leader);
    cluster.command_about(leader, web(), Command::Promote { node, dry_run: false });
    cluster.run_until(3000, "web on the leader", |c| c.masters_of(&web()) == [leader] && c.is_well());
    nginx_is_stuck(&mut cluster, leader);
    cluster.run_until(30_000, "another leader that fences", |c| {
        c.leader().is_some_and(|l| l != leader && !fencing(c, l).is_empty())
    });
    let second = cluster.leader().expect("someone leads");
    goes_off(&mut cluster, second, leader);
    cluster.run_until(2000, "web elsewhere", |c| matches!(c.masters_of(&web())[..], [m] if m != leader));
}

#[test]
fn an_operator_may_have_a_silent_node_turned_off_and_none_that_answers() {
    let (mut cluster, leader, master) = apart();
    let name = cluster.name(master);
    let fence = |dry_run| Command::Fence { node: name.clone(), dry_run };
    let refused = cluster.command(leader, fence(false));
    assert_eq!(refused, Err(CommandError::Unsafe(UnsafeReason::FencedAnswers { node: name.clone() })));
    cluster.isolate(master);
    cluster.run(700);
    let rehearsed = cluster.command(leader, fence(true)).expect("it would be done");
    assert_eq!(rehearsed.steps.len(), 4, "{:?}", rehearsed.steps);
    assert_eq!(fencing(&cluster, leader), [], "nothing was begun");
    cluster.command(leader, fence(false)).expect("it is begun");
    let again = cluster.command(leader, fence(false));
    assert_eq!(again, Err(NotNowReason::FenceRuns { node: name.clone() }.into()));
    goes_off(&mut cluster, leader, master);
    // Its lease and its grace need not be waited for.
    cluster.run_until(500, "both elsewhere", |c| {
        c.all_masters().values().all(|masters| matches!(masters[..], [m] if m != master))
    });
}

#[test]
fn nobody_is_fenced_before_every_elector_knows_fences() {
    let mut cluster = off();
    cluster.machines[2].set_groupless(true);
    cluster.start_all();
    cluster.run_until(10_000, "a master of main", |c| c.masters().len() == 1);
    cluster.run(3000);
    assert_eq!(cluster.record().needs, 0);
    let leader = cluster.leader().expect("someone leads");
    if leader != 2 {
        let unknown = Concern::FencesUnknown { nodes: vec![cluster.name(2)] };
        assert!(cluster.concerns().is_some_and(|all| all.contains(&unknown)));
        let node = cluster.name(2);
        let refused = cluster.command(leader, Command::Fence { node, dry_run: false });
        assert_eq!(refused, Err(NotNowReason::FencesUnknown { nodes: vec![cluster.name(2)] }.into()));
    }
}

#[test]
fn a_leader_says_which_node_it_cannot_turn_off_and_which_it_does_not_know() {
    let (mut cluster, leader, master) = apart();
    let advises = |c: &Cluster, what: &str| c.view(leader).advice.iter().any(|a| a.contains(what));
    assert!(!advises(&cluster, "fence"), "{:?}", cluster.view(leader).advice);
    let mut settings = cluster.machines[leader].settings.clone();
    let name = cluster.name(master);
    settings.fences.remove(&name);
    settings.fences.insert("typo".to_owned(), LIMIT);
    cluster.input(leader, Input::Configure(Box::new(settings)));
    assert!(advises(&cluster, "names typo, and no node of that name was heard"));
    assert!(advises(&cluster, &format!("cannot turn off {name}: there is no [fence.nodes.NAME]")));
}

/// What it frees could never count.
#[test]
fn nobody_is_turned_off_without_whom_there_is_no_quorum() {
    let (mut cluster, leader, master) = apart();
    let other = 3 - leader - master;
    cluster.lose_power(other);
    cluster.run(2000);
    nginx_is_stuck(&mut cluster, master);
    cluster.run(20_000);
    assert_eq!(fencing(&cluster, leader), [], "{}", cluster.diagnosis());
    let (node, missing) = (cluster.name(master), vec![cluster.name(master), cluster.name(other)]);
    let refused = cluster.command(leader, Command::Fence { node, dry_run: true });
    let Err(CommandError::Unsafe(UnsafeReason::QuorumLost { afterwards: true, missing: named })) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), missing.into_iter().collect());
    cluster.start(other);
    cluster.run_until(20_000, "the fence", |c| !fencing(c, leader).is_empty());
}

/// A koi that knows groups and no fences keeps the record without the intent.
#[test]
fn an_elector_that_has_lost_the_intent_frees_nothing() {
    let (mut cluster, leader, master) = apart();
    nginx_is_stuck(&mut cluster, master);
    cluster.run_until(20_000, "the fence", |c| !fencing(c, leader).is_empty());
    let other = 3 - leader - master;
    cluster.kill_daemon(other, None);
    let state = cluster.machines[other].disk.synced.as_mut().expect("it has a record");
    for record in [&mut state.record, &mut state.applied] {
        record.fence = None;
    }
    state.rules = GROUPS_RULE;
    cluster.start(other);
    cluster.isolate(leader);
    cluster.run_until(5000, "another leader", |c| c.leader().is_some_and(|l| l != leader));
    device_says(&mut cluster, leader, FenceOutcome::Off);
    cluster.network.cut.clear();
    cluster.run(10_000);
    assert_eq!(cluster.masters_of(&web()), [master], "{}", cluster.diagnosis());
}

#[test]
fn a_cluster_without_fences_says_what_it_said_before() {
    let mut cluster = Cluster::with_master(3);
    cluster.run(3000);
    let record = cluster.record();
    assert_eq!((record.needs, record.fence.is_none()), (0, true));
    let events = |m: usize| cluster.seen(m).events.iter().any(|e| matches!(e, Event::FenceBegun { .. }));
    assert!(!(0..3).any(events));
}
