//! What befalls the membership and the identities of a cluster: electors come and go, disks are copied, restored and damaged.

use std::collections::{BTreeMap, BTreeSet};

use koi_core::io::{Command, ElectorChange, Input};
use koi_core::message::ATTRIBUTES_RULE;
use koi_core::record::{Durable, StateOrigin};
use koi_core::settings::Electors;
use koi_core::types::NodeId;

use crate::machine::{Disk, Machine};
use crate::world::{Lacks, MS, World};

/// Disks as they once were.
pub type Backups = BTreeMap<usize, Disk>;

/// By then every run has called for its own id, and whoever has it too has answered.
const CALLED: u64 = 2500 * MS;

/// One fault of this kind.
pub fn strike(world: &mut World, total: usize, backups: &mut Backups) {
    let machine = world.rng().between(0, total as u64 - 1) as usize;
    match world.rng().between(0, 11) {
        0..=3 => change(world),
        4 => copy(world, machine, total),
        5 => drop(backups.insert(machine, world.machines[machine].disk.clone())),
        6 => restore(world, machine, backups),
        7 => damage(world, machine),
        8 | 9 => world.say_absurd(machine),
        10 => {
            let delay = world.rng().pick(&[5, 5, 40, 100, 250]);
            world.tell(format!("m{machine}: its disk takes up to {delay} ms"));
            world.machines[machine].disk_delay = delay * MS;
        }
        _ => {
            if world.rng().percent(60) {
                world.mend_disk(machine);
            } else {
                world.fill_disk(machine);
            }
        }
    }
}

/// The record that a disk has.
fn record_of(machine: &Machine) -> Option<&Durable> {
    machine.disk.synced.as_ref().filter(|d| d.origin == StateOrigin::Member)
}

/// The members as the newest record on any disk has them, the change that is under way included.
fn members(world: &World) -> BTreeSet<NodeId> {
    let newest = world.machines.iter().filter_map(record_of).map(|d| &d.record).max_by_key(|r| r.version);
    let after = newest.map(|r| r.members_after()).unwrap_or_default();
    newest.map(|r| r.members.clone()).unwrap_or_default().into_iter().chain(after).collect()
}

/// Every member has the newest record, all of it, on a disk that takes more.
pub fn all_have_the_newest(world: &World) -> bool {
    let newest = world.machines.iter().filter_map(record_of).map(|d| d.record.version).max();
    let has = |m: &Machine| record_of(m).is_some_and(|d| Some(d.record.version) == newest);
    let sound = |m: &Machine| has(m) && !m.disk.is_full() && !has_a_part(world, m);
    // A copy of its disk that is sound makes no other that bears its id so.
    let bearers = |id: NodeId| world.machines.iter().filter(move |m| m.disk.id == Some(id));
    members(world).into_iter().all(|id| bearers(id).count() > 0 && bearers(id).all(sound))
}

/// Some member has only a part of its record: it ran an older koi. That is a copy less, as when a disk is lost.
pub fn some_have_a_part(world: &World) -> bool {
    let members = members(world);
    let is_member = |m: &&Machine| m.disk.id.is_some_and(|id| members.contains(&id));
    world.machines.iter().filter(is_member).any(|m| has_a_part(world, m))
}

fn has_a_part(world: &World, machine: &Machine) -> bool {
    let needed =
        world.machines.iter().filter_map(record_of).map(|d| d.record.needs).max().unwrap_or_default();
    let record = record_of(machine).map(|d| &d.record);
    let of_groups = machine.lacks == Some(Lacks::Groups) || record.is_some_and(|record| !record.whole);
    let of_attributes =
        machine.lacks.is_some() || record.is_some_and(|record| record.known < ATTRIBUTES_RULE);
    needed > 0 && of_groups || needed >= ATTRIBUTES_RULE && of_attributes
}

/// One disk at a time: every member has a record on its disk, and there are enough without this one. Two lost disks of three are beyond any
/// promise.
pub fn may_lose_a_disk(world: &World, machine: usize) -> bool {
    let members = members(world);
    let own = |id: &NodeId| {
        let id = *id;
        world.machines.iter().filter(move |m| m.disk.id == Some(id))
    };
    let sound = |id: &NodeId| own(id).any(|m| record_of(m).is_some() && !m.disk.is_full());
    let copied = world.machines[machine].disk.id.is_some_and(|id| own(&id).count() > 1);
    // A change of the members that is under way is a fault already.
    let changing = world.machines.iter().filter_map(record_of).any(|d| d.record.change.is_some());
    let whole = !some_have_a_part(world);
    members.len() > 2
        && members.iter().all(sound)
        && whole
        && !copied
        && !changing
        && world.leader().is_some()
}

