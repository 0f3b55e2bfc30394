//! What one service does: the tables of the classic manual.

use koi_core::io::{Command, HandlerInstance, HookEnd, Observed, ServiceSpec};
use koi_core::types::{Hook, HookSet, NodeId, NodeState, ServiceState};
use koi_sim::scripted::{Cluster, Solo, fails, saw, service};

const LOW_MID_HIGH: [&str; 3] = ["10-low", "20-mid", "30-high"];

fn ladder() -> Vec<ServiceSpec> {
    LOW_MID_HIGH.map(service).to_vec()
}

#[test]
fn what_status_says_of_a_standby_is_taken_as_the_truth() {
    // What it saw; what koi does about it; where the service and the node end.
    let table = [
        (saw(Observed::Healthy), vec![], ServiceState::Started, NodeState::Standby),
        (saw(Observed::Promoted), vec!["web.demote"], ServiceState::Started, NodeState::Standby),
        (saw(Observed::Standby), vec![], ServiceState::Started, NodeState::Standby),
        (saw(Observed::Stopped), vec!["web.start"], ServiceState::Started, NodeState::Standby),
        (saw(Observed::Live), vec![], ServiceState::Started, NodeState::Live),
        (fails(), vec!["web.failed", "web.stop"], ServiceState::Failed, NodeState::Failed),
    ];
    for (seen, does, service_ends, node_ends) in table {
        let mut solo = Solo::standby(&[service("web")]);
        solo.hooks();
        solo.is_slow("web", Hook::Status);
        solo.pass(10_100);
        solo.ends("web", Hook::Status, seen.clone());
        let moves = does.contains(&"web.start") || does.contains(&"web.demote");
        if solo.is("web") == ServiceState::Started && moves {
            // Whether it can be promoted is asked again at once.
            solo.ends("web", Hook::Status, saw(Observed::Standby));
        }
        solo.pass(200);
        assert_eq!(solo.hooks(), does, "{seen:?}");
        assert_eq!(solo.is("web"), service_ends, "{seen:?}");
        assert_eq!(solo.state(), node_ends, "{seen:?}");
    }
}

#[test]
fn what_status_says_of_a_master_is_taken_as_the_truth() {
    let table = [
        (saw(Observed::Healthy), vec![], ServiceState::Promoted, NodeState::Master),
        (saw(Observed::Promoted), vec![], ServiceState::Promoted, NodeState::Master),
        (saw(Observed::Standby), vec!["web.promote"], ServiceState::Promoted, NodeState::Master),
        (saw(Observed::Live), vec!["web.demote"], ServiceState::Started, NodeState::Live),
        (fails(), vec!["web.failed", "web.stop"], ServiceState::Failed, NodeState::Failed),
    ];
    for (seen, does, service_ends, node_ends) in table {
        let mut solo = Solo::master(&[service("web")]);
        solo.hooks();
        solo.is_slow("web", Hook::Status);
        solo.pass(10_100);
        solo.ends("web", Hook::Status, seen.clone());
        solo.pass(200);
        assert_eq!(solo.hooks(), does, "{seen:?}");
        assert_eq!(solo.is("web"), service_ends, "{seen:?}");
        assert_eq!(solo.state(), node_ends, "{seen:?}");
    }
}

#[test]
fn a_promoted_service_that_is_found_stopped_is_started_again_and_the_others_are_demoted() {
    let mut solo = Solo::master(&[service("10-disk"), service("20-web")]);
    solo.hooks();
    solo.is_slow("web", Hook::Status);
    solo.pass(10_100);
    solo.ends("web", Hook::Status, saw(Observed::Stopped));
    solo.pass(100);
    assert_eq!(solo.hooks(), ["disk.demote", "web.start"]);
}

