//! What a child finds, and what becomes of what it writes.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use koi_child::ProcessStat;
use koi_child::group::NotedGroup;
use koi_testkit::{lives, wait_for, wait_some};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const HELPER: &str = env!("CARGO_BIN_EXE_koi-child-helper");

/// Runs `script` as a child of a helper that was itself started within `around`, an `sh` command line that ends in `"$@"`.
fn child(around: &str, script: &str) -> Output {
    Command::new("/bin/sh").args(["-c", around, "sh", HELPER, "run", script]).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pid_in(file: &Path) -> Pid {
    wait_some("a process id is written", || {
        let text = fs::read_to_string(file).ok()?;
        text.ends_with('\n').then(|| Pid::from_raw(text.trim().parse().unwrap()))
    })
}

/// A process that is killed in the end.
struct Mortal(Pid);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

/// The two signals that the C library keeps for itself, 32 and 33, are left out: its posix_spawn(3) makes every child ignore them.
const SIGNALS: &str = "grep -E '^Sig(Blk|Ign):' /proc/self/status | sed 's/180000000$/000000000/'";

#[test]
fn signals_that_were_ignored_or_blocked_have_their_default_again() {
    // An `sh` can ignore and cannot block: `env` can do both.
    let around = "trap '' HUP INT QUIT TERM CHLD USR1 PIPE; exec \"$@\"";
    for around in [around, "exec env --ignore-signal=TERM,CHLD --block-signal=TERM,HUP,CHLD \"$@\""] {
        let said = said(&child(around, SIGNALS));
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.lines().all(|line| line.ends_with("0000000000000000")), "{around}: {said}");
    }
}

#[test]
fn limits_umask_and_niceness_are_those_that_koid_was_given() {
    let around = "ulimit -c 0; ulimit -n 123; umask 027; exec nice -n 3 \"$@\"";
    let found = said(&child(around, "ulimit -c; ulimit -n; umask; nice"));
    let words: Vec<&str> = found.split_whitespace().collect();
    let niceness: i32 = said(&child("exec \"$@\"", "nice")).trim().parse().unwrap();
    assert_eq!(words[..3], ["0", "123", "0027"]);
    assert_eq!(words[3].parse(), Ok(niceness + 3));
}

#[test]
fn only_the_standard_files_are_open() {
    let found =
        said(&child("exec 7</dev/null 8>/dev/null; exec \"$@\"", "ls /proc/$$/fd | sort -n | tr '\\n' ' '"));
    let open: Vec<i32> = found.split_whitespace().map(|fd| fd.parse().unwrap()).collect();
    assert!(!open.contains(&7) && !open.contains(&8), "{open:?}");
}

/// All keepers of this machine.
fn keepers() -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_one = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == koi_child::KEEP.as_bytes())
    };
    pids.filter(is_one).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// A helper whose child has left this loop in the background has ended: well, or by SIGKILL.
fn left_behind(body: &str, killed: bool) -> (tempfile::TempDir, Mortal) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    // The script itself lives until it may end.
    let wait = "while [ -e pid ] && [ ! -e end ]; do sleep 0.02; done";
    let script = format!("cd {at}; ({body}) & echo $! > pid.new; mv pid.new pid; {wait}");
    let mut helper = Command::new(HELPER);
    let mut helper =
        helper.args(["run", &script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let background = Mortal(pid_in(&folder.path().join("pid")));
    let helper_pid = Pid::from_raw(helper.id().cast_signed());
    // It is started on a thread of the helper's, which ends with the helper.
    wait_for("the keeper is there", || {
        keepers().iter().any(|keeper| parent(*keeper) == Some(helper_pid.as_raw()))
    });
    if killed {
        kill(helper_pid, Signal::SIGKILL).unwrap();
    } else {
        fs::write(folder.path().join("end"), "").unwrap();
    }
    assert_eq!(helper.wait().unwrap().success(), !killed);
    (folder, background)
}

#[test]
fn what_goes_on_writing_neither_dies_nor_stands_still_when_its_reader_is_gone() {
    for killed in [false, true] {
        // Each round is more than a pipe holds.
        let body = "n=0; while :; do n=$((n+1)); head -c 200000 /dev/zero || exit 1; echo $n > round; done";
        let (folder, background) = left_behind(body, killed);
        let round = || fs::read_to_string(folder.path().join("round")).ok()?.trim().parse::<u64>().ok();
        let first = wait_some("a round is done", round);
        wait_some("many more rounds are done", || round().filter(|now| *now > first + 20));
        assert!(lives(background.0.as_raw()), "killed: {killed}");
    }
}

#[test]
fn the_keeper_ends_with_the_last_writer() {
    let (folder, background) = left_behind("exec sleep 600", false);
    let inode = fs::read_link(format!("/proc/{}/fd/1", background.0)).unwrap();
    let holds = |pid: &i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|link| link == inode)
    };
    let keeper = wait_some("a keeper holds it", || keepers().into_iter().find(holds));
    // Nothing of it is killed with the terminal, or by a signal for its group.
    kill(Pid::from_raw(keeper), Signal::SIGTERM).unwrap();
    drop(background);
    wait_for("the keeper has ended", || !lives(keeper));
    drop(folder);
}

#[test]
fn what_was_said_while_it_is_read_is_all_there() {
    let output = child("exec \"$@\"", "seq 1000");
    assert_eq!(said(&output).lines().count(), 1000);
}

#[test]
fn a_process_whose_first_thread_has_ended_runs_as_long_as_another_does() {
    let mut command = Command::new(HELPER);
    let command = command.arg("go-on-in-the-background").process_group(0).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let id = child.id() as i32;
    let (_killed, group) = (Mortal(Pid::from_raw(id)), NotedGroup::now(id));
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next()
    };
    wait_for("its first thread has ended", || state() == Some('Z'));
    assert!(group.runs() && ProcessStat::of(id).unwrap().runs);
    group.signal(Signal::SIGKILL);
    child.wait().unwrap();
    assert!(!group.runs());
}