/// An operator changes the electors: with a spare machine, or one whose disk was wiped.
fn change(world: &mut World) {
    let Some(leader) = world.leader() else { return };
    let members: Vec<NodeId> = members(world).into_iter().collect();
    let outside = |m: &&Machine| m.disk.id.is_none_or(|id| !members.contains(&id)) && !is_mute(m);
    let outsiders: Vec<usize> = world.machines.iter().filter(outside).map(|m| m.index).collect();
    // An operator who loses a disk heals that first: two faults of three electors at once are beyond any promise.
    let healed =
        |id: &NodeId| world.machines.iter().any(|m| m.disk.id == Some(*id) && record_of(m).is_some());
    if members.is_empty()
        || (members.len() < 4 && !members.iter().filter(|id| !is_wiped(world, id)).all(healed))
    {
        return;
    }
    let lost: Vec<NodeId> = members.iter().copied().filter(|id| is_wiped(world, id)).collect();
    let old = match lost[..] {
        [lost, ..] if members.len() < 4 => lost.to_string(),
        _ => world.rng().pick(&members).to_string(),
    };
    let new = match outsiders[..] {
        [] => None,
        _ => Some(world.rng().pick(&outsiders)),
    };
    if let Some(new) = new.filter(|new| world.machines[*new].core.is_none()) {
        world.boot(new);
        world.run_for(600 * MS);
    }
    let new = new.and_then(|new| world.machines[new].disk.id).map(|id| id.to_string());
    let change = match (world.rng().between(0, 2), new) {
        (0, Some(new)) => ElectorChange::Add(new),
        (1, Some(new)) => ElectorChange::Replace { old, new },
        // A cluster of one loses everything with it.
        _ if members.len() > 2 => ElectorChange::Remove(old),
        _ => return,
    };
    world.command(leader, Command::Electors(change));
    let span = world.rng().between(0, 200 * MS);
    world.run_for(span);
}

/// Its machine has another identity by now.
fn is_wiped(world: &World, id: &NodeId) -> bool {
    world.machines.iter().all(|m| m.disk.id != Some(*id))
}

fn is_mute(machine: &Machine) -> bool {
    machine.disk.synced.as_ref().is_some_and(|d| d.mute.is_some())
}

/// A spare machine is started with a copy of this one's disk while this one runs. Where they cannot hear each other nothing is promised.
fn copy(world: &mut World, machine: usize, total: usize) {
    let free = |m: &&Machine| m.index >= total && m.core.is_none() && m.disk.id.is_none();
    let Some(spare) = world.machines.iter().find(free).map(|m| m.index) else { return };
    world.calm_network();
    world.mend_disk(machine);
    world.boot(machine);
    world.run_for(CALLED);
    let m = &world.machines[machine];
    if m.core.is_none() || m.paused_until > world.now || is_mute(m) {
        return;
    }
    world.clone_disk(machine, spare);
    world.boot(spare);
    world.run_for(CALLED);
}

/// A machine comes back with a disk as it once was; all others know more.
fn restore(world: &mut World, machine: usize, backups: &mut Backups) {
    let known =
        backups.get(&machine).filter(|b| b.id.is_some() && b.id == world.machines[machine].disk.id).cloned();
    let Some(backup) = known.filter(|_| may_lose_a_disk(world, machine)) else { return };
    world.calm_network();
    for m in 0..world.machines.len() {
        world.mend_disk(m);
        if world.machines[m].disk.id.is_some() && m != machine {
            world.boot(m);
        }
    }
    world.run_for(CALLED);
    if !may_lose_a_disk(world, machine) {
        return;
    }
    world.lose_power(machine);
    world.restore(machine, backup);
    world.run_for(1000 * MS);
    world.boot(machine);
    world.run_for(CALLED);
}

/// The state is damaged, and the identity is not: the elector is healed by the next leader (R10).
fn damage(world: &mut World, machine: usize) {
    if may_lose_a_disk(world, machine) {
        world.lose_power(machine);
        world.damage(machine);
        let delay = world.rng().between(10 * MS, 3000 * MS);
        world.boot_later(machine, delay);
    }
}

/// Every machine is started that ever was, but for copies that are mute: an operator takes those away.
pub fn boot_known(world: &mut World) {
    for machine in 0..world.machines.len() {
        if is_mute(&world.machines[machine]) {
            world.lose_power(machine);
        } else if world.machines[machine].disk.id.is_some() {
            world.boot(machine);
        }
    }
}

/// Operators put the electors in order: members without a machine are replaced or removed, and whoever is none is configured not to vote.
pub fn settle(world: &mut World) {
    for _ in 0..12 {
        let Some(leader) = world.leader() else { return };
        let Some(record) = world.machines[leader].core.as_ref().map(|c| c.applied().clone()) else { return };
        let runs = |id: &NodeId| world.machines.iter().any(|m| m.core.is_some() && m.disk.id == Some(*id));
        let Some(missing) = record.members.iter().find(|id| !runs(id)) else { break };
        let outsider = world
            .machines
            .iter()
            .find(|m| m.core.is_some() && m.disk.id.is_some_and(|id| !record.members.contains(&id)));
        let old = missing.to_string();
        let change = match outsider.and_then(|m| m.disk.id) {
            Some(new) => ElectorChange::Replace { old, new: new.to_string() },
            None => ElectorChange::Remove(old),
        };
        world.command(leader, Command::Electors(change));
        world.run_for(1000 * MS);
    }
    let members = members(world);
    let count = u16::try_from(members.len()).unwrap_or(u16::MAX);
    for machine in 0..world.machines.len() {
        let m = &mut world.machines[machine];
        (m.settings.electors, m.settings.quorum) = (Electors::Count(count), count / 2 + 1);
        m.settings.elector = m.disk.id.is_none_or(|id| members.contains(&id));
        let settings = Box::new(m.settings.clone());
        world.say(machine, Input::Configure(settings));
    }
    world.run_for(1000 * MS);
}
