//! Services that are new beside a master, and hooks that come later than their service.

use koi_core::io::{HookEnd, Observed, ServiceSpec};
use koi_core::types::{Hook, HookSet, NodeState, ServiceState};
use koi_sim::scripted::{Solo, fails, saw, service};

fn with(name: &str, hooks: &[Hook]) -> ServiceSpec {
    ServiceSpec { hooks: hooks.iter().copied().collect(), ..service(name) }
}

/// The hooks that ran, without statuses.
fn moved(solo: &mut Solo) -> Vec<String> {
    solo.hooks().into_iter().filter(|hook| !hook.ends_with(".status")).collect()
}

/// The service `a` is promoted and undisturbed.
fn assert_peace(solo: &mut Solo, why: &str) {
    assert_eq!((solo.state(), solo.is("a")), (NodeState::Master, ServiceState::Promoted), "{why}");
    let hooks = moved(solo);
    assert!(hooks.iter().all(|hook| !hook.starts_with("a.")), "{why}: {hooks:?}");
}

#[test]
fn whatever_a_newcomer_cannot_do_the_master_goes_on() {
    for hook in [Hook::Start, Hook::Status, Hook::Promote] {
        // The newcomer's number is below that of what runs, above, and none.
        for name in ["10-b", "90-b", "b"] {
            let why = format!("{} of {name}", hook.as_str());
            let mut solo = Solo::master(&[service("50-a")]);
            solo.hooks();
            solo.will_end("b", hook, fails());
            solo.folder(0, &[service("50-a"), service(name)]);
            solo.pass(5_000);
            let hooks = moved(&mut solo);
            assert!(
                hooks.ends_with(&["b.failed".to_owned(), "b.stop".to_owned()]) || hook == Hook::Start,
                "{why}: {hooks:?}"
            );
            assert_eq!(solo.is("b"), ServiceState::Failed, "{why}");
            assert_peace(&mut solo, &why);
            let reason = solo.view(0).reason;
            assert!(reason.contains("a new service cannot run here") && reason.contains("b: "), "{reason}");
            assert!(!solo.view(0).healthy);
        }
    }
}

#[test]
fn a_newcomer_that_is_mended_is_tried_again_at_once_and_else_after_a_while() {
    let mut solo = Solo::master(&[service("a")]);
    solo.will_end("b", Hook::Start, fails());
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(1_000);
    solo.hooks();
    solo.pass(60_000);
    let again = moved(&mut solo).iter().filter(|hook| *hook == "b.start").count();
    assert!((1..5).contains(&again), "with pauses that grow: {again}");
    assert_peace(&mut solo, "while it is tried again");
    solo.will_end("b", Hook::Start, HookEnd::Done);
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(1_000);
    assert_eq!(solo.is("b"), ServiceState::Promoted);
    assert_eq!(solo.view(0).reason, "");
    assert_peace(&mut solo, "when it is mended");
}

#[test]
fn a_newcomer_that_cannot_run_at_all_bars_nobody_and_runs_once_it_can() {
    let mut broken = service("b");
    broken.problem = Some("service.toml: no handler is called `shel`".to_owned());
    let disabled = ServiceSpec { disabled: true, ..service("b") };
    for barred in [broken, disabled] {
        let mut solo = Solo::master(&[service("a")]);
        solo.hooks();
        solo.folder(0, &[service("a"), barred]);
        solo.pass(5_000);
        assert!(solo.view(0).reason.contains("b"), "{}", solo.view(0).reason);
        assert_peace(&mut solo, "barred");
        solo.folder(0, &[service("a"), service("b")]);
        solo.pass(1_000);
        assert_eq!(solo.is("b"), ServiceState::Promoted);
        assert_peace(&mut solo, "not any more");
    }
}

#[test]
fn a_newcomer_that_goes_again_while_it_starts_takes_nothing_with_it() {
    for hook in [Hook::Start, Hook::Status] {
        let mut solo = Solo::master(&[service("a")]);
        solo.hooks();
        solo.is_slow("b", hook);
        solo.folder(0, &[service("a"), service("b")]);
        solo.pass(1_000);
        solo.folder(0, &[service("a")]);
        solo.pass(5_000);
        assert_eq!(solo.view(0).services.len(), 1);
        assert_peace(&mut solo, hook.as_str());
    }
}

