//! Without a guardian nothing is newly promoted (R8), and what is promoted stays so.

use koi_core::group::GroupName;
use koi_core::guard::{ServiceLevel, Teardown, TeardownOrder};
use koi_core::io::{DownReason, Effect, Input, Readiness};
use koi_core::types::{Epoch, Hook, NodeState, ServiceState, Time};
use koi_sim::scripted::{Solo, ms, service, settings};

fn lose_guardian(solo: &mut Solo) {
    solo.input(0, Input::Guarded(Readiness::NotReady { why: "the guardian does not answer".to_owned() }));
}

#[test]
fn a_standby_without_a_guardian_is_no_candidate_until_it_has_one() {
    let mut solo = Solo::standby(&[service("web")]);
    solo.hooks();
    lose_guardian(&mut solo);
    solo.pass(200);
    assert_eq!(
        (solo.state(), solo.is("web")),
        (NodeState::Live, ServiceState::Started),
        "its services run on"
    );
    assert!(
        solo.view(0).reason.contains("guardian")
            && solo.view(0).warnings.iter().any(|w| w.contains("guardian"))
    );
    solo.appoint();
    solo.pass(500);
    assert!(solo.hooks().iter().all(|hook| hook != "web.promote"), "not before another stands guard");
    assert!(solo.view(0).holds.is_none(), "it gives the mastership back");
    solo.input(0, Input::Guarded(Readiness::Ready));
    solo.appoint();
    solo.pass(500);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted));
}

#[test]
fn a_master_that_loses_its_guardian_goes_on() {
    let mut solo = Solo::master(&[service("web")]);
    solo.hooks();
    lose_guardian(&mut solo);
    solo.pass(5_000);
    assert_eq!((solo.state(), solo.is("web")), (NodeState::Master, ServiceState::Promoted));
    assert!(solo.view(0).warnings.iter().any(|w| w.contains("guardian")), "and says so");
    assert!(solo.hooks().iter().all(|hook| hook == "web.status"));
}

#[test]
fn what_a_guardian_takes_down_is_told_that_the_lease_is_lost_and_what_is_left_of_the_grace() {
    let now = Time(5_000_000);
    let up = [("web".to_owned(), ServiceLevel::Promoted)].into();
    let order =
        TeardownOrder { group: GroupName::MAIN, ordinal: 0, by: Some(now + ms(800)), epoch: Epoch(7) };
    let mut down = Teardown::new(settings("a", 3), order, vec![service("web")], &up, now);
    let calls = std::iter::from_fn(|| down.poll_effect()).filter_map(|effect| match effect {
        Effect::RunHook(run) => Some((run.hook, run.epoch, run.reason, run.left)),
        _ => None,
    });
    let first = (Hook::Demote, Epoch(7), Some(DownReason::LeaseLost), ms(800));
    assert_eq!(calls.collect::<Vec<_>>(), [first]);
}
