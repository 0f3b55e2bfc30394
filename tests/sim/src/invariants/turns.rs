//! A service has one hook at a time.

use koi_core::io::HookRun;

use crate::machine::Machine;

pub(super) fn check(now: u64, machine: &Machine, run: &HookRun) -> Option<String> {
    let other = machine.hooks.values().find(|h| h.service == run.service && h.run != run.run)?;
    Some(format!(
        "two hooks at once at {now} µs: m{} runs {} of {} beside its {}",
        machine.index,
        run.hook.as_str(),
        run.service,
        other.hook.as_str()
    ))
}
