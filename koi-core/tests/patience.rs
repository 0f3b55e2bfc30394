//! Nothing repeats itself without a back-off and a count: handlers whose status contradicts them, and masterships that come to nothing.

use koi_core::io::{Command, HookEnd, Observed, ServiceSpec};
use koi_core::reason::WaitReason;
use koi_core::types::{Hook, HookSet, NodeId, NodeState, ServiceState};
use koi_sim::scripted::{Cluster, Solo, fails, ms, saw, service};

/// `web`, asked how it is every second.
fn web() -> ServiceSpec {
    ServiceSpec { status_interval: ms(1000), ..service("web") }
}

fn count(hooks: &[String], hook: &str) -> usize {
    hooks.iter().filter(|h| *h == hook).count()
}

#[test]
fn what_status_calls_stopped_after_each_start_fails_after_one_retry_and_says_so() {
    let mut solo = Solo::unled(&[web()], |_| {});
    solo.will_end("web", Hook::Status, saw(Observed::Stopped));
    solo.pass(800);
    assert_eq!(solo.hooks(), ["web.start"], "it may have been asked a moment too early");
    solo.pass(700);
    assert_eq!(solo.hooks(), ["web.start", "web.failed", "web.stop"]);
    assert_eq!(solo.state(), NodeState::Failed);
    let reason = solo.view(0).reason;
    assert!(reason.contains("web: start: status says stopped (92) after start"), "{reason}");
    let cause = solo.seen(0).calls.iter().find_map(|c| c.cause.clone()).expect("failed is told why");
    assert_eq!(cause.hook, Hook::Start);

    solo.pass(120_000);
    let starts = count(&solo.hooks(), "web.start");
    assert!((6..=13).contains(&starts), "one for each recovery: {starts}");
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.pass(21_000);
    assert_eq!(solo.state(), NodeState::Standby, "what is mended comes back");
}

#[test]
fn a_start_that_is_not_done_when_it_says_so_gets_a_second_look() {
    let mut solo = Solo::unled(&[web()], |_| {});
    solo.will_end("web", Hook::Status, saw(Observed::Stopped));
    solo.pass(500);
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.pass(2000);
    assert_eq!((solo.hooks(), solo.state()), (vec!["web.start".to_owned(); 2], NodeState::Standby));
}

#[test]
fn an_operators_recover_gives_it_its_retry_back() {
    let mut solo = Solo::unled(&[web()], |s| s.auto_recover = 0);
    solo.will_end("web", Hook::Status, saw(Observed::Stopped));
    solo.pass(2000);
    solo.hooks();
    solo.command(0, Command::Recover).expect("it tries");
    solo.pass(2000);
    assert_eq!(count(&solo.hooks(), "web.start"), 2);
}

#[test]
fn what_status_calls_promoted_after_its_stop_is_unclean() {
    let mut solo = Solo::standby(&[web()]);
    solo.hooks();
    solo.will_end("web", Hook::Status, saw(Observed::Promoted));
    solo.pass(4000);
    assert_eq!(solo.hooks(), ["web.demote", "web.demote", "web.failed", "web.stop"]);
    let view = solo.view(0);
    assert!(view.nodes[0].unclean && view.nodes[0].state == NodeState::Failed, "{view:?}");
    assert!(solo.service(0, "web").maybe_promoted, "nobody knows that it is down");
    let said = solo.service(0, "web").message.expect("it says why");
    assert!(said.contains("status says promoted (90) after stop"), "{said}");

    solo.pass(120_000);
    assert!(solo.hooks().is_empty(), "it waits for an operator");
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.command(0, Command::Recover).expect("it tries");
    solo.pass(2000);
    assert_eq!((solo.state(), solo.service(0, "web").maybe_promoted), (NodeState::Standby, false));
}

#[test]
fn what_is_down_after_its_stop_has_failed_to_demote_and_no_more() {
    let mut solo = Solo::standby(&[web()]);
    solo.will_end("web", Hook::Status, saw(Observed::Promoted));
    solo.pass(900);
    solo.is_slow("web", Hook::Stop);
    solo.pass(3000);
    solo.will_end("web", Hook::Status, saw(Observed::Stopped));
    solo.ends("web", Hook::Stop, HookEnd::Done);
    solo.pass(300);
    let view = solo.view(0);
    assert_eq!((view.nodes[0].state, view.nodes[0].unclean), (NodeState::Failed, false));
    assert!(view.reason.contains("web: demote: status says promoted (90) after demote"), "{}", view.reason);
    assert!(view.recovers_in.is_some(), "it tries again by itself");
}