#[test]
fn a_service_goes_up_the_ladder_in_the_order_of_the_numbers() {
    let mut solo = Solo::unled(&ladder(), |_| {});
    for name in ["low", "mid", "high"] {
        for hook in [Hook::Start, Hook::Promote] {
            solo.is_slow(name, hook);
        }
    }
    solo.pass(100);
    assert_eq!(solo.hooks(), ["low.start"]);
    solo.ends("low", Hook::Start, HookEnd::Done);
    assert_eq!(solo.hooks(), ["mid.start"]);
    solo.ends("mid", Hook::Start, HookEnd::Done);
    solo.ends("high", Hook::Start, HookEnd::Done);
    solo.pass(100);
    assert_eq!((solo.hooks(), solo.state()), (vec!["high.start".to_owned()], NodeState::Standby));

    solo.appoint();
    solo.pass(200);
    assert_eq!(solo.hooks(), ["low.promote"]);
    solo.ends("low", Hook::Promote, HookEnd::Done);
    assert_eq!(solo.hooks(), ["mid.promote"]);
    solo.ends("mid", Hook::Promote, HookEnd::Done);
    solo.ends("high", Hook::Promote, HookEnd::Done);
    assert_eq!((solo.hooks(), solo.is("high")), (vec!["high.promote".to_owned()], ServiceState::Promoted));
}

#[test]
fn a_service_goes_down_the_ladder_in_reverse() {
    let mut solo = Solo::master(&ladder());
    solo.hooks();
    for name in ["low", "mid", "high"] {
        for hook in [Hook::Demote, Hook::Stop] {
            solo.is_slow(name, hook);
        }
    }
    solo.shut_down(0);
    assert_eq!(solo.hooks(), ["high.demote"]);
    solo.ends("high", Hook::Demote, HookEnd::Done);
    // What is demoted may stop while lower ones still demote.
    assert_eq!(solo.hooks(), ["mid.demote", "high.stop"]);
    solo.ends("high", Hook::Stop, HookEnd::Done);
    assert_eq!(solo.hooks(), Vec::<String>::new(), "mid still demotes");
    solo.ends("mid", Hook::Demote, HookEnd::Done);
    assert_eq!(solo.hooks(), ["low.demote", "mid.stop"]);
    solo.ends("low", Hook::Demote, HookEnd::Done);
    assert_eq!(solo.hooks(), Vec::<String>::new(), "mid still stops");
    solo.ends("mid", Hook::Stop, HookEnd::Done);
    assert_eq!(solo.hooks(), ["low.stop"]);
}

#[test]
fn services_with_the_same_number_go_side_by_side_and_those_without_wait_for_nobody() {
    let mut solo = Solo::unled(&[service("10-a"), service("10-b"), service("20-c"), service("d")], |_| {});
    for name in ["a", "b", "c", "d"] {
        solo.is_slow(name, Hook::Start);
    }
    solo.pass(100);
    assert_eq!(solo.hooks(), ["a.start", "b.start", "d.start"]);
    solo.ends("a", Hook::Start, HookEnd::Done);
    assert_eq!(solo.hooks(), Vec::<String>::new(), "b has not been started yet");
    solo.ends("b", Hook::Start, HookEnd::Done);
    assert_eq!(solo.hooks(), ["c.start"]);
}

#[test]
fn a_failed_hook_is_followed_by_failed_and_then_by_stop() {
    for (hook, up) in [(Hook::Status, false), (Hook::Promote, true), (Hook::Demote, true)] {
        let mut solo =
            if up { Solo::standby(&[service("web")]) } else { Solo::unled(&[service("web")], |_| {}) };
        solo.will_end("web", hook, fails());
        solo.pass(200);
        if up {
            solo.appoint();
            solo.pass(200);
            solo.wants_back = solo.grants.filter(|_| hook == Hook::Demote);
            solo.pass(200);
        }
        let began = solo.hooks();
        assert_eq!(began[began.len() - 2..], ["web.failed", "web.stop"], "{hook:?}");
        assert_eq!(solo.is("web"), ServiceState::Failed);
        let cause = solo.seen(0).calls.iter().find_map(|c| c.cause.clone()).expect("failed is told why");
        assert_eq!((cause.hook, cause.timed_out), (hook, false));
    }
}

