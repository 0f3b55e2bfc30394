//! What this node has said of its services last.

use crate::message::RunnerSummary;
use crate::types::NodeState;

/// The newest of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    summary: Option<RunnerSummary>,
    state: Option<NodeState>,
}

impl Told {
    /// Whether `summary` differs from what was said last; then it is what was said last.
    pub(crate) fn is_new(&mut self, summary: RunnerSummary) -> bool {
        let new = self.summary.as_ref() != Some(&summary);
        if new {
            self.summary = Some(summary);
        }
        new
    }

    /// Notes the state of now; returns the one before, if it was another.
    pub(crate) fn note_state(&mut self, state: NodeState) -> Option<NodeState> {
        self.state.replace(state).filter(|before| *before != state)
    }
}
