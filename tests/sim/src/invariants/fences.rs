//! R12: a fence counts on a quorum of disks before it begins; it strikes nobody that is heard and well, and one at a time; its success frees
//! what it meant, in the term in which it began, and nobody else.

use std::collections::{BTreeMap, BTreeSet};

use koi_core::event::{Event, FencedMastership};
use koi_core::fence::{FenceId, FenceIntent, FenceRun};
use koi_core::io::HookRun;
use koi_core::reason::StepDownReason;
use koi_core::record::Durable;
use koi_core::types::{Epoch, Hook, NodeId, NodeState, Session, Term};
use koi_core::view::View;

use crate::machine::Machine;
use crate::world::MS;

/// In so long another leader is elected.
const ELECTED: u64 = 5000 * MS;

/// Which fences there were, and who knew of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Fences {
    /// Every intent that was on a disk, and whose.
    noted: BTreeMap<FenceId, (FenceIntent, BTreeSet<NodeId>)>,
    /// The devices that are at work and were not told to end.
    live: BTreeMap<FenceId, Live>,
    /// In which term a machine leads.
    leads: BTreeMap<usize, Term>,
    /// The newest run of a node that a machine was told of by that run itself.
    heard: BTreeMap<(usize, NodeId), Session>,
    /// The last fence of which a machine heard that its node is off.
    off: BTreeMap<usize, FenceId>,
    /// When a leader last laid its leadership down because it was to be fenced itself.
    resigned: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    by: Option<usize>,
    target: usize,
    /// The newest epoch that had been given when it began.
    newest: Epoch,
}

impl Fences {
    /// A state is on a disk.
    pub(super) fn synced(&mut self, node: Option<NodeId>, durable: &Durable) {
        if let (Some(node), Some(intent)) = (node, &durable.record.fence) {
            let noted = self.noted.entry(intent.id()).or_insert_with(|| (intent.clone(), BTreeSet::new()));
            noted.1.insert(node);
        }
    }

    /// A run of a node has answered this machine's own run.
    pub(super) fn heard(&mut self, machine: usize, node: NodeId, session: Session) {
        let newest = self.heard.entry((machine, node)).or_insert(session);
        *newest = session.max(*newest);
    }

    /// The machine starts a daemon: that one has heard nobody.
    pub(super) fn booted(&mut self, machine: usize) {
        self.heard.retain(|(by, _), _| *by != machine);
        self.leads.remove(&machine);
        self.off.remove(&machine);
        // What its dead daemon began goes on, and is nobody's.
        self.live.values_mut().filter(|live| live.by == Some(machine)).for_each(|live| live.by = None);
    }

    pub(super) fn began(
        &mut self,
        now: u64,
        by: usize,
        run: &FenceRun,
        view: &View,
        target: usize,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let members = &view.record.members;
        let has = |set: &BTreeSet<NodeId>| set.intersection(members).count();
        let copies = self.noted.get(&run.id).map_or(0, |(_, on)| has(on));
        if !members.is_empty() && copies < members.len() / 2 + 1 {
            wrong.push(format!("m{by} fences {} at {now} µs, which is on {copies} disks", run.name));
        }
        let well = |node: &koi_core::view::NodeView| {
            node.name == run.name && node.state != NodeState::Disconnected && !node.unclean
        };
        if view.nodes.iter().any(well) {
            wrong.push(format!("m{by} fences {} at {now} µs, which it hears", run.name));
        }
        if let Some((_, other)) = self.live.iter().find(|(_, live)| live.target == target) {
            wrong.push(format!("m{by} fences {} at {now} µs, beside {:?}", run.name, other.by));
        }
        self.live.insert(run.id, Live { by: Some(by), target, newest: view.record.last_epoch });
        wrong
    }

    /// It is over, or was told to end.
    pub(super) fn over(&mut self, id: FenceId) {
        self.live.remove(&id);
    }

    pub(super) fn says_off(&mut self, by: usize, id: FenceId) {
        self.off.insert(by, id);
    }

    /// Nobody is newly made master while it is being turned off.
    pub(super) fn hook_began(&self, now: u64, machine: usize, run: &HookRun) -> Option<String> {
        let named = |live: &&Live| live.target == machine && run.epoch > live.newest;
        let live = self.live.values().find(named).filter(|_| run.hook == Hook::Promote)?;
        Some(format!("m{machine} was made master while {:?} fences it, at {now} µs", live.by))
    }

    pub(super) fn told(
        &mut self,
        now: u64,
        by: usize,
        event: &Event,
        machines: &[Machine],
    ) -> Option<String> {
        match event {
            Event::LeadershipEnded { reason, .. } => {
                if *reason == StepDownReason::ToBeFenced {
                    self.resigned = Some(now);
                }
                self.leads.remove(&by);
                self.outlived(now, by)
            }
            Event::LeadershipGained { term, .. } => {
                self.leads.insert(by, *term);
                self.outlived(now, by)
            }
            Event::FenceDone { node, masterships } => self.done(now, by, node, masterships, machines),
            _ => None,
        }
    }

    pub(super) fn resigned_lately(&self, now: u64) -> bool {
        self.resigned.is_some_and(|at| now - at < ELECTED)
    }

    fn outlived(&self, now: u64, by: usize) -> Option<String> {
        let live = self.live.values().any(|live| live.by == Some(by));
        live.then(|| format!("m{by} leads no more in that term, and its fence goes on at {now} µs"))
    }

    /// Nobody is freed by another's fence.
    fn done(
        &self,
        now: u64,
        by: usize,
        name: &str,
        freed: &[FencedMastership],
        machines: &[Machine],
    ) -> Option<String> {
        let id = self.off.get(&by)?;
        let (intent, _) = self.noted.get(id)?;
        if self.leads.get(&by) != Some(&id.term) {
            return Some(format!("a fence of term {} counts on m{by} at {now} µs", id.term.0));
        }
        if self.heard.get(&(by, intent.node)).is_some_and(|newest| *newest > intent.session) {
            return Some(format!("a fence of {name} counts on m{by} at {now} µs for another run of it"));
        }
        if let Some(other) = freed.iter().find(|m| !intent.epochs.contains(&m.epoch)) {
            return Some(format!("a fence of {name} frees epoch {} at {now} µs", other.epoch.0));
        }
        let up = |m: &FencedMastership| {
            let is = |machine: &Machine| {
                let mut services = machine.services.values().filter(|s| s.group == m.group);
                services.any(|s| s.promoted && s.epoch == m.epoch)
            };
            machines.iter().any(is)
        };
        let up = freed.iter().find(|m| up(m))?;
        Some(format!("epoch {} of {name} is free at {now} µs, and is still promoted", up.epoch.0))
    }
}
