//! Epochs only grow: what a node is promoted under is never older than what any other was in that group, nor the same as another's in any group.

use std::collections::BTreeMap;

use koi_core::group::GroupName;
use koi_core::io::HookRun;
use koi_core::types::{Epoch, Hook};

#[derive(Clone, Debug, Default)]
pub(super) struct Epochs {
    newest: BTreeMap<GroupName, (Epoch, usize)>,
    owners: BTreeMap<Epoch, (GroupName, usize)>,
}

impl Epochs {
    pub(super) fn check(&mut self, now: u64, machine: usize, run: &HookRun) -> Option<String> {
        if run.hook != Hook::Promote {
            return None;
        }
        let (newest, owner) = self.newest.get(&run.group).copied().unwrap_or((Epoch(0), machine));
        if run.epoch < newest || (run.epoch == newest && owner != machine) {
            return Some(format!(
                "an old epoch at {now} µs: m{machine} promotes {} under {}, after m{owner} did under {}",
                run.group, run.epoch.0, newest.0
            ));
        }
        self.newest.insert(run.group.clone(), (run.epoch, machine));
        let own = (run.group.clone(), machine);
        let (group, owner) = self.owners.entry(run.epoch).or_insert_with(|| own.clone());
        (*group != own.0).then(|| {
            format!(
                "one epoch for two groups at {now} µs: m{machine} promotes {} under {}, as m{owner} did {group}",
                run.group, run.epoch.0
            )
        })
    }
}
