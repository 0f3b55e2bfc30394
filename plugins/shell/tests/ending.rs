//! How a script is ended before its time.

mod common;

use std::time::{Duration, Instant};

use common::{Service, lives, until};
use koi_plugin_api::{Abort, Hook, HookError, LogLevel};

/// Long enough for a shell to be under way, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(1);

/// A script that begins a grandchild, says that it runs, and waits. `trap` is what it does on SIGTERM.
fn waiting(trap: &str) -> String {
    format!(
        "{trap}\n(trap '' TERM; echo grandchild; exec sleep 600) &\necho $! > grandchild\necho $$ > pid\nwait\nwait\nsleep 600"
    )
}

fn timed_out(result: Result<koi_plugin_api::Outcome, HookError>) -> String {
    match result {
        Err(HookError::TimedOut(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn scar_03_a_time_out_asks_first_and_the_script_can_clean_up() {
    let mut service = Service::new();
    service.context.timeout = LIMIT;
    service.script("start", "trap 'echo cleaned > trace; echo bye; exit 0' TERM; sleep 600 & wait");
    let text = timed_out(service.run(Hook::Start).await);
    assert_eq!(text, "not done within 1s, ended by SIGTERM: bye");
    assert_eq!(service.written("trace").await, "cleaned");
    let groups = service.groups();
    assert!(groups[0].is_some() && groups[1..] == [None], "{groups:?}");
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_a_second_later_and_its_grandchild_too() {
    let mut service = Service::new();
    service.context.timeout = LIMIT;
    service.script("stop", &waiting("trap '' TERM"));
    let begin = Instant::now();
    let text = timed_out(service.run(Hook::Stop).await);
    assert_eq!(text, "not done within 1s, killed, 1s after SIGTERM: grandchild");
    assert!(begin.elapsed() >= LIMIT + Duration::from_secs(1), "not before a second was over");
    assert!(!lives(service.pid_in("pid").await));
    assert!(!lives(service.pid_in("grandchild").await));
}

#[tokio::test]
async fn a_grandchild_that_outlives_the_script_is_still_ended() {
    let service = Service::new();
    service.script("start", &waiting("trap 'exit 0' TERM"));
    let (aborter, called) = service.begin(Hook::Start);
    let asking = async {
        let grandchild = service.pid_in("grandchild").await;
        service.written("pid").await;
        aborter.abort(Abort::Gently);
        grandchild
    };
    let (result, grandchild) = tokio::join!(called, asking);
    assert_eq!(result, Err(HookError::Aborted));
    assert!(!lives(grandchild));
}

#[tokio::test]
async fn abort_now_does_not_ask() {
    let service = Service::new();
    service.script("start", &waiting("trap 'echo asked > asked' TERM"));
    let (aborter, called) = service.begin(Hook::Start);
    let asking = async {
        let pid = service.pid_in("pid").await;
        aborter.abort(Abort::Now);
        pid
    };
    let (result, pid) = tokio::join!(called, asking);
    assert_eq!(result, Err(HookError::Aborted));
    assert!(!lives(pid));
    assert!(!service.path("asked").exists());
}

#[tokio::test]
async fn patience_ends_when_now_is_said() {
    let service = Service::new();
    service.script("start", "trap 'echo asked > asked' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    let (aborter, called) = service.begin(Hook::Start);
    let asking = async {
        service.written("pid").await;
        aborter.abort(Abort::Gently);
        service.written("asked").await;
        let begin = Instant::now();
        aborter.abort(Abort::Now);
        begin
    };
    let (result, _) = tokio::join!(called, asking);
    assert_eq!(result, Err(HookError::Aborted));
    assert!(!lives(service.pid_in("pid").await));
}

#[tokio::test]
async fn a_call_that_is_aborted_before_it_begins_begins_nothing() {
    let service = Service::new();
    service.script("start", "echo ran > ran");
    let (aborter, called) = service.begin(Hook::Start);
    aborter.abort(Abort::Gently);
    assert_eq!(called.await, Err(HookError::Aborted));
    assert!(!service.path("ran").exists() && service.groups().is_empty());
}

#[tokio::test]
async fn output_is_read_while_a_script_is_ended() {
    let mut service = Service::new();
    service.context.timeout = LIMIT;
    service.script("start", "trap 'seq 20000; echo cleaned > trace; exit 0' TERM; sleep 600 & wait");
    timed_out(service.run(Hook::Start).await);
    assert_eq!(service.written("trace").await, "cleaned");
    assert_eq!(service.lines(LogLevel::Info).last().unwrap(), "20000");
}

#[tokio::test]
async fn a_flood_of_output_does_not_put_off_the_end() {
    let mut service = Service::new();
    service.context.timeout = Duration::from_millis(200);
    service.script("start", "while :; do echo flood; done");
    timed_out(service.run(Hook::Start).await);
}

#[tokio::test]
async fn a_script_that_is_stopped_can_still_clean_up() {
    let service = Service::new();
    service
        .script("start", "trap 'echo cleaned > trace; exit 0' TERM; echo $$ > pid; kill -STOP $$; sleep 600");
    let (aborter, called) = service.begin(Hook::Start);
    let asking = async {
        let pid = service.pid_in("pid").await;
        let stat = format!("/proc/{pid}/stat");
        until(|| std::fs::read_to_string(&stat).ok().filter(|s| s.contains(") T "))).await;
        aborter.abort(Abort::Gently);
    };
    let (result, ()) = tokio::join!(called, asking);
    assert_eq!(result, Err(HookError::Aborted));
    assert_eq!(service.written("trace").await, "cleaned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_leaves_nothing_behind() {
    let service = Service::new();
    service.script("start", &waiting("trap '' TERM"));
    let (_aborter, called) = service.begin(Hook::Start);
    let call = tokio::spawn(called);
    let (pid, grandchild) = (service.pid_in("pid").await, service.pid_in("grandchild").await);
    call.abort();
    until(|| (!lives(pid) && !lives(grandchild)).then_some(())).await;
    assert_eq!(service.groups().last(), Some(&None));
    // Not even a zombie: the runtime reaps it when it hears of the next child's end.
    until(|| {
        let _ = std::process::Command::new("true").status();
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_while_it_starts_leaves_nothing_behind() {
    let service = Service::new();
    service.script("start", "echo $$ >> pids; exec sleep 600");
    for _ in 0..20 {
        let (_aborter, mut called) = service.begin(Hook::Start);
        let _ = futures_poll_once(&mut called).await;
        drop(called);
    }
    // Each that was begun is told of, and over.
    until(|| (service.groups().iter().filter(|g| g.is_none()).count() == 20).then_some(())).await;
    let begun: Vec<i32> = service.groups().into_iter().flatten().collect();
    for pid in begun {
        until(|| (!lives(nix::unistd::Pid::from_raw(pid))).then_some(())).await;
    }
}

/// Polls a future once, whether it is ready or not.
async fn futures_poll_once(called: &mut koi_plugin_api::Called) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(called.as_mut().poll(cx).is_ready())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_hooks_at_once_leave_no_zombie() {
    let service = std::sync::Arc::new(Service::new());
    service.script("status", "echo ok; exit 91");
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { service.status().await.message })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "ok");
    }
    for pid in service.groups().into_iter().flatten() {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} was reaped");
    }
}
