//! What runners reported to a leader last, each run of a node for itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::group::GroupName;
use crate::message::RunnerSummary;
use crate::types::{NodeId, Session, Time, Version};

/// Runs of one node of which a report is kept: the one that speaks for it, and one that may still be master.
const RUNS: usize = 2;

/// A runner's latest report.
#[derive(Clone, Debug)]
pub(crate) struct RunnerReport {
    pub(crate) session: Session,
    pub(crate) report: u64,
    pub(crate) at: Time,
    /// How its services are, group by group. It does not run what is not in it.
    pub(crate) summaries: BTreeMap<GroupName, RunnerSummary>,
    pub(crate) applied: Version,
    pub(crate) uptime: Duration,
}

/// The same, as far as one group goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupReport<'a> {
    pub(crate) session: Session,
    pub(crate) at: Time,
    pub(crate) summary: &'a RunnerSummary,
    pub(crate) applied: Version,
    pub(crate) uptime: Duration,
}

impl GroupReport<'_> {
    /// R7: its status calls something promoted, and no mastership ever gave it the right to that.
    pub(crate) fn is_unbidden(&self) -> bool {
        self.summary.unclean && self.summary.suspect && self.summary.holds.is_none()
    }
}

impl RunnerReport {
    /// What it says of this group; none: the node does not run it.
    pub(crate) fn about(&self, group: &GroupName) -> Option<GroupReport<'_>> {
        let RunnerReport { session, at, summaries, applied, uptime, .. } = self;
        let summary = summaries.get(group)?;
        Some(GroupReport { session: *session, at: *at, summary, applied: *applied, uptime: *uptime })
    }
}

/// The latest report of each run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports {
    map: BTreeMap<(NodeId, Session), RunnerReport>,
}

impl Reports {
    /// The report of this run.
    pub(crate) fn of_run(&self, node: NodeId, session: Session) -> Option<&RunnerReport> {
        self.map.get(&(node, session))
    }

    /// The reports of every run of this node, the earliest run first.
    pub(crate) fn of_node(&self, node: NodeId) -> impl DoubleEndedIterator<Item = &RunnerReport> {
        let all = (node, Session::default())..=(node, Session { count: u64::MAX, random: u64::MAX });
        self.map.range(all).map(|(_, seen)| seen)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &RunnerReport)> {
        self.map.iter().map(|((node, _), seen)| (*node, seen))
    }

    /// Keeps a report. `keep`: the runs whose reports must not be dropped.
    pub(crate) fn insert(&mut self, node: NodeId, seen: RunnerReport, keep: &[Session]) {
        self.map.insert((node, seen.session), seen);
        while self.of_node(node).count() > RUNS {
            let spare = self.of_node(node).filter(|seen| !keep.contains(&seen.session));
            let Some(oldest) = spare.min_by_key(|seen| seen.at).map(|seen| seen.session) else { return };
            self.map.remove(&(node, oldest));
        }
    }

    pub(crate) fn remove(&mut self, node: NodeId, session: Session) {
        self.map.remove(&(node, session));
    }

    pub(crate) fn clear(&mut self) {
        self.map.clear();
    }
}
