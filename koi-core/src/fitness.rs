//! What keeps this node from being made master although its services are ready: a disk that does not take its state, or a machine that has
//! no room for a hook. Before anything is promoted a mark must be on disk (R8), so a mastership here would come to nothing.

use std::time::Duration;

use crate::io::HookEnd;
use crate::node::Node;
use crate::timers::{Timer, Timers};
use crate::types::Time;

/// A disk that has not taken a state within this hangs. Busy disks take longer than a heartbeat now and then.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// What this node knows of its disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fitness {
    /// Why the newest state cannot be written.
    trouble: Option<String>,
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
        self.trouble = None;
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
        self.trouble = Some(why);
    }
}

impl Node {
    /// Why this node cannot do now what a new master must.
    pub(crate) fn unfit(&self, now: Time) -> Option<String> {
        if mutant!(UnfitNamed) {
            return None;
        }
        if let Some(why) = &self.fitness.trouble {
            return Some(format!("its state cannot be written: {why}"));
        }
        if let Some(why) = &self.fitness.no_room {
            return Some(format!("its hooks cannot be run: {why}"));
        }
        (now >= self.disk_hangs_at()).then(|| "its disk hangs: its state is not written in time".to_owned())
    }

    pub(crate) fn set_fitness_timers(&self, timers: &mut Timers) {
        if self.settings.runner {
            timers.set_after(Timer::DiskHang, self.disk_hangs_at(), self.now());
        }
    }

    /// When a disk that has not answered counts as one that hangs.
    fn disk_hangs_at(&self) -> Time {
        self.fitness.waiting_since.map_or(Time::NEVER, |since| since + self.lately().max(HANGS_AFTER))
    }
}