#[test]
fn a_service_that_could_not_be_started_is_not_stopped() {
    let mut solo = Solo::unled(&[service("web")], |_| {});
    solo.will_end("web", Hook::Start, fails());
    solo.pass(200);
    assert_eq!(solo.hooks(), ["web.start", "web.failed"]);
    assert_eq!((solo.is("web"), solo.state()), (ServiceState::Failed, NodeState::Failed));
}

#[test]
fn one_failure_takes_all_services_of_the_node_down_each_with_failed_and_stop() {
    let mut solo = Solo::master(&ladder());
    solo.hooks();
    solo.will_end("mid", Hook::Status, fails());
    solo.pass(10_200);
    assert_eq!(
        solo.hooks(),
        ["mid.failed", "low.failed", "high.failed", "high.stop", "mid.stop", "low.stop"]
            .map(str::to_owned)
            .to_vec()
    );
    assert_eq!(solo.state(), NodeState::Failed);
}

#[test]
fn a_stop_aborts_start_promote_and_status() {
    for hook in [Hook::Start, Hook::Status, Hook::Promote] {
        let mut solo = Solo::unled(&[service("web")], |_| {});
        if hook == Hook::Promote {
            solo.pass(300);
            solo.appoint();
        }
        solo.is_slow("web", hook);
        solo.pass(300);
        solo.hooks();
        solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
        solo.pass(200);
        assert_eq!(solo.seen(0).aborted, [(format!("web.{}", hook.as_str()), false)], "TERM, not KILL");
        let expected = if hook == Hook::Promote { vec!["web.demote", "web.stop"] } else { vec!["web.stop"] };
        assert_eq!(solo.hooks(), expected, "{hook:?}");
        assert_eq!(solo.is("web"), ServiceState::Stopped);
    }
}

#[test]
fn a_hook_that_is_not_there_succeeds_at_once() {
    let mut empty = service("10-empty");
    empty.hooks = HookSet::default();
    let mut solo = Solo::master(&[empty, service("20-web")]);
    assert_eq!(solo.hooks(), ["web.start", "web.promote"]);
    assert_eq!(solo.is("empty"), ServiceState::Promoted);
}

#[test]
fn a_disabled_service_is_stopped_and_fails_the_node_until_it_is_enabled() {
    let mut solo = Solo::standby(&[service("10-a"), service("20-b")]);
    solo.hooks();
    let mut disabled = service("20-b");
    disabled.disabled = true;
    solo.folder(0, &[service("10-a"), disabled]);
    solo.pass(60_000);
    assert_eq!(solo.state(), NodeState::Failed);
    assert_eq!(solo.is("b"), ServiceState::Stopped);
    let began = solo.hooks();
    assert!(began.contains(&"b.stop".to_owned()) && !began.contains(&"b.start".to_owned()), "{began:?}");
    assert!(solo.view(0).reason.contains("disabled"));

    solo.folder(0, &[service("10-a"), service("20-b")]);
    solo.pass(300);
    assert_eq!(solo.state(), NodeState::Standby);
    assert_eq!(solo.hooks(), ["a.start", "b.start"]);
}

#[test]
fn services_appear_and_vanish_without_a_restart() {
    let mut solo = Solo::standby(&[service("a")]);
    solo.hooks();
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(200);
    assert_eq!((solo.hooks(), solo.is("b")), (vec!["b.start".to_owned()], ServiceState::Started));
    solo.folder(0, &[service("b")]);
    solo.pass(200);
    assert_eq!(solo.view(0).services.len(), 1);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn a_service_that_is_new_on_the_master_is_brought_up_beside_the_others() {
    let mut solo = Solo::master(&[service("a")]);
    solo.hooks();
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(500);
    assert_eq!((solo.state(), solo.is("b")), (NodeState::Master, ServiceState::Promoted));
    assert!(!solo.hooks().contains(&"a.demote".to_owned()), "what is promoted stays so");
}

#[test]
fn a_hook_of_a_service_that_vanished_is_ended_and_its_end_is_ignored() {
    let mut solo = Solo::unled(&[service("a"), service("b")], |_| {});
    solo.is_slow("b", Hook::Start);
    solo.pass(200);
    solo.folder(0, &[service("a")]);
    assert_eq!(solo.seen(0).aborted, [("b.start".to_owned(), false)]);
    solo.pass(200);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn a_promoted_service_whose_folder_vanishes_keeps_the_mastership_until_it_is_back() {
    let mut solo = Solo::master(&[service("web")]);
    solo.hooks();
    solo.folder(0, &[]);
    solo.pass(30_000);
    assert_eq!(solo.state(), NodeState::Master, "nobody can demote it now, and nobody has to");
    assert!(solo.view(0).holds.is_some(), "its folder gone is no proof that it is down");
    solo.folder(0, &[service("web")]);
    solo.pass(500);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted));
    assert!(solo.hooks().iter().all(|hook| hook == "web.status"), "nothing was moved");
}

