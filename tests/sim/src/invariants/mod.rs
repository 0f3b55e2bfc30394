//! What must hold at every instant. One invariant, one file.

use koi_core::event::Event;
use koi_core::fence::{FenceId, FenceRun};
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, HookEnd, HookRun, ServiceSpec};
use koi_core::record::Durable;
use koi_core::types::{Hook, NodeId, Session, Term};
use koi_core::view::View;

use crate::machine::Machine;

mod asked;
pub mod attributes;
mod backlog;
mod changes;
mod epochs;
mod fences;
pub mod healing;
pub mod leaders;
mod maintenance;
mod once;
mod pace;
mod places;
mod promises;
mod promoted_epochs;
mod restarts;
mod rosters;
mod terms;
mod tolerance;
mod turns;

/// All of them, and what each remembers.
#[derive(Clone, Debug, Default)]
pub struct Invariants {
    asked: asked::Asked,
    attributes: attributes::Attributes,
    epochs: epochs::Epochs,
    fences: fences::Fences,
    promises: promises::Promises,
    promoted_epochs: promoted_epochs::PromotedEpochs,
    pace: pace::Pace,
    places: places::Places,
    terms: terms::Terms,
    restarts: restarts::Restarts,
    tolerance: tolerance::Tolerance,
    /// What was violated, in order.
    pub violations: Vec<String>,
}

impl Invariants {
    pub(crate) fn hook_began(&mut self, now: u64, machine: usize, run: &HookRun, machines: &[Machine]) {
        self.violations.extend(once::check(now, machine, run, machines));
        self.violations.extend(self.epochs.check(now, machine, run));
        self.violations.extend(self.fences.hook_began(now, machine, run));
        let life = machines[machine].life;
        self.violations.extend(self.promoted_epochs.check(now, machine, life, run));
        self.violations.extend(self.asked.check(now, machine, life, run));
        self.violations.extend(self.attributes.hook_began(now, &machines[machine], run));
        self.violations.extend(self.pace.check(now, machine, run));
        self.violations.extend(self.places.check(now, machine, run, machines));
        self.violations.extend(maintenance::check(now, &machines[machine], run));
        self.violations.extend(turns::check(now, &machines[machine], run));
    }

    pub(crate) fn hook_ended(&mut self, machine: usize, life: u64, run: &HookRun, end: &HookEnd) {
        self.promoted_epochs.hook_ended(run, end);
        self.asked.hook_ended(machine, life, run, end);
    }

    pub(crate) fn elected(&mut self, now: u64, machine: usize, life: u64, term: Term) {
        self.violations.extend(self.terms.check(now, machine, life, term));
    }

    /// `specs`: the services of the group that the event is about.
    pub(crate) fn told(
        &mut self,
        now: u64,
        machine: usize,
        group: &GroupName,
        event: &Event,
        specs: &[ServiceSpec],
        machines: &[Machine],
    ) {
        self.attributes.told(now, machine, group, event);
        self.violations.extend(self.places.told(now, machine, group, event, machines));
        self.violations.extend(self.fences.told(now, machine, event, machines));
        self.violations.extend(self.tolerance.check(now, machine, event, specs));
        self.violations.extend(self.restarts.check(now, (machine, group), event, specs));
    }

    /// A state has reached the disk of a node.
    pub(crate) fn synced(&mut self, node: Option<NodeId>, durable: &Durable) {
        self.fences.synced(node, durable);
    }

    /// A run of a node has answered the run of a machine.
    pub(crate) fn heard(&mut self, machine: usize, node: NodeId, session: Session) {
        self.fences.heard(machine, node, session);
    }

    pub(crate) fn fence_began(&mut self, now: u64, by: usize, run: &FenceRun, view: &View, target: usize) {
        let wrong = self.fences.began(now, by, run, view, target);
        self.violations.extend(wrong);
    }

    /// A leader that was to be fenced has laid its leadership down of late.
    pub fn has_resigned_to_be_fenced(&self, now: u64) -> bool {
        self.fences.resigned_lately(now)
    }

    /// A fence was told to end.
    pub(crate) fn fence_ends(&mut self, id: FenceId) {
        self.fences.over(id);
    }

    /// Nothing of a fence is at work any more.
    pub(crate) fn fence_over(&mut self, id: FenceId) {
        self.fences.over(id);
    }

    /// A daemon is about to hear that the node is off.
    pub(crate) fn fence_says_off(&mut self, by: usize, id: FenceId) {
        self.fences.says_off(by, id);
    }

    pub(crate) fn booted(&mut self, machine: usize) {
        self.fences.booted(machine);
        self.tolerance.booted(machine);
        self.places.booted(machine);
        self.restarts.booted(machine);
    }

    pub(crate) fn asked(&mut self, group: &GroupName, command: &Command) {
        self.promises.asked(group, command);
        if *command == Command::Recover {
            self.restarts.forgiven();
        }
    }

    pub(crate) fn writes(&mut self, now: u64, machine: usize, group: &GroupName, command: &Command) {
        self.attributes.asked(now, machine, group, command);
    }

    pub(crate) fn answered(
        &mut self,
        now: u64,
        group: &GroupName,
        command: &Command,
        result: &Result<Answered, CommandError>,
    ) {
        self.violations.extend(self.attributes.answered(now, group, command, result));
        if let Ok(answered) = result {
            self.promises.answered(group, command);
            self.places.answered(group, command, answered);
        }
    }

    /// Every koi of this world knows where masters are wanted (R15).
    pub fn watch_places(&mut self, watched: bool) {
        self.places.watched = watched;
    }

    /// Starts of the service that was started most often, and masterships, since [`Invariants::restart_pace`].
    pub fn pace(&self) -> (usize, usize) {
        (self.pace.most(Hook::Start), self.pace.masterships())
    }

    /// Counts anew.
    pub fn restart_pace(&mut self) {
        self.pace.restart();
    }

    /// Nothing grows without bounds.
    pub fn check_backlog(&mut self, machines: &[Machine]) {
        self.violations.extend(backlog::check(machines));
    }

    /// At the end, when the cluster has healed: what was answered "done" is so.
    pub fn check_promises(&mut self, machines: &[Machine], leader: usize) {
        self.violations.extend(self.promises.check(machines, leader));
        self.violations.extend(self.attributes.check(&machines[leader]));
    }
}
