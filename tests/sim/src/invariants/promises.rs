//! A change that was answered "done" is never lost.

use std::collections::BTreeMap;

use koi_core::group::GroupName;
use koi_core::io::Command;

use crate::machine::Machine;

/// What the last word on each subject was, where it was answered "done". A command without an answer may or may not have taken
/// effect: its subject is open until the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    maintenance: Option<bool>,
    stopped: BTreeMap<(GroupName, String), bool>,
}

impl Promises {
    /// From when it is said until it is answered, nobody knows.
    pub(super) fn asked(&mut self, group: &GroupName, command: &Command) {
        match command {
            Command::Maintenance(_) => self.maintenance = None,
            Command::Stop(node) | Command::Start(node) => {
                self.stopped.remove(&(group.clone(), node.clone()));
            }
            Command::Promote { .. }
            | Command::Demote
            | Command::Elect
            | Command::ConfirmDown(_)
            | Command::Fence { .. }
            | Command::Bootstrap { .. }
            | Command::Electors(_)
            | Command::Recover
            | Command::WriteAttribute { .. }
            | Command::ForceAttribute(_) => {}
        }
    }

    pub(super) fn answered(&mut self, group: &GroupName, command: &Command) {
        match command {
            Command::Maintenance(on) => self.maintenance = Some(*on),
            Command::Stop(node) => {
                self.stopped.insert((group.clone(), node.clone()), true);
            }
            Command::Start(node) => {
                self.stopped.insert((group.clone(), node.clone()), false);
            }
            Command::Promote { .. }
            | Command::Demote
            | Command::Elect
            | Command::ConfirmDown(_)
            | Command::Fence { .. }
            | Command::Bootstrap { .. }
            | Command::Electors(_)
            | Command::Recover
            | Command::WriteAttribute { .. }
            | Command::ForceAttribute(_) => {}
        }
    }

    pub(super) fn check(&self, machines: &[Machine], leader: usize) -> Option<String> {
        let record = machines[leader].core.as_ref()?.applied();
        if self.maintenance.is_some_and(|on| on != record.maintenance) {
            return Some(format!("maintenance was answered done and is {}", record.maintenance));
        }
        // Nodes are named by their ids here. An identity whose disk was wiped is nobody's any more.
        let present =
            |id: &String| machines.iter().find_map(|m| m.disk.id.filter(|own| own.to_string() == *id));
        for ((group, id), stop) in &self.stopped {
            let Some(id) = present(id) else { continue };
            let is = record.group(group).stopped.contains(&id);
            if is != *stop {
                return Some(format!("stopping {group} on {id} was answered done as {stop} and is {is}"));
            }
        }
        None
    }
}
