//! What was demoted is not promoted again before a status has said how it is.

use std::collections::BTreeSet;

use koi_core::io::{HookEnd, HookRun};
use koi_core::types::Hook;

#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Machine, life, and service: demoted, and not asked since.
    unasked: BTreeSet<(usize, u64, String)>,
}

impl Asked {
    pub(super) fn hook_ended(&mut self, machine: usize, life: u64, run: &HookRun, end: &HookEnd) {
        let key = (machine, life, run.service.clone());
        match (run.hook, end) {
            (Hook::Demote, HookEnd::Done) => drop(self.unasked.insert(key)),
            (Hook::Status, HookEnd::Done | HookEnd::Status(_)) => drop(self.unasked.remove(&key)),
            // In maintenance what is stopped is presumed to be started, and well.
            (Hook::Stop, HookEnd::Done) => drop(self.unasked.remove(&key)),
            _ => {}
        }
    }

    pub(super) fn check(&self, now: u64, machine: usize, life: u64, run: &HookRun) -> Option<String> {
        let key = (machine, life, run.service.clone());
        (run.hook == Hook::Promote && self.unasked.contains(&key))
            .then(|| format!("not asked at {now} µs: m{machine} promotes {} after a demote", run.service))
    }
}
