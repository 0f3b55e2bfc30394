//! Nothing that a node keeps for later grows without bounds.

use crate::machine::Machine;

/// Twice the heartbeats and reports in flight, the commands that wait, and room for one burst of effects.
const BOUND: usize = 512;

pub(super) fn check(machines: &[Machine]) -> Option<String> {
    let (index, backlog) = machines
        .iter()
        .filter_map(|m| Some((m.index, m.core.as_ref()?.backlog())))
        .max_by_key(|(_, b)| *b)?;
    (backlog > BOUND).then(|| format!("m{index} keeps {backlog} things for later"))
}
