//! How a script is run: which, where, with what around it, and what its exit means.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use common::{Service, cannot_run, failed};
use koi_plugin_api::{
    Circumstances, DownReason, Failure, Handler, Hook, HookError, HookSet, LogLevel, NamedProcess, Observed,
    Outcome, Peer, PeerState, Role,
};

#[tokio::test]
async fn a_script_that_is_not_there_is_a_success() {
    let service = Service::new();
    assert_eq!(service.handler().metadata().hooks, HookSet::default());
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(service.status().await.observed, Observed::Healthy);
    assert!(service.groups().is_empty(), "nothing was started");
}

#[tokio::test]
async fn but_a_service_that_is_not_there_is_none() {
    let service = Service::new();
    fs::remove_dir(service.folder()).unwrap();
    let why = cannot_run(service.run(Hook::Demote).await);
    assert!(why.starts_with("demote: the service itself, /"), "{why}");
}

#[tokio::test]
async fn hooks_come_and_go_with_their_scripts() {
    let service = Service::new();
    service.script("start", "true");
    service.file("stop", "", 0o644);
    fs::create_dir(service.path("promote")).unwrap();
    std::os::unix::fs::symlink("nothing", service.path("demote")).unwrap();
    let expected: HookSet = [Hook::Start, Hook::Stop, Hook::Demote].into_iter().collect();
    assert_eq!(service.handler().metadata().hooks, expected);
}

#[tokio::test]
async fn exit_0_is_success_and_the_rest_is_failure_with_the_last_word() {
    let service = Service::new();
    service.script("start", "exit 0");
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Done));
    service.script("start", "echo trying; echo 'could not bind port' >&2; echo; echo bye; exit 3");
    assert_eq!(service.run(Hook::Start).await, failed("exit code 3: could not bind port"));
    service.script("start", "echo 'only this'; exit 91");
    assert_eq!(service.run(Hook::Start).await, failed("exit code 91: only this"));
    service.script("start", "kill -SEGV $$");
    assert_eq!(service.run(Hook::Start).await, failed("killed by signal 11 (SIGSEGV)"));
}

#[tokio::test]
async fn status_tells_states_apart() {
    let service = Service::new();
    assert_eq!(service.observed(0).await, Observed::Healthy);
    assert_eq!(service.observed(90).await, Observed::Promoted);
    assert_eq!(service.observed(91).await, Observed::Standby);
    assert_eq!(service.observed(92).await, Observed::Stopped);
    assert_eq!(service.observed(93).await, Observed::Live);
    service.script("status", "echo 'no licence'; exit 94");
    let fatal = HookError::Lasting("exit code 94, fatal: no licence".to_owned());
    assert_eq!(service.run(Hook::Status).await, Err(fatal));
    service.script("status", "exit 96");
    assert_eq!(service.run(Hook::Status).await, failed("exit code 96"));
    service.script("status", "exit 1");
    assert_eq!(service.run(Hook::Status).await, failed("exit code 1"));
}

#[tokio::test]
async fn status_may_say_a_sentence_and_a_score() {
    let service = Service::new();
    service.script("status", "echo first; echo 'lag 3 s'; echo score=42; echo; exit 91");
    let report = service.status().await;
    assert_eq!((report.message.as_str(), report.score), ("lag 3 s", Some(42)));
    service.script("status", "echo score=high; exit 91");
    assert_eq!(service.status().await.score, None);
    assert!(service.lines(LogLevel::Warn)[0].starts_with("score=high is ignored"));
}

#[tokio::test]
async fn a_folders_scripts_run_in_it_without_arguments() {
    let service = Service::new();
    service.script("start", "pwd; echo $#; [ ! -t 0 ] && cat; readlink /proc/self/fd/0");
    service.run(Hook::Start).await.unwrap();
    let home = fs::canonicalize(service.folder()).unwrap().display().to_string();
    assert_eq!(service.lines(LogLevel::Info), [home.as_str(), "0", "/dev/null"]);
}

#[tokio::test]
async fn a_single_file_gets_the_event_and_runs_in_the_working_directory() {
    let (service, workdir) = Service::single_file("pwd; echo $#$1; exit 0");
    assert_eq!(service.handler().metadata().hooks, HookSet::LIFECYCLE);
    for hook in [Hook::Promote, Hook::Failed] {
        service.run(hook).await.unwrap();
    }
    let there = fs::canonicalize(workdir.path()).unwrap().display().to_string();
    assert_eq!(service.lines(LogLevel::Info), [there.as_str(), "1promote", &there, "1failed"]);

    drop(workdir);
    let why = cannot_run(service.run(Hook::Start).await);
    assert!(why.contains("its working directory") && why.contains("services.workingdir"), "{why}");
}

