//! The fence of another node as the leader that runs it knows it (rule R12). It is decided about in `node::leading::fence`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fence::{FenceId, FenceOutcome};
use crate::patience::Patience;
use crate::types::{NodeId, Time};

/// How long a command that was ended may take to be gone.
pub(crate) const ENDING: Duration = Duration::from_secs(10);

/// What a leader runs, and what came of what it ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fencing {
    number: u64,
    running: Option<Running>,
    failed: BTreeMap<NodeId, Failed>,
}

/// A fence that was begun.
#[derive(Clone, Debug)]
struct Running {
    id: FenceId,
    until: Time,
    /// It was told to end, and why.
    ended: Option<String>,
    outcome: Option<FenceOutcome>,
}

/// The fences of a node that have failed of late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failed {
    patience: Patience,
    /// What the last one said.
    pub(crate) why: String,
}

impl Failed {
    /// How often, without a calm in between.
    pub(crate) fn times(&self, now: Time) -> u32 {
        self.patience.lately(now)
    }

    /// When it is tried again.
    pub(crate) fn until(&self) -> Time {
        self.patience.until(0)
    }
}

/// How far a fence is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FenceState {
    /// This leader has not begun it.
    Standing,
    /// It runs until then.
    Runs(Time),
    /// It was told to end, and is waited for until then.
    Ends(Time),
    /// It is over.
    Over(FenceOutcome),
}

impl Fencing {
    /// The number of the next fence.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// It begins now.
    pub(crate) fn begin(&mut self, id: FenceId, limit: Duration, now: Time) {
        self.running = Some(Running { id, until: now + limit, ended: None, outcome: None });
    }

    /// How far this fence is.
    pub(crate) fn state(&self, id: FenceId, now: Time) -> FenceState {
        let Some(running) = self.running.as_ref().filter(|running| running.id == id) else {
            return FenceState::Standing;
        };
        let gone = running.until + ENDING;
        match (&running.ended, &running.outcome) {
            (None, Some(outcome)) => FenceState::Over(outcome.clone()),
            // What it says after it was told to end is no proof of anything.
            (Some(why), Some(_)) => FenceState::Over(FenceOutcome::Failed(why.clone())),
            (Some(why), None) if now >= gone => FenceState::Over(FenceOutcome::Failed(why.clone())),
            (Some(_), None) => FenceState::Ends(gone),
            (None, None) => FenceState::Runs(running.until),
        }
    }

    /// It is told to end.
    pub(crate) fn end(&mut self, why: String) {
        if let Some(running) = self.running.as_mut() {
            running.ended.get_or_insert(why);
        }
    }

    /// What came of it is known.
    pub(crate) fn ended(&mut self, id: FenceId, outcome: FenceOutcome) {
        if mutant!(FenceOfAnyTerm) && self.running.is_none() {
            self.begin(id, Duration::ZERO, Time(0));
        }
        if let Some(running) = self.running.as_mut().filter(|running| running.id == id) {
            running.outcome = Some(outcome);
        }
    }

    /// It is done with. Returns it, if it was still under way.
    pub(crate) fn forget(&mut self) -> Option<FenceId> {
        self.running.take().filter(|running| running.outcome.is_none()).map(|running| running.id)
    }

    /// It has failed: the next one of this node waits longer each time.
    pub(crate) fn note_failure(&mut self, node: NodeId, why: String, now: Time) -> Time {
        let failed = self.failed.entry(node).or_default();
        failed.patience.count(now);
        failed.why = why;
        let until = failed.until();
        self.failed.retain(|_, failed| failed.times(now) > 0);
        until
    }

    /// The fences of this node that have failed.
    pub(crate) fn failed(&self, node: NodeId) -> Option<&Failed> {
        self.failed.get(&node)
    }

    /// All that have failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (NodeId, &Failed)> {
        self.failed.iter().map(|(node, failed)| (*node, failed))
    }

    /// What has failed is forgotten: it was fenced, or an operator wants it.
    pub(crate) fn forgive(&mut self, node: NodeId) {
        self.failed.remove(&node);
    }
}
