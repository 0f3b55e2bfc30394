//! Time-outs and requests to end.

use std::time::Duration;

use koi_plugin_api::{Abort, Circumstances, DownReason, Hook, HookError, LogLevel, Outcome, Peer, PeerState};
use koi_testkit::lives;

use crate::support::{PATIENCE, misbehaving, timed_out, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_spins_or_hangs_is_killed_at_its_time_out() {
    let Some((_bench, service)) = misbehaving(&[("promote", "spin"), ("demote", "hang")]) else { return };
    // It is loaded, so that the time-out falls into the hook.
    assert_eq!(service.status().await.message, "call 1");
    let promote = service.prepare(Hook::Promote, Duration::from_millis(1500));
    let log = promote.log.clone();
    let text = timed_out(promote.run().await);
    assert_eq!(text, "not done within 1.5s: the plugin hung in promote, and its process was killed");
    assert!(!lives(log.group()));
    assert_eq!(service.status().await.message, "call 1");
    let text = timed_out(service.prepare(Hook::Demote, Duration::from_millis(1500)).run().await);
    assert!(text.contains("hung in demote"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_heeds_remaining_ms_keeps_its_process_when_it_is_asked_to_end() {
    let Some((_bench, service)) = misbehaving(&[("start", "obey")]) else { return };
    let ended = service.prepare(Hook::Start, PATIENCE).run_and_abort("waiting", Abort::Gently).await;
    assert_eq!(ended, Err(HookError::Aborted));
    assert_eq!(service.status().await.message, "call 2", "of the same instance");
    let again = service.prepare(Hook::Start, PATIENCE).run_and_abort("waiting", Abort::Gently).await;
    assert_eq!(again, Err(HookError::Aborted), "what was asked of an earlier call does not end a later one");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_lease_and_grace_end_is_told_that_its_time_does() {
    let Some((_bench, service)) = misbehaving(&[("demote", "obey")]) else { return };
    let mut demote = service.prepare(Hook::Demote, PATIENCE);
    demote.call.context.circumstances.left = Some(Duration::from_millis(20));
    assert_eq!(demote.run().await, Ok(Outcome::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_it_is_called_and_what_went_before_comes_along() {
    let Some((_bench, service)) = misbehaving(&[("demote", "tell")]) else { return };
    let mut demote = service.prepare(Hook::Demote, PATIENCE);
    demote.call.context.circumstances = Circumstances {
        reason: Some(DownReason::LeaseLost),
        left: Some(Duration::from_millis(900)),
        promoted_epoch: 7,
        previous: Some(("c".into(), 6)),
        group: Some("db".into()),
        peers: Some(vec![Peer {
            name: "e".into(),
            state: PeerState::Live,
            promotable: false,
            score: Some(-7),
            address: None,
        }]),
    };
    let log = demote.log.clone();
    assert_eq!(demote.run().await, Ok(Outcome::Done));
    let told = log.at(LogLevel::Info);
    assert!(told.contains(&"lease-lost 1 7 c 6 db; 1: e Live - -7 1 0".to_owned()), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_is_killed() {
    let Some((_bench, service)) = misbehaving(&[("start", "hang"), ("stop", "hang")]) else { return };
    for (hook, how) in [(Hook::Start, Abort::Gently), (Hook::Stop, Abort::Now)] {
        let call = service.prepare(hook, PATIENCE);
        let log = call.log.clone();
        assert_eq!(call.run_and_abort("hanging", how).await, Err(HookError::Aborted));
        assert!(!lives(log.group()), "{how:?}");
        assert_eq!(
            service.status().await.message,
            "call 1",
            "a new instance, and no back-off: koi had wanted it"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_told_to_end_before_it_began_never_begins() {
    let Some((_bench, service)) = misbehaving(&[]) else { return };
    let (aborter, abort) = koi_plugin_api::abort_pair();
    aborter.abort(Abort::Gently);
    let mut start = service.prepare(Hook::Start, PATIENCE);
    start.call.abort = abort;
    let log = start.log.clone();
    assert_eq!(start.run().await, Err(HookError::Aborted));
    assert!(log.groups().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_takes_its_process_along() {
    let Some((_bench, service)) = misbehaving(&[("start", "hang")]) else { return };
    let start = service.prepare(Hook::Start, PATIENCE);
    let log = start.log.clone();
    let call = tokio::spawn(start.run());
    until("the call is in the plugin", || log.has("hanging")).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(log.groups(), [Some(log.group()), None]);
    until("its process is gone", || !lives(log.group())).await;
    assert_eq!(service.status().await.message, "call 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_group_is_told_for_the_time_of_each_call() {
    let Some((_bench, service)) = misbehaving(&[("stop", "segfault")]) else { return };
    let mut groups = Vec::new();
    for (hook, well) in [(Hook::Start, true), (Hook::Status, true), (Hook::Stop, false), (Hook::Demote, true)]
    {
        let call = service.prepare(hook, PATIENCE);
        let log = call.log.clone();
        let ended = call.run().await;
        assert_eq!(ended.is_ok(), well, "{hook:?}");
        assert_eq!(log.groups(), [Some(log.group()), None], "{hook:?}");
        groups.push(log.group());
    }
    assert_eq!(groups[0], groups[1]);
    assert_eq!(groups[1], groups[2]);
    assert_ne!(groups[2], groups[3], "it was started anew");
}