#[tokio::test]
async fn the_environment_says_what_koi_knows_and_no_more() {
    let mut service = Service::new();
    service.context.role = Role::Promoted;
    service.context.master = Some(("b".into(), "10.0.0.2".into()));
    service.context.config = vec![("virtual-ip".into(), "10.0.0.9".into())];
    service.context.circumstances = Circumstances {
        reason: Some(DownReason::LeaseLost),
        left: Some(Duration::from_millis(870)),
        promoted_epoch: 65536,
        previous: Some(("c".into(), 65535)),
        group: Some("web".into()),
        peers: Some(vec![Peer {
            name: "b".into(),
            state: PeerState::Master,
            promotable: true,
            score: Some(7),
            address: Some("10.0.0.2".into()),
        }]),
    };
    service.script("promote", "env");
    service.run(Hook::Promote).await.unwrap();
    let env = service.lines(LogLevel::Info);
    for expected in [
        "KOI_IS_PROMOTED=1",
        "KOI_STATE=Slave",
        &format!("KOI_SERVICE_HOME={}", service.folder().display()),
        "KOI_SERVICE=vip",
        "KOI_GROUP=web",
        "KOI_EVENT=promote",
        "KOI_NODE=a",
        "KOI_NODE_ID=id-of-a",
        "KOI_CLUSTER=13",
        "KOI_EPOCH=65537",
        "KOI_MASTER_NAME=b",
        "KOI_MASTER_ADDR=10.0.0.2",
        "KOI_REASON=lease-lost",
        "KOI_DEADLINE_MS=870",
        "KOI_PROMOTED_EPOCH=65536",
        "KOI_PREVIOUS_MASTER=c",
        "KOI_PREVIOUS_EPOCH=65535",
        "KOI_CONFIG_VIRTUAL_IP=10.0.0.9",
        r#"KOI_PEERS=[{"name":"b","state":"Master","promotable":true,"score":7,"address":"10.0.0.2"}]"#,
    ] {
        assert!(env.iter().any(|line| line == expected), "{expected} is not in {env:#?}");
    }
    // Cargo gives its tests many variables; the last four are the shell's own.
    let known =
        ["KOI_", "PATH=", "HOME=", "LANG", "LC_", "TZ=", "PWD=", "_=", "SHLVL=", "OLDPWD="].as_slice();
    assert!(env.iter().all(|line| known.iter().any(|k| line.starts_with(k))), "{env:#?}");
}

#[tokio::test]
async fn without_a_master_its_name_is_there_and_empty() {
    let service = Service::new();
    service.script(
        "start",
        "echo \"${KOI_MASTER_NAME-unset}|${KOI_MASTER_ADDR-unset}|$KOI_IS_PROMOTED|$KOI_GROUP\"",
    );
    service.run(Hook::Start).await.unwrap();
    assert_eq!(service.lines(LogLevel::Info), ["||0|main"]);
}

#[tokio::test]
async fn failed_is_told_what_failed() {
    let mut service = Service::new();
    service.script("failed", "echo \"$KOI_FAILED_EVENT: $KOI_FAILED_MESSAGE\"");
    let message = format!("exit code 1: bad\0{}", "x".repeat(200_000));
    service.context.cause = Some(Failure { hook: Hook::Start, message, timed_out: false });
    service.run(Hook::Failed).await.unwrap();
    assert!(service.lines(LogLevel::Info)[0].starts_with("start: exit code 1: bad\u{fffd}xxx"));
}

#[tokio::test]
async fn no_signal_is_blocked_and_a_broken_pipe_kills() {
    let service = Service::new();
    service.script("start", "sed -n 's/^Sig\\(Blk\\|Ign\\):.//p' /proc/self/status");
    service.run(Hook::Start).await.unwrap();
    let masks: Vec<u64> =
        service.lines(LogLevel::Info).iter().map(|m| u64::from_str_radix(m, 16).unwrap()).collect();
    // A Rust program ignores SIGPIPE (13); scripts rely on it.
    assert_eq!((masks[0], masks[1] & 1 << 12), (0, 0));
}

#[tokio::test]
async fn a_script_that_is_not_executable_says_how_to_make_it_so() {
    let service = Service::new();
    let start = service.file("start", "#!/bin/sh\n", 0o644);
    let why = cannot_run(service.run(Hook::Start).await);
    assert_eq!(why, format!("start: not executable; chmod +x {}", start.display()));
}

