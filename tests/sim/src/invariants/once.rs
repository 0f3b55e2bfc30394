//! At no instant is anything of one group promoted on two nodes.

use koi_core::io::HookRun;
use koi_core::types::Hook;

use crate::machine::Machine;

pub(super) fn check(now: u64, machine: usize, run: &HookRun, machines: &[Machine]) -> Option<String> {
    if run.hook != Hook::Promote {
        return None;
    }
    let other = machines.iter().find(|m| m.index != machine && m.promotes(&run.group))?;
    Some(format!(
        "two masters at {} µs: m{machine} promotes {} of {} while something of it is promoted on m{}",
        now, run.service, run.group, other.index
    ))
}
