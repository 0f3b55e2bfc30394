//! Masters are where they are wanted, as far as R15 promises it. Looked at only where every koi knows that rule.

use std::collections::BTreeMap;

use koi_core::event::Event;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, HookRun};
use koi_core::placing::PlacementPolicy;
use koi_core::reason::DropReason;
use koi_core::types::{Epoch, Hook};

use crate::machine::Machine;
use crate::world::MS;

/// For so long a master may be promoted where the one that it goes together with is no more: until its leader knows, its lease is over, or both.
const PARTED: u64 = 6000 * MS;
/// A failure that the leader must have heard of, and that `failure_promotion_timeout` has not outlasted by any clock.
const REMEMBERED: std::ops::Range<u64> = 8000 * MS..50_000 * MS;

#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Every koi of this world knows the rule.
    pub(super) watched: bool,
    /// When something of a group was last seen promoted on a machine.
    up: BTreeMap<(usize, GroupName), u64>,
    /// When a group last failed on a machine, in the run that is.
    failed: BTreeMap<(usize, GroupName), u64>,
    /// The node, by its id, that an operator wants as master.
    wanted: BTreeMap<GroupName, String>,
    /// The mastership that an operator has asked for.
    pinned: BTreeMap<GroupName, Epoch>,
    newest: BTreeMap<GroupName, Epoch>,
}

impl Places {
    pub(super) fn check(
        &mut self,
        now: u64,
        machine: usize,
        run: &HookRun,
        machines: &[Machine],
    ) -> Option<String> {
        for m in machines {
            let up = m.services.values().filter(|service| service.promoted);
            for service in up {
                self.up.insert((m.index, service.group.clone()), now);
            }
        }
        let placement = machines[machine].settings.placement.get(&run.group)?;
        if run.hook != Hook::Promote || !self.watched {
            return None;
        }
        if placement.preference.is_never() {
            return Some(format!(
                "never here at {now} µs: m{machine} promotes {} of {}, where its preference is 0",
                run.service, run.group
            ));
        }
        let with = placement.policy.together_with.clone()?;
        // A group is promoted when its critical services are.
        let specs = machines[machine].folders.get(&with)?;
        if specs.iter().any(|spec| !spec.policy.critical) {
            return None;
        }
        let last = self.up.get(&(machine, with.clone())).copied();
        last.is_none_or(|last| now - last > PARTED).then(|| {
            format!(
                "not together at {now} µs: m{machine} promotes {} of {}, and {with} is not promoted there since {last:?}",
                run.service, run.group
            )
        })
    }

    pub(super) fn booted(&mut self, machine: usize) {
        self.failed.retain(|(m, _), _| *m != machine);
    }

    pub(super) fn answered(&mut self, group: &GroupName, command: &Command, answered: &Answered) {
        match command {
            Command::Promote { node, .. } if !answered.message.contains("already") => {
                self.wanted.insert(group.clone(), node.clone());
            }
            Command::Promote { .. } | Command::Demote | Command::Elect | Command::Stop(_) => {
                self.wanted.remove(group);
                self.pinned.remove(group);
            }
            Command::Recover => self.failed.retain(|(_, g), _| g != group),
            Command::Start(_)
            | Command::Maintenance(_)
            | Command::ConfirmDown(_)
            | Command::Bootstrap { .. }
            | Command::Electors(_)
            | Command::WriteAttribute { .. }
            | Command::ForceAttribute(_)
            | Command::Fence { .. } => {}
        }
    }

