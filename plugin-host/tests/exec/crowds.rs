//! Programs that start more processes than they may.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use koi_plugin_api::{Hook, HookError};

use crate::guests::node::Ask;
use crate::probing::Probe;
use crate::sleeper::{Sleeper, all_are_gone, runs};

/// Starts two of its kind, each in a session of its own, each of which does the same, down to the depth that it is given.
const SPREADING: &str = "echo $$ >> ${0%/*}/all
[ $1 -gt 0 ] && { sleep 0.05; setsid $0 $(($1 - 1)) & setsid $0 $(($1 - 1)) & }
sleep 1000";

#[tokio::test]
async fn programs_that_become_too_many_processes_are_killed_and_the_hook_says_which_limit_it_was() {
    let Some(probe) = Probe::net() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("spreading");
    fs::write(&program, format!("#!/bin/sh\n{SPREADING}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (exec, op) =
        (format!("exec = [\"{} *\"]", program.display()), format!("exec:{} 7", program.display()));
    let ask = Ask::new(&probe.try_as("spreads", &exec, "processes = 20", &op).unwrap());
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert_eq!(why, "ran more than 20 processes at a time; raise processes under [limits] of service.toml");
    let all = fs::read_to_string(dir.path().join("all")).unwrap();
    let ids: Vec<i32> = all.split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() < 255, "it did not come to its end: {}", ids.len());
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs");
    // The same service goes on.
    let ask = ask.with_config(&[("op", &op), ("promote", &format!("exec:~200 {} 0", program.display()))]);
    let Err(HookError::Failed(why)) = ask.hook(Hook::Promote).await else { panic!("it sleeps") };
    assert_eq!(why, "timed out");
}

#[tokio::test]
async fn what_a_program_starts_counts_with_it() {
    let Some(probe) = Probe::net() else { return };
    for (processes, fits) in [(1, false), (2, true)] {
        let sleeper = Sleeper::new("wait");
        let op = format!("exec:~1000 {}", sleeper.program().display());
        let limits = format!("processes = {processes}");
        let ask = Ask::new(&probe.try_as("counts", &sleeper.grant(), &limits, &op).unwrap());
        let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
        assert_eq!(why == "timed out", fits, "{why}");
        all_are_gone(&sleeper.started().await).await;
    }
}

#[tokio::test]
async fn a_fork_bomb_ends() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root's broker goes before what it has to end");
    }
    let Some(probe) = Probe::net() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (program, go) = (dir.path().join("bomb"), dir.path().join("bomb.go"));
    fs::write(&program, "#!/bin/sh\nf() { [ -e $0.go ] || exit; f & f & wait; }\nf\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&go, "").unwrap();
    let (exec, op) = (format!("exec = [\"{}\"]", program.display()), format!("exec:{}", program.display()));
    let ask = Ask::new(&probe.try_as("bombs", &exec, "", &op).unwrap());
    // Whatever becomes of it, the machine has it for no longer than this.
    let fuse = std::thread::spawn({
        let go = go.clone();
        move || {
            std::thread::sleep(Duration::from_secs(5));
            let _ = fs::remove_file(go);
        }
    });
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert!(go.exists(), "it was ended before it had to end by itself");
    assert!(why.starts_with("ran more than 32 processes at a time"), "{why}");
    drop(fuse);
}

#[tokio::test]
async fn what_a_program_left_is_counted_after_it_has_exited() {
    let Some(probe) = Probe::net() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("leaves");
    let script = "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 30 >/dev/null 2>&1 & done\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (exec, op) = (format!("exec = [\"{}\"]", program.display()), format!("exec:{}", program.display()));
    let ask = Ask::new(&probe.try_as("leaves-many", &exec, "processes = 8", &op).unwrap());
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert!(why.starts_with("ran more than 8 processes at a time"), "{why}");
}
