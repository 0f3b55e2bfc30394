//! How often the mastership moves, and whose fault that is. A mastership that came to nothing counts against its node; where that is
//! so everywhere, the time between masterships grows.

use std::collections::BTreeSet;

use crate::group::GroupName;
use crate::leader::masterships::{Current, Flapping};
use crate::leader::reports::GroupReport;
use crate::node::group_ref::GroupRef;
use crate::node::handlers::MastershipHandler;
use crate::patience::{RECENT, wait};
use crate::types::{NodeId, Time};

/// Masterships that came to nothing, of late and anywhere, that make a cluster one that flaps.
const FLAPPING: u32 = 3;

impl MastershipHandler<'_> {
    /// Looks whether a mastership has begun or ended.
    pub(crate) fn notice_masterships(&mut self) {
        let mut groups: BTreeSet<GroupName> = self.masterships.names().cloned().collect();
        groups.extend(self.durable.applied.groups().map(|(name, _)| name.clone()));
        groups.iter().for_each(|group| self.notice_mastership(group));
    }

    fn notice_mastership(&mut self, group: &GroupName) {
        let now = self.ctx.now;
        let (maintenance, record) = (self.durable.applied.maintenance, self.durable.applied.group(group));
        let new = record.master.as_ref().map(|m| (m.epoch, m.node));
        let leads = self.lead.is_some();
        let history = self.masterships.of_mut(group);
        if history.current().map(|c| c.epoch) != new.map(|(epoch, _)| epoch) {
            history.end(leads, now);
            if let Some((epoch, node)) = new {
                history.begin(Current { epoch, node, rose: !leads, bidden: false }, now);
            }
        }
        history.note_target(record.target);
        let Some(mut current) = history.current() else { return };
        let node = self.node();
        let seen = node.group(group).latest_report(current.node);
        current.rose |=
            !leads || seen.is_some_and(|s| s.summary.holds == Some(current.epoch) && s.summary.promoted);
        current.bidden |= record.manual
            || maintenance
            || record.target.is_some()
            || record.stopped.contains(&current.node)
            || seen.is_some_and(|s| s.summary.leaving)
            || self.lead.as_ref().is_some_and(|l| l.placement(group).moves().is_displaced(current.epoch));
        self.masterships.of_mut(group).note_current(current);
    }
}

impl GroupRef<'_> {
    /// Masterships that came to nothing on this node of late, and when the last one ended.
    fn in_vain(&self, node: NodeId, seen: &GroupReport<'_>) -> Option<(u32, Time)> {
        let own = seen.summary.in_vain.map(|v| (v.times, seen.at - v.ago));
        own.max(self.history().in_vain(node, self.now))
    }

    /// The same on all nodes together: how many beyond the first of each node but one, and when the last one ended.
    fn all_in_vain(&self) -> Option<(u32, Time)> {
        self.lead.as_ref()?;
        let each = || self.latest_of_all().filter_map(|(id, s)| self.in_vain(id, &s));
        let last = each().map(|(_, last)| last).max()?;
        let total: u32 = each().map(|(times, _)| times).sum();
        let nodes = u32::try_from(each().count()).unwrap_or(u32::MAX);
        Some(((total + 1).saturating_sub(nodes), last))
    }

    /// Neither a failure nor a mastership in vain speaks against it (R9).
    pub(crate) fn is_calm(&self, node: NodeId, seen: &GroupReport<'_>) -> bool {
        let now = self.now;
        let patience = self.settings.failure_promotion_timeout;
        let failed = seen.summary.failure.as_ref().map(|f| f.ago + now.since(seen.at));
        failed.is_none_or(|ago| ago >= patience)
            && self.in_vain(node, seen).is_none_or(|(_, last)| now.since(last) >= patience)
    }

    /// Until when a node is not made master, unless an operator says so: its last masterships came to nothing. Where they did everywhere,
    /// the next node does not begin at once where the last one has ended.
    pub(crate) fn rests_until(&self, node: NodeId, seen: &GroupReport<'_>) -> Time {
        match (self.in_vain(node, seen), self.all_in_vain()) {
            // What is promoted already is not worse off as a master.
            _ if seen.summary.holds.is_some() || mutant!(NoBackOff) => Time(0),
            (Some(_), Some((times, last))) => last + wait(times),
            (None, _) | (_, None) => Time(0),
        }
    }

    /// Whether the mastership moves about without end.
    pub(crate) fn flapping(&self) -> Option<Flapping> {
        let now = self.now;
        self.lead.as_ref()?;
        let each = || self.latest_of_all().filter_map(|(id, s)| self.in_vain(id, &s));
        let in_vain: u32 = each().map(|(times, _)| times).sum();
        let goes_on = each().any(|(_, last)| now.since(last) < RECENT);
        if in_vain < FLAPPING || !goes_on {
            return None;
        }
        Some(self.history().lately(now))
    }
}
