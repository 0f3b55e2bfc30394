//! What keeps this node from being made master although its services are ready: a disk that does not take its state, or a machine that has
//! no room for a hook. Before anything is promoted a mark must be on disk (R8), so a mastership here would come to nothing.

use crate::node::node_ref::NodeRef;
use crate::reason::UnfitReason;
use crate::timers::{Timer, Timers};
use crate::types::Time;

impl NodeRef<'_> {
    /// Why this node cannot do now what a new master must.
    pub(crate) fn unfit(&self) -> Option<UnfitReason> {
        if mutant!(UnfitNamed) {
            return None;
        }
        self.fitness.unfit(self.now >= self.disk_hangs_at())
    }

    pub(crate) fn set_fitness_timers(&self, timers: &mut Timers) {
        if self.settings.runner {
            timers.set_after(Timer::DiskHang, self.disk_hangs_at(), self.now);
        }
    }

    /// When a disk that has not answered counts as one that hangs.
    fn disk_hangs_at(&self) -> Time {
        self.fitness.hangs_at(self.lately())
    }
}
