//! What operators say. A change is answered "done" when it counts (R4), and every refusal says what to do.

use crate::contact::peers::Peer;
use crate::event::Event;
use crate::group::GroupName;
use crate::io::{Answered, Command, CommandError, CommandId, Effect};
use crate::limits;
use crate::node::group_ref::GroupRef;
use crate::node::handlers::CommandHandler;
use crate::node::leading::propose;
use crate::node::node_ref::NodeRef;
use crate::reason::{NotNowReason, UnsafeReason};
use crate::record::{GroupRecord, MasterEntry, Record, StateOrigin};
use crate::types::{NodeId, NodeState};

pub(crate) type Change = Result<(Record, Answered), CommandError>;
type GroupChange = Result<(GroupRecord, Answered), CommandError>;

impl CommandHandler<'_> {
    /// `group`: the one that it is about, if it is about one.
    pub(crate) fn command(&mut self, id: CommandId, group: &GroupName, command: Command) {
        let result = match command {
            Command::Bootstrap { dry_run, electors } => self.bootstrap(dry_run, &electors),
            Command::Recover => self.recover(group),
            Command::WriteAttribute { epoch, change } => return self.write(id, group, epoch, change),
            Command::ForceAttribute(change) => return self.force(id, group, change),
            Command::Promote { node, dry_run: true } => self.node().group(group).rehearse(&node),
            Command::Fence { node, dry_run: true } => self.node().rehearse_fence(&node),
            Command::Promote { .. }
            | Command::Demote
            | Command::Elect
            | Command::Start(_)
            | Command::Stop(_)
            | Command::Maintenance(_)
            | Command::ConfirmDown(_)
            | Command::Fence { .. }
            | Command::Electors(_) => return self.change(id, group, command),
        };
        self.ctx.effect(Effect::Answer { id, result });
    }

    /// A change of the record: only the leader makes it, and answers when it counts.
    fn change(&mut self, id: CommandId, group: &GroupName, command: Command) {
        if !self.node().acting() {
            let leader = self.node().known_leader();
            return self.ctx.effect(Effect::Answer { id, result: Err(CommandError::NotLeader { leader }) });
        }
        if self.lead.as_ref().is_some_and(|l| l.waiting_commands() >= limits::COMMANDS) {
            let result = Err(NotNowReason::TooManyCommands.into());
            return self.ctx.effect(Effect::Answer { id, result });
        }
        let maintenance_off = command == Command::Maintenance(false);
        match self.node().changed(group, command) {
            Err(refusal) => self.ctx.effect(Effect::Answer { id, result: Err(refusal) }),
            Ok((mut record, answered)) => {
                self.number_fence(&mut record);
                self.ctx.event_of(group, Event::Commanded { what: answered.message.clone() });
                let Some(lead) = self.lead else { return };
                if record != self.durable.record {
                    propose(lead, self.durable, record, self.ctx.now);
                    if maintenance_off {
                        lead.placements_mut().maintenance_ended(self.durable.record.version);
                    }
                }
                let version = self.durable.record.version;
                if lead.committed() >= version {
                    return self.ctx.effect(Effect::Answer { id, result: Ok(answered) });
                }
                lead.await_commit(id, version, answered);
            }
        }
    }

    fn bootstrap(&mut self, dry_run: bool, agreed: &[String]) -> Result<Answered, CommandError> {
        if !self.ctx.settings.elector {
            return Err(NotNowReason::NoElector.into());
        }
        if self.durable.origin == StateOrigin::Member {
            return Err(NotNowReason::HasRecord.into());
        }
        if self.node().known_leader().is_some() {
            return Err(NotNowReason::LeaderThere.into());
        }
        let members = self.node().bootstrap_members()?;
        let names: Vec<String> = self.node().names_of(&members);
        if !agreed.is_empty() && agreed != names {
            return Err(NotNowReason::OtherElectors { electors: names }.into());
        }
        let message = format!("the cluster begins with these electors: {}", names.join(", "));
        if dry_run {
            return Ok(Answered { message, steps: names });
        }
        self.ctx.event(Event::NewCluster { electors: names.clone() });
        self.durable.found(members);
        Ok(Answered { message, steps: names })
    }

    fn recover(&mut self, group: &GroupName) -> Result<Answered, CommandError> {
        let node = self.ctx.settings.name.clone();
        if !self.ctx.settings.runner {
            return Err(NotNowReason::NothingToRecover { node }.into());
        }
        let Some(supervisor) = self.runners.get_mut(group) else {
            return Err(NotNowReason::NoSuchGroup { node, group: group.clone() }.into());
        };
        let failures = supervisor.fail_count();
        supervisor.recover_by_hand();
        let what = if failures == 1 { "1 failure is".to_owned() } else { format!("{failures} failures are") };
        let message = format!("{node} tries again; {what} forgotten");
        self.ctx.event_of(group, Event::Commanded { what: message.clone() });
        Ok(Answered { message, steps: Vec::new() })
    }
}

