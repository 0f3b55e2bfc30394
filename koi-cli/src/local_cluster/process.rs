//! Processes below this one: guardians and hooks that outlive their daemon become our children, and none is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// How long killed processes may take to be gone.
const KILL_TIME: Duration = Duration::from_secs(5);
/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(10);

/// Children whose ends are noticed where they are waited for.
static WAITED_FOR: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// While it lives, [`reap_orphans`] leaves the end of this child to whoever waits for it.
#[derive(Debug)]
pub(crate) struct WaitedFor(i32);

impl WaitedFor {
    /// To be called right after the child was started.
    pub(crate) fn child(pid: Pid) -> WaitedFor {
        WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner).insert(pid.as_raw());
        WaitedFor(pid.as_raw())
    }
}

impl Drop for WaitedFor {
    fn drop(&mut self) {
        WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn is_waited_for(pid: Pid) -> bool {
    WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid.as_raw())
}

/// From now on, whatever loses its parent below us becomes our child.
pub(crate) fn adopt_orphans() {
    // Without it only processes whose daemon was killed could stay behind, and those end by themselves.
    let _ = set_child_subreaper(true);
}

/// Sends a signal; to a process that has gone it is none.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// Takes note of the end of children other than `daemons`, so that nobody takes them for alive.
pub(crate) fn reap_orphans(daemons: &[Pid]) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, look) {
        match status.pid() {
            // Its end is noticed where it is waited for.
            Some(pid) if daemons.contains(&pid) || is_waited_for(pid) => return,
            Some(pid) => drop(waitpid(pid, Some(WaitPidFlag::WNOHANG))),
            None => return,
        }
    }
}

/// Whether any process is left below this one, ended ones not counted.
pub(crate) fn any_left() -> bool {
    !matches!(reap_all(), Err(Errno::ECHILD)) && !descendants().is_empty()
}

/// Kills everything below this process. Blocks until it is gone.
pub(crate) fn kill_all() {
    let deadline = Instant::now() + KILL_TIME;
    while any_left() && Instant::now() < deadline {
        for pid in descendants() {
            signal(pid, Signal::SIGKILL);
        }
        thread::sleep(PERIOD);
    }
}

/// Waits for every child that has ended.
fn reap_all() -> Result<(), Errno> {
    while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG))?, WaitStatus::StillAlive) {}
    Ok(())
}

/// Every process below this one, by what `/proc` says.
fn descendants() -> Vec<Pid> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect();
    let mut found = vec![std::process::id().cast_signed()];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}

/// The parent in a line of `/proc/PID/stat` (proc(5)): the name in parentheses may hold anything.
fn parent(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("42 (sh) S 7 42 42 0"), Some(7));
        assert_eq!(parent("42 (a ) S 1) S 7 42"), Some(7));
        assert_eq!(parent("42"), None);
    }
}
