//! No hook begins in maintenance mode.

use koi_core::io::HookRun;

use crate::machine::Machine;

pub(super) fn check(now: u64, machine: &Machine, run: &HookRun) -> Option<String> {
    let applied = machine.core.as_ref()?.applied();
    applied.maintenance.then(|| {
        format!(
            "a hook in maintenance at {now} µs: m{} runs {} of {}",
            machine.index,
            run.hook.as_str(),
            run.service
        )
    })
}
