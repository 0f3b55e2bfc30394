//! The epoch that a hook is told to have been promoted in full: some node has promoted its group under it or a later one, and it never gets older for a
//! run of a daemon.

use std::collections::BTreeMap;

use koi_core::group::GroupName;
use koi_core::io::{HookEnd, HookRun};
use koi_core::types::{Epoch, Hook};

#[derive(Clone, Debug, Default)]
pub(super) struct PromotedEpochs {
    /// Under which a promote has ended well.
    newest: BTreeMap<GroupName, Epoch>,
    /// What each machine was told last of each group, in which life.
    told: BTreeMap<(usize, GroupName), (u64, Epoch)>,
}

impl PromotedEpochs {
    pub(super) fn hook_ended(&mut self, run: &HookRun, end: &HookEnd) {
        if run.hook == Hook::Promote && *end == HookEnd::Done {
            let newest = self.newest.entry(run.group.clone()).or_default();
            *newest = (*newest).max(run.epoch);
        }
    }

    pub(super) fn check(&mut self, now: u64, machine: usize, life: u64, run: &HookRun) -> Option<String> {
        let told = run.promoted_epoch;
        let before = self.told.insert((machine, run.group.clone()), (life, told));
        let newest = self.newest.get(&run.group).copied().unwrap_or_default();
        if told > newest {
            return Some(format!(
                "a promotion that was none at {now} µs: m{machine} is told of {}, and the newest was {}",
                told.0, newest.0
            ));
        }
        let (_, before) = before.filter(|(then, _)| *then == life)?;
        (told < before).then(|| {
            format!("a promotion forgotten at {now} µs: m{machine} is told of {} after {}", told.0, before.0)
        })
    }
}
