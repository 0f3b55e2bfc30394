//! What a service may do wrong before its node has failed: bad statuses in a row, and services that are not critical.

use koi_core::io::{Command, HookEnd, Observed, ServiceSpec};
use koi_core::policy::ServicePolicy;
use koi_core::types::{Hook, NodeId, NodeState, ServiceState};
use koi_sim::scripted::{Cluster, Solo, fails, ms, saw, service};

/// Asked how it is every two seconds, and one second after a bad answer.
fn with(name: &str, policy: ServicePolicy) -> ServiceSpec {
    ServiceSpec { status_interval: ms(2000), policy, ..service(name) }
}

fn patient(name: &str) -> ServiceSpec {
    with(name, ServicePolicy { status_failures: 3, ..ServicePolicy::default() })
}

fn optional(name: &str) -> ServiceSpec {
    with(name, ServicePolicy { critical: false, ..ServicePolicy::default() })
}

/// The hooks that ran, without statuses.
fn moved(solo: &mut Solo) -> Vec<String> {
    solo.hooks().into_iter().filter(|hook| !hook.ends_with(".status")).collect()
}

fn said(solo: &Solo, service: &str) -> String {
    solo.service(0, service).message.unwrap_or_default()
}

#[test]
fn bad_statuses_are_borne_until_there_are_too_many_in_a_row() {
    let mut solo = Solo::master(&[patient("web")]);
    solo.hooks();
    solo.will_end("web", Hook::Status, fails());
    solo.pass(2500);
    assert_eq!(said(&solo, "web"), "1 of 3 bad statuses: exit status 1");
    solo.pass(1000);
    assert_eq!(said(&solo, "web"), "2 of 3 bad statuses: exit status 1");
    assert_eq!((solo.state(), moved(&mut solo).len()), (NodeState::Master, 0), "it is asked again soon");
    solo.pass(1000);
    assert_eq!(solo.state(), NodeState::Failed, "the third is one too many");
    assert_eq!(moved(&mut solo), ["web.failed", "web.stop"]);
}

#[test]
fn a_good_status_in_between_begins_the_count_anew() {
    let mut solo = Solo::master(&[patient("web")]);
    solo.hooks();
    for round in 0..4 {
        solo.will_end("web", Hook::Status, fails());
        let is_in_doubt = |solo: &Solo| said(solo, "web").starts_with("2 of 3");
        (0..50).find(|_| {
            solo.pass(100);
            is_in_doubt(&solo)
        });
        assert!(is_in_doubt(&solo), "round {round}: {}", said(&solo, "web"));
        solo.will_end("web", Hook::Status, saw(Observed::Healthy));
        solo.pass(1500);
        assert_eq!(said(&solo, "web"), "", "round {round}");
    }
    assert_eq!((solo.state(), moved(&mut solo).len()), (NodeState::Master, 0));
}

#[test]
fn what_says_that_another_try_is_pointless_has_failed_at_once() {
    let mut solo = Solo::master(&[patient("web")]);
    let lasting = HookEnd::Failed { message: "no licence".to_owned(), timed_out: false, lasting: true };
    solo.will_end("web", Hook::Status, lasting);
    solo.pass(2500);
    assert_eq!(solo.state(), NodeState::Failed);
}

#[test]
fn a_standby_in_doubt_is_no_candidate_until_it_is_known_to_be_well() {
    let mut solo = Solo::standby(&[patient("web")]);
    solo.will_end("web", Hook::Status, fails());
    solo.pass(2500);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Live, ServiceState::Started));
    solo.will_end("web", Hook::Status, saw(Observed::Healthy));
    solo.pass(1000);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn another_hooks_failure_is_one_at_once() {
    let mut solo = Solo::standby(&[patient("web")]);
    solo.will_end("web", Hook::Promote, fails());
    solo.appoint();
    solo.pass(500);
    assert_eq!(solo.state(), NodeState::Failed);
}

#[test]
fn whatever_one_that_is_not_critical_cannot_do_the_master_goes_on() {
    for hook in [Hook::Start, Hook::Status, Hook::Promote] {
        // Its number is below that of the others, above, and none.
        for name in ["10-stats", "90-stats", "stats"] {
            let why = format!("{} of {name}", hook.as_str());
            let mut solo = Solo::off(&[service("50-web"), optional(name)], |_| {});
            solo.will_end("stats", hook, fails());
            solo.start(0);
            solo.pass(1000);
            assert_eq!(solo.state(), NodeState::Standby, "{why}");
            solo.appoint();
            solo.pass(4000);
            assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted), "{why}");
            let reason = solo.view(0).reason;
            assert!(
                reason.contains("that is not critical does not run") && reason.contains("stats: "),
                "{why}: {reason}"
            );
            solo.hooks();
            solo.pass(60_000);
            let hooks = moved(&mut solo);
            let tries = hooks.iter().filter(|hook| *hook == "stats.start").count();
            assert!((1..6).contains(&tries), "{why}: with pauses that grow: {hooks:?}");
            assert!(hooks.iter().all(|hook| !hook.starts_with("web.")), "{why}: {hooks:?}");

            solo.will_end(
                "stats",
                hook,
                if hook == Hook::Status { saw(Observed::Healthy) } else { HookEnd::Done },
            );
            solo.pass(330_000);
            assert_eq!(solo.is("stats"), ServiceState::Promoted, "{why}: it is mended");
            assert_eq!(solo.view(0).reason, "", "{why}");
        }
    }
}

