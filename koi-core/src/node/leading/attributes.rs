//! Attributes on the leader (R16): whose writes it makes, when, and how it comes to have those that its voters' record names.

use crate::attributes::{
    AttributeChange, AttributeWrite, Attributes, AttributesWanted, GroupAttributes, WriteNumber,
    WriteRefusal, WriteRefused,
};
use crate::event::Event;
use crate::group::GroupName;
use crate::io::{Answered, CommandError, CommandId, Effect};
use crate::leader::leadership::Leadership;
use crate::leader::writes::{MasterWrite, OperatorWrite};
use crate::limits;
use crate::message::{ATTRIBUTES_RULE, Body, Recipient};
use crate::node::attributes::{comes_after, said};
use crate::node::handlers::{CommandHandler, LeadershipHandler};
use crate::node::leading::leader::{Changed, propose_with};
use crate::node::node_ref::NodeRef;
use crate::reason::{NotNowReason, StepDownReason};
use crate::record::Record;
use crate::types::{NodeId, Session};

impl CommandHandler<'_> {
    /// An operator writes an attribute, whoever is master. It is made as those of masters are, and answered when it counts.
    pub(crate) fn force(&mut self, id: CommandId, group: &GroupName, change: AttributeChange) {
        let refusal = self.node().may_force(group).err();
        let waiting = self.lead.as_ref().map_or(0, |lead| lead.waiting_commands());
        let full = (waiting >= limits::COMMANDS).then(|| NotNowReason::TooManyCommands.into());
        if let Some(refusal) = refusal.or(full) {
            return self.ctx.effect(Effect::Answer { id, result: Err(refusal) });
        }
        let what = format!("{}, by an operator", said(&change));
        self.ctx.event_of(group, Event::Commanded { what });
        if let Some(lead) = self.lead {
            lead.writes_mut().push(OperatorWrite { id, group: group.clone(), change });
        }
    }
}

impl LeadershipHandler<'_> {
    // --- the record of the voters, with its attributes ---

    /// R16: what the newest record of the voters names must be here before anything of this term counts. What is not is asked for.
    pub(crate) fn adopt(&mut self, record: Record) {
        let Some(lead) = self.lead else { return };
        lead.set_adopting(Some(record));
        if !self.adopt_when_whole() {
            self.ask_for_attributes();
        }
    }

    /// Whether nothing of it is missing, and it was proposed.
    pub(crate) fn adopt_when_whole(&mut self) -> bool {
        let Some(lead) = self.lead else { return false };
        let Some(record) =
            lead.adopting().filter(|record| self.copies.missing(self.durable, record).is_empty())
        else {
            return false;
        };
        let record = record.clone();
        lead.set_adopting(None);
        self.copies.bring(self.durable, &record);
        self.propose(record);
        true
    }

    /// Whoever has voted for the record has them, and perhaps others.
    pub(crate) fn ask_for_attributes(&mut self) {
        let Some(record) = self.lead.as_ref().and_then(|lead| lead.adopting()) else { return };
        let states = self.copies.missing(self.durable, record);
        for Recipient { node, session } in self.node().who_knows_attributes() {
            let body = Body::AttributesWanted(AttributesWanted { states: states.clone() });
            self.ctx.answer(node, session, body);
        }
    }

    /// R16: nobody has sent what the record of its voters names. Another may have it.
    pub(crate) fn give_up_adopting(&mut self) -> bool {
        let (now, patience) = (self.ctx.now, self.node().patience());
        let waits = |lead: &Leadership| lead.adopting().is_some() && now.since(lead.won()) > patience;
        let gives_up = self.lead.as_ref().is_some_and(waits);
        if gives_up {
            self.resign(StepDownReason::AttributesMissing);
        }
        gives_up
    }

    // --- writes ---

    /// A master wants to write. What is not refused at once waits until nothing else is to be decided.
    pub(crate) fn on_write(&mut self, from: NodeId, session: Session, write: AttributeWrite) {
        let AttributeWrite { group, number, change } = write;
        if !self.node().acting() {
            return;
        }
        let written = self.durable.record.group(&group).attributes.map(|which| which.written);
        if !comes_after(number, written) {
            return; // it was made; its writer learns that by the record
        }
        let write = MasterWrite { writer: (from, session), number, change };
        match self.node().may_write(&group, &write) {
            Ok(()) => {
                let Some(lead) = self.lead else { return };
                lead.writes_mut().note(group, write);
            }
            Err(why) => self.refuse_write(&write, why),
        }
    }

    fn refuse_write(&mut self, write: &MasterWrite, why: WriteRefusal) {
        let (node, session) = write.writer;
        self.ctx.answer(node, session, Body::WriteRefused(WriteRefused { number: write.number, why }));
    }

    /// Makes what waits to be written, all groups in one version of the record. Nothing else is to be decided, and the newest record counts: so one is
    /// uncounted at a time, and decisions come first.
    pub(crate) fn make_writes(&mut self) {
        let Some(lead) = self.lead.as_mut().filter(|lead| !lead.writes().is_empty()) else { return };
        if self.durable.record.needs < ATTRIBUTES_RULE && !mutant!(AttributesForgotten) {
            if self.node().all_electors_know(ATTRIBUTES_RULE) {
                let needs = ATTRIBUTES_RULE;
                return self.propose(Record { needs, ..self.durable.record.clone() });
            }
            return self.refuse_all();
        }
        let (by_masters, by_operators) = lead.writes_mut().take().into_parts();
        let mut changed = Changed::new();
        for (group, write) in by_masters {
            if let Err(why) = self.node().may_write(&group, &write) {
                self.refuse_write(&write, why);
            } else if let Ok(last) = self.change(&mut changed, &group, write.change.clone()) {
                *last = write.number;
            } else {
                self.refuse_write(&write, WriteRefusal::NoRoom);
            }
        }
        let mut answers = Vec::new();
        for OperatorWrite { id, group, change } in by_operators {
            let message = said(&change);
            match self.change(&mut changed, &group, change) {
                Ok(_) => answers.push((id, Answered { message, steps: Vec::new() })),
                Err(full) => self.ctx.effect(Effect::Answer { id, result: Err(full.into()) }),
            }
        }
        self.write(changed, answers);
    }

    /// Changes what a group's attributes are to say; the number of its last write.
    fn change<'c>(
        &self,
        changed: &'c mut Changed,
        group: &GroupName,
        change: AttributeChange,
    ) -> Result<&'c mut WriteNumber, NotNowReason> {
        let (mut attributes, number) =
            changed.get(group).cloned().unwrap_or_else(|| self.node().newest_attributes(group));
        attributes.change(change).map_err(|_| NotNowReason::TooManyAttributes)?;
        let entry = changed.entry(group.clone()).or_default();
        *entry = (attributes, number);
        Ok(&mut entry.1)
    }

    fn write(&mut self, changed: Changed, answers: Vec<(CommandId, Answered)>) {
        let Some(lead) = self.lead.as_mut().filter(|_| !changed.is_empty()) else { return };
        let groups: Vec<GroupName> = changed.keys().cloned().collect();
        propose_with(lead, self.durable, self.durable.record.clone(), changed, self.ctx.now);
        let version = self.durable.record.version;
        answers.into_iter().for_each(|(id, answered)| lead.await_commit(id, version, answered));
        for group in groups {
            let Some(copy) = self.durable.copy_named(&group) else { continue };
            for Recipient { node, session } in self.node().who_knows_attributes() {
                let told = GroupAttributes { group: group.clone(), copy: copy.clone() };
                self.ctx.answer(node, session, Body::Attributes(told));
            }
        }
    }

    /// Not every elector knows attributes: one that does not would lose them.
    fn refuse_all(&mut self) {
        let Some(lead) = self.lead else { return };
        let (by_masters, by_operators) = lead.writes_mut().take().into_parts();
        for write in by_masters.into_values() {
            self.refuse_write(&write, WriteRefusal::Unknown);
        }
        let nodes = self.node().lacking(ATTRIBUTES_RULE);
        for write in by_operators {
            let result = Err(NotNowReason::AttributesUnknown { nodes: nodes.clone() }.into());
            self.ctx.effect(Effect::Answer { id: write.id, result });
        }
    }
}

