//! A process of a service has ended: its status is asked at once, and status alone decides.

use koi_core::io::{Command, HookEnd, Input, Observed, ServiceSpec};
use koi_core::policy::ServicePolicy;
use koi_core::types::{Hook, HookSet, NodeId, NodeState, ServiceState};
use koi_sim::scripted::{Cluster, Solo, fails, ms, saw, service};

/// `web`, asked how it is every minute.
fn web() -> ServiceSpec {
    ServiceSpec { status_interval: ms(60_000), ..service("web") }
}

/// A process of `web` ends.
fn ends(solo: &mut Solo) {
    solo.input(0, Input::ProcessEnded { service: "web".to_owned() });
}

/// The statuses that began since last asked.
fn statuses(solo: &mut Solo) -> usize {
    let count = solo.seen(0).began.iter().filter(|hook| *hook == "web.status").count();
    solo.hooks();
    count
}

/// A master whose status was asked lately.
fn master() -> Solo {
    let mut solo = Solo::master(&[web()]);
    solo.hooks();
    solo
}

#[test]
fn its_status_is_asked_at_once_and_when_that_is_well_nothing_follows() {
    let mut solo = master();
    ends(&mut solo);
    assert_eq!((statuses(&mut solo), solo.count(0, "process-ended")), (1, 1));
    solo.pass(30_000);
    assert_eq!((solo.hooks(), solo.state()), (vec![], NodeState::Master));
}

#[test]
fn a_bad_status_fails_the_node_at_once_and_another_is_promoted() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    cluster.ending(master, "web", Hook::Status, fails());
    cluster.input(master, Input::ProcessEnded { service: "web".to_owned() });
    let took = cluster.run_until(1000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert!(took <= 20, "{took} ms");
}

#[test]
fn one_that_does_not_run_any_more_is_started_at_once() {
    let mut solo = Solo::standby(&[web()]);
    solo.hooks();
    solo.will_end("web", Hook::Status, saw(Observed::Stopped));
    solo.is_slow("web", Hook::Start);
    ends(&mut solo);
    assert_eq!((solo.hooks(), solo.is("web")), (vec!["web.start".to_owned()], ServiceState::Starting));
}

#[test]
fn a_status_that_looked_before_is_asked_once_more() {
    let mut solo = master();
    solo.is_slow("web", Hook::Status);
    ends(&mut solo);
    ends(&mut solo);
    assert_eq!(statuses(&mut solo), 1, "one at a time");
    solo.ends("web", Hook::Status, saw(Observed::Promoted));
    assert_eq!(statuses(&mut solo), 1, "the second end came after it had begun");
    solo.ends("web", Hook::Status, saw(Observed::Promoted));
    assert_eq!(statuses(&mut solo), 0);
}

#[test]
fn after_a_promote_and_a_demote_it_is_asked_right_away() {
    let mut solo = Solo::standby(&[web()]);
    for hook in [Hook::Promote, Hook::Demote] {
        solo.hooks();
        solo.is_slow("web", hook);
        match hook {
            Hook::Promote => solo.appoint(),
            _ => (solo.grants, solo.wants_back) = (None, solo.grants),
        }
        solo.pass(300);
        ends(&mut solo);
        assert_eq!(statuses(&mut solo), 0, "nothing runs beside {hook:?}");
        solo.ends("web", hook, HookEnd::Done);
        assert_eq!(statuses(&mut solo), 1, "{hook:?}");
        solo.pass(1000);
        assert_eq!(statuses(&mut solo), 0, "{hook:?}");
    }
}

#[test]
fn what_goes_down_or_is_down_ends_on_purpose() {
    let mut solo = master();
    solo.is_slow("web", Hook::Stop);
    solo.is_slow("web", Hook::Failed);
    solo.will_end("web", Hook::Status, fails());
    ends(&mut solo);
    assert_eq!(statuses(&mut solo), 1);
    ends(&mut solo);
    solo.ends("web", Hook::Failed, HookEnd::Done);
    ends(&mut solo);
    solo.ends("web", Hook::Stop, HookEnd::Done);
    ends(&mut solo);
    solo.pass(1000);
    assert_eq!((statuses(&mut solo), solo.is("web")), (0, ServiceState::Failed));
}

