//! Process groups: how one is watched, and how it is ended.
//!
//! The contract: when [`Group::end`] has returned anything but [`GroupEnd::Stuck`], nothing of the group runs any more, processes
//! in the background included.
//!
//! A group has the id of its leader. The leader must be reaped last of all: as long as it is at least a zombie its id cannot be
//! given to another process, and no signal can hit a stranger.

use std::future::Future;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::processes::{ProcessStat, process_ids};

/// Between SIGTERM and SIGKILL.
pub const TERM_GRACE: Duration = Duration::from_secs(1);

/// How long killed processes are waited for. One that hangs in the kernel (a dead disk or file server) does not even obey
/// SIGKILL, and nobody must wait for it for ever.
pub const KILL_WAIT: Duration = Duration::from_secs(5);

/// The pauses between looks at a group that is ending: they double.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// A process group whose leader is a child of this process and has not been reaped.
#[derive(Clone, Copy, Debug)]
pub struct Group(Pid);

/// How a group is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSignal {
    /// By SIGTERM, and by SIGKILL after [`TERM_GRACE`].
    Terminate,
    /// By SIGKILL.
    Kill,
}

/// How a group ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEnd {
    /// SIGTERM was enough.
    Terminated,
    /// It took SIGKILL.
    Killed,
    /// Something of it still runs, [`KILL_WAIT`] after SIGKILL.
    Stuck,
}

impl Group {
    /// The group that this child leads: it was started in a group of its own.
    pub fn from_leader(id: u32) -> Group {
        Group(Pid::from_raw(i32::try_from(id).expect("ids of processes fit on Linux")))
    }

    /// Its id, and its leader's.
    pub fn id(self) -> i32 {
        self.0.as_raw()
    }