#[test]
fn what_ran_before_does_not_wait_for_a_newcomer_below_it() {
    let mut solo = Solo::master(&[service("50-a")]);
    solo.will_end("b", Hook::Start, fails());
    solo.folder(0, &[service("10-b"), service("50-a")]);
    solo.pass(1_000);
    // Its address was taken away: it is promoted again.
    solo.will_end("a", Hook::Status, saw(Observed::Standby));
    solo.pass(11_000);
    solo.will_end("a", Hook::Status, saw(Observed::Healthy));
    solo.hooks();
    solo.pass(11_000);
    assert_peace(&mut solo, "its status is well again");
}

#[test]
fn what_was_promoted_here_once_is_no_newcomer_any_more() {
    let mut solo = Solo::master(&[service("a")]);
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(11_000);
    assert_eq!(solo.is("b"), ServiceState::Promoted);
    solo.will_end("b", Hook::Status, fails());
    solo.pass(11_000);
    assert_eq!((solo.state(), solo.is("a")), (NodeState::Failed, ServiceState::Failed));
}

#[test]
fn on_a_standby_a_new_service_that_fails_fails_its_node() {
    let mut solo = Solo::standby(&[service("a")]);
    solo.will_end("b", Hook::Start, fails());
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(1_000);
    assert_eq!(solo.state(), NodeState::Failed, "it is no good candidate");
}

#[test]
fn when_the_mastership_goes_a_broken_newcomer_counts_like_any_other() {
    let mut solo = Solo::master(&[service("a")]);
    solo.will_end("b", Hook::Start, fails());
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(1_000);
    let epoch = solo.grants.take();
    solo.wants_back = epoch;
    solo.pass(2_000);
    assert!(solo.view(0).holds.is_none());
    assert_eq!(solo.state(), NodeState::Failed);
}

#[test]
fn hooks_that_come_later_than_their_folder_are_run() {
    for master in [true, false] {
        let mut solo = if master { Solo::master(&[service("a")]) } else { Solo::standby(&[service("a")]) };
        solo.hooks();
        solo.folder(0, &[service("a"), with("b", &[])]);
        solo.pass(3_000);
        let empty = if master { ServiceState::Promoted } else { ServiceState::Started };
        assert_eq!((moved(&mut solo).len(), solo.is("b")), (0, empty), "an empty folder is a valid service");
        solo.folder(0, &[service("a"), service("b")]);
        solo.pass(1_000);
        let expected: &[&str] = if master { &["b.start", "b.promote"] } else { &["b.start"] };
        assert_eq!(
            (moved(&mut solo), solo.is("b")),
            (expected.iter().map(ToString::to_string).collect(), empty)
        );
        // Once is enough.
        solo.folder(0, &[service("a"), with("b", &[Hook::Stop])]);
        solo.pass(1_000);
        solo.folder(0, &[service("a"), service("b")]);
        solo.pass(11_000);
        assert_eq!(moved(&mut solo), Vec::<String>::new());
    }
}

#[test]
fn a_late_hook_that_fails_takes_down_nothing_but_its_service() {
    let mut solo = Solo::master(&[service("a")]);
    solo.folder(0, &[service("a"), with("b", &[])]);
    solo.pass(3_000);
    solo.hooks();
    solo.will_end("b", Hook::Start, fails());
    solo.folder(0, &[service("a"), service("b")]);
    solo.pass(3_000);
    assert_eq!(solo.is("b"), ServiceState::Failed);
    assert_peace(&mut solo, "its start is late, and fails");
}

#[test]
fn what_is_really_promoted_is_not_started_again_for_a_late_script() {
    let address = [Hook::Promote, Hook::Demote];
    let mut solo = Solo::master(&[with("vip", &address)]);
    solo.hooks();
    solo.folder(0, &[with("vip", &[Hook::Start, Hook::Promote, Hook::Demote])]);
    solo.pass(3_000);
    assert_eq!((moved(&mut solo), solo.is("vip")), (Vec::new(), ServiceState::Promoted));
    assert_eq!(HookSet::default(), with("x", &[]).hooks);
}

#[test]
fn what_status_has_seen_running_needs_no_late_start() {
    let mut solo = Solo::standby(&[with("a", &[Hook::Status])]);
    solo.will_end("a", Hook::Status, saw(Observed::Standby));
    solo.pass(11_000);
    solo.hooks();
    solo.folder(0, &[service("a")]);
    solo.pass(3_000);
    assert_eq!(moved(&mut solo), Vec::<String>::new());
}
