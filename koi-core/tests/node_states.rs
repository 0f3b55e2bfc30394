//! The node's states, its failures and its recovery: classic manual, section 3.

use koi_core::group::GroupName;
use koi_core::io::{Command, HookEnd, Input, Observed};
use koi_core::types::{Hook, NodeId, NodeState, ServiceState};
use koi_sim::scripted::{Solo, fails, saw, service};

/// A runner in the state that a column of the table names, under a leader.
fn in_state(state: NodeState) -> Solo {
    let web = [service("web")];
    let solo = match state {
        NodeState::Failed => {
            let mut solo = Solo::unled(&web, |s| s.auto_recover = 0);
            solo.will_end("web", Hook::Start, fails());
            solo.pass(200);
            solo
        }
        NodeState::Disconnected => Solo::unled(&web, |_| {}),
        NodeState::Stopped => {
            let mut solo = Solo::standby(&web);
            solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
            solo.pass(200);
            solo
        }
        NodeState::Live => {
            let mut solo = Solo::unled(&web, |_| {});
            solo.will_end("web", Hook::Status, saw(Observed::Live));
            solo.pass(200);
            solo
        }
        NodeState::Standby => Solo::standby(&web),
        NodeState::Master | NodeState::Elector => Solo::master(&web),
    };
    assert_eq!(solo.state(), state);
    solo
}

const COLUMNS: [NodeState; 6] = [
    NodeState::Failed,
    NodeState::Disconnected,
    NodeState::Stopped,
    NodeState::Live,
    NodeState::Standby,
    NodeState::Master,
];

#[test]
fn told_that_it_is_master() {
    // A stopped node, one that has just been found and one that is not promotable get no further than they can.
    use NodeState as N;
    let ends = [N::Failed, N::Master, N::Stopped, N::Live, N::Master, N::Master];
    for (state, end) in COLUMNS.into_iter().zip(ends) {
        let mut solo = in_state(state);
        solo.pass(if state == N::Disconnected { 300 } else { 0 });
        solo.appoint();
        solo.pass(300);
        assert_eq!(solo.state(), end, "from {state:?}");
    }
}

#[test]
fn told_that_it_is_not_master() {
    use NodeState as N;
    let ends = [N::Failed, N::Standby, N::Stopped, N::Live, N::Standby, N::Standby];
    for (state, end) in COLUMNS.into_iter().zip(ends) {
        let mut solo = in_state(state);
        solo.hooks();
        solo.wants_back = solo.grants;
        solo.pass(300);
        assert_eq!(solo.state(), end, "from {state:?}");
        assert_eq!(solo.hooks().contains(&"web.demote".to_owned()), state == N::Master);
    }
}

#[test]
fn told_that_it_is_stopped_by_hand() {
    use NodeState as N;
    let ends = [N::Failed, N::Stopped, N::Stopped, N::Stopped, N::Stopped, N::Stopped];
    for (state, end) in COLUMNS.into_iter().zip(ends) {
        let mut solo = in_state(state);
        solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
        solo.pass(300);
        assert_eq!(solo.state(), end, "from {state:?}");
    }
}

#[test]
fn before_any_leader_has_spoken_nothing_is_started() {
    let mut solo = Solo::unled(&[service("web")], |_| {});
    solo.leader_speaks = false;
    solo.pass(3000);
    assert_eq!((solo.hooks(), solo.state()), (vec![], NodeState::Disconnected));
}

#[test]
fn a_leader_whose_record_does_not_count_yet_does_not_start_anything() {
    let mut solo = Solo::unled(&[service("web")], |_| {});
    let counted = solo.record.version;
    solo.record.version = koi_core::types::Version::default();
    solo.pass(300);
    assert_eq!(solo.hooks(), Vec::<String>::new());
    solo.record.version = counted;
    solo.change(|record| _ = record.main.stopped.insert(NodeId(1)));
    solo.pass(300);
    assert_eq!((solo.hooks(), solo.state()), (vec![], NodeState::Stopped));
}

#[test]
fn a_standby_without_a_leader_keeps_its_services() {
    let mut solo = Solo::standby(&[service("web")]);
    solo.hooks();
    solo.leader_speaks = false;
    solo.pass(5000);
    assert_eq!((solo.hooks(), solo.state()), (vec![], NodeState::Disconnected));
    assert_eq!(solo.is("web"), ServiceState::Started);
}

