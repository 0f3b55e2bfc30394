//! A change that was answered "done" is never lost.

use std::collections::BTreeMap;

use koi_core::io::Command;

use crate::machine::Machine;

/// What the last word on each subject was, where it was answered "done". A command without an answer may or may not have taken
/// effect: its subject is open until the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    maintenance: Option<bool>,
    stopped: BTreeMap<String, bool>,
}

impl Promises {
    /// From when it is said until it is answered, nobody knows.
    pub(super) fn asked(&mut self, command: &Command) {
        match command {
            Command::Maintenance(_) => self.maintenance = None,
            Command::Stop(node) | Command::Start(node) => drop(self.stopped.remove(node)),
            Command::Promote { .. }
            | Command::Demote
            | Command::Elect
            | Command::ConfirmDown(_)
            | Command::Bootstrap { .. }
            | Command::Electors(_)
            | Command::Recover => {}
        }
    }

    pub(super) fn answered(&mut self, command: &Command) {
        match command {
            Command::Maintenance(on) => self.maintenance = Some(*on),
            Command::Stop(node) => drop(self.stopped.insert(node.clone(), true)),
            Command::Start(node) => drop(self.stopped.insert(node.clone(), false)),
            Command::Promote { .. }
            | Command::Demote
            | Command::Elect
            | Command::ConfirmDown(_)
            | Command::Bootstrap { .. }
            | Command::Electors(_)
            | Command::Recover => {}
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
        for (id, stop) in self.stopped.iter().filter_map(|(id, stop)| Some((present(id)?, *stop))) {
            let is = record.stopped.contains(&id);
            if is != stop {
                return Some(format!("stopping of {id} was answered done as {stop} and is {is}"));
            }
        }
        None
    }
}