#[test]
fn a_status_that_was_cut_off_for_a_demote_is_made_up_for() {
    let mut solo = master();
    solo.is_slow("web", Hook::Status);
    ends(&mut solo);
    assert_eq!(statuses(&mut solo), 1);
    (solo.grants, solo.wants_back) = (None, solo.grants);
    solo.pass(300);
    let began = solo.seen(0).began.clone();
    assert_eq!(began, ["web.demote", "web.status"], "nobody has said yet what became of it");
}

#[test]
fn processes_that_end_again_and_again_do_not_make_it_spin() {
    let mut solo = master();
    for _ in 0..600 {
        ends(&mut solo);
        solo.pass(100);
    }
    let asked = statuses(&mut solo);
    assert!((4..=9).contains(&asked), "{asked} in a minute");
    // After a calm it is asked at once again.
    solo.pass(70_000);
    statuses(&mut solo);
    ends(&mut solo);
    assert_eq!(statuses(&mut solo), 1);
}

#[test]
fn a_storm_is_no_slower_than_the_clock() {
    let mut solo = Solo::master(&[ServiceSpec { status_interval: ms(1000), ..web() }]);
    for _ in 0..300 {
        ends(&mut solo);
        solo.pass(100);
    }
    let asked = statuses(&mut solo);
    assert!((28..=36).contains(&asked), "{asked} in half a minute");
}

#[test]
fn an_end_is_no_bad_status_and_what_is_borne_with_is_asked_again_as_ever() {
    let policy = ServicePolicy { status_failures: 3, status_retry: ms(5000), ..ServicePolicy::default() };
    let mut solo = Solo::master(&[ServiceSpec { policy, ..web() }]);
    solo.hooks();
    solo.will_end("web", Hook::Status, fails());
    ends(&mut solo);
    solo.pass(4000);
    assert_eq!((statuses(&mut solo), solo.state()), (1, NodeState::Master));
    solo.pass(3000);
    assert_eq!((statuses(&mut solo), solo.state()), (1, NodeState::Master));
    solo.pass(6000);
    assert_eq!(solo.state(), NodeState::Failed);
}

#[test]
fn in_maintenance_nothing_is_asked_before_it_is_over() {
    let mut solo = master();
    solo.change(|record| record.maintenance = true);
    solo.pass(500);
    ends(&mut solo);
    solo.pass(5000);
    assert_eq!(statuses(&mut solo), 0);
    solo.change(|record| record.maintenance = false);
    solo.pass(500);
    assert_eq!(statuses(&mut solo), 1);
}

#[test]
fn without_a_status_and_without_a_service_an_end_means_nothing() {
    let mut solo = Solo::master(&[ServiceSpec { hooks: HookSet::LIFECYCLE.without(Hook::Status), ..web() }]);
    solo.hooks();
    ends(&mut solo);
    solo.input(0, Input::ProcessEnded { service: "nobody".to_owned() });
    solo.pass(1000);
    assert_eq!((solo.hooks(), solo.state()), (vec![], NodeState::Master));
}

#[test]
fn what_is_stopped_by_hand_is_not_asked() {
    let mut solo = Solo::standby(&[web()]);
    solo.is_slow("web", Hook::Stop);
    solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
    solo.pass(300);
    solo.hooks();
    ends(&mut solo);
    solo.ends("web", Hook::Stop, HookEnd::Done);
    ends(&mut solo);
    solo.pass(1000);
    assert_eq!(statuses(&mut solo), 0);
    solo.command(0, Command::Recover).expect("it is mended");
    solo.pass(300);
    assert_eq!(statuses(&mut solo), 0);
}
