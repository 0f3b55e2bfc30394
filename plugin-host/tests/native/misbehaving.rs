//! A bad plugin fails its own hooks, with the reason, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use koi_plugin_api::{Hook, HookError, LogLevel, NamedProcess, Observed, Outcome};
use koi_testkit::lives;

use crate::support::{Bench, PATIENCE, failed, misbehaving, observed, repository, run, timed_out, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_a_failed_hook_with_its_name_and_the_next_call_finds_a_new_process() {
    let Some((_bench, service)) =
        misbehaving(&[("promote", "segfault"), ("start", "abort"), ("stop", "exit")])
    else {
        return;
    };
    assert_eq!(service.status().await.message, "call 1");
    assert_eq!(
        failed(service.call(Hook::Promote).await),
        "the plugin's process was ended by SIGSEGV in promote"
    );
    assert_eq!(service.status().await.message, "call 1", "of a new instance");
    let aborted = failed(service.call(Hook::Start).await);
    assert_eq!(
        aborted,
        "the plugin's process was ended by SIGABRT in start: assertion failed: earth is flat"
    );
    let exited = failed(service.call(Hook::Stop).await);
    assert_eq!(exited, "the plugin's process exited by itself with status 3 in stop");
    assert_eq!(service.status().await.message, "call 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_service_of_the_same_plugin_takes_no_notice() {
    let bench = Bench::new();
    let Some(plugin) = bench.misbehaving(&[]) else { return };
    let bad = bench.service("bad", &plugin, &[("promote", "segfault")]);
    let good = bench.service("good", &plugin, &[]);
    assert_eq!(good.status().await.message, "call 1");
    assert!(failed(bad.call(Hook::Promote).await).contains("SIGSEGV"));
    assert_eq!(good.status().await.message, "call 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_between_calls_is_replaced_and_the_log_says_so() {
    let Some((_bench, service)) = misbehaving(&[("start", "die later")]) else { return };
    let start = service.prepare(Hook::Start, PATIENCE);
    let group = {
        let log = start.log.clone();
        assert_eq!(start.run().await, Ok(Outcome::Done));
        log.group()
    };
    until("its process has died", || !lives(group)).await;
    let status = service.prepare(Hook::Status, PATIENCE);
    let log = status.log.clone();
    assert_eq!(status.run().await, Ok(Outcome::Status(observed(Observed::Healthy, "call 1"))));
    let said = "the plugin's process was ended by SIGALRM between two calls; a new one is started";
    assert_eq!(log.at(LogLevel::Warn), [said]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crashed_process_has_started_ends_with_it() {
    let Some((_bench, service)) = misbehaving(&[("start", "child and segfault")]) else { return };
    assert!(failed(service.call(Hook::Start).await).contains("SIGSEGV"));
    let child = fs::read_to_string(service.home.join("child")).unwrap().parse().unwrap();
    assert!(!lives(child));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_mean_failure_or_nothing_at_all() {
    let config = [("start", "broken"), ("promote", "fatal"), ("failed", "seventy-seven")];
    let Some((_bench, service)) = misbehaving(&config) else { return };
    assert_eq!(service.call(Hook::Promote).await, Err(HookError::Lasting("call 1".into())));
    let unknown = failed(service.call(Hook::Failed).await);
    assert!(
        unknown.starts_with("the plugin returned 77 from failed, which means nothing there"),
        "{unknown}"
    );
    assert_eq!(failed(service.call(Hook::Start).await), "call 3");
    assert_eq!(service.status().await.message, "call 1", "an instance that broke is not used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_goes_to_the_log_of_its_call_line_by_line() {
    let Some((_bench, service)) = misbehaving(&[("start", "print")]) else { return };
    let start = service.prepare(Hook::Start, PATIENCE);
    let log = start.log.clone();
    assert_eq!(start.run().await, Ok(Outcome::Done));
    assert_eq!(log.at(LogLevel::Info), ["printed without a line end", "no HOME PATH"]);
    assert_eq!(log.at(LogLevel::Warn), ["complained"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_stops_nothing() {
    let Some((_bench, service)) = misbehaving(&[("start", "flood")]) else { return };
    let start = service.prepare(Hook::Start, PATIENCE);
    let log = start.log.clone();
    assert_eq!(start.run().await, Ok(Outcome::Done));
    assert_eq!(log.lines.lock().unwrap().len(), 100_000);
    assert_eq!(service.status().await.message, "call 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_status_says_is_bounded() {
    let Some((_bench, service)) = misbehaving(&[("status", "say much")]) else { return };
    let status = service.prepare(Hook::Status, PATIENCE);
    let log = status.log.clone();
    let Ok(Outcome::Status(report)) = status.run().await else { panic!("a status") };
    assert_eq!(
        (report.observed, report.score, report.details.len()),
        (Observed::Live, Some(-7_000_000_000), 16)
    );
    assert_eq!(report.message.len(), 1024);
    assert!(report.message.starts_with("xxxxx xx"), "it is one line");
    assert_eq!((report.details[0].0.len(), report.details[0].1.len()), (64, 1024));
    let (id, file) = (|id: &str| NamedProcess::Id(id.into()), |path: &str| NamedProcess::File(path.into()));
    assert_eq!(report.processes[..3], [id("4711"), id("-1"), file("run/db.pid")]);
    assert_eq!(report.processes.len(), NamedProcess::MOST + 1);
    assert!(matches!(&report.processes[3], NamedProcess::File(path) if path.len() == 4096));
    assert_eq!(log.at(LogLevel::Error)[0].len(), 4096);
    assert_eq!(
        (log.at(LogLevel::Debug), log.at(LogLevel::Warn)),
        (vec!["quiet".into()], vec!["loud".into()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_finds_kois_socket_and_writes_to_it_fails_its_own_hook() {
    let Some((_bench, service)) = misbehaving(&[("start", "garble")]) else { return };
    let garbled = failed(service.call(Hook::Start).await);
    assert!(garbled.starts_with("the plugin wrote to koid's own socket in start"), "{garbled}");
    assert_eq!(service.status().await.message, "call 1");
}

/// panicking.rs, built by hand as nobody would; none: there is no rustc.
fn panicking(bench: &Bench) -> Option<PathBuf> {
    let (to, plugin) = (bench.dir.path(), bench.dir.path().join("panicking.so"));
    let rustc = || Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    for (name, path, extern_crate) in [
        ("koi_hook", "koi-hook/src/lib.rs", None),
        ("koi_plugin_api", "plugin-api/src/lib.rs", Some("--extern=koi_hook")),
    ] {
        let mut library = rustc();
        library.args(["--edition=2024", "--crate-type=rlib", "--crate-name", name]).args(extern_crate);
        library.arg("-L").arg(to).arg("--out-dir").arg(to);
        run(library.arg(repository(path)), "rustc")?;
    }
    let mut build = rustc();
    build.args(["--edition=2024", "--crate-type=cdylib", "--extern=koi_plugin_api", "-L"]);
    build.arg(to).arg("-o").arg(&plugin);
    run(build.arg(repository("plugin-host/tests/native/panicking.rs")), "rustc")?;
    Some(plugin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failed_hook_with_its_message() {
    let bench = Bench::new();
    let Some(plugin) = panicking(&bench) else { return };
    let service = bench.service("panics", &plugin, &[]);
    let promote = service.prepare(Hook::Promote, PATIENCE);
    let log = promote.log.clone();
    assert_eq!(failed(promote.run().await), "it panicked: epoch 5 is odd");
    let printed = log.at(LogLevel::Warn);
    assert!(printed.iter().any(|line| line.contains("panicking.rs")), "where it was: {printed:?}");
    assert_eq!(failed(service.call(Hook::Stop).await), "retried in vain");
    assert_eq!(service.call(Hook::Demote).await, Ok(Outcome::Done), "a hook that it does not have");
    let created = bench.service("not-made", &plugin, &[("create", "panic")]);
    let text = failed(created.call(Hook::Promote).await);
    assert_eq!(text, "its instance could not be made: it panicked: no instance today");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_be_started_is_said_to_be_so() {
    let Some((bench, service)) = misbehaving(&[]) else { return };
    fs::remove_dir_all(bench.dir.path().join("plugins")).unwrap();
    match service.call(Hook::Start).await {
        Err(HookError::CannotRun(text)) => {
            assert!(text.contains("misbehaving.so: cannot be loaded: "), "{text}")
        }
        other => panic!("its file is gone: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_processes_are_held_back_but_never_before_a_demote_or_a_stop() {
    let Some((_bench, service)) = misbehaving(&[("demote", "segfault")]) else { return };
    // Eight breaks make a pause of ten seconds. Nothing of it is seen here.
    for _ in 0..8 {
        assert!(failed(service.call(Hook::Demote).await).contains("SIGSEGV in demote"));
    }
    let start = service.prepare(Hook::Start, Duration::from_millis(300));
    let held_back = timed_out(start.run().await);
    let why = "its process ended badly 8 times in a row, and a new one was not due yet";
    assert_eq!(held_back, format!("not done within 300ms: {why}"));
    assert_eq!(service.call(Hook::Stop).await, Ok(Outcome::Done));
    // A good call, and all is forgotten.
    assert!(failed(service.call(Hook::Demote).await).contains("SIGSEGV in demote"));
    assert_eq!(service.call(Hook::Start).await, Ok(Outcome::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_that_happens_once_is_over_at_the_next_try() {
    let Some((_bench, service)) = misbehaving(&[("promote", "segfault once")]) else { return };
    assert!(failed(service.call(Hook::Promote).await).contains("SIGSEGV"));
    assert!(Path::new(&service.home.join("crashed")).exists());
    assert_eq!(service.call(Hook::Promote).await, Ok(Outcome::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_names_the_hook_changed_has_it() {
    let bench = Bench::new();
    let Some(plugin) = bench.misbehaving(&[]) else { return };
    let service = bench.service("hears", &plugin, &[("changed", "fatal")]);
    let facts = bench.registry.plugin_in(&plugin).unwrap().facts.unwrap();
    assert!(facts.metadata.hooks.has(Hook::Changed), "{:?}", facts.metadata.hooks);
    assert!(matches!(service.call(Hook::Changed).await, Err(HookError::Lasting(_))));
}
