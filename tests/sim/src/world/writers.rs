//! Who writes attributes (R16): services while they are promoted, and once more when they do not know yet that they are not; and operators.

use koi_core::attributes::AttributeChange;
use koi_core::group::GroupName;
use koi_core::io::{Command, CommandId, HookRun, Input};
use koi_core::types::{Epoch, Hook};

use super::queue::Happening;
use super::{MS, World};
use crate::invariants::attributes::{MASTERS, OPERATORS};

impl World {
    /// A hook begins: what it promotes writes from then on.
    pub(super) fn begin_to_write(&mut self, machine: usize, run: &HookRun) {
        // An older koi has nothing to write with.
        if self.writers && run.hook == Hook::Promote && self.machines[machine].lacks.is_none() {
            self.write_later(machine, run.group.clone(), run.epoch);
        }
    }

    fn write_later(&mut self, machine: usize, group: GroupName, epoch: Epoch) {
        let life = self.machines[machine].life;
        let pause = self.rng.pick(&[5, 50, 600]);
        let delay = self.rng.between(MS, pause * MS);
        self.later(delay, Happening::Writes { machine, life, group, epoch });
    }

    pub(super) fn go_on_writing(&mut self, machine: usize, life: u64, group: GroupName, epoch: Epoch) {
        let m = &self.machines[machine];
        if m.life != life {
            return;
        }
        let goes_on = m.services.values().any(|s| s.promoted && s.group == group && s.epoch == epoch);
        let number = self.counter + 1;
        self.write(machine, &group, epoch, change(MASTERS, Some(&number.to_string())));
        if goes_on {
            self.write_later(machine, group, epoch);
        }
    }

    /// A service of a machine writes an attribute of its group, under this mastership.
    pub fn write(
        &mut self,
        machine: usize,
        group: &GroupName,
        epoch: Epoch,
        change: AttributeChange,
    ) -> CommandId {
        self.say_at_once(machine, group, Command::WriteAttribute { epoch, change })
    }

    /// An operator writes an attribute.
    pub fn force(&mut self, machine: usize, group: &GroupName) {
        if self.machines[machine].lacks.is_some() {
            return;
        }
        let number = self.counter + 1;
        let command = Command::ForceAttribute(change(OPERATORS, Some(&number.to_string())));
        self.tell(format!("m{machine}: an operator says {command:?} of group {group}"));
        self.say_at_once(machine, group, command);
    }

    /// How many commands are not answered yet.
    pub fn open_commands(&self) -> usize {
        self.commands.len()
    }

    fn say_at_once(&mut self, machine: usize, group: &GroupName, command: Command) -> CommandId {
        self.counter += 1;
        let id = CommandId(self.counter);
        self.invariants.writes(self.now, machine, group, &command);
        self.commands.insert(id, (group.clone(), command.clone()));
        self.input(machine, Input::Command { id, group: group.clone(), command });
        id
    }
}

/// An attribute that says this, or is removed.
pub fn change(key: &str, value: Option<&str>) -> AttributeChange {
    let value = value.map(|text| text.to_owned().try_into().expect("it is short enough"));
    AttributeChange { key: key.parse().expect("it is a key"), value }
}
