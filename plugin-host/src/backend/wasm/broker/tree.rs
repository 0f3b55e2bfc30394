//! All that a broker's programs have started: found in /proc, and ended.
//!
//! What has left its parents is this process's child, and is reaped by it; what has not is reaped by others, and its number may be given away while it is looked at. So nothing
//! is signalled by its number: a handle is opened first, then it is looked at whether that is a descendant ([`ProcessHandle`]).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use koi_child::{ProcessHandle, ProcessStat, process_ids};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::backend::wasm::broker::protocol::{NAMED, Remains};

/// The pauses between looks at what has been killed and is not gone yet: they double.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// The descendants of this process. Dropped, it ends them: however this process comes to its end, nothing of them goes on.
pub(super) struct Tree {
    own: i32,
    /// Processes that are none of them, so that they need not be read at each look. Their numbers may be given away in time: it is
    /// emptied now and then.
    strangers: HashSet<i32>,
}

impl Tree {
    /// Of this process.
    pub(super) fn new() -> Tree {
        Tree { own: Pid::this().as_raw(), strangers: HashSet::new() }
    }

    /// Whether there is any process, zombies included. All whose parents are gone are this process's children: so without a child there
    /// is none.
    pub(super) fn is_empty() -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(Id::All, flags) == Err(Errno::ECHILD)
    }

    /// Takes the exit of a child that has ended: its id, and its code unless a signal ended it.
    pub(super) fn reap() -> Option<(i32, Option<i32>)> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(id, code)) => return Some((id.as_raw(), Some(code))),
                Ok(WaitStatus::Signaled(id, ..)) => return Some((id.as_raw(), None)),
                Ok(WaitStatus::StillAlive) => return None,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Those that are more than zombies.
    pub(super) fn running(&mut self) -> Vec<ProcessStat> {
        if Tree::is_empty() { Vec::new() } else { self.running_beside(&Members::new()) }
    }

    /// Those that are more than zombies, but for these members. They seem to be some: a number may have been given away while others were read.
    fn running_beside(&mut self, known: &Members) -> Vec<ProcessStat> {
        let is_new = |id: &i32| *id != self.own && !self.strangers.contains(id) && !known.contains_key(id);
        let unknown = process_ids().filter(is_new);
        let seen: HashMap<i32, ProcessStat> =
            unknown.filter_map(|id| Some((id, ProcessStat::of(id)?))).collect();
        let mut members = Vec::new();
        for (id, process) in &seen {
            match self.descent(process, &seen, known) {
                Descent::Member => members.extend(process.runs.then(|| process.clone())),
                Descent::Stranger => drop(self.strangers.insert(*id)),
                Descent::Unknown => {}
            }
        }
        members
    }

    fn descent(&self, process: &ProcessStat, seen: &HashMap<i32, ProcessStat>, members: &Members) -> Descent {
        let mut parent = process.parent;
        // Parents may have changed while they were read: there could be a circle.
        for _ in 0..=seen.len() {
            if parent == self.own || members.contains_key(&parent) {
                return Descent::Member;
            }
            if parent <= 1 || self.strangers.contains(&parent) {
                return Descent::Stranger;
            }
            // A parent that has gone meanwhile has left its children to another.
            let Some(next) = seen.get(&parent) else { return Descent::Unknown };
            parent = next.parent;
        }
        Descent::Unknown
    }

    /// Forgets who is a stranger.
    pub(super) fn look_anew(&mut self) {
        self.strangers.clear();
    }

    /// Kills all of them, and returns when nothing is left, or at `until`.
    ///
    /// What was sent SIGKILL starts nothing any more, and each look finds what was started before that. A look reads only what is new: so
    /// it is faster than those who start more of their kind, and comes to an end.
    pub(super) fn kill(&mut self, until: Option<Instant>) -> Remains {
        let (mut killed, mut remains) = (Members::new(), Remains::default());
        let (mut pause, mut named) = (FIRST_PAUSE, HashSet::new());
        loop {
            while let Some((id, _)) = Tree::reap() {
                // The number may be given away again.
                killed.remove(&id);
            }
            if Tree::is_empty() {
                return remains;
            }
            let mut is_news = false;
            for process in self.kill_new(&mut killed) {
                if named.insert((process.id, process.started)) {
                    is_news = true;
                    remains.count += 1;
                    if remains.some.len() < NAMED {
                        remains.some.push((process.name, process.id));
                    }
                }
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                remains.hangs = true;
                return remains;
            }
            if is_news {
                pause = FIRST_PAUSE;
            } else {
                self.look_anew();
                killed.clear();
                std::thread::sleep(pause);
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }

    /// Kills those that are not among `killed`, and adds them. The answer is what they were.
    fn kill_new(&mut self, killed: &mut Members) -> Vec<ProcessStat> {
        let mut found = self.running_beside(killed);
        // Parents come first, as a rule: whoever is a member's child is one too.
        found.sort_by_key(|process| (process.started, process.id));
        let mut all = Vec::new();
        loop {
            let before = found.len();
            found.retain(|process| {
                // Whoever is gone meanwhile has left its children to this process.
                let Some(handle) = ProcessHandle::open(process.id) else { return false };
                let is_member = handle.seen().descends(self.own, killed);
                if is_member {
                    handle.signal(Signal::SIGKILL);
                    killed.insert(process.id, handle.seen().started);
                    all.push(handle.seen().clone());
                }
                !is_member
            });
            // Those whose parents are none, or not any more, are found again, or are strangers.
            if found.is_empty() || found.len() == before {
                return all;
            }
        }
    }
}

/// Descendants by their numbers, and when they were started: both together name a process.
type Members = HashMap<i32, u64>;

impl Drop for Tree {
    fn drop(&mut self) {
        self.kill(None);
    }
}

enum Descent {
    Member,
    Stranger,
    Unknown,
}