impl NodeRef<'_> {
    /// Runs of other nodes that know attributes and are there.
    fn who_knows_attributes(&self) -> Vec<Recipient> {
        let lately = self.lately() * 2;
        let knows = self
            .peers
            .iter()
            .filter(|(_, p)| p.info.rules >= ATTRIBUTES_RULE && p.is_around(lately, self.now));
        knows.map(|(node, p)| Recipient { node, session: p.session }).collect()
    }

    /// R16: only the run that the record names writes, under that mastership, and only until it has given it back. In an uncounted record a successor may be
    /// named already.
    fn may_write(&self, group: &GroupName, write: &MasterWrite) -> Result<(), WriteRefusal> {
        if self.settings.quorum == 0 {
            return Err(WriteRefusal::QuorumOff);
        }
        let (node, session) = write.writer;
        let entry = self.durable.record.group(group).master.as_ref();
        let is_master = |m: &crate::record::MasterEntry| {
            (m.node, m.session, m.epoch) == (node, session, write.number.epoch)
        };
        let seen = self.lead.as_ref().and_then(|lead| lead.runners().of_run(node, session));
        let released = seen.and_then(|seen| seen.summaries.get(group)).map(|summary| summary.released);
        let is_over = released.is_some_and(|released| released >= write.number.epoch);
        match entry.is_some_and(is_master) && !is_over || mutant!(OldEpochWrites) {
            true => Ok(()),
            false => Err(WriteRefusal::NotMaster),
        }
    }

    fn may_force(&self, group: &GroupName) -> Result<(), CommandError> {
        if !self.acting() {
            return Err(CommandError::NotLeader { leader: self.known_leader() });
        }
        if self.settings.quorum == 0 {
            return Err(NotNowReason::QuorumOff.into());
        }
        self.knows_group(group)
    }

    /// What a group's attributes say in the newest record, and the number of the last write.
    fn newest_attributes(&self, group: &GroupName) -> (Attributes, WriteNumber) {
        let Some(which) = self.durable.record.group(group).attributes else { return Default::default() };
        let attributes = self.durable.attributes_of(group, which).cloned().unwrap_or_default();
        (attributes, which.written)
    }
}
