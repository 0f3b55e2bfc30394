//! What hooks are told besides: why a service goes down, how long that may take, and which masterships came to something.

use std::time::Duration;

use koi_core::io::{Command, DownReason, HookRun, Input, Observed};
use koi_core::types::{Epoch, Hook};
use koi_sim::scripted::{Cluster, Solo, fails, ms, saw, service};

/// What was handed to the newest run of this hook.
fn told(cluster: &Cluster, m: usize, hook: Hook) -> HookRun {
    let call = cluster.seen(m).calls.iter().rev().find(|call| call.hook == hook);
    call.cloned().unwrap_or_else(|| panic!("no {} on {m}", hook.as_str()))
}

fn reason(cluster: &Cluster, m: usize, hook: Hook) -> Option<DownReason> {
    told(cluster, m, hook).reason
}

#[test]
fn what_goes_up_is_told_no_reason_and_has_its_whole_time() {
    let solo = Solo::master(&[service("web")]);
    for hook in [Hook::Start, Hook::Promote, Hook::Status] {
        let told = told(&solo, 0, hook);
        assert_eq!((told.reason, told.left), (None, told.timeout), "{}", hook.as_str());
    }
}

#[test]
fn a_demote_for_a_lost_lease_is_told_so_and_what_is_left_of_the_grace() {
    let mut solo = Solo::master(&[service("10-a"), service("20-b")]);
    solo.is_slow("b", Hook::Demote);
    solo.leader_speaks = false;
    solo.pass(1400);
    let first = told(&solo, 0, Hook::Demote);
    assert_eq!((first.service.as_str(), first.reason), ("b", Some(DownReason::LeaseLost)));
    assert!(first.timeout > ms(1000) && first.left <= ms(1000) && first.left > ms(900), "{:?}", first.left);
    solo.ends("b", Hook::Demote, koi_core::io::HookEnd::Done);
    let second = told(&solo, 0, Hook::Demote);
    assert_eq!((second.service.as_str(), second.reason), ("a", Some(DownReason::LeaseLost)));
    assert!(second.left < first.left, "one deadline for all: {:?}", second.left);
}

#[test]
fn what_is_stopped_when_the_grace_is_over_is_told_that_nothing_is_left() {
    let mut solo = Solo::master_with(&[service("web")], |s| s.fenced = true);
    solo.machines[0].stubborn = true;
    solo.is_slow("web", Hook::Demote);
    solo.leader_speaks = false;
    solo.pass(2300);
    let told = told(&solo, 0, Hook::Stop);
    assert_eq!((told.reason, told.left), (Some(DownReason::Fenced), Duration::ZERO));
}

#[test]
fn a_demote_for_another_master_is_ordered_and_has_its_whole_time() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    cluster.promote(&cluster.name(leader)).expect("it is done");
    cluster.run_until(2000, "the new master", |c| c.master() == Some(leader));
    let told = told(&cluster, master, Hook::Demote);
    assert_eq!((told.reason, told.left), (Some(DownReason::Ordered), told.timeout));
}

#[test]
fn what_goes_down_with_a_failure_is_told_so() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    cluster.ending(master, "web", Hook::Status, fails());
    cluster.run_until(11_000, "another master", |c| c.master().is_some_and(|m| m != master));
    for hook in [Hook::Failed, Hook::Stop] {
        assert_eq!(reason(&cluster, master, hook), Some(DownReason::Failed), "{}", hook.as_str());
    }
}

#[test]
fn what_goes_down_for_a_restart_in_place_is_told_of_the_failure() {
    let mut restarted = service("10-a");
    (restarted.policy.restarts, restarted.policy.restart_timeout) = (1, Duration::from_secs(30));
    let mut solo = Solo::master(&[restarted, service("20-b")]);
    solo.will_end("a", Hook::Status, fails());
    solo.pass(11_000);
    let calls = &solo.seen(0).calls;
    let of_b = calls.iter().find(|call| call.service == "b" && call.hook == Hook::Demote);
    assert_eq!(of_b.map(|call| call.reason), Some(Some(DownReason::Failed)), "it builds on a");
}

#[test]
fn what_goes_down_because_koid_ends_or_an_operator_stops_the_node_is_stopping() {
    let mut cluster = Cluster::with_master(3);
    let first = cluster.master().expect("there is one");
    cluster.order(Command::Stop(cluster.name(first)));
    cluster.run_until(3000, "another master", |c| c.master().is_some_and(|m| m != first));
    let second = cluster.master().expect("there is one");
    cluster.input(second, Input::Shutdown);
    cluster.run_until(3000, "the last one", |c| c.master().is_some_and(|m| m != second));
    for m in [first, second] {
        assert_eq!(reason(&cluster, m, Hook::Demote), Some(DownReason::Stopping));
        assert_eq!(reason(&cluster, m, Hook::Stop), Some(DownReason::Stopping));
    }
}

#[test]
fn what_changes_by_itself_is_demoted_without_a_word() {
    let mut solo = Solo::master(&[service("web")]);
    solo.will_end("web", Hook::Status, saw(Observed::Live));
    solo.pass(11_000);
    assert_eq!(reason(&solo, 0, Hook::Demote), None);
}

#[test]
fn a_mastership_that_was_never_promoted_is_not_taken_for_one() {
    let mut cluster = Cluster::with_master(3);
    let first = cluster.master().expect("there is one");
    let promoted = cluster.record().main.promoted.expect("the master has said so");
    assert_eq!(Some(promoted), cluster.record().main.master.map(|m| m.epoch));
    let before = told(&cluster, first, Hook::Promote);
    assert_eq!((before.promoted_epoch, before.previous), (Epoch(0), None), "it is the first");
    for m in (0..3).filter(|m| *m != first) {
        cluster.ending(m, "web", Hook::Promote, fails());
    }
    cluster.order(Command::Stop(cluster.name(first)));
    cluster.run_until(20_000, "both have failed", |c| {
        (0..3).filter(|m| *m != first).all(|m| c.count(m, "failed") > 0)
    });
    cluster.order(Command::Start(cluster.name(first)));
    cluster.run_until(20_000, "it is master again", |c| c.promoted(first) == ["web"]);
    let again = told(&cluster, first, Hook::Promote);
    assert!(again.epoch.0 > promoted.0 + 1, "two were named in between");
    assert_eq!(again.promoted_epoch, promoted, "and none of them was promoted");
    let (last, its_epoch) = again.previous.expect("there was one");
    assert!(last != cluster.name(first) && its_epoch > promoted && its_epoch < again.epoch, "{last}");
    cluster.run(500);
    assert_eq!(cluster.record().main.promoted, Some(again.epoch));
}

#[test]
fn a_new_master_is_told_who_was_before_it_and_under_which_epoch() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let epoch = cluster.record().main.master.expect("there is one").epoch;
    cluster.promote(&cluster.name(leader)).expect("it is done");
    cluster.run_until(2000, "the new master", |c| c.master() == Some(leader));
    let told = told(&cluster, leader, Hook::Promote);
    assert_eq!(told.previous, Some((cluster.name(master), epoch)));
    assert_eq!(told.promoted_epoch, epoch);
}