#[test]
fn a_service_whose_configuration_breaks_goes_on_as_it_was_until_it_is_down() {
    let mut solo = Solo::master(&[service("web")]);
    solo.hooks();
    let mut broken = service("web");
    broken.problem = Some("service.toml: no handler is called `shel`".to_owned());
    broken.hooks = HookSet::default();
    solo.folder(0, &[broken.clone()]);
    solo.pass(30_000);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted));
    assert!(solo.hooks().iter().all(|hook| hook == "web.status"), "nothing was moved");

    solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
    solo.pass(500);
    assert_eq!(solo.hooks(), ["web.demote", "web.stop"], "by the hooks that it was started with");
    solo.change(|record| _ = record.main.stopped.remove(&NodeId(1)));
    solo.folder(0, &[broken]);
    solo.pass(500);
    assert_eq!((solo.state(), solo.hooks().len()), (NodeState::Failed, 0), "it cannot be started so");
    solo.folder(0, &[service("web")]);
    solo.pass(10_000);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn what_runs_is_taken_down_by_the_handler_that_has_started_it() {
    let mut solo = Solo::master(&[service("web")]);
    solo.hooks();
    // The line with its handler got lost: the shell handler finds no scripts.
    let other = ServiceSpec {
        handler: "shell".to_owned(),
        instance: HandlerInstance(2),
        hooks: HookSet::default(),
        ..service("web")
    };
    let same = ServiceSpec { instance: HandlerInstance(3), ..service("web") };
    solo.folder(0, std::slice::from_ref(&other));
    solo.pass(500);
    assert_eq!(
        (solo.service(0, "web").handler.as_str(), solo.service(0, "web").instance),
        ("test", HandlerInstance(0))
    );
    solo.folder(0, &[ServiceSpec { hooks: HookSet::LIFECYCLE.without(Hook::Demote), ..same.clone() }]);
    solo.pass(500);
    assert_eq!(solo.service(0, "web").instance, HandlerInstance(0), "promoted, and without a demote");
    solo.folder(0, &[same]);
    solo.pass(500);
    assert_eq!(
        solo.service(0, "web").instance,
        HandlerInstance(3),
        "another version of the same handler takes over at once"
    );

    solo.folder(0, std::slice::from_ref(&other));
    solo.hooks();
    solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
    solo.pass(500);
    assert_eq!(solo.hooks(), ["web.demote", "web.stop"]);
    solo.folder(0, &[other]);
    assert_eq!(solo.service(0, "web").instance, HandlerInstance(2), "it is down");
}

#[test]
fn what_could_not_be_stopped_is_not_taken_for_down_by_another_handler() {
    let mut solo = Solo::master(&[service("web")]);
    solo.will_end("web", Hook::Status, fails());
    solo.will_end("web", Hook::Stop, fails());
    solo.pass(11_000);
    assert!(solo.view(0).nodes[0].unclean && solo.is("web") == ServiceState::Failed);
    // Somebody mends it, and loses the line with its handler.
    let other = ServiceSpec {
        handler: "shell".to_owned(),
        instance: HandlerInstance(2),
        hooks: HookSet::default(),
        ..service("web")
    };
    solo.folder(0, &[other]);
    assert_eq!((solo.service(0, "web").instance, solo.service(0, "web").down), (HandlerInstance(0), false));
    solo.hooks();
    solo.command(0, Command::Recover).unwrap();
    solo.pass(500);
    assert_eq!(solo.hooks()[0], "web.demote", "by the handler that promoted it");
}

