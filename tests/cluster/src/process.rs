//! Processes that a cluster brought about.

use std::fs;
use std::path::Path;
use std::time::Duration;

use koi_testkit::met_within;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long what is left may take to go.
const LAST: Duration = Duration::from_secs(10);

/// The processes that run (zombies do not) and have `folder` in their environment: daemons, their helpers, hooks and what
/// hooks have started. Nobody else can have it: it was made for one cluster.
pub(crate) fn belonging_to(folder: &Path) -> Vec<Pid> {
    let mark = folder.as_os_str().as_encoded_bytes();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| text.windows(mark.len()).any(|w| w == mark))
    };
    pids.filter(|pid| *pid != std::process::id().cast_signed()).filter(ours).map(Pid::from_raw).collect()
}

/// Kills them all, those too that they start meanwhile.
pub(crate) fn kill_all(folder: &Path) {
    met_within(LAST, || {
        let left = belonging_to(folder);
        for pid in &left {
            // It may have ended by itself.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        left.is_empty()
    });
}

/// Whether all threads of a process are stopped, or it is killed or gone: it does nothing any more.
pub fn is_still(pid: Pid) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_none_or(|state| "TtZX".contains(state))
    })
}

/// How long ago a process was started, to 10 ms.
pub fn age(pid: Pid) -> Option<Duration> {
    const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, the same on every Linux
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let started: f64 = rest.split(' ').nth(19)?.parse().ok()?;
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
    Some(Duration::from_secs_f64((uptime - started / TICKS_PER_SECOND).max(0.0)))
}

/// The processes that `parent` has started and that run the same program with `argument`.
pub(crate) fn helpers_of(parent: Pid, argument: &str) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        // proc(5): `pid (name) state ppid …`, and the name may hold anything.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields.split_ascii_whitespace().nth(1) == Some(&parent.to_string())
    };
    let has_argument = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    pids.filter(is_child).filter(has_argument).map(Pid::from_raw).collect()
}