#[test]
fn live_becomes_standby_when_all_are_promotable_and_back() {
    let mut solo = Solo::standby(&[service("web")]);
    solo.will_end("web", Hook::Status, saw(Observed::Live));
    solo.pass(10_200);
    assert_eq!(solo.state(), NodeState::Live);
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.pass(10_200);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn a_master_of_which_one_service_is_not_promotable_demotes_all_first() {
    let mut solo = Solo::master(&[service("10-a"), service("20-b")]);
    solo.hooks();
    solo.will_end("a", Hook::Status, saw(Observed::Live));
    solo.pass(10_200);
    assert_eq!(
        (solo.hooks(), solo.state()),
        (vec!["b.demote".to_owned(), "a.demote".to_owned()], NodeState::Live)
    );
    assert_eq!(solo.view(0).holds, None, "the mastership is given back");
}

/// A runner whose start fails as long as the story does not mend it.
fn failing(adjust: impl Fn(&mut koi_core::settings::Settings)) -> Solo {
    let mut solo = Solo::unled(&[service("web")], adjust);
    solo.will_end("web", Hook::Start, fails());
    solo.pass(200);
    assert_eq!(solo.state(), NodeState::Failed);
    solo.hooks();
    solo
}

fn starts(solo: &mut Solo) -> usize {
    solo.hooks().iter().filter(|h| *h == "web.start").count()
}

#[test]
fn a_failed_node_tries_again_after_ten_seconds() {
    let mut solo = failing(|_| {});
    solo.pass(9500);
    assert_eq!(starts(&mut solo), 0);
    solo.will_end("web", Hook::Start, HookEnd::Done);
    solo.pass(1000);
    assert_eq!((starts(&mut solo), solo.state()), (1, NodeState::Standby));
}

#[test]
fn a_failure_that_its_handler_calls_lasting_waits_for_an_operator() {
    let mut solo = failing(|_| {});
    let message = "no such database".to_owned();
    solo.will_end("web", Hook::Start, HookEnd::Failed { message, timed_out: false, lasting: true });
    solo.pass(10_500);
    assert_eq!(starts(&mut solo), 1, "the failure before it was none");
    assert_eq!((solo.state(), solo.view(0).recovers_in), (NodeState::Failed, None));
    solo.pass(600_000);
    assert_eq!(starts(&mut solo), 0, "nothing is tried by itself");
    solo.will_end("web", Hook::Start, HookEnd::Done);
    solo.command(0, Command::Recover).expect("it tries");
    solo.pass(500);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn it_tries_no_more_often_than_auto_recover_says() {
    let mut solo = failing(|s| s.auto_recover = 3);
    solo.pass(200_000);
    assert_eq!(starts(&mut solo), 3);
    assert_eq!(solo.view(0).recovers_in, None);
}

#[test]
fn the_wait_grows_by_the_factor_with_each_failure() {
    let mut solo = failing(|s| s.auto_recover_wait_factor = 2);
    for wait in [10_000, 20_000, 40_000] {
        let left = solo.view(0).recovers_in.expect("it recovers").as_millis() as u64;
        assert!(left <= wait && left > wait - 300, "{left} of {wait}");
        solo.pass(left - 100);
        assert_eq!(starts(&mut solo), 0, "{wait}");
        solo.pass(200);
        assert_eq!(starts(&mut solo), 1, "{wait}");
    }
}

#[test]
fn the_count_begins_anew_after_a_calm_half_hour() {
    let mut solo = failing(|s| s.auto_recover_wait_factor = 8);
    solo.will_end("web", Hook::Start, HookEnd::Done);
    solo.pass(11_000);
    assert_eq!(solo.state(), NodeState::Standby);
    solo.pass(1_801_000);
    solo.will_end("web", Hook::Status, fails());
    solo.pass(10_200);
    assert_eq!(solo.state(), NodeState::Failed);
    let wait = solo.view(0).recovers_in.expect("it recovers");
    assert!(wait.as_secs() <= 10, "the first wait again, not eight times that: {wait:?}");
}

#[test]
fn recover_by_hand_tries_at_once_and_begins_the_count_anew() {
    let mut solo = failing(|s| s.auto_recover = 1);
    solo.pass(30_000);
    assert_eq!(solo.view(0).recovers_in, None, "no try is left");
    solo.hooks();
    solo.command(0, Command::Recover).expect("it tries");
    solo.pass(200);
    assert_eq!(starts(&mut solo), 1);
    assert!(solo.view(0).recovers_in.is_some(), "there is one try again");
}

#[test]
fn recover_by_hand_while_services_still_go_down_takes_effect_when_they_are() {
    let mut solo = Solo::standby(&[service("web")]);
    solo.is_slow("web", Hook::Stop);
    solo.will_end("web", Hook::Status, fails());
    solo.pass(10_200);
    assert_eq!(solo.is("web"), ServiceState::Failing);
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.command(0, Command::Recover).expect("it tries");
    solo.ends("web", Hook::Stop, HookEnd::Done);
    solo.pass(500);
    assert_eq!((solo.is("web"), solo.state()), (ServiceState::Started, NodeState::Standby));
}

#[test]
fn recover_by_hand_works_where_recovery_by_itself_is_off() {
    let mut solo = Solo::standby_with(&[service("web")], |s| s.auto_recover = 0);
    solo.is_slow("web", Hook::Stop);
    solo.will_end("web", Hook::Status, fails());
    solo.pass(10_200);
    solo.will_end("web", Hook::Status, saw(Observed::Standby));
    solo.command(0, Command::Recover).expect("it tries");
    solo.ends("web", Hook::Stop, HookEnd::Done);
    solo.pass(500);
    assert_eq!(solo.state(), NodeState::Standby);
}

#[test]
fn a_folder_that_cannot_be_read_fails_a_node_that_has_never_read_it() {
    let mut solo = Solo::off(&[], |_| {});
    solo.start(0);
    solo.pass(200);
    assert_eq!(solo.state(), NodeState::Standby, "no services are no obstacle");
    solo.input(0, Input::ServicesUnreadable { group: GroupName::MAIN, why: "permission denied".to_owned() });
    assert_eq!(solo.state(), NodeState::Standby, "what runs goes on");
}
