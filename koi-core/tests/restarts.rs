//! A service that has failed is restarted in place before its node fails.

use koi_core::io::{Command, HookEnd, Observed, ServiceSpec};
use koi_core::policy::ServicePolicy;
use koi_core::types::{Hook, NodeId, NodeState, ServiceState};
use koi_sim::scripted::{Cluster, Solo, fails, ms, saw, service};

/// Asked how it is every two seconds, and restarted twice in a minute, ten seconds each time.
fn restarted(name: &str) -> ServiceSpec {
    let policy = ServicePolicy {
        restarts: 2,
        restart_window: ms(60_000),
        restart_timeout: ms(10_000),
        ..ServicePolicy::default()
    };
    ServiceSpec { status_interval: ms(2000), policy, ..service(name) }
}

/// The hooks that ran, without statuses.
fn moved(solo: &mut Solo) -> Vec<String> {
    solo.hooks().into_iter().filter(|hook| !hook.ends_with(".status")).collect()
}

fn said(solo: &Solo, service: &str) -> String {
    solo.service(0, service).message.unwrap_or_default()
}

/// Its next status is bad, and all that follow are good.
fn fails_once(solo: &mut Solo, service: &str) {
    let restarts = |solo: &Solo| solo.service(0, service).state == ServiceState::Failing;
    // Its way down is slow, so that it is seen.
    solo.is_slow(service, Hook::Failed);
    solo.will_end(service, Hook::Status, fails());
    (0..50).find(|_| {
        solo.pass(100);
        restarts(solo)
    });
    assert!(restarts(solo), "{service} has not failed");
    solo.will_end(service, Hook::Status, saw(Observed::Healthy));
    solo.ends(service, Hook::Failed, HookEnd::Done);
    solo.pass(500);
}

#[test]
fn a_master_restarts_it_under_its_lease() {
    let mut solo = Solo::master(&[restarted("web")]);
    let epoch = solo.view(0).holds;
    solo.hooks();
    fails_once(&mut solo, "web");
    assert_eq!(moved(&mut solo), ["web.failed", "web.stop", "web.start", "web.promote"]);
    assert_eq!((solo.state(), solo.view(0).holds), (NodeState::Master, epoch), "nobody else was master");
    assert_eq!(said(&solo, "web"), "restarted once in a minute");
    assert_eq!(solo.view(0).reason, "");
    solo.pass(70_000);
    assert_eq!(said(&solo, "web"), "", "it is forgotten in time");
}

#[test]
fn a_standby_restarts_it_and_is_no_candidate_meanwhile() {
    let mut solo = Solo::standby(&[restarted("web")]);
    solo.hooks();
    solo.is_slow("web", Hook::Start);
    fails_once(&mut solo, "web");
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Live, ServiceState::Starting));
    assert!(said(&solo, "web").starts_with("is being restarted: exit status 1"), "{}", said(&solo, "web"));
    solo.ends("web", Hook::Start, HookEnd::Done);
    solo.pass(500);
    assert_eq!(moved(&mut solo), ["web.failed", "web.stop", "web.start"]);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn what_builds_on_it_goes_down_and_up_with_it_and_what_it_builds_on_does_not() {
    let mut solo =
        Solo::master(&[service("10-disk"), restarted("20-db"), service("30-web"), service("other")]);
    solo.hooks();
    fails_once(&mut solo, "db");
    let expected = [
        "db.failed",
        "web.demote",
        "web.stop",
        "db.stop",
        "db.start",
        "web.start",
        "db.promote",
        "web.promote",
    ];
    assert_eq!(moved(&mut solo), expected);
    assert_eq!(solo.state(), NodeState::Master);
}

#[test]
fn when_its_restarts_are_used_up_the_node_fails() {
    let mut solo = Solo::master(&[restarted("web")]);
    for _ in 0..2 {
        fails_once(&mut solo, "web");
        assert_eq!(solo.state(), NodeState::Master);
    }
    assert_eq!(said(&solo, "web"), "restarted twice in a minute");
    fails_once(&mut solo, "web");
    assert_eq!(solo.state(), NodeState::Failed);
}

#[test]
fn one_that_does_not_come_back_uses_up_its_restarts_at_once() {
    let mut solo = Solo::master(&[restarted("web")]);
    solo.hooks();
    solo.will_end("web", Hook::Start, fails());
    solo.will_end("web", Hook::Status, fails());
    solo.pass(3000);
    assert_eq!(solo.state(), NodeState::Failed);
    let starts = moved(&mut solo).iter().filter(|hook| *hook == "web.start").count();
    assert_eq!(starts, 2);
}

#[test]
fn a_restart_that_takes_too_long_is_a_failure() {
    let mut solo = Solo::master(&[restarted("web")]);
    solo.is_slow("web", Hook::Start);
    fails_once(&mut solo, "web");
    solo.pass(8000);
    assert_eq!(solo.state(), NodeState::Master);
    solo.pass(2500);
    assert_eq!(solo.state(), NodeState::Failed);
    let reason = solo.view(0).reason;
    assert!(reason.contains("web: status: not back within 10 s of its restart: exit status 1"), "{reason}");
}

