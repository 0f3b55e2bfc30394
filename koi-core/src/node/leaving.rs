//! A clean stop: services down, the leadership handed over, farewell (rule R11).

use std::collections::BTreeMap;

use crate::group::GroupName;
use crate::io::Destination;
use crate::message::{Body, Farewell, Resign};
use crate::node::handlers::LeavingHandler;
use crate::node::node_ref::NodeRef;
use crate::supervision::supervisor::ServiceSupervisor;
use crate::timers::{Timer, Timers};
use crate::types::{Epoch, Time};

impl LeavingHandler<'_> {
    /// Whether everything is down and handed over, or was waited for long enough.
    pub(crate) fn may_leave(&mut self) -> bool {
        let now = self.ctx.now;
        if !self.leaving.has_begun() || self.leaving.is_finished() {
            return false;
        }
        let runner = self.ctx.settings.runner;
        let busy = runner && !self.node().services_may_leave();
        // R7: the leader must know first that something may still be promoted here.
        let owes = runner && self.node().owes_a_word();
        if busy || owes {
            self.leaving.not_down();
            return false;
        }
        let since = self.leaving.note_down(now);
        let waited = now >= self.node().departure(since);
        let handed_over = self.lead.is_none() || self.node().handed_over();
        waited || handed_over && self.durable.is_on_disk()
    }

    /// The last words of this run.
    pub(crate) fn say_farewell(&mut self) {
        let farewell = self.node().farewell();
        let term = self.durable.term;
        // Datagrams may get lost; what is lost here costs a time-out.
        for _ in 0..2 {
            if self.lead.is_some() {
                self.ctx.send(Destination::Everyone, None, Body::Resign(Resign { term }));
            }
            self.ctx.send(Destination::Everyone, None, Body::Farewell(farewell.clone()));
        }
    }
}

impl NodeRef<'_> {
    pub(crate) fn set_leaving_timers(&self, timers: &mut Timers) {
        if let Some(since) = self.leaving.down_since() {
            timers.set(Timer::Departure, self.departure(since));
        } else if self.leaving.has_begun() && !self.leaving.is_finished() {
            timers.set_after(Timer::Departure, self.older_leases_end(), self.now);
        }
    }

    /// By then no lease of an earlier run lasts any more, whatever its clock was like: others wait for its word no longer.
    fn older_leases_end(&self) -> Time {
        self.started + self.patience() * 2
    }

    /// When it stops without waiting for anybody any longer. `down_since`: when the last service was down.
    fn departure(&self, down_since: Time) -> Time {
        down_since + self.settings.election_timeout()
    }

    fn services_may_leave(&self) -> bool {
        let may = |(group, supervisor): (&GroupName, &ServiceSupervisor)| {
            supervisor.may_leave(self.settings, &self.node_context(group))
        };
        self.runners.iter().all(may)
    }

    /// Something of some group could not be taken down, and the record that counts does not say so yet.
    fn owes_a_word(&self) -> bool {
        let owes = |(group, supervisor): (&GroupName, &ServiceSupervisor)| {
            supervisor.owes_a_word() && !self.marked_unclean(group, supervisor)
        };
        self.runners.iter().any(owes)
    }

    /// What this run gives back of each group: every epoch that was ever given to it, if nothing of the group is promoted.
    fn farewell(&self) -> Farewell {
        let gives_back = |group: &GroupName, supervisor: &ServiceSupervisor| {
            if self.settings.runner && supervisor.maybe_promoted() {
                return None;
            }
            let own = supervisor.released();
            let entry = self.durable.record.group(group).master.as_ref().filter(|m| m.node == self.id);
            Some(entry.map_or(own, |m| m.epoch.max(own)))
        };
        let mut others: BTreeMap<GroupName, Epoch> = self
            .runners
            .iter()
            .filter_map(|(group, supervisor)| Some((group.clone(), gives_back(group, supervisor)?)))
            .collect();
        let released = others.remove(&GroupName::MAIN);
        Farewell { released, others }
    }

    /// The record that counts says that this node could not take everything of a group down, or that another mastership followed.
    fn marked_unclean(&self, group: &GroupName, supervisor: &ServiceSupervisor) -> bool {
        let applied = &self.durable.applied;
        // A lease may come before the record that names its master: an older one says nothing of that mastership. The mark is from then on (R8), and
        // also of what an earlier run held.
        let held = self.durable.marks().find_map(|(of, epoch)| (of == *group).then_some(epoch));
        let behind = held.is_some_and(|epoch| applied.last_epoch < epoch) && !mutant!(OlderRecordHeard);
        if behind && (supervisor.lease().is_some() || self.now < self.older_leases_end()) {
            return false;
        }
        let entry = applied.group(group).master.as_ref();
        entry.is_none_or(|m| m.node != self.id || m.unclean || m.in_maintenance)
    }
}
