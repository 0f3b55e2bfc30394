//! Epochs only grow: what a node is promoted under is never older than what any other was, nor the same as another's.

use koi_core::io::HookRun;
use koi_core::types::{Epoch, Hook};

#[derive(Clone, Debug, Default)]
pub(super) struct Epochs {
    newest: Option<(Epoch, usize)>,
}

impl Epochs {
    pub(super) fn check(&mut self, now: u64, machine: usize, run: &HookRun) -> Option<String> {
        if run.hook != Hook::Promote {
            return None;
        }
        let (newest, owner) = self.newest.unwrap_or((Epoch(0), machine));
        if run.epoch < newest || (run.epoch == newest && owner != machine) {
            return Some(format!(
                "an old epoch at {now} µs: m{machine} promotes under {}, after m{owner} did under {}",
                run.epoch.0, newest.0
            ));
        }
        self.newest = Some((run.epoch, machine));
        None
    }
}
