//! Without a guardian nothing is newly promoted (R8), and what is promoted stays so.

use koi_core::io::{Input, Readiness};
use koi_core::types::{NodeState, ServiceState};
use koi_sim::scripted::{Solo, service};

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