#[test]
fn an_unclean_standby_lets_nobody_else_be_named_until_it_is_mended() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    let liar = cluster.standby();
    let third = (0..3).find(|m| *m != master && *m != liar).expect("three nodes");
    cluster.ending(liar, "web", Hook::Status, saw(Observed::Promoted));
    cluster.run(35_000);
    assert!(cluster.view(liar).nodes[0].unclean);
    assert_eq!(cluster.master(), Some(master), "a master that sits is not touched");
    let leader = cluster.leader().expect("someone leads");
    assert!(!cluster.view(leader).healthy);

    cluster.order(Command::Stop(cluster.name(master)));
    cluster.run(10_000);
    assert_eq!(cluster.master(), None, "it may be a second master");
    let waiting = cluster.view(cluster.leader().expect("someone leads")).waiting.remove(0);
    assert!(matches!(waiting.reason, WaitReason::PromotedUnbidden { .. }), "{waiting:?}");
    cluster.ending(liar, "web", Hook::Status, saw(Observed::Standby));
    cluster.command(liar, Command::Recover).expect("it tries");
    cluster.run_until(5000, "another master", |c| c.master().is_some());
    assert!([liar, third].contains(&cluster.master().expect("there is one")));
}

#[test]
fn what_status_calls_standby_after_each_promote_fails_after_one_retry() {
    let mut solo = Solo::master(&[web()]);
    solo.hooks();
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.pass(3000);
    assert_eq!(solo.hooks(), ["web.promote", "web.failed", "web.stop"]);
    let reason = solo.view(0).reason;
    assert!(reason.contains("web: promote: status says standby (91) after promote"), "{reason}");
}

#[test]
fn what_is_live_whenever_it_is_promoted_fails_the_second_time() {
    let mut solo = Solo::master(&[web()]);
    for (time, state) in [("once", NodeState::Live), ("twice", NodeState::Failed)] {
        solo.will_end("web", Hook::Status, saw(Observed::Live));
        solo.pass(2000);
        assert_eq!((solo.state(), solo.view(0).holds), (state, None), "{time}");
        solo.will_end("web", Hook::Status, saw(Observed::Standby));
        solo.pass(3000);
        solo.appoint();
        solo.pass(500);
    }
    let reason = solo.view(0).reason;
    assert!(reason.contains("web: promote: status says live (93) after promote"), "{reason}");
}

#[test]
fn a_service_without_promote_may_be_the_same_before_and_after() {
    let plain =
        ServiceSpec { hooks: HookSet::LIFECYCLE.without(Hook::Promote).without(Hook::Demote), ..web() };
    let mut solo = Solo::master(&[plain]);
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.pass(30_000);
    assert_eq!(solo.state(), NodeState::Master);
}

/// Lets time pass while every status of the service on this node says, in turn, that it runs and that it does not.
fn stops_by_itself(solo: &mut Solo, span_ms: u64) {
    solo.is_slow("web", Hook::Status);
    for _ in 0..span_ms / 100 {
        solo.pass(100);
        let asked = solo.machines[0].hooks.values().any(|run| run.hook == Hook::Status);
        if asked {
            let began = &solo.seen(0).began;
            let after_start = began.iter().rev().take(2).any(|hook| hook == "web.start");
            let seen = if after_start { Observed::Standby } else { Observed::Stopped };
            solo.ends("web", Hook::Status, saw(seen));
        }
    }
}

#[test]
fn what_stops_by_itself_is_started_again_at_once_and_then_less_and_less_often() {
    let mut solo = Solo::standby(&[web()]);
    solo.hooks();
    stops_by_itself(&mut solo, 2000);
    assert_eq!(count(&solo.hooks(), "web.start"), 1, "at once");
    stops_by_itself(&mut solo, 120_000);
    let starts = count(&solo.hooks(), "web.start");
    assert!((4..=10).contains(&starts), "{starts}");
    let said = solo.service(0, "web").message;
    let resting = solo.is("web") == ServiceState::Stopped;
    assert!(!resting || said.as_ref().is_some_and(|m| m.contains("rests for")), "{said:?}");
    assert_eq!(solo.view(0).nodes[0].state, NodeState::Live, "a service that changes is not failed");
}

#[test]
fn what_rests_goes_down_at_once() {
    let mut solo = Solo::standby(&[service("10-disk"), ServiceSpec { priority: Some(20), ..web() }]);
    stops_by_itself(&mut solo, 40_000);
    solo.hooks();
    solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
    solo.pass(100);
    assert!(solo.hooks().contains(&"disk.stop".to_owned()), "a rest holds nothing up that goes down");
}

