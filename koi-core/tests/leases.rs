//! Who may be promoted, for how long, and when another may be: rules R5 to R8.

use koi_core::io::{Command, HookEnd, Input, Observed};
use koi_core::message::{Body, Farewell};
use koi_core::reason::WaitReason;
use koi_core::types::{Epoch, Hook, NodeState, ServiceState};
use koi_sim::scripted::{Cluster, Solo, fails, ms, saw, service};

#[test]
fn the_lease_counts_from_when_the_report_was_sent() {
    let mut solo = Solo::master(&[service("web")]);
    // The answer comes ten milliseconds after the report, and says: a second.
    solo.heartbeat();
    solo.run(10);
    solo.answer();
    assert_eq!(solo.view(0).lease, Some(ms(990)));
}

#[test]
fn the_runners_view_of_its_lease_ends_before_the_leaders() {
    let (mut cluster, _, other, _) = apart();
    for _ in 0..200 {
        cluster.run(7);
        let left = cluster.view(other).lease.expect("it is master");
        assert!(left <= ms(1000) - ms(1), "at least the heartbeat's way is over: {left:?}");
        assert!(left >= ms(800), "{left:?}");
    }
}

#[test]
fn a_lost_lease_demotes_at_once_and_releases() {
    let mut solo = Solo::master(&[service("web")]);
    solo.hooks();
    solo.leader_speaks = false;
    solo.pass(800);
    assert_eq!(solo.hooks(), Vec::<String>::new());
    solo.pass(300);
    assert_eq!((solo.hooks(), solo.is("web")), (vec!["web.demote".to_owned()], ServiceState::Started));
    assert_eq!((solo.count(0, "lease-lost"), solo.view(0).holds), (1, None));
}

#[test]
fn a_lost_lease_does_not_wait_for_a_promote_that_runs() {
    let mut solo = Solo::standby(&[service("web")]);
    solo.is_slow("web", Hook::Promote);
    solo.appoint();
    solo.pass(300);
    solo.leader_speaks = false;
    solo.pass(1100);
    assert_eq!(solo.seen(0).aborted, [("web.promote".to_owned(), false)]);
    assert!(solo.promoted(0).is_empty(), "and is demoted");
}

#[test]
fn what_is_not_demoted_within_the_grace_is_killed_stopped_and_fenced() {
    let mut solo = Solo::master_with(&[service("web")], |s| s.fenced = true);
    solo.hooks();
    solo.machines[0].stubborn = true;
    solo.is_slow("web", Hook::Demote);
    solo.leader_speaks = false;
    solo.pass(1800);
    assert_eq!((solo.hooks(), solo.seen(0).fences), (vec!["web.demote".to_owned()], 0));
    solo.pass(400);
    assert_eq!(solo.seen(0).aborted.last(), Some(&("web.demote".to_owned(), true)), "SIGKILL");
    assert_eq!(solo.hooks(), ["web.failed", "web.stop"]);
    assert_eq!((solo.seen(0).fences, solo.state()), (1, NodeState::Failed));
    solo.pass(5000);
    assert_eq!(solo.seen(0).fences, 1, "once");
}

#[test]
fn the_grace_is_one_deadline_however_many_services_demote_in_turn() {
    let mut solo = Solo::master(&[service("10-a"), service("20-b")]);
    solo.is_slow("b", Hook::Demote);
    solo.is_slow("a", Hook::Demote);
    solo.leader_speaks = false;
    solo.pass(1700);
    solo.ends("b", Hook::Demote, HookEnd::Done);
    solo.pass(400);
    assert!(
        solo.seen(0).aborted.contains(&("a.demote".to_owned(), true)),
        "a began late and had what was left"
    );
}

#[test]
fn an_ordered_demotion_keeps_the_lease_until_it_is_done() {
    let mut solo = Solo::master(&[service("web")]);
    let epoch = solo.grants.expect("it has one");
    solo.is_slow("web", Hook::Demote);
    solo.wants_back = Some(epoch);
    solo.pass(20_000);
    assert_eq!((solo.view(0).holds, solo.count(0, "lease-lost")), (Some(epoch), 0));
    solo.ends("web", Hook::Demote, HookEnd::Done);
    solo.pass(200);
    assert_eq!(solo.view(0).holds, None);
    // What was released is never taken again.
    solo.wants_back = None;
    solo.hooks();
    solo.pass(500);
    assert_eq!((solo.hooks(), solo.view(0).holds), (vec![], None));
}

