//! What went wrong in production, each once: classic manual, section 8.

use koi_core::io::{Command, HookEnd};
use koi_core::message::Body;
use koi_core::types::{Hook, HookSet, NodeState, Time};
use koi_sim::scripted::{Cluster, Solo, fails, service};

#[test]
fn scar_01_a_restarted_elector_is_not_taken_for_out_of_order() {
    let mut cluster = Cluster::with_master(3);
    for _ in 0..3 {
        let leader = cluster.leader().expect("someone leads");
        cluster.lose_power(leader);
        cluster.start(leader);
        cluster.run_until(5000, "a leader", |c| c.leader().is_some());
        cluster.run(3000);
        let now = cluster.leader().expect("someone leads");
        let id = cluster.id(now);
        assert!((0..3).all(|m| cluster.view(m).leader == Some(id)), "all follow {now}");
        cluster.order(Command::Elect);
        assert!((0..3).all(|m| cluster.node_state(m) >= NodeState::Standby));
    }
}

#[test]
fn scar_02_a_hook_whose_end_starts_another_runs_once() {
    // The cluster asserts that no two hooks of a service run at once; here each end is the next one's beginning.
    let mut sparse = service("10-sparse");
    sparse.hooks = [Hook::Stop, Hook::Demote].into_iter().collect::<HookSet>();
    let mut solo = Solo::master(&[sparse, service("20-web")]);
    solo.hooks();
    for _ in 0..10 {
        solo.wants_back = solo.grants;
        solo.pass(300);
        solo.appoint();
        solo.pass(300);
    }
    assert_eq!(solo.state(), NodeState::Master);
    let began = solo.hooks();
    for hook in ["web.demote", "web.promote", "sparse.demote"] {
        assert_eq!(began.iter().filter(|h| *h == hook).count(), 10, "{hook}: {began:?}");
    }
    assert!(solo.machines[0].hooks.is_empty());
}

#[test]
fn scar_04_maintenance_mode_outlives_any_change_of_leader() {
    let mut cluster = Cluster::with_master(3);
    cluster.order(Command::Maintenance(true));
    for _ in 0..3 {
        let leader = cluster.leader().expect("someone leads");
        cluster.kill_daemon(leader, Some(false));
        cluster.run_until(5000, "a leader", |c| c.leader().is_some());
        cluster.start(leader);
        cluster.run(3000);
        assert!((0..3).all(|m| cluster.view(m).record.maintenance));
    }
}

#[test]
fn scar_05_the_leader_elects_and_demotes_nobody_in_maintenance() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    cluster.order(Command::Maintenance(true));
    cluster.order(Command::Demote);
    cluster.run(10_000);
    assert_eq!(cluster.promoted(master).len(), 1);
    let before = cluster.record().main.master;
    cluster.lose_power(master);
    cluster.run_until(5000, "a leader", |c| c.leader().is_some());
    cluster.run(20_000);
    assert_eq!(cluster.record().main.master, before);
    assert_eq!(cluster.masters(), Vec::<usize>::new());
}

#[test]
fn scar_06_failed_looks_at_the_wreck_before_stop_clears_it_away() {
    let mut solo = Solo::master(&[service("web")]);
    solo.hooks();
    solo.is_slow("web", Hook::Failed);
    solo.will_end("web", Hook::Status, fails());
    solo.pass(10_200);
    assert_eq!(solo.hooks(), ["web.failed"]);
    solo.pass(5000);
    assert_eq!(solo.hooks(), Vec::<String>::new(), "stop waits for it");
    solo.ends("web", Hook::Failed, HookEnd::Done);
    assert_eq!(solo.hooks(), ["web.stop"]);
}

#[test]
fn scar_07_a_new_leader_knows_everyone_before_it_decides() {
    let mut cluster = Cluster::with_master(3);
    // It runs for long, and then it leads for a moment only.
    cluster.run(600_000);
    let (leader, master) = (cluster.leader().expect("one leads"), cluster.master().expect("one is master"));
    cluster.lose_power(leader);
    cluster.run_until(5000, "a leader", |c| c.leader().is_some());
    let now = cluster.leader().expect("someone leads");
    let dropped = cluster.count(now, "master-dropped");
    cluster.run(300);
    assert_eq!(cluster.count(now, "master-dropped"), dropped, "nothing is dropped in a hurry");
    cluster.run(5000);
    let masters: Vec<usize> = (0..3).filter(|m| !cluster.promoted(*m).is_empty()).collect();
    assert_eq!(masters.len(), 1);
    assert!(master == leader || masters == [master]);
}