#[test]
fn no_more_hooks_run_at_once_than_are_allowed() {
    let names: Vec<String> = (0..10).map(|n| format!("s{n}")).collect();
    let specs: Vec<_> = names.iter().map(|n| service(n)).collect();
    let mut solo = Solo::unled(&specs, |s| s.max_parallel = 3);
    names.iter().for_each(|name| solo.is_slow(name, Hook::Start));
    solo.pass(200);
    assert_eq!(solo.hooks().len(), 3);
    solo.ends("s0", Hook::Start, HookEnd::Done);
    assert_eq!(solo.hooks(), ["s3.start"]);
}

#[test]
fn the_states_of_a_service_and_of_a_node_are_ordered_as_ever() {
    use ServiceState as S;
    let services = [
        S::Failed,
        S::Failing,
        S::Stopped,
        S::Stopping,
        S::Starting,
        S::Started,
        S::Demoting,
        S::Promoting,
        S::Promoted,
    ];
    assert!(services.is_sorted());
    let words = services.map(ServiceState::as_str).join(" ");
    assert_eq!(words, "Failed Failing Stopped Stopping Starting Started Demoting Promoting Promoted");
    use NodeState as N;
    let nodes = [N::Failed, N::Disconnected, N::Stopped, N::Live, N::Standby, N::Master];
    assert!(nodes.is_sorted());
    assert_eq!(
        nodes.map(NodeState::as_classic_str).join(" "),
        "Failed Disconnected Stopped Live Slave Master"
    );
    assert_eq!(N::Standby.as_str(), "Standby");
}

#[test]
fn what_was_demoted_is_no_candidate_before_its_status_has_spoken_and_nobody_waits_for_that() {
    let (mut cluster, leader, master) = Cluster::apart(3);
    cluster.slow(master, "web", Hook::Status);
    cluster.promote(&cluster.name(leader)).expect("it is done");
    let took = cluster.run_until(1000, "the new master", |c| c.master() == Some(leader));
    assert!(took <= 20, "{took} ms: the release does not wait");
    cluster.run(500);
    assert_eq!(cluster.node_state(master), NodeState::Live);
    cluster.finish(master, "web", Hook::Status, saw(Observed::Standby));
    cluster.run(100);
    assert_eq!(cluster.node_state(master), NodeState::Standby);
}

#[test]
fn an_old_master_is_taken_again_only_when_its_own_status_says_that_it_can_be() {
    let mut cluster = Cluster::with_master(2);
    let old = cluster.master().expect("there is one");
    let target = 1 - old;
    cluster.ending(target, "web", Hook::Promote, fails());
    cluster.slow(old, "web", Hook::Status);
    cluster.promote(&cluster.name(target)).expect("it is done");
    cluster.run_until(3000, "the target has failed", |c| c.node_state(target) == NodeState::Failed);
    cluster.run(3000);
    assert_eq!((cluster.master(), cluster.node_state(old)), (None, NodeState::Live));
    cluster.finish(old, "web", Hook::Status, saw(Observed::Standby));
    cluster.run_until(1000, "the old one again", |c| c.master() == Some(old));
}

#[test]
fn a_demote_may_leave_a_service_stopped() {
    let mut solo = Solo::master(&[service("web")]);
    solo.will_end("web", Hook::Status, saw(Observed::Stopped));
    solo.is_slow("web", Hook::Start);
    solo.wants_back = solo.grants.take();
    solo.pass(300);
    assert_eq!(solo.is("web"), ServiceState::Starting);
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.ends("web", Hook::Start, HookEnd::Done);
    solo.pass(300);
    assert_eq!((solo.is("web"), solo.state()), (ServiceState::Started, NodeState::Standby));
}
