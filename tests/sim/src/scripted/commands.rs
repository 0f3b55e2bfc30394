//! What operators say.

use koi_core::io::{Answered, Command, CommandError, CommandId};

use super::Cluster;

impl Cluster {
    /// An operator's word to one node; its answer, once it has come.
    pub fn command(&mut self, m: usize, command: Command) -> Result<Answered, CommandError> {
        let id = self.ask(m, command);
        self.run_until(5000, "an answer to the command", |c| c.answers.contains_key(&id));
        self.answers[&id].clone()
    }

    /// The same, without waiting.
    pub fn ask(&mut self, m: usize, command: Command) -> CommandId {
        let id = self.world.command(m, command);
        self.settle();
        id
    }

    /// What was answered, if it was.
    pub fn answer(&self, id: CommandId) -> Option<&Result<Answered, CommandError>> {
        self.answers.get(&id)
    }

    /// An operator's word to the leader, which does it.
    pub fn order(&mut self, command: Command) -> Answered {
        let leader = self.leader().expect("someone leads");
        self.command(leader, command).expect("it is done")
    }

    /// An operator wants this node to be master.
    pub fn promote(&mut self, name: &str) -> Result<Answered, CommandError> {
        let leader = self.leader().expect("someone leads");
        self.command(leader, Command::Promote { node: name.to_owned(), dry_run: false })
    }
}