#[test]
fn scar_08_a_disabled_service_is_not_retried() {
    let mut disabled = service("web");
    disabled.disabled = true;
    let mut solo = Solo::unled(&[disabled], |_| {});
    solo.pass(600_000);
    assert_eq!((solo.hooks(), solo.state()), (vec![], NodeState::Failed));
    assert_eq!((solo.count(0, "recovering"), solo.view(0).recovers_in), (0, None));
}

#[test]
fn scar_09_auto_recover_zero_means_never() {
    let mut solo = Solo::unled(&[service("web")], |s| s.auto_recover = 0);
    solo.will_end("web", Hook::Start, fails());
    solo.pass(4_000_000);
    assert_eq!(solo.hooks(), ["web.start", "web.failed"]);
    assert_eq!(solo.count(0, "failed"), 1, "and it is told once");
    assert_eq!(solo.machines[0].core.as_ref().map(|c| c.next_deadline() > Time(0)), Some(true));
}

#[test]
fn scar_10_time_moves_only_with_what_is_handed_in_and_never_back() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    let before: Vec<_> =
        (0..3).map(|m| cluster.machines[m].core.as_ref().map(koi_core::Node::next_deadline)).collect();
    // The wall clock may do what it likes meanwhile.
    std::thread::yield_now();
    let after: Vec<_> =
        (0..3).map(|m| cluster.machines[m].core.as_ref().map(koi_core::Node::next_deadline)).collect();
    assert_eq!(before, after);
    let core = cluster.machines[master].core.as_mut().expect("it runs");
    core.handle(Time(0), koi_core::io::Input::Tick);
    assert!(core.next_deadline() > Time(0));
    cluster.run(2000);
    assert_eq!(cluster.master(), Some(master), "an instant of the past is taken for now");
}

#[test]
fn scar_11_a_report_does_not_grow_with_the_number_of_services() {
    let long = "x".repeat(400);
    let specs: Vec<_> = (0..500).map(|n| service(&format!("{}-{long}{n}", n % 100))).collect();
    let mut solo = Solo::standby_with(&specs, |s| s.name = "n".repeat(koi_core::limits::NAME_BYTES));
    let message = HookEnd::Failed { message: "é".repeat(4000), timed_out: false, lasting: false };
    let victim = specs[77].name.clone();
    solo.will_end(&victim, Hook::Status, message);
    solo.appoint();
    solo.pass(11_000);
    assert_eq!(solo.state(), NodeState::Failed);
    let mut reports = 0;
    for (_, message) in solo.sent() {
        if matches!(message.body, Body::Report(_)) {
            let bytes = minicbor::to_vec(message).expect("it encodes").len();
            assert!(bytes <= 1100, "{bytes} bytes");
            reports += 1;
        }
    }
    assert!(reports > 50);
}

#[test]
fn scar_11_a_heartbeat_of_a_large_cluster_fits_a_datagram() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let (_, mut beat) = cluster
        .sent()
        .iter()
        .rev()
        .find(|(m, sent)| *m == leader && matches!(sent.body, Body::Heartbeat(_)))
        .cloned()
        .expect("it leads");
    let Body::Heartbeat(heartbeat) = &mut beat.body else { unreachable!("it was just matched") };
    let name = "n".repeat(koi_core::limits::NAME_BYTES);
    heartbeat.info.name.clone_from(&name);
    heartbeat.record.main.stopped =
        (0..koi_core::limits::NODES as u128).map(|n| koi_core::types::NodeId(u128::MAX - n)).collect();
    heartbeat.record.main.master.as_mut().expect("there is one").name = name;
    let bytes = minicbor::to_vec(&beat).expect("it encodes").len();
    assert!(bytes <= 1100, "{bytes} bytes");
    cluster.run(1);
}
