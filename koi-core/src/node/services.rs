//! This node's services: what they are told of the rest of the node, and what they mean for it (rules R5, R7 and R8).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::elector::durability::Deferred;
use crate::event::Event;
use crate::group::GroupName;
use crate::guard::Watch;
use crate::io::{HookEnd, RunId, ServiceSpec};
use crate::message::{RunnerSummary, Verdict};
use crate::node::handlers::ServiceHandler;
use crate::node::node_ref::NodeRef;
use crate::roster::RosterEntry;
use crate::supervision::service::Surroundings;
use crate::supervision::supervisor::ServiceSupervisor;
use crate::types::Time;

/// What the leader has answered to a report of this node.
#[derive(Clone, Debug)]
pub(crate) struct LeaderAnswer {
    /// When the report was sent: a lease counts from then (R5).
    pub(crate) sent: Time,
    /// What it says of each group.
    pub(crate) verdicts: Vec<(GroupName, Verdict)>,
}

impl ServiceHandler<'_> {
    pub(crate) fn hook_ended(&mut self, run: RunId, ended: HookEnd) {
        let Some(group) = self.runners.group_of(run) else { return };
        let around = self.node().node_context(&group);
        let Some(supervisor) = self.runners.get_mut(&group) else { return };
        let settings = self.ctx.settings;
        let effects = self.ctx.outbox.effects();
        effects.about(&group, |effects| supervisor.hook_ended(run, ended, settings, &around, effects));
    }

    /// A group's folder has these.
    pub(crate) fn found(&mut self, group: &GroupName, specs: Vec<ServiceSpec>) {
        let maintenance = self.durable.applied.maintenance;
        let adopts = maintenance && (self.identity.follows().is_some() || mutant!(CopyAdopts));
        let Some(supervisor) = self.runners.get_mut(group) else { return };
        let now = self.ctx.now;
        self.ctx.outbox.effects().about(group, |effects| supervisor.found(specs, adopts, now, effects));
    }

    pub(crate) fn answered(&mut self, answer: LeaderAnswer) {
        if !self.ctx.settings.runner {
            return;
        }
        let (grace, now) = (self.ctx.settings.demote_grace, self.ctx.now);
        let mut verdicts = answer.verdicts;
        if mutant!(LeaseOfAnyGroup) {
            let any = verdicts.iter().find_map(|(_, verdict)| verdict.lease);
            let names = self.runners.names().into_iter();
            verdicts.extend(names.map(|group| (group, Verdict { lease: any, ..Verdict::default() })));
        }
        for (group, Verdict { lease, release, ask }) in verdicts {
            let Some(supervisor) = self.runners.get_mut(&group) else { continue };
            if let Some(lease) = lease {
                let effects = self.ctx.outbox.effects();
                let new = effects
                    .about(&group, |effects| supervisor.leased(lease, answer.sent, grace, now, effects));
                if new {
                    // R8: the mark is on disk before the first promote hook begins.
                    self.durable.set_mark(&group, lease.epoch);
                    self.durable.defer(Deferred::Mark(group.clone(), lease.epoch));
                }
            }
            if let Some(epoch) = release {
                supervisor.request_demote(epoch);
            }
            if let Some(number) = ask {
                supervisor.ask(number, now);
            }
        }
    }

    /// Lets time, and what the rest of the node has come to, take effect on the services.
    pub(crate) fn advance(&mut self) {
        if !self.ctx.settings.runner {
            return;
        }
        self.runners.names().iter().for_each(|group| self.advance_group(group));
        let (id, applied) = (self.ctx.id, &self.durable.applied);
        let named = |group: &GroupName| applied.group(group).master.as_ref().is_some_and(|m| m.node == id);
        self.runners.forget_over(&self.ctx.settings.groups, named);
    }

    fn advance_group(&mut self, group: &GroupName) {
        let around = self.node().node_context(group);
        let record = self.durable.applied.group(group);
        let entry = record.master.as_ref();
        let address = entry.and_then(|m| self.node().master_address(group, m.node));
        let previous = record.previous.map(|p| (self.node().name_of(p.node), p.epoch));
        let hears = self.runners.get(group).is_some_and(|supervisor| supervisor.hear_changes());
        let others = if hears { self.node().roster(group) } else { None };
        let master = entry.map(|m| (m.node, m.epoch, address));
        let with = |others: Vec<RosterEntry>| (Surroundings::new(self.ctx.id, master, &others), others);
        let surroundings = others.map(with);
        let Some(supervisor) = self.runners.get_mut(group) else { return };
        supervisor.note_around(surroundings);
        supervisor.note_master(entry.map(|m| (m.name.as_str(), address)));
        supervisor.note_masterships(record.promoted, previous);
        let settings = self.ctx.settings;
        let effects = self.ctx.outbox.effects();
        let outcome = effects.about(group, |effects| supervisor.advance(settings, &around, effects));
        if outcome.clear_mark && supervisor.lease().is_none() {
            self.durable.clear_mark(group);
        }
        let around = self.node().node_context(group);
        let Some(supervisor) = self.runners.get(group) else { return };
        let state = supervisor.state(settings, &around);
        if let Some(from) = self.told.note_state(group, state) {
            self.ctx.event_of(group, Event::StateChanged { from, to: state });
        }
    }

    /// R11: whether something has changed that the leader is to hear at once.
    pub(crate) fn has_news(&mut self) -> bool {
        if !self.ctx.settings.runner || mutant!(ChangesUntold) {
            return false;
        }
        let mut summaries: Vec<(GroupName, RunnerSummary)> = self.node().each_summary().collect();
        // That time passes is no news.
        for (_, summary) in &mut summaries {
            if let Some(note) = &mut summary.failure {
                note.ago = Duration::ZERO;
            }
            if let Some(in_vain) = &mut summary.in_vain {
                in_vain.ago = Duration::ZERO;
            }
        }
        self.told.is_new(summaries)
    }
}

impl NodeRef<'_> {
    /// The services of each group in one line, for the leader.
    pub(crate) fn summaries(&self) -> BTreeMap<GroupName, RunnerSummary> {
        self.each_summary().collect()
    }

    fn each_summary(&self) -> impl Iterator<Item = (GroupName, RunnerSummary)> {
        let summary = |supervisor: &ServiceSupervisor, group| {
            supervisor.summary(self.settings, &self.node_context(group))
        };
        self.runners.iter().map(move |(group, supervisor)| (group.clone(), summary(supervisor, group)))
    }

    /// What a guardian is to watch, group by group. The group whose time comes first is the first that it acts for, and then it takes down all.
    pub(crate) fn watches(&self) -> BTreeMap<GroupName, Watch> {
        self.runners
            .iter()
            .map(|(group, supervisor)| (group.clone(), self.watch(group, supervisor)))
            .collect()
    }

    fn watch(&self, group: &GroupName, supervisor: &ServiceSupervisor) -> Watch {
        let around = self.node_context(group);
        if self.settings.runner && supervisor.is_in_maintenance(self.settings, &around) {
            return Watch::Frozen;
        }
        let Some(held) = supervisor.lease() else { return Watch::Nothing };
        let Some(by) = held.lost() else { return Watch::Lease { ends: held.ends(), epoch: held.epoch() } };
        // When the grace is over the daemon has done what it can, and is Failed.
        match !held.is_fenced() && supervisor.services().maybe_promoted() {
            true => Watch::Demoting { by, epoch: held.epoch() },
            false => Watch::Nothing,
        }
    }
}