#[test]
fn a_recovery_without_a_wait_has_one_all_the_same() {
    let mut solo = Solo::unled(&[web()], |s| s.auto_recover_time = ms(0));
    solo.will_end("web", Hook::Start, fails());
    solo.pass(30_000);
    let starts = count(&solo.hooks(), "web.start");
    assert!((10..=32).contains(&starts), "{starts}");
}

/// Three nodes whose services are live when promoted, and standby otherwise: nobody can be master for longer than a status takes.
fn restless_cluster() -> Cluster {
    let mut cluster = Cluster::off(3);
    for m in 0..3 {
        cluster.folder(m, &[web()]);
        cluster.slow(m, "web", Hook::Status);
    }
    cluster.start_all();
    cluster
}

fn answer_statuses(cluster: &mut Cluster) {
    for m in 0..cluster.machines.len() {
        let asked = cluster.machines[m].hooks.values().any(|run| run.hook == Hook::Status);
        if asked {
            let up = !cluster.promoted(m).is_empty();
            let seen = if up { Observed::Live } else { Observed::Standby };
            cluster.finish(m, "web", Hook::Status, saw(seen));
        }
    }
}

#[test]
fn a_mastership_that_nobody_can_keep_moves_less_and_less_often_and_is_warned_of() {
    let mut cluster = restless_cluster();
    let mut warned = false;
    for _ in 0..1200 {
        cluster.run(100);
        answer_statuses(&mut cluster);
        let view = cluster.leader().map(|l| cluster.view(l));
        assert!(!view.as_ref().is_some_and(|v| v.healthy && v.warnings.is_empty() && warned), "{view:?}");
        warned |= view.is_some_and(|v| v.warnings.iter().any(|w| w.starts_with("flapping: ")));
    }
    let masterships = cluster.record().last_epoch.0 & 0xffff;
    assert!((3..=20).contains(&masterships), "{masterships} masterships in two minutes");
    assert!(warned, "an operator sees that it flaps");
}

#[test]
fn a_node_on_which_a_mastership_came_to_nothing_is_passed_over() {
    let mut cluster = Cluster::with_master(3);
    let first = cluster.master().expect("there is one");
    cluster.ending(first, "web", Hook::Status, saw(Observed::Live));
    cluster.run_until(11_000, "another master", |c| c.master().is_some_and(|m| m != first));
    let second = cluster.master().expect("there is one");
    cluster.ending(first, "web", Hook::Status, saw(Observed::Standby));
    cluster.run(11_000);
    assert_eq!(cluster.node_state(first), NodeState::Standby, "it could be master again");
    let third = (0..3).find(|m| *m != first && *m != second).expect("three nodes");
    cluster.lose_power(second);
    let took = cluster.run_until(5000, "a third master", |c| c.master().is_some());
    assert_eq!(cluster.master(), Some(third), "the one that has a clean sheet");
    assert!(took < 2300, "the first failover after a calm waits for nobody's patience: {took} ms");
}

#[test]
fn an_operator_does_not_wait_for_patience() {
    let mut cluster = restless_cluster();
    let standby = loop {
        cluster.run(100);
        answer_statuses(&mut cluster);
        assert!(cluster.now < 300_000_000, "nobody rests\n{}", cluster.story());
        let Some(leader) = cluster.leader() else { continue };
        let waiting = cluster.view(leader).waiting;
        let rests = waiting.iter().any(|w| matches!(w.reason, WaitReason::CandidateRests { .. }));
        let standby = (0..3).find(|m| cluster.node_state(*m) == NodeState::Standby);
        if let Some(standby) = standby.filter(|_| rests) {
            break standby;
        }
    };
    let epoch = cluster.record().last_epoch;
    cluster.promote(&cluster.name(standby)).expect("it is wanted");
    cluster.run(100);
    assert!(cluster.record().last_epoch > epoch, "{:?}", cluster.record());
}

#[test]
fn a_node_that_dies_of_each_promotion_is_passed_over_and_then_rests() {
    let mut cluster = Cluster::off(3);
    (0..3).for_each(|m| cluster.slow(m, "web", Hook::Promote));
    cluster.start_all();
    let mut deaths = 0;
    for _ in 0..900 {
        cluster.run(100);
        for m in 0..3 {
            let promotes = cluster.machines[m].hooks.values().any(|run| run.hook == Hook::Promote);
            // Who leads goes on: another's memory is another story.
            if promotes && cluster.leader() != Some(m) {
                deaths += 1;
                cluster.kill_daemon(m, Some(true));
                cluster.start(m);
            } else if promotes {
                cluster.finish(m, "web", Hook::Promote, fails());
            }
        }
    }
    assert!((3..=14).contains(&deaths), "{deaths} deaths in a minute and a half");
}
