//! What this node has said of its services last.

use std::collections::BTreeMap;

use crate::group::GroupName;
use crate::message::RunnerSummary;
use crate::types::NodeState;

/// The newest of it, by group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    summaries: BTreeMap<GroupName, RunnerSummary>,
    states: BTreeMap<GroupName, NodeState>,
}

impl Told {
    /// Whether `summaries` differ from what was said last; then they are what was said last.
    pub(crate) fn is_new(&mut self, summaries: Vec<(GroupName, RunnerSummary)>) -> bool {
        let is_known = |(group, summary)| self.summaries.get(group) == Some(summary);
        let new =
            summaries.len() != self.summaries.len() || !summaries.iter().map(|(g, s)| (g, s)).all(is_known);
        if new {
            self.summaries = summaries.into_iter().collect();
        }
        new
    }

    /// Notes the state of now in a group; returns the one before, if it was another.
    pub(crate) fn note_state(&mut self, group: &GroupName, state: NodeState) -> Option<NodeState> {
        let before = self.states.insert(group.clone(), state);
        before.filter(|before| *before != state)
    }
}
