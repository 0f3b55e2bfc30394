//! What runners reported to a leader last, each run of a node for itself.

use std::collections::BTreeMap;
use std::time::Duration;

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
    pub(crate) summary: RunnerSummary,
    pub(crate) applied: Version,
    pub(crate) uptime: Duration,
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

    /// Keeps a report. `keep`: the run whose report must not be dropped.
    pub(crate) fn insert(&mut self, node: NodeId, seen: RunnerReport, keep: Option<Session>) {
        self.map.insert((node, seen.session), seen);
        while self.of_node(node).count() > RUNS {
            let spare = self.of_node(node).filter(|seen| Some(seen.session) != keep);
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