    pub(super) fn told(
        &mut self,
        now: u64,
        machine: usize,
        group: &GroupName,
        event: &Event,
        machines: &[Machine],
    ) -> Option<String> {
        if !self.watched {
            return None;
        }
        match event {
            Event::Failed { .. } => drop(self.failed.insert((machine, group.clone()), now)),
            Event::TargetDropped { .. } => drop(self.wanted.remove(group)),
            Event::MasterNamed { node, epoch } => {
                let m = &machines[machine];
                let leads = m.core.as_ref().is_some_and(|core| core.acting(m.clock.at(now)));
                let newest = self.newest.entry(group.clone()).or_default();
                if leads && *epoch > *newest {
                    *newest = *epoch;
                    let wanted = self.wanted.remove(group);
                    let is_wanted = |m: &&Machine| m.disk.id.map(|id| id.to_string()) == wanted;
                    if machines.iter().filter(is_wanted).any(|m| m.settings.name == *node) {
                        self.pinned.insert(group.clone(), *epoch);
                    }
                }
            }
            Event::MasterDropped { epoch, reason, .. } => {
                return self.dropped(now, machine, group, (*epoch, reason), machines);
            }
            _ => {}
        }
        None
    }

    /// A leader has ended a mastership.
    fn dropped(
        &self,
        now: u64,
        leader: usize,
        group: &GroupName,
        (epoch, reason): (Epoch, &DropReason),
        machines: &[Machine],
    ) -> Option<String> {
        match reason {
            DropReason::Preferred { node } => self.moved_back(now, leader, group, epoch, node, machines),
            DropReason::OtherTarget { .. }
            | DropReason::StoppedByHand
            | DropReason::DemotedByHand
            | DropReason::ToBeFenced => None,
            _ => return None,
        }
        .or_else(|| self.out_of_turn(now, leader, group, machines))
    }

    /// A master moves to a node that is preferred.
    fn moved_back(
        &self,
        now: u64,
        leader: usize,
        group: &GroupName,
        epoch: Epoch,
        node: &str,
        machines: &[Machine],
    ) -> Option<String> {
        let what = format!("at {now} µs: m{leader} moves {group} back to {node}");
        if self.pinned.get(group) == Some(&epoch) {
            return Some(format!("a promote undone {what}, from where an operator has put it"));
        }
        let to = machines.iter().find(|m| m.settings.name == node)?;
        let failed = self.failed.get(&(to.index, group.clone()));
        if let Some(ago) = failed.map(|at| now - at).filter(|ago| REMEMBERED.contains(ago)) {
            return Some(format!("no patience {what}, where it failed {ago} µs ago"));
        }
        let policy = policy(to, group)?;
        let record = machines[leader].core.as_ref()?.applied();
        let mut others = record.masters().filter(|(other, m)| *other != group && Some(m.node) == to.disk.id);
        let broken = others.find(|(other, _)| policy.apart_from.contains(*other))?;
        Some(format!("not apart {what}, where {} has its master", broken.0))
    }

    /// A master is demoted in order, and that of a group that goes together with it has not been told.
    fn out_of_turn(
        &self,
        now: u64,
        leader: usize,
        group: &GroupName,
        machines: &[Machine],
    ) -> Option<String> {
        let record = machines[leader].core.as_ref()?.applied();
        let entry = record.group(group).master.as_ref()?;
        let at = machines.iter().find(|m| {
            m.core.as_ref().is_some_and(|core| (core.id(), core.session()) == (entry.node, entry.session))
        })?;
        let sound = |other: &GroupName| {
            let failed = self.failed.get(&(at.index, other.clone()));
            at.services.values().filter(|s| s.group == *other).all(|s| s.promoted && !s.stuck && !s.broken)
                && failed.is_none_or(|then| now - then > REMEMBERED.end)
        };
        let follows = |other: &GroupName| {
            policy(at, other).is_some_and(|policy| policy.together_with.as_ref() == Some(group))
        };
        let mut beside = record.masters().filter(|(other, m)| {
            (m.node, m.session) == (entry.node, entry.session) && follows(other) && sound(other)
        });
        let (other, _) = beside.next()?;
        Some(format!(
            "out of turn at {now} µs: m{leader} has {group} demoted on m{} before {other}",
            at.index
        ))
    }
}

fn policy<'m>(machine: &'m Machine, group: &GroupName) -> Option<&'m PlacementPolicy> {
    machine.settings.placement.get(group).map(|placement| &placement.policy)
}