#[tokio::test]
async fn a_missing_interpreter_is_named() {
    let service = Service::new();
    service.file("start", "#!/usr/bin/no-such-shell -x\n", 0o755);
    let why = cannot_run(service.run(Hook::Start).await);
    assert!(why.starts_with("start: its interpreter /usr/bin/no-such-shell isn't there; "), "{why}");
    service.file("stop", "#!/bin/sh\r\nexit 0\r\n", 0o755);
    let why = cannot_run(service.run(Hook::Stop).await);
    assert!(why.starts_with("stop: its first line ends in a carriage return"), "{why}");
    service.file("promote", "#!\nexit 0\n", 0o755);
    let why = cannot_run(service.run(Hook::Promote).await);
    assert!(why.starts_with("promote: its first line names no interpreter"), "{why}");
    service.file("demote", "#!/etc/passwd\n", 0o755);
    let why = cannot_run(service.run(Hook::Demote).await);
    assert!(why.starts_with("demote: its interpreter /etc/passwd is not executable"), "{why}");
}

#[tokio::test]
async fn a_script_without_a_first_line_is_run_by_the_shell() {
    let service = Service::new();
    service.file("start", "echo \"run with $# arguments\"\n", 0o755);
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(service.lines(LogLevel::Info), ["run with 0 arguments"]);
}

#[tokio::test]
async fn what_is_no_program_at_all_is_not_run_by_the_shell() {
    let service = Service::new();
    service.file("start", "\x7fELF\0\0broken", 0o755);
    service.file("stop", "\x01\0\0echo no\n", 0o755);
    for hook in [Hook::Start, Hook::Stop] {
        let why = cannot_run(service.run(hook).await);
        assert!(why.contains("neither a script nor a program for this machine"), "{why}");
    }
    assert!(service.lines(LogLevel::Warn).is_empty());
}

#[tokio::test]
async fn a_dangling_link_is_a_hook_that_cannot_be_run() {
    let service = Service::new();
    std::os::unix::fs::symlink("/no/such/script", service.path("start")).unwrap();
    let why = cannot_run(service.run(Hook::Start).await);
    assert!(why.starts_with("start: a link to /no/such/script, which isn't there"), "{why}");
}

#[tokio::test]
async fn a_script_that_someone_is_writing_is_tried_again_for_a_moment() {
    let service = Service::new();
    let start = service.script("start", "true");
    // A script itself may be written while it runs; a program may not, and that is what the kernel says it with.
    let program = fs::read("/bin/true").unwrap();
    fs::write(&start, program).unwrap();
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755)).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&start).unwrap();
    let why = cannot_run(service.run(Hook::Start).await);
    assert!(why.starts_with("start: somebody is writing to "), "{why}");

    let (_aborter, called) = service.begin(Hook::Start);
    let closing = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        drop(writer);
    };
    let (result, ()) = tokio::join!(called, closing);
    assert_eq!(result, Ok(Outcome::Done));
}

#[tokio::test]
async fn start_and_status_may_name_the_processes_that_the_service_runs_in() {
    let service = Service::new();
    let id = |text: &str| NamedProcess::Id(text.into());
    let file = |path: &str| NamedProcess::File(path.into());
    service.script("start", "echo pid=4711; echo '  pidfile=run/web.pid '; echo started");
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Started(vec![id("4711"), file("run/web.pid")])));
    service
        .script("status", "echo pid=12 13; echo 'all well'; echo pid=12; echo pid=; echo score=3; exit 91");
    let report = service.status().await;
    assert_eq!(report.processes, [id("12"), id("13"), id("")]);
    assert_eq!((report.message.as_str(), report.score), ("all well", Some(3)));
    service.script("start", "echo pid=4711 >&2; echo pids=1; echo 'my pid=2'");
    assert_eq!(service.run(Hook::Start).await, Ok(Outcome::Done), "another word, or the other stream");
    service.script("promote", "echo pid=4711");
    assert_eq!(service.run(Hook::Promote).await, Ok(Outcome::Done));
    service.script("start", "for n in $(seq 2 9999); do echo pid=$n; done");
    let Ok(Outcome::Started(many)) = service.run(Hook::Start).await else { panic!("it has started") };
    assert_eq!(many.len(), NamedProcess::MOST + 1);
    service.script("start", "echo pid=4711; exit 1");
    assert!(service.run(Hook::Start).await.is_err());
}
