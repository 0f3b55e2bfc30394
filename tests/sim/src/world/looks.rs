//! How the world is, seen from outside or by its leader.

use std::collections::{BTreeMap, BTreeSet};

use koi_core::concern::Concern;
use koi_core::group::GroupName;
use koi_core::io::RunId;
use koi_core::types::{Hook, NodeState};
use koi_core::view::View;

use super::World;
use crate::machine::Machine;

impl World {
    /// The machine whose core acts as leader now.
    pub fn leader(&self) -> Option<usize> {
        self.machines.iter().position(|m| {
            m.core.as_ref().is_some_and(|c| m.paused_until <= self.now && c.acting(m.clock.at(self.now)))
        })
    }

    /// What a node says of the cluster; none: its daemon does not run.
    pub fn view(&self, machine: usize) -> Option<View> {
        let m = &self.machines[machine];
        Some(m.core.as_ref()?.view(m.clock.at(self.now)))
    }

    /// The machines on which something of `main` is promoted.
    pub fn masters(&self) -> Vec<usize> {
        self.masters_of(&GroupName::MAIN)
    }

    /// The machines on which something of this group is promoted.
    pub fn masters_of(&self, group: &GroupName) -> Vec<usize> {
        self.machines.iter().filter(|m| m.promotes(group)).map(|m| m.index).collect()
    }

    /// The same of every group.
    pub fn all_masters(&self) -> BTreeMap<GroupName, Vec<usize>> {
        self.groups().into_iter().map(|group| (group.clone(), self.masters_of(&group))).collect()
    }

    /// Every group that some machine has.
    pub fn groups(&self) -> BTreeSet<GroupName> {
        self.machines.iter().flat_map(|m| m.folders.keys().cloned()).collect()
    }

    /// The leader says that all is well, and one machine is promoted in each group.
    pub fn is_well(&self) -> bool {
        let one_each = self.all_masters().values().all(|masters| masters.len() == 1);
        one_each && self.concerns().is_some_and(|all| all.is_empty())
    }

    /// All is well, and every runner could be master.
    pub fn is_ready(&self) -> bool {
        let could = |m: &Machine| {
            let state = self.view(m.index).and_then(|view| view.nodes.first().map(|n| n.state));
            state.is_some_and(|s| matches!(s, NodeState::Standby | NodeState::Master))
        };
        self.is_well() && self.machines.iter().filter(|m| m.settings.runner && m.disk.id.is_some()).all(could)
    }

    /// What is amiss, as the leader sees it; none: nobody leads.
    pub fn concerns(&self) -> Option<Vec<Concern>> {
        let mut concerns = self.view(self.leader()?)?.concerns;
        concerns.retain(|concern| !(self.wild_clocks && matches!(concern, Concern::Clock { .. })));
        Some(concerns)
    }

    /// What the leader says of the cluster, for people.
    pub fn diagnosis(&self) -> String {
        let Some(leader) = self.leader() else { return self.leaderless() };
        let Some(view) = self.view(leader) else { return String::new() };
        let nodes: Vec<String> = view
            .nodes
            .iter()
            .map(|n| format!("{} ({}) {} {}", n.name, n.id, n.state.as_str(), n.reason))
            .collect();
        let waiting: Vec<String> = view.waiting.iter().map(|w| w.reason.to_string()).collect();
        let groups: Vec<String> = view
            .groups
            .iter()
            .map(|g| {
                let waiting: Vec<String> = g.waiting.iter().map(|w| w.reason.to_string()).collect();
                format!("{} {:?} waits for {waiting:?}", g.name, g.states.values().collect::<Vec<_>>())
            })
            .collect();
        format!(
            "m{leader} sees {nodes:?}, waits for {waiting:?}, groups {groups:?}, warns {:?}",
            view.warnings
        )
    }

    /// What each node waits for while nobody leads, for people.
    fn leaderless(&self) -> String {
        let waits = |m: &Machine| {
            let view = self.view(m.index)?;
            let members = m.disk.synced.as_ref().map_or(0, |d| d.record.members.len());
            let what = view.waiting.first().map(|w| w.reason.to_string()).unwrap_or_default();
            Some(format!("m{} ({:?}, {members} members) waits for {what:?}", m.index, view.origin))
        };
        self.machines.iter().filter_map(waits).collect::<Vec<_>>().join("; ")
    }

    /// The hooks that run now: on which machine, in which life of its daemon, and which run.
    pub fn running_hooks(&self) -> Vec<(usize, u64, RunId)> {
        self.machines.iter().flat_map(|m| m.hooks.keys().map(|run| (m.index, m.life, *run))).collect()
    }

    /// When a hook of this kind last began, anywhere.
    pub fn last_begin(&self, hook: Hook) -> Option<u64> {
        self.begun.get(&hook).copied()
    }

    /// When a hook of this kind last ended on a machine.
    pub fn last_end(&self, machine: usize, hook: Hook) -> Option<u64> {
        self.ended.get(&(machine, hook)).copied()
    }
}
