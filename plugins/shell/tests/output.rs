//! What a script says: all of it is read, in bounded memory, and nothing waits for it.

mod common;

use common::{Mortal, Service, failed, lives, until};
use koi_plugin_api::{Hook, LogLevel, Outcome};

#[tokio::test]
async fn both_streams_are_heard_line_by_line() {
    let service = Service::new();
    service.script("start", "echo out; echo err >&2; echo; printf 'no end'");
    service.run(Hook::Start).await.unwrap();
    assert_eq!(service.lines(LogLevel::Info), ["out", "", "no end"]);
    assert_eq!(service.lines(LogLevel::Warn), ["err"]);
}

#[tokio::test]
async fn fifty_thousand_lines_are_read_to_the_last() {
    let service = Service::new();
    service.script("start", "seq 50000; seq 50000 >&2");
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Done));
    for level in [LogLevel::Info, LogLevel::Warn] {
        let lines = service.lines(level);
        assert_eq!(lines.len(), 50_000);
        assert_eq!(lines[49_999], "50000");
    }
}

#[tokio::test]
async fn a_line_of_ten_megabytes_is_cut_and_the_next_one_is_whole() {
    let service = Service::new();
    service.script("start", "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo next");
    service.run(Hook::Start).await.unwrap();
    let lines = service.lines(LogLevel::Info);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].len() < 5000 && lines[0].ends_with("(9995904 bytes more)"), "{}", lines[0].len());
    assert_eq!(lines[1], "next");
}

#[tokio::test]
async fn output_that_is_not_text_does_no_harm() {
    let service = Service::new();
    service.script("start", "head -c 300000 /dev/urandom; echo; printf 'a\\377b\\n'; exit 4");
    assert_eq!(service.run(Hook::Start).await, failed("exit code 4: a\u{fffd}b"));
    assert_eq!(service.lines(LogLevel::Info).last().unwrap(), "a\u{fffd}b");
}

#[tokio::test]
async fn a_start_that_leaves_a_daemon_behind_returns_at_once_and_the_daemon_lives() {
    let service = Service::new();
    service.script("start", "sleep 600 & echo $! > pid; echo started");
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Done));
    let daemon = Mortal(service.pid_in("pid").await);
    assert!(lives(daemon.0));
    assert_eq!(service.lines(LogLevel::Info), ["started"]);
    let group = service.groups()[0];
    assert!(group.is_some());
    assert_eq!(service.groups(), [group, None], "the call's group is over for koi");

    // Nor does a later hook touch it, not even one that is ended.
    service.script("status", "kill -KILL 0");
    assert_eq!(service.run(Hook::Status).await, failed("killed by signal 9 (SIGKILL)"));
    assert!(lives(daemon.0));
}

#[tokio::test]
async fn a_daemon_left_behind_can_go_on_talking() {
    let service = Service::new();
    let daemon = "(until [ -e speak ]; do sleep 0.01; done; echo 'still here'; echo done > spoken) &";
    service.script("start", daemon);
    service.run(Hook::Start).await.unwrap();
    service.file("speak", "", 0o644);
    assert_eq!(service.written("spoken").await, "done", "it did not die of SIGPIPE");
    until(|| service.lines(LogLevel::Info).contains(&"still here".to_owned()).then_some(())).await;
}

#[tokio::test]
async fn a_daemon_that_floods_its_output_does_not_keep_the_hook() {
    let service = Service::new();
    service.script("start", "yes & echo $! > pid");
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Done));
    let daemon = Mortal(service.pid_in("pid").await);
    assert!(lives(daemon.0));
}

#[tokio::test]
async fn daemons_left_behind_again_and_again_do_not_pile_up_open_pipes() {
    let service = Service::new();
    service.script("status", "sleep 600 & echo $! >> pids");
    for _ in 0..17 {
        service.run(Hook::Status).await.unwrap();
    }
    let pids = service.written("pids").await;
    let _daemons: Vec<Mortal> =
        pids.lines().map(|p| Mortal(nix::unistd::Pid::from_raw(p.parse().unwrap()))).collect();
    let warnings = service.lines(LogLevel::Warn);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the output is closed"));
}