#[test]
fn one_that_is_not_critical_keeps_its_place_in_the_order_while_it_runs() {
    let mut solo = Solo::master(&[optional("10-stats"), service("20-web")]);
    assert_eq!(moved(&mut solo), ["stats.start", "web.start", "stats.promote", "web.promote"]);
    solo.wants_back = solo.grants.take();
    solo.pass(500);
    assert_eq!(moved(&mut solo), ["web.demote", "stats.demote"]);
}

#[test]
fn nobody_waits_for_one_that_has_failed() {
    let mut solo = Solo::standby(&[optional("10-stats"), service("20-web")]);
    solo.will_end("stats", Hook::Status, fails());
    solo.pass(2500);
    assert_eq!((solo.state(), solo.is("stats")), (NodeState::Standby, ServiceState::Failed));
    // Its next try takes long.
    solo.is_slow("stats", Hook::Start);
    solo.pass(10_000);
    assert_eq!(solo.is("stats"), ServiceState::Starting);
    solo.appoint();
    solo.pass(500);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted));
}

#[test]
fn what_is_not_critical_and_cannot_be_stopped_is_unclean_like_any_other() {
    let mut cluster = Cluster::off(3);
    (0..3).for_each(|m| cluster.folder(m, &[service("web"), optional("stats")]));
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    cluster.run(1000);
    let master = cluster.master().expect("there is one");
    for hook in [Hook::Status, Hook::Stop] {
        cluster.ending(master, "stats", hook, fails());
    }
    cluster.run(4000);
    assert_eq!(cluster.node_state(master), NodeState::Master, "there it does no harm");
    let leader = cluster.leader().expect("someone leads");
    let unclean = |c: &Cluster| c.view(leader).nodes.iter().any(|node| node.unclean);
    assert!(unclean(&cluster), "{:?}", cluster.view(leader));

    cluster.order(Command::Stop(cluster.name(master)));
    cluster.run(10_000);
    assert_eq!(cluster.master(), None, "it may be a second one");
    cluster.ending(master, "stats", Hook::Stop, HookEnd::Done);
    cluster.command(master, Command::Recover).expect("it tries");
    cluster.run_until(5000, "another master", |c| c.master().is_some_and(|m| m != master));
}

#[test]
fn one_that_is_not_critical_and_cannot_run_at_all_bars_nobody() {
    let broken = ServiceSpec { problem: Some("no handler is called `shel`".to_owned()), ..optional("stats") };
    for barred in [broken, ServiceSpec { disabled: true, ..optional("stats") }] {
        let mut solo = Solo::master(&[service("web"), barred]);
        solo.pass(1000);
        assert_eq!(solo.state(), NodeState::Master);
        assert!(solo.view(0).reason.contains("stats"), "{}", solo.view(0).reason);
    }
}

#[test]
fn a_node_that_is_stopped_by_hand_stops_all_of_them() {
    let mut solo = Solo::master(&[service("web"), optional("stats")]);
    solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
    solo.pass(1000);
    assert_eq!((solo.is("web"), solo.is("stats")), (ServiceState::Stopped, ServiceState::Stopped));
}

/// A master of `20-web` with `10-stats`, which is not critical, in this condition.
fn beside(stats: ServiceSpec, prepare: impl FnOnce(&mut Solo)) -> Solo {
    let mut solo = Solo::off(&[stats, service("20-web")], |_| {});
    prepare(&mut solo);
    solo.start(0);
    solo.pass(1000);
    assert_eq!(solo.state(), NodeState::Standby);
    solo.appoint();
    solo.pass(1000);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted));
    solo
}

#[test]
fn nobody_above_waits_for_one_that_does_not_come_up() {
    beside(ServiceSpec { disabled: true, ..optional("10-stats") }, |_| {});
    beside(ServiceSpec { problem: Some("no such handler".to_owned()), ..optional("10-stats") }, |_| {});
    for seen in [Observed::Live, Observed::Stopped] {
        beside(optional("10-stats"), |solo| solo.will_end("stats", Hook::Status, saw(seen)));
    }
    let patient = ServicePolicy { status_failures: 100, critical: false, ..ServicePolicy::default() };
    beside(with("10-stats", patient), |solo| solo.will_end("stats", Hook::Status, fails()));
}

