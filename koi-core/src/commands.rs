//! What operators say. A change is answered "done" when it counts (R4), and every refusal says what to do.

use crate::event::Event;
use crate::io::{Answered, Command, CommandId, Effect, Refusal};
use crate::limits;
use crate::node::Node;
use crate::record::{Record, Standing};
use crate::types::{NodeId, NodeState, Time};

type Change = Result<(Record, Answered), Refusal>;

impl Node {
    pub(crate) fn command(&mut self, id: CommandId, command: Command, now: Time) {
        let result = match command {
            Command::Bootstrap => self.bootstrap(now),
            Command::Recover => self.recover(),
            Command::Promote { node, dry_run: true } => self.rehearse(&node, now),
            Command::Promote { .. }
            | Command::Demote
            | Command::Elect
            | Command::Start(_)
            | Command::Stop(_)
            | Command::Maintenance(_)
            | Command::ConfirmDown(_) => return self.change(id, command, now),
        };
        self.effect(Effect::Answer { id, result });
    }

    /// A change of the record: only the leader makes it, and answers when it counts.
    fn change(&mut self, id: CommandId, command: Command, now: Time) {
        if !self.acting(now) {
            let leader = self.known_leader(now);
            return self.effect(Effect::Answer { id, result: Err(Refusal::NotLeader { leader }) });
        }
        if self.lead.as_ref().is_some_and(|l| l.commands.len() >= limits::COMMANDS) {
            let message = "too many commands are waiting for a quorum of electors".to_owned();
            let hint = "try again in a moment".to_owned();
            return self.effect(Effect::Answer { id, result: Err(Refusal::NotNow { message, hint }) });
        }
        let maintenance_off = command == Command::Maintenance(false);
        match self.changed(command, now) {
            Err(refusal) => self.effect(Effect::Answer { id, result: Err(refusal) }),
            Ok((record, answered)) => {
                self.event(Event::Commanded { what: answered.message.clone() });
                if record != self.durable.record {
                    self.propose(record, now);
                    let version = self.durable.record.version;
                    if let Some(lead) = self.lead.as_mut().filter(|_| maintenance_off) {
                        lead.act_since = version;
                    }
                }
                self.answer_when_counted(id, answered);
            }
        }
    }

    fn changed(&self, command: Command, now: Time) -> Change {
        let mut next = self.durable.record.clone();
        let said = |message: String| Answered { message, steps: Vec::new() };
        match command {
            Command::Promote { node, .. } => self.promote(&node, now),
            Command::Demote => {
                next.manual = true;
                next.target = None;
                let what = match &next.master {
                    Some(m) => {
                        format!("{} is being demoted; no master is chosen until told otherwise", m.name)
                    }
                    None => "no master is chosen until told otherwise".to_owned(),
                };
                Ok((next, said(what)))
            }
            Command::Elect => {
                next.manual = false;
                next.target = None;
                Ok((next, said("masters are chosen again".to_owned())))
            }
            Command::Start(node) => {
                let node = self.resolve(&node)?;
                next.stopped.remove(&node);
                Ok((next, said(format!("services may run on {}", self.name_of(node)))))
            }
            Command::Stop(node) => self.stop(&node),
            Command::Maintenance(on) => {
                next.maintenance = on;
                if let Some(master) = next.master.as_mut().filter(|_| on) {
                    master.in_maintenance = true; // R6
                }
                let word = if on { "on: no hook runs anywhere" } else { "off" };
                Ok((next, said(format!("maintenance mode is {word}"))))
            }
            Command::ConfirmDown(node) => self.confirm_down(&node, now),
            Command::Bootstrap | Command::Recover => Ok((next, Answered::default())),
        }
    }