impl NodeRef<'_> {
    fn changed(&self, group: &GroupName, command: Command) -> Change {
        let mut next = self.durable.record.clone();
        let said = |message: String| Answered { message, steps: Vec::new() };
        match command {
            Command::Maintenance(on) => {
                next.maintenance = on;
                for master in next.masters_mut().filter(|_| on) {
                    master.in_maintenance = true; // R6
                }
                let word = if on { "on: no hook runs anywhere" } else { "off" };
                Ok((next, said(format!("maintenance mode is {word}"))))
            }
            Command::ConfirmDown(node) => self.confirm_down(&node),
            Command::Fence { node, .. } => self.fence_by_hand(&node),
            Command::Electors(change) => self.change_electors(&change),
            Command::Bootstrap { .. }
            | Command::Recover
            | Command::WriteAttribute { .. }
            | Command::ForceAttribute(_) => Ok((next, Answered::default())),
            Command::Promote { node, .. } => self.change_group(group, |of| of.promote(&node)),
            Command::Demote => self.change_group(group, |of| Ok(of.demote())),
            Command::Elect => self.change_group(group, |of| Ok(of.elect())),
            Command::Start(node) => self.change_group(group, |of| of.start(&node)),
            Command::Stop(node) => self.change_group(group, |of| of.stop(&node)),
        }
    }

    fn change_group(&self, group: &GroupName, change: impl FnOnce(GroupRef<'_>) -> GroupChange) -> Change {
        self.knows_group(group)?;
        let (changed, answered) = change(self.group(group))?;
        let mut next = self.durable.record.clone();
        *next.group_mut(group) = changed;
        Ok((next, answered))
    }

    /// Refuses what is said of a group that no node runs and of which the record says nothing.
    pub(crate) fn knows_group(&self, group: &GroupName) -> Result<(), CommandError> {
        let known = self.known_groups();
        if !known.contains(group) {
            let known = known.into_iter().collect();
            return Err(NotNowReason::UnknownGroup { group: group.clone(), known }.into());
        }
        if self.group(group).waits_for_upgrade() {
            return Err(NotNowReason::GroupsUnknown { nodes: self.know_no_groups() }.into());
        }
        Ok(())
    }

    /// R6: the operator attests that nothing is promoted there. Of a node that answers that is believed only where it says itself that it could
    /// not take everything of a group down.
    fn confirm_down(&self, node: &str) -> Change {
        let mut next = self.durable.record.clone();
        let node = self.resolve_dead(node)?;
        let master_of: Vec<(GroupName, MasterEntry)> =
            next.masters().filter(|(_, m)| m.node == node).map(|(g, m)| (g.clone(), m.clone())).collect();
        let name = master_of.first().map_or_else(|| self.name_of(node), |(_, m)| m.name.clone());
        let awaited = |(group, entry): &&(GroupName, MasterEntry)| {
            let of = self.group(group);
            // A later run of the master's node may be another machine: it knows nothing of the one that was master, unless it says so.
            let own = node == self.id && of.succeeds(self.session, entry);
            !(own || of.speaks_for(entry)) || of.reports_of(node).any(|seen| seen.summary.unclean)
        };
        let confirmed: Vec<&(GroupName, MasterEntry)> = master_of.iter().filter(awaited).collect();
        if confirmed.is_empty() {
            let lately = self.lately();
            let reports = || self.lead.iter().flat_map(|lead| lead.runners().of_node(node));
            let alive = node == self.id || reports().any(|seen| self.now.since(seen.at) <= lately);
            let unclean = reports().any(|seen| seen.summaries.values().any(|summary| summary.unclean));
            if !master_of.is_empty() || alive && !unclean {
                return Err(CommandError::Unsafe(UnsafeReason::NodeAnswers { node: name }));
            }
            let message = format!("{name} is not the master that the cluster waits for; nothing to confirm");
            return Ok((next, Answered { message, steps: Vec::new() }));
        }
        confirmed.into_iter().for_each(|(group, _)| next.group_mut(group).end_mastership());
        let message = format!("taken on your word: nothing is promoted on {name}");
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    /// The node that `koi confirm-down` means. A name is first of all that of the master which the cluster waits for, though its machine was
    /// replaced under the same name, or this leader never heard it.
    pub(crate) fn resolve_dead(&self, node: &str) -> Result<NodeId, CommandError> {
        let awaited = |(group, master): &(&GroupName, &MasterEntry)| {
            let called = master.name == node || master.node.to_string() == node;
            called && !self.group(group).speaks_for(master)
        };
        let found = self.durable.record.masters().find(awaited);
        found.map_or_else(|| self.resolve(node), |(_, master)| Ok(master.node))
    }

    /// The node with this name or UUID.
    pub(crate) fn resolve(&self, node: &str) -> Result<NodeId, CommandError> {
        if let Ok(id) = node.parse::<NodeId>()
            && (id == self.id || self.peers.get(id).is_some())
        {
            return Ok(id);
        }
        let named = |p: &Peer| p.info.name == node;
        let there = |p: &Peer| p.gone.is_none() && self.now.since(p.heard) <= self.lately();
        let bearers: Vec<NodeId> =
            self.peers.iter().filter(|(_, p)| named(p) && there(p)).map(|(id, _)| id).collect();
        let own = (node == self.settings.name).then_some(self.id);
        match (own, &bearers[..]) {
            (Some(id), []) => Ok(id),
            (None, [id]) => Ok(*id),
            (None, []) => {
                let last = self.peers.iter().filter(|(_, p)| named(p)).max_by_key(|(_, p)| p.heard);
                last.map(|(id, _)| id).ok_or_else(|| CommandError::UnknownNode(node.to_owned()))
            }
            _ => Err(self.ambiguous(node, &own.into_iter().chain(bearers).collect::<Vec<_>>())),
        }
    }
}

impl GroupRef<'_> {
    /// What the record says of the group.
    fn record(&self) -> GroupRecord {
        self.of(&self.durable.record).clone()
    }

    fn demote(&self) -> (GroupRecord, Answered) {
        let next = GroupRecord { manual: true, target: None, ..self.record() };
        let message = match &next.master {
            Some(m) => format!("{} is being demoted; no master is chosen until told otherwise", m.name),
            None => "no master is chosen until told otherwise".to_owned(),
        };
        (next, Answered { message, steps: Vec::new() })
    }

    fn elect(&self) -> (GroupRecord, Answered) {
        let mut next = GroupRecord { manual: false, target: None, ..self.record() };
        // R15: what an operator has asked for by `koi promote` may move again.
        next.master.iter_mut().for_each(|master| master.by_hand = false);
        (next, Answered { message: "masters are chosen again".to_owned(), steps: Vec::new() })
    }

    fn start(&self, node: &str) -> GroupChange {
        let node = self.resolve(node)?;
        let mut next = self.record();
        // Nor is a stop of what it was before its disk was lost carried over to it any more.
        next.stopped.retain(|id| *id != node && !self.was_before(*id, node));
        let message = format!("services may run on {}", self.name_of(node));
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    fn promote(&self, node: &str) -> GroupChange {
        let node = self.resolve(node)?;
        let name = self.name_of(node);
        let mut next = self.record();
        self.promotable(node, &next)?;
        next.manual = false;
        let pins = self.speaks_of_failback();
        if let Some(master) = next.master.as_mut().filter(|m| m.node == node) {
            next.target = None;
            master.by_hand |= pins;
            return Ok((next, Answered { message: format!("{name} is master already"), steps: Vec::new() }));
        }
        // R15: what goes together with another is chosen where that one's master is.
        next.target = self.partner().is_none().then_some(node);
        let message = match &next.master {
            Some(master) => format!("{name} is to be master; {} is demoted first", master.name),
            None => format!("{name} is to be master"),
        };
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    /// Refuses what could not be carried out, so that no master is demoted in vain.
    fn promotable(&self, node: NodeId, record: &GroupRecord) -> Result<(), CommandError> {
        let name = self.name_of(node);
        if self.durable.record.maintenance {
            return Err(NotNowReason::Maintenance.into());
        }
        let runner =
            node == self.id && self.settings.runner || self.peers.get(node).is_some_and(|p| p.info.runner);
        if !runner {
            return Err(NotNowReason::NoRunner { node: name }.into());
        }
        let Some(seen) = self.recent_report(node) else {
            let refusal = match self.seen_lately(node) {
                Some(_) => NotNowReason::NoSuchGroup { node: name, group: self.group.clone() },
                None => NotNowReason::NotThere { node: name },
            };
            return Err(refusal.into());
        };
        if record.stopped.contains(&node) {
            return Err(NotNowReason::StoppedByHand { node: name }.into());
        }
        if self.is_never(node) {
            return Err(NotNowReason::NeverHere { node: name }.into());
        }
        if let Some(with) = self.partner() {
            let place = self.entry_of(with);
            if place != Some(node) {
                let (group, with) = (self.group.clone(), with.clone());
                return Err(NotNowReason::GoesTogether { group, with, node: name }.into());
            }
        }
        match seen.summary.state {
            NodeState::Failed => {
                let reason = seen.summary.reason.clone();
                Err(NotNowReason::Failed { node: name, reason }.into())
            }
            NodeState::Stopped => Err(NotNowReason::Stopping { node: name }.into()),
            NodeState::Disconnected
            | NodeState::Live
            | NodeState::Standby
            | NodeState::Master
            | NodeState::Elector => Ok(()),
        }
    }

    fn stop(&self, node: &str) -> GroupChange {
        let node = self.resolve(node)?;
        let name = self.name_of(node);
        let mut next = self.record();
        if next.stopped.len() >= limits::STOPPED && !next.stopped.contains(&node) {
            return Err(NotNowReason::TooManyStopped.into());
        }
        next.stopped.insert(node);
        if next.target == Some(node) {
            next.target = None;
        }
        let message = format!("services on {name} are being stopped, until `koi start {name}`");
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    /// `koi promote --dry-run`.
    fn rehearse(&self, node: &str) -> Result<Answered, CommandError> {
        if !self.acting() {
            return Err(CommandError::NotLeader { leader: self.known_leader() });
        }
        self.knows_group(self.group)?;
        let id = self.resolve(node)?;
        let (next, answered) = self.promote(node)?;
        let name = self.name_of(id);
        let mut steps = Vec::new();
        if self.of(&self.durable.record).manual {
            steps.push("manual mode ends".to_owned());
        }
        if next.target == Some(id) {
            steps.push(format!("{name} becomes the target, on the disks of a quorum of electors"));
            if !self.is_candidate(id, &next) {
                steps.push(format!("wait until {name} is promotable; until then things stay as they are"));
            }
            if let Some(master) = &next.master {
                let followers = self.followers_on(master.node).into_iter();
                steps.extend(followers.map(|group| {
                    format!("group {group} goes along: it is demoted before, and promoted after")
                }));
                steps.push(format!("{} demotes its services, highest priority number first", master.name));
                steps.push(format!("{} says that nothing is promoted there any more", master.name));
            }
            let epoch = self
                .durable
                .record
                .last_epoch
                .next_in(self.lead.as_ref().map(|l| l.term()).unwrap_or_default());
            steps.push(format!(
                "{name} becomes master with epoch {}, on the disks of a quorum of electors",
                epoch.0
            ));
            steps.push(format!("{name} promotes its services, lowest priority number first"));
        }
        Ok(Answered { message: answered.message, steps })
    }
}
