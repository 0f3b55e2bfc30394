//! How often the mastership moves, and whose fault that is. A mastership that came to nothing counts against its node; where that is
//! so everywhere, the time between masterships grows.

use std::collections::{BTreeMap, VecDeque};

use crate::limits;
use crate::node::Node;
use crate::patience::{Patience, RECENT, wait};
use crate::record::Record;
use crate::reports::RunnerReport;
use crate::types::{Epoch, NodeId, Time};

/// Masterships that came to nothing, of late and anywhere, that make a cluster one that flaps.
const FLAPPING: u32 = 3;

/// The masterships of late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masterships {
    /// When each began that no operator asked for; at most [`limits::MASTERSHIPS`].
    begun: VecDeque<Time>,
    current: Option<Current>,
    /// Masterships that this leader gave and under which not everything was ever promoted, by node: a daemon that dies of its promotion does
    /// not remember them. Bounded by the nodes that have reported.
    blamed: BTreeMap<NodeId, Patience>,
    /// Whom an operator wanted, when last looked.
    target: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    epoch: Epoch,
    node: NodeId,
    /// Everything was promoted under it once, or this node cannot know.
    rose: bool,
    /// An operator wants it to end, or its node is going away in order.
    bidden: bool,
}

/// How the mastership has moved of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flapping {
    pub(crate) masterships: u32,
    pub(crate) since: Time,
}

impl Masterships {
    /// Those that a node finds in its record at its start are none of its business.
    pub(crate) fn found(record: &Record) -> Masterships {
        let current = record.master.as_ref().map(|m| Current {
            epoch: m.epoch,
            node: m.node,
            rose: true,
            bidden: true,
        });
        Masterships { current, target: record.target, ..Masterships::default() }
    }

    fn begin(&mut self, current: Current, now: Time) {
        if self.target != Some(current.node) {
            if self.begun.len() >= limits::MASTERSHIPS {
                self.begun.pop_front();
            }
            self.begun.push_back(now);
        }
        self.current = Some(current);
    }

    fn blame(&mut self, node: NodeId, now: Time) {
        self.blamed.retain(|_, patience| patience.lately(now) > 0);
        if self.blamed.len() < limits::NODES {
            self.blamed.entry(node).or_insert_with(Patience::of_masterships).count(now);
        }
    }
}

impl Node {
    /// Looks whether a mastership has begun or ended.
    pub(crate) fn notice_masterships(&mut self, now: Time) {
        let record = &self.durable.applied;
        let new = record.master.as_ref().map(|m| (m.epoch, m.node));
        let leads = self.lead.is_some();
        if self.masterships.current.map(|c| c.epoch) != new.map(|(epoch, _)| epoch) {
            if let Some(old) = self.masterships.current.take()
                && leads
                && !old.rose
                && !old.bidden
            {
                self.masterships.blame(old.node, now);
            }
            if let Some((epoch, node)) = new {
                self.masterships.begin(Current { epoch, node, rose: !leads, bidden: false }, now);
            }
        }
        self.masterships.target = record.target;
        let Some(mut current) = self.masterships.current else { return };
        let seen = self.latest(current.node);
        current.rose |=
            !leads || seen.is_some_and(|s| s.summary.holds == Some(current.epoch) && s.summary.promoted);
        current.bidden |= record.manual
            || record.maintenance
            || record.target.is_some()
            || record.stopped.contains(&current.node)
            || seen.is_some_and(|s| s.summary.leaving);
        self.masterships.current = Some(current);
    }

    /// Masterships that came to nothing on this node of late, and when the last one ended.
    fn in_vain(&self, node: NodeId, seen: &RunnerReport, now: Time) -> Option<(u32, Time)> {
        let own = seen.summary.in_vain.map(|v| (v.times, seen.at - v.ago));
        let blamed = self.masterships.blamed.get(&node);
        let blamed = blamed.and_then(|p| Some((p.lately(now), p.last(now)?)));
        own.max(blamed)
    }

    /// The same on all nodes together: how many beyond the first of each node but one, and when the last one ended.
    fn all_in_vain(&self, now: Time) -> Option<(u32, Time)> {
        self.lead.as_ref()?;
        let each = || self.latest_reports().filter_map(|(id, s)| self.in_vain(id, s, now));
        let last = each().map(|(_, last)| last).max()?;
        let total: u32 = each().map(|(times, _)| times).sum();
        let nodes = u32::try_from(each().count()).unwrap_or(u32::MAX);
        Some(((total + 1).saturating_sub(nodes), last))
    }

    /// Neither a failure nor a mastership in vain speaks against it (R9).
    pub(crate) fn is_calm(&self, node: NodeId, seen: &RunnerReport, now: Time) -> bool {
        let patience = self.settings.failure_promotion_timeout;
        let failed = seen.summary.failure.as_ref().map(|f| f.ago + now.since(seen.at));
        failed.is_none_or(|ago| ago >= patience)
            && self.in_vain(node, seen, now).is_none_or(|(_, last)| now.since(last) >= patience)
    }

    /// Until when a node is not made master, unless an operator says so: its last masterships came to nothing. Where they did everywhere,
    /// the next node does not begin at once where the last one has ended.
    pub(crate) fn rests_until(&self, node: NodeId, seen: &RunnerReport, now: Time) -> Time {
        match (self.in_vain(node, seen, now), self.all_in_vain(now)) {
            // What is promoted already is not worse off as a master.
            _ if seen.summary.holds.is_some() || mutant!(NoBackOff) => Time(0),
            (Some(_), Some((times, last))) => last + wait(times),
            (None, _) | (_, None) => Time(0),
        }
    }

    /// Whether the mastership moves about without end.
    pub(crate) fn flapping(&self, now: Time) -> Option<Flapping> {
        self.lead.as_ref()?;
        let each = || self.latest_reports().filter_map(|(id, s)| self.in_vain(id, s, now));
        let in_vain: u32 = each().map(|(times, _)| times).sum();
        let goes_on = each().any(|(_, last)| now.since(last) < RECENT);
        if in_vain < FLAPPING || !goes_on {
            return None;
        }
        let lately = || self.masterships.begun.iter().filter(|at| now.since(**at) < RECENT);
        let masterships = u32::try_from(lately().count()).unwrap_or(u32::MAX);
        Some(Flapping { masterships, since: lately().next().copied().unwrap_or(now) })
    }
}