    fn promote(&self, node: &str, now: Time) -> Change {
        let node = self.resolve(node)?;
        let name = self.name_of(node);
        let mut next = self.durable.record.clone();
        self.promotable(node, &next, now)?;
        next.manual = false;
        if next.master.as_ref().is_some_and(|m| m.node == node) {
            next.target = None;
            return Ok((next, Answered { message: format!("{name} is master already"), steps: Vec::new() }));
        }
        next.target = Some(node);
        let message = match &next.master {
            Some(master) => format!("{name} is to be master; {} is demoted first", master.name),
            None => format!("{name} is to be master"),
        };
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    /// Refuses what could not be carried out, so that no master is demoted in vain.
    fn promotable(&self, node: NodeId, record: &Record, now: Time) -> Result<(), Refusal> {
        let name = self.name_of(node);
        let not_now = |message: String, hint: String| Err(Refusal::NotNow { message, hint });
        if record.maintenance {
            let hint = "koi maintenance off".to_owned();
            return not_now("maintenance mode is on: nothing is promoted or demoted".to_owned(), hint);
        }
        let runner =
            node == self.id && self.settings.runner || self.peers.get(node).is_some_and(|p| p.card.runner);
        if !runner {
            return not_now(
                format!("{name} runs no services"),
                "promote a runner; koi status lists them".to_owned(),
            );
        }
        let Some(seen) = self.seen_lately(node, now) else {
            return not_now(
                format!("{name} is not there"),
                format!("start koid on {name}, or promote another"),
            );
        };
        if record.stopped.contains(&node) {
            return not_now(format!("{name} was stopped by hand"), format!("koi start {name}"));
        }
        match seen.summary.state {
            NodeState::Failed => not_now(
                format!("{name} has failed: {}", seen.summary.reason),
                format!("mend it, then: koi recover {name}"),
            ),
            NodeState::Stopped => not_now(format!("{name} is stopping"), "promote another".to_owned()),
            NodeState::Disconnected
            | NodeState::Live
            | NodeState::Standby
            | NodeState::Master
            | NodeState::Elector => Ok(()),
        }
    }

    fn stop(&self, node: &str) -> Change {
        let node = self.resolve(node)?;
        let name = self.name_of(node);
        let mut next = self.durable.record.clone();
        if next.stopped.len() >= limits::NODES && !next.stopped.contains(&node) {
            let message = "too many nodes are stopped by hand".to_owned();
            return Err(Refusal::NotNow { message, hint: "koi start those that are to run".to_owned() });
        }
        next.stopped.insert(node);
        if next.target == Some(node) {
            next.target = None;
        }
        let message = format!("services on {name} are being stopped, until `koi start {name}`");
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    /// R6: the operator attests that nothing is promoted there.
    fn confirm_down(&self, node: &str, now: Time) -> Change {
        let mut next = self.durable.record.clone();
        let node = match self.resolve(node) {
            Ok(node) => node,
            // A master that this leader never heard is known by the record alone.
            Err(unknown) => {
                match next.master.as_ref().filter(|m| m.name == node || m.node.to_string() == node) {
                    Some(master) => master.node,
                    None => return Err(unknown),
                }
            }
        };
        let name = next
            .master
            .as_ref()
            .filter(|m| m.node == node)
            .map_or_else(|| self.name_of(node), |m| m.name.clone());
        let alive = node == self.id || self.seen_lately(node, now).is_some();
        let unclean =
            self.lead.as_ref().and_then(|l| l.runners.get(&node)).is_some_and(|s| s.summary.unclean);
        if alive && !unclean {
            return Err(Refusal::Unsafe {
                message: format!("{name} is alive and answers: its own word counts"),
                hint: format!("koi stop {name} takes its services down"),
            });
        }
        if next.master.as_ref().is_none_or(|m| m.node != node) {
            let message = format!("{name} is not the master that the cluster waits for; nothing to confirm");
            return Ok((next, Answered { message, steps: Vec::new() }));
        }
        next.master = None;
        let message = format!("taken on your word: nothing is promoted on {name}");
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    /// `koi promote --dry-run`.
    fn rehearse(&self, node: &str, now: Time) -> Result<Answered, Refusal> {
        if !self.acting(now) {
            return Err(Refusal::NotLeader { leader: self.known_leader(now) });
        }
        let id = self.resolve(node)?;
        let (next, answered) = self.promote(node, now)?;
        let name = self.name_of(id);
        let mut steps = Vec::new();
        if self.durable.record.manual {
            steps.push("manual mode ends".to_owned());
        }
        if next.target == Some(id) {
            steps.push(format!("{name} becomes the target, on the disks of a quorum of electors"));
            if !self.is_candidate(id, &next, now) {
                steps.push(format!("wait until {name} is promotable; until then things stay as they are"));
            }
            if let Some(master) = &next.master {
                steps.push(format!("{} demotes its services, highest priority number first", master.name));
                steps.push(format!("{} says that nothing is promoted there any more", master.name));
            }
            let epoch = next.last_epoch.next_in(self.lead.as_ref().map(|l| l.term).unwrap_or_default());
            steps.push(format!(
                "{name} becomes master with epoch {}, on the disks of a quorum of electors",
                epoch.0
            ));
            steps.push(format!("{name} promotes its services, lowest priority number first"));
        }
        Ok(Answered { message: answered.message, steps })
    }

    fn bootstrap(&mut self, now: Time) -> Result<Answered, Refusal> {
        let not_now = |message: &str, hint: &str| {
            Err(Refusal::NotNow { message: message.to_owned(), hint: hint.to_owned() })
        };
        if !self.settings.elector {
            return not_now("this node is no elector", "say it on an elector");
        }
        if self.durable.standing != Standing::Empty {
            return not_now("this elector has a state already: there is nothing to begin", "");
        }
        if self.known_leader(now).is_some() {
            return not_now(
                "a leader is there and gives this elector its state",
                "wait a moment; koi status",
            );
        }
        self.event(Event::NewCluster);
        self.found_cluster();
        Ok(Answered {
            message: "this elector begins a cluster with an empty record".to_owned(),
            steps: Vec::new(),
        })
    }

    fn recover(&mut self) -> Result<Answered, Refusal> {
        if !self.settings.runner {
            let message = format!("{} runs no services", self.settings.name);
            return Err(Refusal::NotNow { message, hint: String::new() });
        }
        let failures = self.runner.fail_count();
        self.runner.recover_by_hand();
        let what = if failures == 1 { "1 failure is".to_owned() } else { format!("{failures} failures are") };
        let message = format!("{} tries again; {what} forgotten", self.settings.name);
        self.event(Event::Commanded { what: message.clone() });
        Ok(Answered { message, steps: Vec::new() })
    }

    /// The node with this name or UUID.
    pub(crate) fn resolve(&self, node: &str) -> Result<NodeId, Refusal> {
        if let Ok(id) = node.parse::<NodeId>()
            && (id == self.id || self.peers.get(id).is_some())
        {
            return Ok(id);
        }
        if node == self.settings.name {
            return Ok(self.id);
        }
        let mut named: Vec<(Time, NodeId)> =
            self.peers.iter().filter(|(_, p)| p.card.name == node).map(|(id, p)| (p.heard, id)).collect();
        named.sort_unstable();
        named.last().map(|(_, id)| *id).ok_or_else(|| Refusal::UnknownNode(node.to_owned()))
    }
}
