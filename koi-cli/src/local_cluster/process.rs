//! Processes below this one: guardians and hooks that outlive their daemon become our children, and none is left behind.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use koi_child::{ProcessHandle, ProcessStat, process_ids};
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
    !matches!(reap_all(), Err(Errno::ECHILD)) && !descendants(own()).is_empty()
}

/// Kills everything below this process. Blocks until it is gone.
pub(crate) fn kill_all() {
    let deadline = Instant::now() + KILL_TIME;
    while any_left() && Instant::now() < deadline {
        kill_below(own());
        thread::sleep(PERIOD);
    }
}

/// Kills everything below a process, but for what is started meanwhile. What has a parent yet is reaped by that one, and its number may be given away:
/// so a handle is opened first, and then it is looked at whether that is a descendant. All are looked at before the first is killed: a process
/// whose parent has died is nobody's descendant any more.
fn kill_below(root: i32) {
    let (mut noted, mut handles) = (HashMap::new(), Vec::new());
    for process in descendants(root) {
        // Whoever is gone meanwhile has left its children to this process, where the next look finds them.
        let Some(handle) = ProcessHandle::open(process.id) else { continue };
        if handle.seen().descends(root, &noted) {
            noted.insert(process.id, handle.seen().started);
            handles.push(handle);
        }
    }
    handles.iter().for_each(|handle| handle.signal(Signal::SIGKILL));
}

/// Waits for every child that has ended.
fn reap_all() -> Result<(), Errno> {
    while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG))?, WaitStatus::StillAlive) {}
    Ok(())
}

fn own() -> i32 {
    std::process::id().cast_signed()
}

/// Every process below `root`, by what `/proc` says, parents before their children.
fn descendants(root: i32) -> Vec<ProcessStat> {
    let mut others: Vec<ProcessStat> = process_ids().filter_map(ProcessStat::of).collect();
    let mut found: Vec<ProcessStat> = Vec::new();
    let mut parents = vec![root];
    let mut at = 0;
    while let Some(parent) = parents.get(at).copied() {
        let children = others.extract_if(.., |process| process.parent == parent);
        found.extend(children.inspect(|child| parents.push(child.id)));
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use koi_testkit::{lives, wait_for};

    use super::*;

    #[test]
    fn what_is_below_is_killed_with_what_that_has_started_and_nothing_beside_it() {
        let script = "sleep 600 & sh -c 'sleep 600 & wait' & wait";
        let mut above = Command::new("sh").arg("-c").arg(script).stdin(Stdio::null()).spawn().unwrap();
        let mut beside = Command::new("sleep").arg("600").spawn().unwrap();
        let root = above.id().cast_signed();
        wait_for("all of them run", || {
            descendants(root).iter().filter(|found| found.name == "sleep").count() == 2
        });
        let below = descendants(root);
        kill_below(root);
        wait_for("they are gone", || !below.iter().any(|process| lives(process.id)));
        // The shell had nothing left to wait for.
        above.wait().unwrap();
        assert!(lives(beside.id().cast_signed()));
        beside.kill().unwrap();
        beside.wait().unwrap();
    }
}
