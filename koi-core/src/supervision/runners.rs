//! The services of this node, group by group. Each group has a supervisor of its own; what concerns them all is here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::group::GroupName;
use crate::io::{Readiness, RunId};
use crate::supervision::supervisor::ServiceSupervisor;
use crate::types::Epoch;

/// All supervisors of this node.
#[derive(Clone, Debug)]
pub(crate) struct Runners {
    main: ServiceSupervisor,
    others: BTreeMap<GroupName, ServiceSupervisor>,
    /// How many supervisors there have been: each names its hooks otherwise.
    made: u64,
    /// Every mastership up to this one that a group held which is forgotten was given back. It never counts again, though the group comes back (R6).
    given_back: Epoch,
}

impl Runners {
    /// The groups that are configured, and those of which an earlier run may have left something promoted (`left`).
    pub(crate) fn new(configured: &BTreeSet<GroupName>, left: &BTreeMap<GroupName, Epoch>) -> Runners {
        let main = ServiceSupervisor::new(GroupName::MAIN, 0, left.get(&GroupName::MAIN).copied());
        let mut runners = Runners { main, others: BTreeMap::new(), made: 0, given_back: Epoch(0) };
        configured.iter().for_each(|group| runners.add(group, left.get(group).copied()));
        left.iter().for_each(|(group, epoch)| runners.add(group, Some(*epoch)));
        runners
    }

    fn add(&mut self, group: &GroupName, left: Option<Epoch>) {
        if group.is_main() || self.others.contains_key(group) {
            return;
        }
        self.made += 1;
        let mut supervisor = ServiceSupervisor::new(group.clone(), self.made, left);
        supervisor.stands_by_like(&self.main);
        supervisor.give_back(self.given_back);
        self.others.insert(group.clone(), supervisor);
    }

    /// These groups are configured beside `main`.
    pub(crate) fn configure(&mut self, configured: &BTreeSet<GroupName>) {
        configured.iter().for_each(|group| self.add(group, None));
    }

    /// Forgets the groups that are not configured any more, once everything of them is down and the record does not name this node their master:
    /// until then the leader is to hear what was given back. `named`: whether the record does.
    pub(crate) fn forget_over(
        &mut self,
        configured: &BTreeSet<GroupName>,
        named: impl Fn(&GroupName) -> bool,
    ) {
        let given_back = &mut self.given_back;
        self.others.retain(|group, supervisor| {
            let stays = configured.contains(group) || !supervisor.is_over() || named(group);
            if !stays {
                *given_back = (*given_back).max(supervisor.released());
            }
            stays
        });
    }

    /// The supervisor of `main`.
    pub(crate) fn main(&self) -> &ServiceSupervisor {
        &self.main
    }

    /// A group's supervisor; none: this node does not run the group.
    pub(crate) fn get(&self, group: &GroupName) -> Option<&ServiceSupervisor> {
        match group.is_main() {
            true => Some(&self.main),
            false => self.others.get(group),
        }
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, group: &GroupName) -> Option<&mut ServiceSupervisor> {
        match group.is_main() {
            true => Some(&mut self.main),
            false => self.others.get_mut(group),
        }
    }

    /// Every group of this node, `main` first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupName, &ServiceSupervisor)> {
        [(&GroupName::MAIN, &self.main)].into_iter().chain(&self.others)
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<GroupName> {
        self.iter().map(|(group, _)| group.clone()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &ServiceSupervisor> {
        self.iter().map(|(_, supervisor)| supervisor)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut ServiceSupervisor> {
        [&mut self.main].into_iter().chain(self.others.values_mut())
    }

    /// The group of the service that this hook runs for.
    pub(crate) fn group_of(&self, run: RunId) -> Option<GroupName> {
        self.iter().find(|(_, supervisor)| supervisor.services().runs(run)).map(|(group, _)| group.clone())
    }

    /// Whether the fence is armed, and if not, why.
    pub(crate) fn note_armed(&mut self, armed: &Readiness) {
        self.all_mut().for_each(|supervisor| supervisor.note_armed(armed.clone()));
    }

    /// Whether a guardian stands, and if not, why.
    pub(crate) fn note_guarded(&mut self, guarded: &Readiness) {
        self.all_mut().for_each(|supervisor| supervisor.note_guarded(guarded.clone()));
    }

    /// Why no guardian stands, if none does.
    pub(crate) fn unguarded(&self) -> Option<&str> {
        self.main.unguarded()
    }

    /// A process of this service has ended. No two services of a node have one name.
    pub(crate) fn process_ended(&mut self, service: &str) {
        self.all_mut().for_each(|supervisor| supervisor.process_ended(service));
    }

    /// Hooks that run for groups other than this one.
    pub(crate) fn busy_beside(&self, group: &GroupName) -> usize {
        self.iter().filter(|(name, _)| *name != group).map(|(_, s)| s.services().running()).sum()
    }

    /// A lease on some mastership is held and not lost.
    pub(crate) fn needs_leases(&self) -> bool {
        self.all().any(|s| s.lease().is_some_and(|held| held.lost().is_none()))
    }

    /// Some service of whatever group could not be stopped.
    pub(crate) fn unclean(&self) -> bool {
        self.all().any(|s| s.services().unclean())
    }

    /// The longest demote of this run.
    pub(crate) fn slowest_demote(&self) -> Option<Duration> {
        self.all().filter_map(|s| s.services().slowest_demote()).max()
    }
}