#[test]
fn a_slow_demote_is_told() {
    let mut solo = Solo::master(&[service("web")]);
    solo.is_slow("web", Hook::Demote);
    solo.wants_back = solo.grants;
    solo.pass(700);
    solo.ends("web", Hook::Demote, HookEnd::Done);
    assert_eq!(solo.count(0, "slow-demote"), 1);
    assert!(solo.view(0).advice.iter().any(|w| w.contains("demote_grace")));
}

/// A cluster whose master can neither demote nor stop, told to give the mastership to another.
fn unclean(block: bool) -> (Cluster, usize, usize) {
    let (mut cluster, _, bad, other) = apart();
    let mut settings = cluster.machines[bad].settings.clone();
    settings.block_on_stop_failure = block;
    cluster.input(bad, Input::Configure(Box::new(settings)));
    cluster.ending(bad, "web", Hook::Demote, fails());
    cluster.ending(bad, "web", Hook::Stop, fails());
    if !block {
        cluster.split_brain_expected = true;
    }
    cluster.promote(&cluster.name(other)).expect("it is done");
    (cluster, bad, other)
}

#[test]
fn an_unclean_node_blocks_until_it_is_mended() {
    let (mut cluster, bad, other) = unclean(true);
    cluster.run(120_000);
    assert_eq!(cluster.master(), None);
    let leader = cluster.leader().expect("someone leads");
    assert!(cluster.view(leader).nodes.iter().any(|n| n.unclean));
    assert!(cluster.view(bad).reason.contains("koi recover"), "{}", cluster.view(bad).reason);
    cluster.ending(bad, "web", Hook::Stop, HookEnd::Done);
    cluster.ending(bad, "web", Hook::Demote, HookEnd::Done);
    cluster.command(bad, Command::Recover).expect("it tries");
    cluster.run_until(2000, "the other", |c| c.master() == Some(other));
    cluster.run(500);
    assert_eq!(cluster.machines[bad].disk.synced.as_ref().and_then(|d| d.held), None, "the mark is gone too");
}

/// The answer with the lease came, and the heartbeat with the record that names the master did not.
#[test]
fn a_node_that_cannot_stop_a_service_stays_until_its_lease_is_over_though_no_record_names_it_yet() {
    let mut solo = Solo::standby(&[service("db")]);
    solo.appoint();
    solo.run(100);
    solo.answer();
    solo.run(50);
    assert_eq!(solo.promoted(0), ["db"]);
    for hook in [Hook::Demote, Hook::Stop] {
        solo.will_end("db", hook, fails());
    }
    solo.shut_down(0);
    solo.run(500);
    assert!(solo.machines[0].core.is_some(), "others may still count on its word");
    solo.run_until(5000, "its lease and its grace are over", |c| c.machines[0].core.is_none());
}

#[test]
fn an_unclean_node_can_be_confirmed_down() {
    let (mut cluster, bad, other) = unclean(true);
    cluster.run(5000);
    cluster.split_brain_expected = true;
    cluster.order(Command::ConfirmDown(cluster.name(bad)));
    cluster.run_until(2000, "the other", |c| c.master() == Some(other));
}

#[test]
fn a_stop_failure_can_be_ignored() {
    let (mut cluster, _, other) = unclean(false);
    cluster.run_until(2000, "the other", |c| c.master() == Some(other));
}

// --- takeover (R6) ---

/// A cluster whose master is not its leader: leader, master, third.
fn apart() -> (Cluster, usize, usize, usize) {
    let (cluster, leader, master) = Cluster::apart(3);
    (cluster, leader, master, 3 - leader - master)
}

#[test]
fn a_silent_master_is_replaced_when_its_lease_and_grace_are_over_and_not_before() {
    let (mut cluster, leader, master, _) = apart();
    cluster.lose_power(master);
    cluster.run(1000);
    let waiting = cluster.view(leader).waiting;
    assert_eq!(waiting[0].reason, WaitReason::MasterSilent { node: cluster.name(master) });
    assert!(waiting[0].remaining.is_some_and(|r| r > ms(500) && r < ms(1100)), "{waiting:?}");
    let took = 1000 + cluster.run_until(2000, "another master", |c| c.master().is_some());
    assert!((1900..=2130).contains(&took), "{took} ms");
}