#[test]
fn what_says_that_another_try_is_pointless_is_not_restarted() {
    let mut solo = Solo::master(&[restarted("web")]);
    solo.hooks();
    let lasting = HookEnd::Failed { message: "no licence".to_owned(), timed_out: false, lasting: true };
    solo.will_end("web", Hook::Status, lasting);
    solo.pass(2500);
    assert_eq!(solo.state(), NodeState::Failed);
    assert_eq!(moved(&mut solo), ["web.failed", "web.stop"]);
}

#[test]
fn a_lost_lease_ends_a_restart_at_once() {
    let mut solo = Solo::master(&[restarted("web"), service("other")]);
    solo.is_slow("web", Hook::Start);
    fails_once(&mut solo, "web");
    assert_eq!(solo.is("web"), ServiceState::Starting);
    solo.leader_speaks = false;
    solo.pass(1500);
    assert_eq!(solo.state(), NodeState::Failed);
    let reason = solo.view(0).reason;
    assert!(reason.contains("the lease ran out during its restart"), "{reason}");
    assert!(solo.promoted(0).is_empty(), "all is demoted");
}

#[test]
fn a_switch_over_does_not_wait_for_a_restart() {
    let mut solo = Solo::master(&[restarted("web"), service("other")]);
    solo.is_slow("web", Hook::Start);
    fails_once(&mut solo, "web");
    solo.wants_back = solo.grants.take();
    solo.pass(500);
    assert!(solo.view(0).holds.is_none() && solo.promoted(0).is_empty());
    solo.ends("web", Hook::Start, HookEnd::Done);
    solo.pass(500);
    assert_eq!(solo.state(), NodeState::Standby, "it goes on as a standby's");
}

#[test]
fn what_is_stopped_by_hand_is_not_brought_back() {
    let mut solo = Solo::master(&[restarted("web")]);
    solo.is_slow("web", Hook::Stop);
    fails_once(&mut solo, "web");
    solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
    solo.pass(300);
    solo.ends("web", Hook::Stop, HookEnd::Done);
    solo.hooks();
    solo.pass(20_000);
    assert_eq!(
        (solo.state(), solo.is("web"), moved(&mut solo).len()),
        (NodeState::Stopped, ServiceState::Stopped, 0)
    );
}

#[test]
fn what_cannot_be_stopped_is_unclean_and_not_restarted() {
    let mut solo = Solo::master(&[restarted("web")]);
    solo.will_end("web", Hook::Stop, fails());
    fails_once(&mut solo, "web");
    let node = &solo.view(0).nodes[0];
    assert!(node.unclean && node.state == NodeState::Failed, "{node:?}");
}

#[test]
fn nobody_fails_over_while_a_master_restarts() {
    let mut cluster = Cluster::off(3);
    (0..3).for_each(|m| cluster.folder(m, &[restarted("web")]));
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    cluster.run(1000);
    let master = cluster.master().expect("there is one");
    let epoch = cluster.record().last_epoch;
    cluster.slow(master, "web", Hook::Start);
    cluster.ending(master, "web", Hook::Status, fails());
    cluster.run(4000);
    assert_eq!(cluster.node_state(master), NodeState::Master, "it restarts");
    cluster.ending(master, "web", Hook::Status, HookEnd::Done);
    cluster.finish(master, "web", Hook::Start, HookEnd::Done);
    cluster.run(2000);
    assert_eq!((cluster.master(), cluster.record().last_epoch), (Some(master), epoch));

    // The same once more, and it does not come back: another takes over.
    cluster.slow(master, "web", Hook::Start);
    cluster.ending(master, "web", Hook::Status, fails());
    cluster.run_until(15_000, "another master", |c| c.master().is_some_and(|m| m != master));
    let _ = cluster.command(master, Command::Recover);
}

#[test]
fn a_standby_that_was_live_before_is_back_when_it_is_live_again() {
    let mut solo = Solo::unled(&[restarted("web")], |_| {});
    solo.will_end("web", Hook::Status, saw(Observed::Live));
    solo.pass(1000);
    assert_eq!(solo.state(), NodeState::Live);
    fails_once(&mut solo, "web");
    solo.will_end("web", Hook::Status, saw(Observed::Live));
    solo.pass(20_000);
    assert_eq!(solo.state(), NodeState::Live, "{}", solo.view(0).reason);
}

#[test]
fn two_restarts_have_each_their_own_time() {
    let mut solo = Solo::master(&[restarted("web"), restarted("db")]);
    solo.is_slow("web", Hook::Start);
    fails_once(&mut solo, "web");
    solo.pass(7000);
    solo.is_slow("db", Hook::Start);
    fails_once(&mut solo, "db");
    solo.ends("web", Hook::Start, HookEnd::Done);
    solo.pass(4000);
    assert_eq!(
        (solo.state(), solo.is("web")),
        (NodeState::Master, ServiceState::Promoted),
        "{}",
        solo.view(0).reason
    );
    solo.pass(7000);
    let reason = solo.view(0).reason;
    assert!(reason.contains("db: status: not back within 10 s"), "{reason}");
}
