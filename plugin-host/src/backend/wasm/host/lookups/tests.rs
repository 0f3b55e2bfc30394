//! Look-ups with a name server that is deaf, or breaks.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;

struct Quiet;

impl CallLog for Quiet {
    fn line(&self, _: LogLevel, _: &str) {}
}

/// A name server that is deaf for names that begin with `deaf`, until it is let go, and the look-ups that it has.
struct Deaf {
    resolver: Resolver,
    asked: Arc<AtomicUsize>,
    let_go: mpsc::Sender<()>,
}

fn deaf() -> Deaf {
    let (let_go, wait) = mpsc::channel::<()>();
    let (wait, asked) = (Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let resolver = Resolver::new(move |name| {
        count.fetch_add(1, Ordering::SeqCst);
        if name.starts_with("deaf") {
            // The lock is part of the deafness: they are let go one by one.
            let _ = wait.lock().unwrap().recv();
        }
        Ok(vec![IpAddr::from([10, 0, 0, 1])])
    });
    Deaf { resolver, asked, let_go }
}

fn lookups(service: &str, resolver: &Resolver) -> Lookups {
    Lookups::new(format!("/nowhere/{service}").into(), resolver.clone(), Arc::new(Allowance::new()))
}

async fn soon(call: &mut CallLookups) -> Option<(u64, LookupAnswer)> {
    tokio::time::timeout(Duration::from_secs(60), call.next()).await.ok()
}

async fn nothing(call: &mut CallLookups) -> bool {
    tokio::time::timeout(Duration::from_millis(20), call.next()).await.is_err()
}

fn found(number: u64) -> Option<(u64, LookupAnswer)> {
    Some((number, LookupAnswer::Addresses(vec![IpAddr::from([10, 0, 0, 1])])))
}

fn begin(call: &mut CallLookups, number: u64, name: &str) -> bool {
    call.begin(number, name.into(), &Quiet)
}

#[tokio::test]
async fn look_ups_that_hang_keep_their_places_over_calls_and_cost_no_other_service_anything() {
    let deaf = deaf();
    let service = lookups("hangs", &deaf.resolver);
    let mut status = service.for_call(Hook::Status);
    for number in 0..LOOKUPS_AT_ONCE as u64 {
        assert!(begin(&mut status, number, "deaf.example"));
    }
    assert!(nothing(&mut status).await);
    drop(status);
    drop(service);

    // The next call of a handler that was made anew finds them taken.
    let again = lookups("hangs", &deaf.resolver);
    let mut status = again.for_call(Hook::Status);
    assert!(begin(&mut status, 0, "db.example"));
    assert!(nothing(&mut status).await);
    // What takes the service down does not wait, and neither does another service.
    let mut demote = again.for_call(Hook::Demote);
    assert!(begin(&mut demote, 0, "db.example"));
    assert_eq!(soon(&mut demote).await, found(0));
    let mut other = lookups("other", &deaf.resolver).for_call(Hook::Status);
    assert!(begin(&mut other, 5, "db.example"));
    assert_eq!(soon(&mut other).await, found(5));

    // Once one of them has its answer there is a place.
    deaf.let_go.send(()).unwrap();
    assert_eq!(soon(&mut status).await, found(0));
}

#[tokio::test]
async fn so_many_go_on_so_many_wait_and_the_rest_is_refused() {
    let deaf = deaf();
    let mut first = lookups("many", &deaf.resolver).for_call(Hook::Status);
    for number in 0..LOOKUPS_AT_ONCE as u64 {
        assert!(begin(&mut first, number, "deaf.example"));
    }
    let mut call = lookups("many", &deaf.resolver).for_call(Hook::Status);
    for number in 0..LOOKUPS_WAITING as u64 {
        assert!(begin(&mut call, number, "db.example"));
    }
    assert!(begin(&mut call, 1000, "db.example"));
    assert_eq!(soon(&mut call).await, Some((1000, LookupAnswer::Busy)));
    assert!(nothing(&mut first).await);
    assert_eq!(deaf.asked.load(Ordering::SeqCst), LOOKUPS_AT_ONCE);

    deaf.let_go.send(()).unwrap();
    let mut answered = Vec::new();
    while answered.len() < LOOKUPS_WAITING {
        answered.push(soon(&mut call).await.unwrap().0);
    }
    answered.sort_unstable();
    assert!(answered.into_iter().eq(0..LOOKUPS_WAITING as u64));
}

#[tokio::test]
async fn what_no_helper_asks_is_not_begun() {
    let deaf = deaf();
    let mut call = lookups("strict", &deaf.resolver).for_call(Hook::Start);
    assert!(begin(&mut call, 1, "deaf.example"));
    assert!(!begin(&mut call, 1, "db.example"), "a number that is taken");
    assert!(!begin(&mut call, 2, "fe80::1%eth0"), "no name");
    for number in 2..=LOOKUPS_OPEN as u64 {
        assert!(begin(&mut call, number, "deaf.example"));
    }
    assert!(!begin(&mut call, 1000, "db.example"), "more than there may be");
}

#[tokio::test]
async fn what_is_not_found_is_unknown_also_when_the_look_up_broke() {
    let broken = Resolver::new(|name| match name {
        "empty" => Ok(Vec::new()),
        "broken" => panic!("a resolver broke"),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    });
    let mut call = lookups("broken", &broken).for_call(Hook::Start);
    for name in ["empty", "broken", "unknown"] {
        for number in 0..10 {
            assert!(begin(&mut call, number, name));
            assert_eq!(soon(&mut call).await, Some((number, LookupAnswer::Unknown)), "{name}");
        }
    }
}
