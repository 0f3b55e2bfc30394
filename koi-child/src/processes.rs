//! What /proc says of processes.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::{fs, io};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use crate::sys;

/// The pauses between looks at a process that has ended: they double.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(20);

/// A process, as it was a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its id.
    pub id: i32,
    /// The name of its program, cut by the kernel.
    pub name: String,
    /// It is more than a zombie: some thread of it goes on, be it without the first one.
    pub runs: bool,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// When it was started, in ticks of the kernel's clock since the machine was. With the id it names a process.
    pub started: u64,
}

impl ProcessStat {
    /// The process with this id; none: there is none.
    pub fn of(id: i32) -> Option<ProcessStat> {
        ProcessStat::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// Whether it descends from `root` for sure: `known` are descendants that were found before, by their ids, and when each was started. Its parent's
    /// number was theirs before it was looked at: if it is still the same one's, it was when it was looked at.
    pub fn descends(&self, root: i32, known: &HashMap<i32, u64>) -> bool {
        let is_same =
            |started: &u64| ProcessStat::of(self.parent).is_some_and(|parent| parent.started == *started);
        self.parent == root || known.get(&self.parent).is_some_and(is_same)
    }

    /// Reads a line of /proc/PID/stat, proc(5): `pid (name) state ppid pgrp …`. The name may hold blanks and brackets.
    pub(crate) fn parse(stat: &str) -> Option<ProcessStat> {
        let (id, rest) = stat.split_once(" (")?;
        let (name, fields) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // The 20th field; the first is the id.
        let threads: u64 = fields.get(17)?.parse().ok()?;
        Some(ProcessStat {
            id: id.parse().ok()?,
            name: name.to_owned(),
            runs: !matches!(*fields.first()?, "Z" | "X") || threads > 1,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            // The 22nd.
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// One process, whatever becomes of its number.
///
/// A process that others reap may be gone at any time, and its number may belong to a stranger. So the handle is opened first and the process is looked at
/// afterwards: a signal arrives only if it is still there, and then what was seen was seen of it.
#[derive(Debug)]
pub struct ProcessHandle {
    /// None: this kernel (before 5.3) or the container has no such handles, or there are no more descriptors.
    handle: Option<OwnedFd>,
    seen: ProcessStat,
}

impl ProcessHandle {
    /// Of the process that has this id now; none: there is none.
    pub fn open(id: i32) -> Option<ProcessHandle> {
        let handle = match sys::open_process(id) {
            Err(Errno::ESRCH) => return None,
            handle => handle.ok(),
        };
        Some(ProcessHandle { handle, seen: ProcessStat::of(id)? })
    }

    /// What was seen of it when it was opened.
    pub fn seen(&self) -> &ProcessStat {
        &self.seen
    }

    /// Sends it a signal. Without a handle by its number, and so at once: numbers are given out one after the other, and all others come before this one again.
    pub fn signal(&self, signal: Signal) {
        // Gone already is as good as told.
        let _ = match &self.handle {
            Some(handle) => sys::signal_process(handle, signal as i32),
            None => kill(Pid::from_raw(self.seen.id), signal),
        };
    }
}

/// A process whose end is waited for by somebody who has not started it. To be made within a tokio runtime.
#[derive(Debug)]
pub struct ProcessWatch {
    handle: AsyncFd<OwnedFd>,
    seen: ProcessStat,
}

impl ProcessWatch {
    /// Of the process that has this id now.
    ///
    /// # Errors
    /// ESRCH: there is none, or its number was given away meanwhile. EINVAL or ENOENT: it is a thread. ENOSYS: this kernel (before 5.3) has no handles.
    /// EMFILE: no open file is left.
    pub fn open(id: i32) -> io::Result<ProcessWatch> {
        let before = ProcessStat::of(id).ok_or(Errno::ESRCH)?;
        let handle = sys::open_process(id)?;
        let seen = ProcessStat::of(id).filter(|now| now.started == before.started).ok_or(Errno::ESRCH)?;
        Ok(ProcessWatch { handle: sys::watch_process(handle)?, seen })
    }

    /// What was seen of it when it was opened.
    pub fn seen(&self) -> &ProcessStat {
        &self.seen
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// The kernel does not say when.
    pub async fn ended(&self) -> io::Result<()> {
        self.handle.readable().await.map(drop)
    }

    /// Waits until its parent has taken note of its end, and not longer than that; whether it has. Before that it is a zombie, and its number still answers
    /// a signal that is none (`kill -0`).
    pub async fn reaped(&self, within: Duration) -> bool {
        let mut pause = FIRST_LOOK;
        let reaped = async {
            while sys::signal_process(self.handle.get_ref(), 0) != Err(Errno::ESRCH) {
                sleep(pause).await;
                pause = (pause * 2).min(LAST_LOOK);
            }
        };
        timeout(within, reaped).await.is_ok()
    }
}

/// The ids of all processes. Empty where there is no /proc.
pub fn process_ids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";

    #[test]
    fn a_name_cannot_confuse() {
        let stat = ProcessStat::parse(&format!("80 (a) R (b) D 1 77 {REST}")).unwrap();
        assert_eq!((stat.id, stat.name.as_str(), stat.runs), (80, "a) R (b", true));
        assert_eq!((stat.parent, stat.group, stat.started), (1, 77, 4711));
        assert!(!ProcessStat::parse(&format!("80 (sh) Z 1 77 {REST}")).unwrap().runs);
        let others_go_on = REST.replace("20 0 1 ", "20 0 2 ");
        assert!(ProcessStat::parse(&format!("80 (sh) Z 1 77 {others_go_on}")).unwrap().runs);
        assert_eq!(ProcessStat::parse(""), None);
    }

    #[test]
    fn this_process_is_found() {
        let own = ProcessStat::of(std::process::id() as i32).unwrap();
        assert!(own.runs && own.started > 0 && process_ids().any(|id| id == own.id));
    }

    #[test]
    fn a_child_of_whoever_has_a_members_number_by_now_is_a_stranger() {
        let mut child = crate::command("/bin/sleep").arg("600").spawn().unwrap();
        let parent = ProcessStat::of(child.id() as i32).unwrap();
        let grandchild = ProcessStat { id: 1_000_000_000, parent: parent.id, ..parent.clone() };
        let is_one = |known: &[(i32, u64)]| grandchild.descends(1, &known.iter().copied().collect());
        assert!(!is_one(&[]));
        assert!(is_one(&[(parent.id, parent.started)]));
        assert!(!is_one(&[(parent.id, parent.started - 1)]));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_one(&[(parent.id, parent.started)]));
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_told_and_its_number_alone_is_not_it() {
        let mut child = crate::command("/bin/sleep").arg("600").spawn().unwrap();
        let watch = ProcessWatch::open(child.id() as i32).unwrap();
        assert!(timeout(Duration::from_millis(50), watch.ended()).await.is_err());
        child.kill().unwrap();
        watch.ended().await.unwrap();
        watch.ended().await.unwrap();
        assert!(!watch.reaped(Duration::from_millis(50)).await, "nobody has waited for it: it is a zombie");
        child.wait().unwrap();
        assert!(watch.reaped(Duration::ZERO).await);
        let gone = ProcessWatch::open(watch.seen().id).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(Errno::ESRCH as i32));
    }

    #[test]
    fn a_signal_reaches_the_process_and_nobody_who_has_its_number_later() {
        use std::os::unix::process::ExitStatusExt;

        let start = || crate::command("/bin/sleep").arg("600").spawn().unwrap();
        let (mut child, mut other) = (start(), start());
        let mut handle = ProcessHandle::open(child.id() as i32).unwrap();
        handle.signal(Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
        assert!(ProcessHandle::open(child.id() as i32).is_none());
        // As if its number were another's by now.
        handle.seen.id = other.id() as i32;
        handle.signal(Signal::SIGKILL);
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
