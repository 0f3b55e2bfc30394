//! The epoch that a hook is told to have been promoted in full: some node has promoted under it or a later one, and it never gets older for a
//! run of a daemon.

use std::collections::BTreeMap;

use koi_core::io::{HookEnd, HookRun};
use koi_core::types::{Epoch, Hook};

#[derive(Clone, Debug, Default)]
pub(super) struct PromotedEpochs {
    /// Under which a promote has ended well.
    newest: Epoch,
    /// What each machine was told last, in which life.
    told: BTreeMap<usize, (u64, Epoch)>,
}

impl PromotedEpochs {
    pub(super) fn hook_ended(&mut self, run: &HookRun, end: &HookEnd) {
        if run.hook == Hook::Promote && *end == HookEnd::Done {
            self.newest = self.newest.max(run.epoch);
        }
    }

    pub(super) fn check(&mut self, now: u64, machine: usize, life: u64, run: &HookRun) -> Option<String> {
        let told = run.promoted_epoch;
        let before = self.told.insert(machine, (life, told));
        if told > self.newest {
            return Some(format!(
                "a promotion that was none at {now} µs: m{machine} is told of {}, and the newest was {}",
                told.0, self.newest.0
            ));
        }
        let (_, before) = before.filter(|(then, _)| *then == life)?;
        (told < before).then(|| {
            format!("a promotion forgotten at {now} µs: m{machine} is told of {} after {}", told.0, before.0)
        })
    }
}