#[test]
fn a_master_lost_together_with_the_leader_is_replaced_as_fast() {
    let mut cluster = Cluster::with_master(3);
    let both = cluster.leader().expect("someone leads");
    cluster.promote(&cluster.name(both)).expect("it is done");
    cluster.run(1000);
    cluster.lose_power(both);
    let took = cluster.run_until(4000, "another master", |c| c.master().is_some());
    assert!((1900..=2230).contains(&took), "{took} ms");
}

#[test]
fn a_master_that_is_cut_off_has_demoted_before_another_is_promoted() {
    let (mut cluster, _, master, _) = apart();
    cluster.isolate(master);
    cluster.run_until(4000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert!(cluster.promoted(master).is_empty());
    cluster.mend_network();
    let now = cluster.master();
    cluster.run(5000);
    assert_eq!(cluster.master(), now, "it comes back and displaces nobody");
}

#[test]
fn an_obituary_that_says_all_is_down_frees_the_mastership_at_once() {
    let (mut cluster, _, master, _) = apart();
    cluster.kill_daemon(master, Some(true));
    let took = cluster.run_until(2000, "another master", |c| c.master().is_some());
    assert!(took <= 50, "{took} ms");
}

#[test]
fn a_farewell_counts_only_for_what_it_names() {
    let (mut cluster, _, master, _) = apart();
    let epoch = cluster.record().last_epoch;
    cluster.lose_power(master);
    cluster
        .say(master, Body::Farewell(Farewell { released: Some(Epoch(epoch.0 - 1)), ..Farewell::default() }));
    cluster.run(1500);
    assert_eq!(cluster.master(), None, "an older epoch is not the one that is waited for");
    cluster.say(master, Body::Farewell(Farewell { released: Some(epoch), ..Farewell::default() }));
    cluster.run_until(100, "another master", |c| c.master().is_some());
}

#[test]
fn a_clean_stop_of_the_master_hands_over_at_once() {
    let (mut cluster, _, master, _) = apart();
    cluster.shut_down(master);
    let took = cluster.run_until(2000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert!(took <= 20, "{took} ms");
    cluster.run(1000);
    assert!(cluster.machines[master].core.is_none(), "it has ended");
    assert_eq!(cluster.machines[master].disk.synced.as_ref().and_then(|d| d.held), None);
}

#[test]
fn a_leader_with_a_longer_lease_does_not_grant_beyond_the_hold_time_in_the_record() {
    let (mut cluster, leader, master, third) = apart();
    let hold = cluster.record().main.master.expect("there is one").hold;
    assert_eq!(hold, ms(2000));
    for m in 0..3 {
        let mut settings = cluster.machines[m].settings.clone();
        settings.master_lease = ms(60_000);
        cluster.input(m, Input::Configure(Box::new(settings)));
    }
    cluster.run(1000);
    let record = cluster.record();
    let hold = record.main.master.expect("there is one").hold;
    assert!(
        cluster.view(master).lease.is_some_and(|l| l + ms(1000) <= hold),
        "the hold time has grown first"
    );
    assert_eq!(cluster.count(master, "lease-lost"), 0);
    // Whoever leads next waits by the record.
    cluster.isolate(master);
    cluster.lose_power(leader);
    cluster.start(leader);
    cluster.run(30_000);
    assert!(cluster.promoted(third).is_empty() && cluster.promoted(leader).is_empty());
}

#[test]
fn a_raised_grace_does_not_drop_the_master() {
    let (mut cluster, _, master, _) = apart();
    cluster.began(master);
    let mut settings = cluster.machines[master].settings.clone();
    settings.demote_grace = ms(5000);
    cluster.input(master, Input::Configure(Box::new(settings)));
    cluster.run(3000);
    assert_eq!((cluster.master(), cluster.began(master)), (Some(master), vec![]));
    assert_eq!(cluster.record().main.master.expect("there is one").hold, ms(6000));
}

#[test]
fn a_changed_leader_lease_begins_with_a_new_leadership_and_runs_no_hook() {
    let (mut cluster, leader, master, _) = apart();
    (0..3).for_each(|m| _ = cluster.began(m));
    let mut settings = cluster.machines[leader].settings.clone();
    settings.leader_lease = ms(700);
    let term = cluster.view(leader).term;
    cluster.input(leader, Input::Configure(Box::new(settings)));
    cluster.run(2000);
    let now = cluster.leader().expect("someone leads");
    assert!(cluster.view(now).term > term);
    assert_eq!(cluster.master(), Some(master));
    assert!((0..3).all(|m| cluster.began(m).is_empty()));
}

#[test]
fn a_runner_that_is_to_be_none_goes_on_until_it_is_restarted() {
    let (mut cluster, _, master, _) = apart();
    let mut settings = cluster.machines[master].settings.clone();
    settings.runner = false;
    cluster.input(master, Input::Configure(Box::new(settings)));
    cluster.run(5000);
    assert_eq!(cluster.master(), Some(master));
    assert_eq!(cluster.count(master, "warned"), 1);
}

// --- restarts (R8) and maintenance ---

#[test]
fn a_master_whose_daemon_was_restarted_takes_everything_down_before_it_joins() {
    let (mut cluster, _, master, _) = apart();
    // Daemon and guardian are gone; what was promoted runs on.
    cluster.kill_daemon(master, None);
    cluster.began(master);
    cluster.slow(master, "web", Hook::Stop);
    cluster.start(master);
    cluster.run(300);
    assert_eq!(cluster.began(master), ["web.demote", "web.stop"]);
    assert_eq!(cluster.count(master, "taking-down"), 1);
    assert_eq!(cluster.node_state(master), NodeState::Disconnected);
    assert_eq!(cluster.master(), None);
    cluster.finish(master, "web", Hook::Stop, HookEnd::Done);
    let took = cluster.run_until(3000, "a master", |c| c.master().is_some());
    assert!(took <= 50, "its own word frees the mastership: {took} ms");
}

#[test]
fn the_mark_is_on_disk_before_anything_is_promoted() {
    let (mut cluster, _, _, third) = apart();
    cluster.hang_disk(third);
    cluster.promote(&cluster.name(third)).expect("it is done");
    cluster.run(500);
    assert!(cluster.promoted(third).is_empty(), "the disk does not answer");
    cluster.mend_disk(third);
    cluster.run(100);
    assert_eq!(cluster.master(), Some(third));
    assert!(cluster.machines[third].disk.synced.as_ref().is_some_and(|d| d.held.is_some()));
}

#[test]
fn an_upgrade_in_maintenance_mode_runs_no_hook_and_adopts_what_runs() {
    let (mut cluster, _, master, _) = apart();
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    (0..3).for_each(|m| _ = cluster.began(m));
    cluster.recorder().machines.iter_mut().for_each(|seen| seen.calls.clear());
    for m in 0..3 {
        cluster.shut_down(m);
        cluster.run_until(2000, "its end", |c| c.machines[m].core.is_none());
        cluster.start(m);
        cluster.run(3000);
    }
    assert!((0..3).all(|m| cluster.seen(m).calls.is_empty()), "no hook ran");
    assert_eq!(cluster.service(master, "web").state, ServiceState::Promoted, "adopted");
    cluster.order(Command::Maintenance(false));
    for m in 0..3 {
        let seen = if m == master { Observed::Promoted } else { Observed::Standby };
        cluster.ending(m, "web", Hook::Status, saw(seen));
    }
    cluster.run(2000);
    assert_eq!(cluster.master(), Some(master));
    for m in 0..3 {
        assert_eq!(cluster.seen(m).calls[0].hook, Hook::Status, "how it is is asked first");
        assert_eq!(cluster.began(m), Vec::<String>::new(), "and nothing has to be done");
    }
}

#[test]
fn a_master_that_was_last_known_in_maintenance_is_not_taken_over_by_time() {
    let (mut cluster, leader, master, _) = apart();
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    cluster.isolate(master);
    cluster.order(Command::Maintenance(false));
    cluster.run(60_000);
    assert_eq!(cluster.promoted(master).len(), 1, "it does not know that maintenance is over");
    assert!((0..3).all(|m| m == master || cluster.promoted(m).is_empty()));
    let node = cluster.name(master);
    assert_eq!(cluster.view(leader).waiting[0].reason, WaitReason::MasterInMaintenance { node });
    cluster.began(master);
    cluster.mend_network();
    cluster.run(5000);
    assert_eq!(cluster.master().map(|m| cluster.promoted(m).len()), Some(1), "one master again");
}
