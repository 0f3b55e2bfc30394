//! Attributes (R16): what was answered is never lost, a promote sees all of it, nothing is answered to a mastership that was followed by another, and no write
//! outlives its lease.
//!
//! Masters write the key [`MASTERS`], and each write has a greater number than all before it. Operators write [`OPERATORS`].

use std::collections::{BTreeMap, BTreeSet};

use koi_core::attributes::AttributeChange;
use koi_core::event::Event;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, HookRun};
use koi_core::types::{Epoch, Hook};

use crate::machine::Machine;

/// What masters write.
pub const MASTERS: &str = "masters";
/// What operators write.
pub const OPERATORS: &str = "operators";

#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    /// The newest write of a master that was answered, by group.
    answered: BTreeMap<GroupName, u64>,
    /// What the last promote of each group saw, under which epoch.
    promoted: BTreeMap<GroupName, (Epoch, u64)>,
    /// What each machine has shown last, in which life.
    shown: BTreeMap<(usize, GroupName), (u64, u64)>,
    /// On which machine a write was begun, and when.
    begun: BTreeMap<u64, (usize, u64)>,
    /// When a machine has lost a lease.
    lost: BTreeMap<(usize, GroupName, Epoch), u64>,
    /// What operators may have made of their attribute: what was answered, and what may yet take effect.
    forced: BTreeMap<GroupName, BTreeSet<u64>>,
}

impl Attributes {
    /// A master or an operator writes.
    pub(super) fn asked(&mut self, now: u64, machine: usize, group: &GroupName, command: &Command) {
        match command {
            Command::WriteAttribute { change, .. } => {
                let number = number_of(change, MASTERS);
                self.begun.extend(number.map(|number| (number, (machine, now))));
            }
            Command::ForceAttribute(change) => {
                let possible = self.forced.entry(group.clone()).or_insert_with(|| BTreeSet::from([0]));
                possible.extend(number_of(change, OPERATORS));
            }
            _ => {}
        }
    }

    pub(super) fn answered(
        &mut self,
        now: u64,
        group: &GroupName,
        command: &Command,
        result: &Result<Answered, CommandError>,
    ) -> Option<String> {
        match command {
            Command::WriteAttribute { epoch, change } => {
                let number = number_of(change, MASTERS)?;
                self.write_answered(now, group, *epoch, number, result.is_ok())
            }
            Command::ForceAttribute(change) => {
                let number = number_of(change, OPERATORS)?;
                let possible = self.forced.entry(group.clone()).or_default();
                match result {
                    // Those before it were made before it, or are made no more.
                    Ok(_) => possible.retain(|other| *other >= number),
                    Err(CommandError::LostLeadership) => {}
                    Err(_) => drop(possible.remove(&number)),
                }
                None
            }
            _ => None,
        }
    }

    fn write_answered(
        &mut self,
        now: u64,
        group: &GroupName,
        epoch: Epoch,
        number: u64,
        done: bool,
    ) -> Option<String> {
        let (machine, begun) = self.begun.remove(&number)?;
        let lost = self.lost.get(&(machine, group.clone(), epoch));
        if let Some(lost) = lost.filter(|lost| begun <= **lost && now > **lost) {
            return Some(format!(
                "a write that outlived its lease at {now} µs: m{machine} lost that at {lost} µs"
            ));
        }
        let (later, seen) = self.promoted.get(group).copied().unwrap_or_default();
        if done && later > epoch && seen < number {
            return Some(format!(
                "a write of the past at {now} µs: {number} of epoch {} is answered, and epoch {} has not seen it",
                epoch.0, later.0
            ));
        }
        if done {
            let answered = self.answered.entry(group.clone()).or_default();
            *answered = (*answered).max(number);
        }
        None
    }

    pub(super) fn told(&mut self, now: u64, machine: usize, group: &GroupName, event: &Event) {
        if let Event::LeaseLost { epoch } = event {
            self.lost.insert((machine, group.clone(), *epoch), now);
        }
    }

    pub(super) fn hook_began(&mut self, now: u64, machine: &Machine, run: &HookRun) -> Option<String> {
        // An older koi shows its hooks nothing.
        if machine.lacks.is_some() {
            return None;
        }
        let number = shown(machine, &run.group, MASTERS)?;
        let place = (machine.index, run.group.clone());
        let before = self.shown.insert(place, (machine.life, number));
        if let Some((_, before)) = before.filter(|(life, before)| *life == machine.life && *before > number) {
            return Some(format!("an attribute that grew older at {now} µs: {number} after {before}"));
        }
        let written = machine.core.as_ref()?.attributes(&run.group).map(|(which, _)| which.written.epoch);
        let (later, seen) = self.promoted.get(&run.group).copied().unwrap_or_default();
        if number > seen && written.is_some_and(|epoch| epoch < later) {
            return Some(format!(
                "a write of the past at {now} µs: {number} is there, and epoch {} has seen {seen} when it began",
                later.0
            ));
        }
        if run.hook != Hook::Promote {
            return None;
        }
        let last = self.promoted.entry(run.group.clone()).or_default();
        *last = (*last).max((run.epoch, number));
        let answered = self.answered.get(&run.group).copied().unwrap_or_default();
        (number < answered).then(|| {
            format!(
                "a promote that did not see what was written at {now} µs: m{} sees {number}, and {answered} was answered",
                machine.index
            )
        })
    }

    /// At the end: what was answered is there.
    pub(super) fn check(&self, leader: &Machine) -> Option<String> {
        for (group, answered) in &self.answered {
            let number = shown(leader, group, MASTERS)?;
            if number < *answered {
                return Some(format!(
                    "a write of {group} was answered and is lost: {number}, not {answered}"
                ));
            }
        }
        for (group, possible) in &self.forced {
            let number = shown(leader, group, OPERATORS)?;
            if !possible.contains(&number) {
                return Some(format!(
                    "an operator's write of {group} was answered and is lost: {number} of {possible:?}"
                ));
            }
        }
        None
    }
}

/// What this machine acts on; 0: nothing was written, or nothing that counts.
fn shown(machine: &Machine, group: &GroupName, key: &str) -> Option<u64> {
    let all = machine.core.as_ref()?.attributes(group).map(|(_, all)| all.clone()).unwrap_or_default();
    let value = all.get(&key.parse().expect("it is a key")).map(|value| value.as_str().parse());
    Some(value.and_then(Result::ok).unwrap_or_default())
}

/// The number that is written, if it is a writer of this kind that writes.
fn number_of(change: &AttributeChange, key: &str) -> Option<u64> {
    let value = change.value.as_ref().filter(|_| change.key.as_str() == key)?;
    value.as_str().parse().ok()
}
