//! A script's process group: how it is watched and how it is ended.

use std::fs;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{Abort, AbortSignal, CallLog};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// Between SIGTERM and SIGKILL.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(1);

/// How long killed processes are waited for. One that hangs in the kernel (a dead disk or file server) does not even
/// obey SIGKILL; the rest of the service must not wait for it for ever.
pub(crate) const KILL_WAIT: Duration = Duration::from_secs(5);

/// The pauses between looks at a group that is ending: they double.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// How a group that was told to end did so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// SIGTERM was enough.
    Terminated,
    /// It took SIGKILL.
    Killed,
    /// Something of it is still there, [`KILL_WAIT`] after SIGKILL.
    Stuck,
}

/// The group that a script leads. Dropped before the script has exited, it kills the group.
///
/// The script is reaped last of all: as long as it is at least a zombie its id, which is the group's, cannot be
/// given to someone else, and no signal can hit a stranger.
pub(crate) struct ProcessGroup {
    id: Pid,
    leader: Child,
    log: Arc<dyn CallLog>,
    /// The script has not been reaped.
    ours: bool,
    stuck: bool,
}

impl ProcessGroup {
    /// The group of a child that was started as the leader of one and has not been waited for.
    pub(crate) fn new(leader: Child, log: Arc<dyn CallLog>) -> ProcessGroup {
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let id = id.expect("a child that was not waited for has an id, and Linux's fit");
        log.process_group(Some(id.as_raw()));
        ProcessGroup { id, leader, log, ours: true, stuck: false }
    }

    /// Waits for the script's own end. What it has started in the background is left alone from then on.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        let exit = self.leader.wait().await;
        self.ours = false;
        exit
    }

    /// Ends the group: SIGTERM, and SIGKILL a second later or as soon as that is asked for; or SIGKILL at once. Returns when
    /// nothing of it is left.
    pub(crate) async fn end(&mut self, how: Abort, abort: &mut AbortSignal) -> Ended {
        if how == Abort::Gently {
            self.signal(Signal::SIGTERM);
            // A stopped process can only clean up when it runs.
            self.signal(Signal::SIGCONT);
            tokio::select! {
                () = self.gone() => return self.reap(Ended::Terminated).await,
                _ = abort.asked_for(Abort::Now) => {}
                () = sleep(TERM_GRACE) => {}
            }
        }
        self.signal(Signal::SIGKILL);
        match timeout(KILL_WAIT, self.gone()).await {
            Ok(()) => self.reap(Ended::Killed).await,
            Err(_) => {
                self.stuck = true;
                Ended::Stuck
            }
        }
    }

    async fn reap(&mut self, ended: Ended) -> Ended {
        // It is a zombie by now: this does not wait, and its status is of no interest.
        let _ = self.leader.wait().await;
        self.ours = false;
        ended
    }

    /// Waits until all that is left of the group are zombies.
    async fn gone(&self) {
        let mut pause = FIRST_PAUSE;
        let id = self.id;
        // Looking may take a while on a machine with many processes: not here.
        while tokio::task::spawn_blocking(move || runs(id)).await.unwrap_or(true) {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn signal(&self, signal: Signal) {
        // It fails only when nobody is there any more.
        let _ = killpg(self.id, signal);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.ours {
            self.signal(Signal::SIGKILL);
        }
        if !self.stuck {
            self.log.process_group(None);
        }
    }
}

/// Whether a process of the group is more than a zombie. Its leader must not have been reaped.
fn runs(group: Pid) -> bool {
    leader_runs(group) || members_run(group)
}

/// Asks about the leader, and leaves it to be reaped.
fn leader_runs(group: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    matches!(waitid(Id::Pid(group), flags), Ok(WaitStatus::StillAlive))
}

/// Looks through /proc. Without one the leader is all that can be known.
fn members_run(group: Pid) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.flatten().any(|entry| {
        entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit)
            && fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| is_running_member(&stat, group))
    })
}

/// Reads a line of /proc/PID/stat, proc(5): `pid (name) state ppid pgrp …`. The name may hold blanks and brackets.
fn is_running_member(stat: &str, group: Pid) -> bool {
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let state = fields.next().unwrap_or_default();
    fields.nth(1).and_then(|pgrp| pgrp.parse().ok()) == Some(group.as_raw()) && !matches!(state, "Z" | "X")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_does_not_count_and_a_name_cannot_confuse() {
        let member = |stat| is_running_member(stat, Pid::from_raw(77));
        assert!(member("80 (sh) S 1 77 77 0"));
        assert!(member("80 (a) R (b) D 1 77 77 0"));
        assert!(!member("80 (sh) Z 1 77 77 0"));
        assert!(!member("80 (sh) S 1 78 77 0"));
        assert!(!member(""));
    }
}