    /// Whether the leader has not exited. Leaves it to be reaped.
    pub fn leader_runs(self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        matches!(waitid(Id::Pid(self.0), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
    }

    /// Whether any process of it is more than a zombie. Looks through /proc, which takes a while on a machine with many processes.
    pub fn runs(self) -> bool {
        self.leader_runs() || members_run(self.0)
    }

    /// Makes it nicer than this process was started, by so much: others go first. Where the machine does not allow it, it stays as it is.
    pub fn set_niceness(self, by: i32) {
        crate::sys::set_niceness(self.id(), by);
    }

    /// Sends SIGKILL to all of it, and waits for nothing.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    /// Sends SIGTERM to all of it, and waits for nothing.
    pub fn terminate(self) {
        self.signal(Signal::SIGTERM);
        // A stopped process can only clean up when it runs.
        self.signal(Signal::SIGCONT);
    }

    /// Ends it. `hurry` ends the wait between SIGTERM and SIGKILL.
    pub async fn end(self, signal: GroupSignal, hurry: impl Future<Output = ()>) -> GroupEnd {
        if signal == GroupSignal::Terminate {
            self.terminate();
            tokio::select! {
                () = self.gone() => return GroupEnd::Terminated,
                () = hurry => {}
                () = sleep(TERM_GRACE) => {}
            }
        }
        self.kill();
        match timeout(KILL_WAIT, self.gone()).await {
            Ok(()) => GroupEnd::Killed,
            Err(_) => GroupEnd::Stuck,
        }
    }

    /// Waits until all that is left of it are zombies.
    async fn gone(self) {
        let mut pause = FIRST_PAUSE;
        // Looking blocks.
        while tokio::task::spawn_blocking(move || self.runs()).await.unwrap_or(true) {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn signal(self, signal: Signal) {
        // It fails only when nobody is there any more.
        let _ = killpg(self.0, signal);
    }
}

/// A child with its group. Dropped before the child was reaped, it kills the group.
#[derive(Debug)]
pub struct ProcessGroup {
    group: Group,
    leader: Child,
    reaped: bool,
}

impl ProcessGroup {
    /// Of a child that was started as the leader of a group and has not been waited for.
    pub fn new(leader: Child) -> ProcessGroup {
        let id = leader.id().expect("a child that was not waited for has an id");
        ProcessGroup { group: Group::from_leader(id), leader, reaped: false }
    }

    /// Its id.
    pub fn id(&self) -> i32 {
        self.group.id()
    }

    /// Waits for the leader's own end. What it has started in the background is left alone from then on.
    ///
    /// # Errors
    /// Its exit was lost.
    pub async fn exited(&mut self) -> io::Result<ExitStatus> {
        let exit = self.leader.wait().await;
        self.reaped = true;
        exit
    }

    /// Waits for the child's own end, and ends what it has left in the background.
    ///
    /// # Errors
    /// Its exit was lost.
    pub async fn exited_with_all(&mut self) -> io::Result<ExitStatus> {
        let mut pause = FIRST_PAUSE;
        while self.group.leader_runs() {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
        // It is not reaped yet: no signal hits a stranger.
        self.group.end(GroupSignal::Kill, std::future::pending()).await;
        self.exited().await
    }

    /// As [`Group::end`].
    pub async fn end(&mut self, signal: GroupSignal, hurry: impl Future<Output = ()>) -> GroupEnd {
        let end = self.group.end(signal, hurry).await;
        if end != GroupEnd::Stuck {
            // It is a zombie by now: this does not wait, and its status is of no interest.
            let _ = self.leader.wait().await;
            self.reaped = true;
        }
        end
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if !self.reaped {
            self.group.kill();
        }
    }
}

/// A process group, for whoever does not reap its leader: that may be gone at any time, and then another may have its number.
///
/// A leader is older than the note of it. As long as anything of a group is left, be it a zombie, the number is given to nobody else. So a process of that number
/// that is younger than the note says that the group is gone. Whether there is one is looked at right before each signal: numbers are given out one after the other,
/// and all others would have to come in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedGroup {
    id: i32,
    noted_us: u64,
}

impl NotedGroup {
    /// The group that is led by this process, which has not been reaped.
    pub fn now(id: i32) -> NotedGroup {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or(Duration::MAX);
        NotedGroup { id, noted_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX) }
    }

    /// One that was noted by another process, at this time in microseconds of CLOCK_BOOTTIME.
    pub fn noted_at(id: i32, noted_us: u64) -> NotedGroup {
        NotedGroup { id, noted_us }
    }

    /// Its id.
    pub fn id(self) -> i32 {
        self.id
    }

    /// When it was noted, in microseconds of CLOCK_BOOTTIME.
    pub fn noted_us(self) -> u64 {
        self.noted_us
    }

    /// Sends a signal to all of it, and waits for nothing.
    pub fn signal(self, signal: Signal) {
        if !self.is_given_away() {
            // It fails only when nobody is there any more.
            let _ = killpg(Pid::from_raw(self.id), signal);
        }
    }

    /// Whether any process of it is more than a zombie. Where there is none this is known at once; otherwise it looks through /proc.
    pub fn runs(self) -> bool {
        let group = Pid::from_raw(self.id);
        killpg(group, None).is_ok() && !self.is_given_away() && members_run(group)
    }

    fn is_given_away(self) -> bool {
        let noted = u128::from(self.noted_us) * u128::from(crate::sys::ticks_per_second()) / 1_000_000;
        ProcessStat::of(self.id).is_some_and(|leader| u128::from(leader.started) > noted)
    }
}

/// Looks through /proc. Without one the leader is all that can be known.
fn members_run(group: Pid) -> bool {
    process_ids().filter_map(ProcessStat::of).any(|process| process.runs && process.group == group.as_raw())
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::process::Stdio;

    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    /// Starts `script` in a group of its own, and waits for its first line.
    async fn started(script: &str) -> ProcessGroup {
        let mut command = crate::command("/bin/sh");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.args(["-c", script]).stdout(Stdio::piped());
        let mut child = tokio::process::Command::from(command).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next_line().await.unwrap().unwrap();
        ProcessGroup::new(child)
    }

    #[tokio::test]
    async fn when_it_has_ended_nothing_in_the_background_runs_any_more() {
        let many = "trap '' TERM; for n in $(seq 50); do sleep 600 & done; echo; trap - TERM; wait";
        for signal in [GroupSignal::Terminate, GroupSignal::Kill] {
            let mut group = started(many).await;
            let id = Pid::from_raw(group.id());
            assert_eq!(group.end(signal, std::future::ready(())).await, GroupEnd::Killed, "{signal:?}");
            assert!(!members_run(id), "{signal:?}");
        }
    }

    #[tokio::test]
    async fn what_cleans_up_in_the_background_after_its_leader_has_gone_has_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        let script = format!(
            "(trap 'sleep 0.2; echo > {}; exit' TERM; echo; while :; do sleep 0.05; done) & trap 'exit' TERM; wait",
            trace.display()
        );
        let mut group = started(&script).await;
        assert_eq!(group.end(GroupSignal::Terminate, pending()).await, GroupEnd::Terminated);
        assert!(trace.exists());
    }

    #[tokio::test]
    async fn a_noted_group_is_signalled_and_who_has_its_number_later_is_not() {
        let mut group = started("sleep 600 & echo; wait").await;
        let noted = NotedGroup::now(group.id());
        // As if this leader were another's, started when that one was long gone.
        let earlier = NotedGroup::noted_at(noted.id(), noted.noted_us().saturating_sub(60_000_000));
        earlier.signal(Signal::SIGKILL);
        assert!(!earlier.runs() && noted.runs() && group.group.leader_runs());
        noted.signal(Signal::SIGKILL);
        group.exited().await.unwrap();
        assert!(koi_testkit::met_within(KILL_WAIT, || !noted.runs()));
    }
}
