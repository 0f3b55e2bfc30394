//! A helper's process: how it is started, watched and ended.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use koi_child::group::{Group, GroupEnd, GroupSignal};
use koi_plugin_api::Hook;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

/// The pauses between looks at a process that is ending: they double.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked after `status` how much memory a process has had at most. To look takes as long as half of a small hook; whatever it had between
/// two looks is in the second.
const MEMORY_INTERVAL: Duration = Duration::from_secs(10);

/// The leader of a process group of its own. Dropped, it is killed with its group.
///
/// It is reaped last of all: until then its id, which is the group's, is nobody else's.
pub(crate) struct Process {
    child: Child,
    group: Group,
    reaped: bool,
    memory_looked_at: Option<Instant>,
}

impl Process {
    /// Starts a helper. `orders`, for orders and answers, is its standard input; what the plugin says goes to `out` and `err`. Blocks a little.
    pub(crate) fn start(
        mut command: Command,
        orders: OwnedFd,
        [out, err]: [Stdio; 2],
    ) -> io::Result<Process> {
        command.stdin(orders).stdout(out).stderr(err).process_group(0);
        let child = command.spawn()?;
        let group = Group::from_leader(child.id());
        Ok(Process { child, group, reaped: false, memory_looked_at: None })
    }

    /// The process group.
    pub(crate) fn group(&self) -> i32 {
        self.group.id()
    }

    /// Makes it nicer than koid was started, by so much.
    pub(crate) fn set_niceness(&self, by: i32) {
        if !self.reaped {
            self.group.set_niceness(by);
        }
    }

    /// The most memory that was in use by it at a time, in bytes, with what koid's own program takes in it, after a call of `hook`; none: it
    /// is gone, or was looked at a moment ago.
    pub(crate) fn memory_peak_bytes(&mut self, hook: Hook) -> Option<u64> {
        let is_known =
            hook == Hook::Status && self.memory_looked_at.is_some_and(|at| at.elapsed() < MEMORY_INTERVAL);
        if self.reaped || is_known {
            return None;
        }
        self.memory_looked_at = Some(Instant::now());
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.group.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    }

    /// Whether it has ended. Leaves it to be reaped.
    pub(crate) fn has_ended(&self) -> bool {
        self.reaped || !self.group.leader_runs()
    }

    /// Waits for the end of one that seems to be about to. Says whether it came within `patience`.
    pub(crate) async fn ends_within(&self, patience: Duration) -> bool {
        let (until, mut pause) = (Instant::now() + patience, FIRST_PAUSE);
        while !self.has_ended() {
            if Instant::now() >= until {
                return false;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
        true
    }

    /// Waits for its end until then, and leaves it to be reaped. False: it has not ended. Blocks.
    pub(crate) fn has_ended_by(&self, until: std::time::Instant) -> bool {
        let mut pause = FIRST_PAUSE;
        while !self.has_ended() {
            if std::time::Instant::now() >= until {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
        true
    }

    /// Waits for its end until then: how it ended, for people. None: it has not. Blocks.
    pub(crate) fn ended_by(&mut self, until: std::time::Instant) -> Option<String> {
        self.has_ended_by(until).then(|| exit_text(self.reap()))
    }

    /// Kills the group, and returns when nothing of it runs any more: how the helper itself ended. None: something of it hangs in
    /// the kernel.
    pub(crate) async fn kill(mut self) -> Option<ExitStatus> {
        if self.group.end(GroupSignal::Kill, pending()).await == GroupEnd::Stuck {
            return None;
        }
        self.reap()
    }

    /// Sends SIGKILL to the group.
    pub(crate) fn signal(&self) {
        if !self.reaped {
            self.group.kill();
        }
    }

    /// Takes the exit of one that has ended.
    pub(crate) fn reap(&mut self) -> Option<ExitStatus> {
        self.reaped = true;
        self.child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            self.signal();
            let _ = self.child.wait();
            return;
        }
        self.signal();
        let id = Pid::from_raw(self.group.id());
        // It dies in a moment, as a rule, and somebody must take its exit.
        let reaper = std::thread::Builder::new().name("koi-reaper".into());
        let reaped =
            reaper.spawn(move || while waitid(Id::Pid(id), WaitPidFlag::WEXITED) == Err(Errno::EINTR) {});
        if let Err(error) = reaped {
            tracing::warn!("no thread for a process that ends: {error}");
        }
    }
}

/// How a process ended, for people: `was ended by SIGSEGV`.
pub(crate) fn exit_text(exit: Option<ExitStatus>) -> String {
    let Some(exit) = exit else { return "hangs in the kernel and cannot be killed".to_owned() };
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exited by itself with status {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("was ended by {signal}"),
            Err(_) => format!("was ended by signal {number}"),
        },
        (None, None) => format!("ended: {exit}"),
    }
}
