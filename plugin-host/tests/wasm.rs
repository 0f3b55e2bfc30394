//! What a component may do to koid: answer, fail, spin, eat, trap, overflow, babble. Each is one hook's result and no more.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::time::{Duration, Instant};

use guests::Guest;
use guests::node::{Ask, Node};
use koi_plugin_api::{
    Abort, Circumstances, DownReason, Failure, Hook, HookError, NewestEpoch, Observed, Outcome, Peer,
    PeerState, abort_pair,
};

const SPIN: &str = "(loop $again (br $again)) unreachable";

fn failed(text: &str) -> Result<Outcome, HookError> {
    Err(HookError::Failed(text.into()))
}

fn lasting(text: &str) -> Result<Outcome, HookError> {
    Err(HookError::Lasting(text.into()))
}

/// What a status without anything but its state and score is.
fn score(result: Result<Outcome, HookError>) -> Option<i64> {
    match result.unwrap() {
        Outcome::Status(report) => report.score,
        Outcome::Done | Outcome::Started(_) => panic!("not a status"),
    }
}

#[tokio::test]
async fn what_the_guest_answers_is_what_the_hook_gives() {
    let node = Node::new();
    let guest = Guest::new("answers")
        .hook("start", "(call $done)")
        .hook("stop", "(call $error (i32.const 0) %{the disk is\nfull})")
        .hook("promote", "(call $error (i32.const 1) %{the licence has expired})")
        .hook("demote", "(call $error (i32.const 2) %{no such interface: eth9})")
        .hook("status", "(call $error (i32.const 3) %{})");
    let handler = node.handler("answers", &guest.build(), "");
    let ask = Ask::new(&handler);
    assert_eq!(ask.hook(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(ask.hook(Hook::Stop).await, failed("the disk is full"));
    assert_eq!(ask.hook(Hook::Promote).await, lasting("the licence has expired"));
    assert_eq!(ask.hook(Hook::Demote).await, lasting("misconfigured: no such interface: eth9"));
    let Ok(Outcome::Status(report)) = ask.hook(Hook::Status).await else { panic!("not a status") };
    assert_eq!(
        (report.observed, report.message.as_str()),
        (Observed::Healthy, ""),
        "unsupported counts as done"
    );
    assert_eq!(ask.hook(Hook::Failed).await, Ok(Outcome::Done), "it does not have this hook");
}

#[tokio::test]
async fn a_status_carries_its_state_a_line_a_score_and_details() {
    let details = "
        (i32.store (i32.const 1048) (i32.const 2048))
        (i32.store (i32.const 1052) (i32.const 1))
        (i32.store (i32.const 2048) (i32.const 2064)) (i32.store (i32.const 2052) (i32.const 3))
        (i32.store (i32.const 2056) (i32.const 2067)) (i32.store (i32.const 2060) (i32.const 2))
        (i64.store (i32.const 2064) (i64.const 0x7334_6761_6c)) ;; lag 4s
        (i32.const 1024)";
    let standby =
        format!("(drop (call $status (i32.const 2) %{{1\n lag}} (i32.const 1) (i32.const -7))) {details}");
    let node = Node::new();
    let handler = node.handler("standby", &Guest::new("standby").hook("status", &standby).build(), "");
    let Ok(Outcome::Status(report)) = Ask::new(&handler).hook(Hook::Status).await else {
        panic!("no status")
    };
    assert_eq!((report.observed, report.score), (Observed::Standby, Some(-7)));
    assert_eq!(report.message, "1 lag", "one line");
    assert_eq!(report.details, [("lag".to_owned(), "4s".to_owned())]);

    let broken = "(call $status (i32.const 5) %{port 6379 is closed} (i32.const 0) (i32.const 0))";
    let handler = node.handler("broken", &Guest::new("broken").hook("status", broken).build(), "");
    assert_eq!(Ask::new(&handler).hook(Hook::Status).await, failed("port 6379 is closed"));
}

#[tokio::test]
async fn a_score_has_64_bits() {
    let far = "(drop (call $status (i32.const 2) %{in sync} (i32.const 1) (i32.const 0)))
        (i64.store (i32.const 1056) (i64.const -7000000000))
        (i32.const 1024)";
    let node = Node::new();
    let guest = |body: &str| Guest::new("far").hook("status", body).built_against("0.2.0").build();
    let handler = node.handler("far", &guest(far), "");
    let Ok(Outcome::Status(report)) = Ask::new(&handler).hook(Hook::Status).await else {
        panic!("no status")
    };
    assert_eq!((report.message.as_str(), report.score), ("in sync", Some(-7_000_000_000)));

    let handler = node.handler("broken", &guest("(call $error (i32.const 0) %{port 6379 is closed})"), "");
    assert_eq!(Ask::new(&handler).hook(Hook::Status).await, failed("port 6379 is closed"));
}

#[tokio::test]
async fn a_guest_of_the_interface_for_it_is_told_of_changes() {
    let node = Node::new();
    let changed = "(call $error (i32.const 0) %{the new one does not answer yet})";
    let guest = |name: &str| Guest::new(name).hook("start", "(call $done)").says_changed();
    let handler = node.handler("hears", &guest("hears").hook("changed", changed).build(), "");
    assert!(handler.metadata().hooks.has(Hook::Changed));
    let ask = Ask::new(&handler);
    assert_eq!(ask.hook(Hook::Changed).await, failed("the new one does not answer yet"));
    assert_eq!(ask.hook(Hook::Start).await, Ok(Outcome::Done));

    let handler = node.handler("deaf", &guest("deaf").build(), "");
    assert!(!handler.metadata().hooks.has(Hook::Changed), "it does not export the interface");
}

#[tokio::test]
async fn a_guest_is_told_why_it_goes_down_and_what_went_before() {
    let demote = "(local $n i32) (if (i64.gt_u (i64.load offset=96 (local.get $ctx)) (i64.const 900)) (then unreachable))
        (if (i64.ne (i64.load offset=104 (local.get $ctx)) (i64.const 7)) (then unreachable))
        (if (i32.ne (i32.load8_u offset=112 (local.get $ctx)) (i32.const 1)) (then unreachable))
        (call $log (i32.const 2) (i32.load offset=140 (local.get $ctx)) (i32.load offset=144 (local.get $ctx)))
        (if (i32.ne (i32.load8_u offset=148 (local.get $ctx)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load offset=156 (local.get $ctx)) (i32.const 2)) (then unreachable))
        (local.set $n (i32.add (i32.load offset=152 (local.get $ctx)) (i32.const 48)))
        (call $log (i32.const 2) (i32.load (local.get $n)) (i32.load offset=4 (local.get $n)))
        (if (i32.ne (i32.load8_u offset=8 (local.get $n)) (i32.const 4)) (then unreachable))
        (if (i64.ne (i64.load offset=24 (local.get $n)) (i64.const -7)) (then unreachable))
        (if (i32.load8_u offset=32 (local.get $n)) (then unreachable))
        (call $log (i32.const 2) (i32.load offset=120 (local.get $ctx)) (i32.load offset=124 (local.get $ctx)))
        (if (i64.ne (i64.load offset=128 (local.get $ctx)) (i64.const 6)) (then unreachable))
        (if (i32.ne (i32.load8_u offset=136 (local.get $ctx)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load8_u offset=137 (local.get $ctx)) (i32.const 4)) (then unreachable))
        (call $done)";
    // Of what nobody knows there is nothing; what `failed` is given stands behind it all.
    let wreck = "(if (i32.load8_u offset=112 (local.get $ctx)) (then unreachable))
        (if (i32.load8_u offset=136 (local.get $ctx)) (then unreachable))
        (call $error (i32.const 0) (i32.load offset=164 (local.get $ctx)) (i32.load offset=168 (local.get $ctx)))";
    let start = "(call $log (i32.const 2) (i32.load offset=140 (local.get $ctx)) (i32.load offset=144 (local.get $ctx))) (call $done)";
    let guest = Guest::new("told")
        .hook("demote", demote)
        .hook("failed", wreck)
        .hook("start", start)
        .built_against("0.2.0");
    let node = Node::new();
    let handler = node.handler("told", &guest.build(), "");
    let ask = Ask::new(&handler);
    let told = ask.with_context(|context| {
        context.circumstances = Circumstances {
            reason: Some(DownReason::Fenced),
            left: Some(Duration::from_millis(900)),
            promoted_epoch: 7,
            previous: Some(("c".into(), 6)),
            group: Some("backup".into()),
            peers: Some(vec![
                Peer {
                    name: "c".into(),
                    state: PeerState::Disconnected,
                    promotable: false,
                    score: None,
                    address: Some("10.0.0.3".into()),
                },
                Peer {
                    name: "d".into(),
                    state: PeerState::Standby,
                    promotable: true,
                    score: Some(-7),
                    address: None,
                },
            ]),
        };
    });
    assert_eq!(told.hook(Hook::Demote).await, Ok(Outcome::Done));
    assert_eq!(ask.hook(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(ask.log.lines(), ["Info backup", "Info d", "Info c", "Info main"]);
    let cause = Failure { hook: Hook::Start, message: "no space left".into(), timed_out: false };
    assert_eq!(ask.with_cause(cause).hook(Hook::Failed).await, failed("no space left"));
}

#[tokio::test]
async fn a_guest_sees_its_call() {
    // Says service, role and epoch, and fails with the text of what it was given as the cause.
    let start = "(call $log (i32.const 2) (i32.load (local.get $ctx)) (i32.load (i32.add (local.get $ctx) (i32.const 4))))
        (if (i32.ne (i32.load8_u (i32.add (local.get $ctx) (i32.const 28))) (i32.const 2)) (then unreachable))
        (if (i64.ne (i64.load (i32.add (local.get $ctx) (i32.const 32))) (i64.const 65537)) (then unreachable))
        (if (i32.eqz (call $current)) (then (return (call $error (i32.const 0) %{outdated}))))
        (call $done)";
    let wreck = "(call $error (i32.const 0)
        (i32.load (i32.add (local.get $ctx) (i32.const 100))) (i32.load (i32.add (local.get $ctx) (i32.const 104))))";
    let node = Node::new();
    let handler =
        node.handler("sees", &Guest::new("sees").hook("start", start).hook("failed", wreck).build(), "");
    let (ask, newest) = (Ask::new(&handler), NewestEpoch::default());
    assert_eq!(ask.with_epochs(65_537, &newest).hook(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(ask.log.lines(), ["Info sees"]);
    newest.raise(65_538);
    assert_eq!(ask.with_epochs(65_537, &newest).hook(Hook::Start).await, failed("outdated"));
    let cause = Failure { hook: Hook::Start, message: "no space left".into(), timed_out: false };
    assert_eq!(ask.with_cause(cause).hook(Hook::Failed).await, failed("no space left"));
}

#[tokio::test]
async fn a_fresh_instance_serves_each_call_and_the_store_survives() {
    let count = "(global.set $count (i32.add (global.get $count) (i32.const 1)))
        (call $status (i32.const 0) %{} (i32.const 1) (global.get $count))";
    // The value grows by a byte with each call.
    let keep = "(call $get %{calls} (i32.const 2048))
        (local.set $n (select (i32.load (i32.const 2060)) (i32.const 0) (i32.load8_u (i32.const 2052))))
        (call $set %{calls} (i32.const 0) (i32.add (local.get $n) (i32.const 1)) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then unreachable))
        (call $done)";
    let stored = "(call $get %{calls} (i32.const 2048))
        (call $status (i32.const 0) %{} (i32.const 1) (i32.load (i32.const 2060)))";
    let node = Node::new();
    let counts = Guest::new("counts").item("(global $count (mut i32) (i32.const 0))").hook("status", count);
    let handler = node.handler("counts", &counts.build(), "");
    for _ in 0..3 {
        assert_eq!(
            score(Ask::new(&handler).hook(Hook::Status).await),
            Some(1),
            "nothing is left of the call before"
        );
    }
    let keeps =
        Guest::new("keeps").hook("start", &format!("(local $n i32) {keep}")).hook("status", stored).build();
    let handler = node.handler("keeps", &keeps, "");
    for calls in 1..=3 {
        assert_eq!(Ask::new(&handler).hook(Hook::Start).await, Ok(Outcome::Done));
        assert_eq!(score(Ask::new(&handler).hook(Hook::Status).await), Some(calls));
    }
    let again = node.restarted().handler("keeps", &keeps, "");
    assert_eq!(score(Ask::new(&again).hook(Hook::Status).await), Some(3), "it outlives the daemon");
}

#[tokio::test]
async fn a_start_function_runs_within_its_call() {
    let begins = "(global $left (mut i64) (i64.const 0))
        (func $begin (global.set $left (call $remaining)))
        (start $begin)";
    let status = "(call $status (i32.const 0) %{} (i32.const 1) (i64.gt_u (global.get $left) (i64.const 0)))";
    let node = Node::new();
    let guest = Guest::new("begins").item(begins).hook("status", status);
    let handler = node.handler("begins", &guest.build(), "");
    for _ in 0..3 {
        assert_eq!(score(Ask::new(&handler).hook(Hook::Status).await), Some(1), "it has the call's time");
    }
}

#[tokio::test]
async fn what_a_call_leaves_in_memory_and_tables_is_gone_whatever_its_end() {
    // Looks at the memory that it begins with, at what it grows by, and at its table; then leaves something there.
    let leaves = "(local.set $found (i32.add (i32.load (i32.const 40000)) (memory.size)))
        (i32.store (i32.const 40000) (i32.const 1000))
        (if (i32.eq (memory.grow (i32.const 40)) (i32.const -1)) (then unreachable))
        (local.set $found (i32.add (local.get $found) (i32.load (i32.const 2000000))))
        (i32.store (i32.const 2000000) (i32.const 10000))
        (if (i32.eqz (ref.is_null (table.get $kept (i32.const 3)))) (then (local.set $found (i32.const 7))))
        (table.set $kept (i32.const 3) (ref.func $done))";
    let said = format!(
        "(local $found i32) {leaves} (call $status (i32.const 0) %{{}} (i32.const 1) (local.get $found))"
    );
    let traps = format!("(local $found i32) {leaves} unreachable");
    let spins = format!("(local $found i32) {leaves} {SPIN}");
    let items = "(table $kept 4 funcref) (elem declare func $done)";
    let guest = |name| {
        let guest = Guest::new(name).item(items).hook("status", &said);
        guest.hook("start", &traps).hook("demote", &spins)
    };
    // The second has more memories than are kept from call to call; it runs all the same.
    let many = guest("many").item("(memory 1) (memory 1) (memory 1)");
    let node = Node::new();
    for (name, guest) in [("few", guest("few")), ("many", many)] {
        let handler = node.handler(name, &guest.build(), "");
        let first = score(Ask::new(&handler).hook(Hook::Status).await);
        assert!(first.is_some_and(|pages| pages < 100), "{name}: nothing but its pages: {first:?}");
        assert_eq!(score(Ask::new(&handler).hook(Hook::Status).await), first, "{name}: after a good end");
        assert!(Ask::new(&handler).hook(Hook::Start).await.is_err());
        assert_eq!(score(Ask::new(&handler).hook(Hook::Status).await), first, "{name}: after a trap");
        let spins = Ask::new(&handler).with_timeout(Duration::from_millis(100)).hook(Hook::Demote);
        assert!(matches!(spins.await, Err(HookError::TimedOut(_))));
        assert_eq!(score(Ask::new(&handler).hook(Hook::Status).await), first, "{name}: after a time-out");
    }
}

#[tokio::test]
async fn a_guest_that_spins_is_ended_at_its_deadline_and_when_koi_says_so() {
    let node = Node::new();
    let spins = format!("(call $log (i32.const 2) %{{spinning}}) {SPIN}");
    let guest = Guest::new("spins").hook("start", &spins).hook("demote", "(call $done)").build();
    let handler = node.handler("spins", &guest, "");
    // By then its process is there.
    assert_eq!(Ask::new(&handler).hook(Hook::Demote).await, Ok(Outcome::Done));
    let began = Instant::now();
    let ended = Ask::new(&handler).with_timeout(Duration::from_millis(200)).hook(Hook::Start).await;
    assert_eq!(ended, Err(HookError::TimedOut("not done within 200ms, ended".into())));
    assert!(began.elapsed() >= Duration::from_millis(200));

    for how in [Abort::Now, Abort::Gently] {
        let (aborter, signal) = abort_pair();
        let ask = Ask::new(&handler).with_abort(signal);
        let call = tokio::spawn(ask.hook(Hook::Start));
        ask.log.wait_for(|count| count > 0).await;
        let began = Instant::now();
        aborter.abort(how);
        assert_eq!(call.await.unwrap(), Err(HookError::Aborted));
        assert_eq!(
            began.elapsed() >= Duration::from_secs(1),
            how == Abort::Gently,
            "asked gently it has a second"
        );
    }
}

#[tokio::test]
async fn a_guest_that_is_asked_gently_learns_it_and_what_it_complains_of_then_is_no_failure() {
    let waits = "(call $log (i32.const 2) %{about to sleep})
        (if (call $sleep (i64.const 3600000)) (then unreachable))
        (if (i64.ne (call $remaining) (i64.const 0)) (then unreachable))
        (call $error (i32.const 0) %{interrupted})";
    let node = Node::new();
    let handler = node.handler("waits", &Guest::new("waits").hook("start", waits).build(), "");
    let (aborter, signal) = abort_pair();
    let ask = Ask::new(&handler).with_abort(signal);
    let call = tokio::spawn(ask.hook(Hook::Start));
    ask.log.wait_for(|count| count > 0).await;
    aborter.abort(Abort::Gently);
    assert_eq!(call.await.unwrap(), Err(HookError::Aborted));
    // It was not ended by force: it has returned by itself.
    assert_eq!(ask.log.lines(), ["Info about to sleep", "Debug interrupted"]);

    // So does one whose lease and grace end: that it has a time-out is of no use then. One that begins later has nothing else.
    let over = "(if (i64.ne (call $remaining) (i64.const 0)) (then unreachable)) (call $done)";
    let handler = node.handler("over", &Guest::new("over").hook("demote", over).build(), "");
    let ask = Ask::new(&handler)
        .with_context(|context| context.circumstances.left = Some(Duration::from_millis(1)));
    assert_eq!(ask.hook(Hook::Demote).await, Ok(Outcome::Done));
    let late = "(if (i64.eqz (call $remaining)) (then unreachable)) (call $done)";
    let handler = node.handler("late", &Guest::new("late").hook("stop", late).build(), "");
    let ask = Ask::new(&handler).with_context(|context| context.circumstances.left = Some(Duration::ZERO));
    assert_eq!(ask.hook(Hook::Stop).await, Ok(Outcome::Done));

    let naps = "(if (i32.eqz (call $sleep (i64.const 10))) (then unreachable)) (call $done)";
    let handler = node.handler("naps", &Guest::new("naps").hook("start", naps).build(), "");
    assert_eq!(
        Ask::new(&handler).hook(Hook::Start).await,
        Ok(Outcome::Done),
        "otherwise it sleeps as long as it says"
    );
}

#[tokio::test]
async fn a_call_that_is_dropped_ends() {
    let babbles = "(loop $again (call $log (i32.const 2) %{still here}) (br $again)) unreachable";
    let node = Node::new();
    let handler = node.handler("babbles", &Guest::new("babbles").hook("start", babbles).build(), "");
    let ask = Ask::new(&handler);
    let log = ask.log.clone();
    let call = tokio::spawn(ask.hook(Hook::Start));
    log.wait_for(|count| count > 0).await;
    call.abort();
    let silent = async {
        loop {
            let before = log.count();
            tokio::time::sleep(Duration::from_millis(200)).await;
            if log.count() == before {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), silent).await.expect("it babbles no more");
}

#[tokio::test]
async fn fifty_spinning_guests_leave_the_callers_timers_alone() {
    let node = Node::new();
    let handler = node.handler("spins", &Guest::new("spins").hook("start", SPIN).build(), "");
    let spin = |_| tokio::spawn(Ask::new(&handler).with_timeout(Duration::from_secs(2)).hook(Hook::Start));
    let calls: Vec<_> = (0..50).map(spin).collect();
    let mut late = Vec::new();
    while calls.iter().any(|call| !call.is_finished()) {
        let wait = Duration::from_millis(10);
        let began = Instant::now();
        tokio::time::sleep(wait).await;
        late.push(began.elapsed().saturating_sub(wait));
    }
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(HookError::TimedOut(_))));
    }
    late.sort();
    // On the caller's own runtime each timer would wait for fifty guests of 10 ms.
    assert!(late[late.len() / 2] < Duration::from_millis(150), "{late:?}");
}

#[tokio::test]
async fn a_guest_that_eats_memory_is_told_how_to_get_more() {
    let eats = "(loop $again (drop (memory.grow (i32.const 16))) (br $again)) unreachable";
    let node = Node::new();
    let eater = Guest::new("eats").hook("start", eats).build();
    let too_much = |limit| {
        failed(&format!(
            "wanted more than {limit} of memory; raise memory under [limits] of service.toml (in start)"
        ))
    };
    let handler = node.handler("eats", &eater, "");
    assert_eq!(Ask::new(&handler).hook(Hook::Start).await, too_much("64 MiB"));
    let handler = node.handler("diets", &eater, "[limits]\nmemory = \"3MiB\"\n");
    assert_eq!(Ask::new(&handler).hook(Hook::Start).await, too_much("3 MiB"));
    let handler = node.handler("starves", &eater, "[limits]\nmemory = \"64KiB\"\n");
    assert_eq!(Ask::new(&handler).hook(Hook::Start).await, too_much("64 KiB"), "it does not even begin");
    let refused = node.refusal("guzzles", &eater, "[limits]\nmemroy = \"1GiB\"\n");
    assert!(refused.contains("`memroy` is not known; the nearest is `memory`"), "{refused}");
}

#[tokio::test]
async fn a_trap_is_a_line_for_people_and_a_backtrace_for_the_author() {
    let node = Node::new();
    let traps = Guest::new("traps")
        .item("(func $the_culprit (result i32) unreachable)")
        .item("(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))")
        .hook("promote", "(call $the_culprit)")
        .hook("start", "(call $deep)")
        .hook("stop", "(i32.load (i32.const -4))")
        .hook("demote", "(i32.div_u (i32.const 1) (i32.const 0))");
    let handler = node.handler("traps", &traps.build(), "");
    let ask = Ask::new(&handler);
    assert_eq!(
        ask.hook(Hook::Promote).await,
        failed("trapped in promote: wasm unreachable instruction executed")
    );
    assert_eq!(ask.log.lines()[0], "Debug   in the_culprit");
    assert_eq!(ask.hook(Hook::Start).await, failed("trapped in start: call stack exhausted"));
    assert!(ask.log.lines().len() <= 40, "no flood: {:?}", ask.log.lines());
    assert_eq!(ask.hook(Hook::Stop).await, failed("trapped in stop: out of bounds memory access"));
    assert_eq!(ask.hook(Hook::Demote).await, failed("trapped in demote: integer divide by zero"));
}

#[tokio::test]
async fn endless_output_neither_blocks_nor_grows() {
    // A megabyte at a time, without a line end.
    let floods = "(drop (memory.grow (i32.const 32)))
        (memory.fill (i32.const 65536) (i32.const 120) (i32.const 1048576))
        (loop $again (call $log (i32.const 4) (i32.const 65536) (i32.const 1048576)) (br $again)) unreachable";
    let node = Node::new();
    let handler = node.handler("floods", &Guest::new("floods").hook("start", floods).build(), "");
    let ask = Ask::new(&handler).with_timeout(Duration::from_millis(300));
    let log = ask.log.clone();
    assert!(matches!(ask.hook(Hook::Start).await, Err(HookError::TimedOut(_))));
    assert!(log.count() > 0);
    let longest = log.lines().iter().map(String::len).max().unwrap();
    assert!((4096..4200).contains(&longest), "{longest}");
}

#[tokio::test]
async fn standard_output_goes_to_the_log_line_by_line() {
    let prints = "(call $print %{one\ntwo\u{1b}[31m red\nrest}) unreachable";
    let node = Node::new();
    let handler =
        node.handler("prints", &Guest::new("prints").with_stdout().hook("start", prints).build(), "");
    let ask = Ask::new(&handler);
    assert!(ask.hook(Hook::Start).await.is_err());
    let said: Vec<_> = ask.log.lines().into_iter().filter(|line| line.starts_with("Info")).collect();
    assert_eq!(
        said,
        ["Info one", "Info two\\u{1b}[31m red", "Info rest"],
        "also what stood there when it trapped"
    );
}

#[tokio::test]
async fn calls_of_one_service_do_not_share_anything_while_they_run() {
    let node = Node::new();
    let slow = "(drop (call $sleep (i64.const 100))) (call $done)";
    let handler = node.handler("slow", &Guest::new("slow").hook("start", slow).build(), "");
    let calls: Vec<_> = (0..64).map(|_| tokio::spawn(Ask::new(&handler).hook(Hook::Start))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(Outcome::Done));
    }
}