#[test]
fn one_that_is_disabled_or_cannot_be_stopped_goes_down_below_what_stays() {
    let mut solo = beside(optional("10-stats"), |_| {});
    solo.folder(0, &[ServiceSpec { disabled: true, ..optional("10-stats") }, service("20-web")]);
    solo.pass(1000);
    assert_eq!((solo.is("stats"), solo.is("web")), (ServiceState::Stopped, ServiceState::Promoted));

    let mut solo = beside(optional("10-stats"), |_| {});
    solo.will_end("stats", Hook::Stop, fails());
    solo.will_end("stats", Hook::Status, fails());
    solo.pass(3000);
    assert!(solo.view(0).nodes[0].unclean);
    solo.will_end("stats", Hook::Stop, HookEnd::Done);
    solo.will_end("stats", Hook::Status, saw(Observed::Healthy));
    solo.command(0, Command::Recover).expect("it tries");
    solo.pass(1000);
    assert_eq!((solo.is("stats"), solo.is("web")), (ServiceState::Promoted, ServiceState::Promoted));
    assert!(!solo.view(0).nodes[0].unclean);
}

#[test]
fn only_an_operator_has_another_look_at_what_could_not_be_stopped() {
    let restarted = ServicePolicy { restarts: 5, ..ServicePolicy::default() };
    let mut solo = Solo::master(&[optional("stats"), with("web", restarted)]);
    solo.will_end("stats", Hook::Stop, fails());
    solo.will_end("stats", Hook::Status, fails());
    solo.pass(3000);
    assert!(solo.view(0).nodes[0].unclean);
    // Another one is restarted, and that is no reason to forget it.
    solo.is_slow("web", Hook::Stop);
    solo.will_end("web", Hook::Status, fails());
    solo.pass(3000);
    solo.will_end("web", Hook::Status, saw(Observed::Healthy));
    solo.ends("web", Hook::Stop, HookEnd::Done);
    solo.hooks();
    solo.pass(5000);
    assert_eq!((solo.is("web"), solo.state()), (ServiceState::Promoted, NodeState::Master));
    assert!(solo.view(0).nodes[0].unclean && solo.service(0, "stats").maybe_promoted);
    assert!(moved(&mut solo).iter().all(|hook| !hook.starts_with("stats.")));
    // Nor is it well before its stop has ended.
    solo.is_slow("stats", Hook::Stop);
    solo.is_slow("stats", Hook::Demote);
    solo.command(0, Command::Recover).expect("it tries");
    solo.pass(1000);
    assert!(solo.view(0).nodes[0].unclean, "{:?}", solo.service(0, "stats"));
}

#[test]
fn recover_while_it_goes_down_has_it_tried_again_as_soon_as_it_is() {
    let mut solo = beside(optional("10-stats"), |_| {});
    solo.is_slow("stats", Hook::Failed);
    solo.will_end("stats", Hook::Status, fails());
    solo.pass(3000);
    assert_eq!(solo.is("stats"), ServiceState::Failing);
    solo.will_end("stats", Hook::Status, saw(Observed::Healthy));
    solo.command(0, Command::Recover).expect("it tries");
    solo.ends("stats", Hook::Failed, HookEnd::Done);
    solo.pass(1000);
    assert_eq!((solo.is("stats"), solo.is("web")), (ServiceState::Promoted, ServiceState::Promoted));
}

#[test]
fn one_that_went_down_with_the_node_comes_up_with_it() {
    let mut solo = beside(optional("10-stats"), |_| {});
    solo.is_slow("stats", Hook::Stop);
    solo.will_end("web", Hook::Status, fails());
    solo.pass(11_000);
    assert_eq!((solo.state(), solo.is("stats")), (NodeState::Failed, ServiceState::Failing));
    solo.will_end("web", Hook::Status, saw(Observed::Healthy));
    solo.command(0, Command::Recover).expect("it tries");
    solo.ends("stats", Hook::Stop, HookEnd::Done);
    solo.pass(1000);
    assert_eq!((solo.state(), solo.is("stats")), (NodeState::Standby, ServiceState::Started));
}

#[test]
fn a_mistake_in_its_manifest_does_not_make_it_critical() {
    let mut solo = beside(optional("10-stats"), |solo| solo.will_end("stats", Hook::Start, fails()));
    let broken = ServiceSpec {
        problem: Some("service.toml:2: `start` must be a time".to_owned()),
        ..service("10-stats")
    };
    solo.folder(0, &[broken, service("20-web")]);
    solo.pass(3000);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted));
}

#[test]
fn who_was_demoted_in_doubt_is_no_candidate_before_it_is_known_to_be_well() {
    let mut solo = Solo::master(&[patient("web")]);
    solo.will_end("web", Hook::Status, fails());
    (0..50).find(|_| {
        solo.pass(100);
        said(&solo, "web").starts_with("1 of 3")
    });
    solo.is_slow("web", Hook::Status);
    solo.wants_back = solo.grants.take();
    solo.pass(500);
    assert_eq!((solo.is("web"), solo.state()), (ServiceState::Started, NodeState::Live));
}
