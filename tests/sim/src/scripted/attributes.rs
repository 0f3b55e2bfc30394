//! What services and operators write (R16).

use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, CommandId};
use koi_core::types::Epoch;

use super::Cluster;
use crate::world::change;

impl Cluster {
    /// The epoch of the mastership of this group that counts.
    pub fn epoch_of(&self, group: &GroupName) -> Epoch {
        self.record().group(group).master.as_ref().expect("there is a master").epoch
    }

    /// A service of `main` on machine `m` writes an attribute under the mastership that counts; its answer, once it has come.
    pub fn write(&mut self, m: usize, key: &str, value: &str) -> Result<Answered, CommandError> {
        let id = self.begin_write(m, key, value);
        self.run_until(5000, "an answer to the write", |c| c.answers.contains_key(&id));
        self.answers[&id].clone()
    }

    /// The same, without waiting.
    pub fn begin_write(&mut self, m: usize, key: &str, value: &str) -> CommandId {
        self.begin_write_of(m, &GroupName::MAIN, key, value)
    }

    /// The same of another group.
    pub fn begin_write_of(&mut self, m: usize, group: &GroupName, key: &str, value: &str) -> CommandId {
        let epoch = self.epoch_of(group);
        self.write_under(m, group, epoch, key, value)
    }

    /// The same under any mastership.
    pub fn write_under(
        &mut self,
        m: usize,
        group: &GroupName,
        epoch: Epoch,
        key: &str,
        value: &str,
    ) -> CommandId {
        let id = self.world.write(m, group, epoch, change(key, Some(value)));
        self.settle();
        id
    }

    /// How many commands are not answered yet.
    pub fn open_commands(&self) -> usize {
        self.world.open_commands()
    }

    /// An operator writes an attribute of `main`.
    pub fn force(&mut self, key: &str, value: Option<&str>) -> Result<Answered, CommandError> {
        let leader = self.leader().expect("someone leads");
        self.command(leader, Command::ForceAttribute(change(key, value)))
    }

    /// What an attribute of `main` says on machine `m`.
    pub fn attribute(&self, m: usize, key: &str) -> Option<String> {
        self.attribute_of(m, &GroupName::MAIN, key)
    }

    /// What an attribute of a group says on machine `m`.
    pub fn attribute_of(&self, m: usize, group: &GroupName, key: &str) -> Option<String> {
        let core = self.machines[m].core.as_ref().expect("its daemon runs");
        let (_, all) = core.attributes(group)?;
        all.get(&key.parse().expect("it is a key")).map(|value| value.as_str().to_owned())
    }
}
