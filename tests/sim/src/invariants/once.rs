//! At no instant is anything promoted on two nodes.

use koi_core::io::HookRun;
use koi_core::types::Hook;

use crate::machine::Machine;

pub(super) fn check(now: u64, machine: usize, run: &HookRun, machines: &[Machine]) -> Option<String> {
    if run.hook != Hook::Promote {
        return None;
    }
    let other = machines.iter().find(|m| m.index != machine && m.promoted())?;
    Some(format!(
        "two masters at {} µs: m{machine} promotes {} while something is promoted on m{}",
        now, run.service, other.index
    ))
}
