//! The processes of a node.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Those of `processes` whose command line has `word` in it.
pub(crate) fn named(processes: &[Pid], word: &str) -> Vec<Pid> {
    let has = |pid: &&Pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    };
    processes.iter().filter(has).copied().collect()
}

/// Whether it is stopped, killed or gone: it does nothing any more.
pub(crate) fn is_still(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_none_or(|state| "TtZX".contains(state))
}

/// Sends a signal to all of them; who has ended meanwhile needs none.
pub(crate) fn signal(processes: &[Pid], signal: Signal) {
    for pid in processes {
        let _ = kill(*pid, signal);
    }
}

/// How long ago a process was started, to 10 ms.
pub(crate) fn age(pid: Pid) -> Option<Duration> {
    const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, the same on every Linux
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let started: f64 = rest.split(' ').nth(19)?.parse().ok()?;
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
    Some(Duration::from_secs_f64((uptime - started / TICKS_PER_SECOND).max(0.0)))
}
