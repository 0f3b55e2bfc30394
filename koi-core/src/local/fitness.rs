//! Whether the disk takes this node's state, and whether the machine has room for a hook.

use std::time::Duration;

use crate::io::HookEnd;
use crate::reason::UnfitReason;
use crate::types::Time;

/// A disk that has not taken a state within this hangs. Busy disks take longer than a heartbeat now and then.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// What this node knows of its disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fitness {
    /// Why the newest state cannot be written.
    unwritten: Option<String>,
    /// When the oldest state was handed out that is not on disk.
    waiting_since: Option<Time>,
    /// Why the newest hook could not be run: the machine has no room for it.
    no_room: Option<String>,
}

impl Fitness {
    /// A state was handed out.
    pub(crate) fn handed_out(&mut self, now: Time) {
        self.waiting_since.get_or_insert(now);
    }

    /// A state is on disk; whether it was the newest.
    pub(crate) fn written(&mut self, newest: bool, now: Time) {
        self.unwritten = None;
        self.waiting_since = (!newest).then_some(now);
    }

    /// A hook is over.
    pub(crate) fn ran(&mut self, ended: &HookEnd) {
        match ended {
            HookEnd::NoRoom(why) => self.no_room = Some(why.clone()),
            HookEnd::Done | HookEnd::Status(_) | HookEnd::Failed { .. } => self.no_room = None,
            HookEnd::Aborted => {}
        }
    }

    /// The disk refuses a state.
    pub(crate) fn refused(&mut self, why: String) {
        self.unwritten = Some(why);
    }

    /// When a disk that has not answered counts as one that hangs; never: it owes no answer. `lately`: how long a node may be silent.
    pub(crate) fn hangs_at(&self, lately: Duration) -> Time {
        self.waiting_since.map_or(Time::NEVER, |since| since + lately.max(HANGS_AFTER))
    }

    /// Why this node cannot do now what a new master must. `hangs`: its disk does.
    pub(crate) fn unfit(&self, hangs: bool) -> Option<UnfitReason> {
        if let Some(why) = &self.unwritten {
            return Some(UnfitReason::StateNotWritten { why: why.clone() });
        }
        if let Some(why) = &self.no_room {
            return Some(UnfitReason::HooksNotRun { why: why.clone() });
        }
        hangs.then_some(UnfitReason::DiskHangs)
    }
}
