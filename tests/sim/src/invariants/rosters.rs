//! What runners are told of one another is so, once nothing moves any more.

use koi_core::group::GroupName;
use koi_core::types::NodeState;

use crate::machine::Machine;
use crate::world::World;

/// A runner that was told something else than is so, or nothing.
pub(super) fn wrong(world: &World) -> Option<String> {
    let masters = world.all_masters();
    for (at, machine) in world.machines.iter().enumerate() {
        for group in machine.folders.keys().filter(|group| takes_part(machine, group)) {
            let Some(core) = &machine.core else { continue };
            let Some(roster) = core.roster(group) else {
                return Some(format!("in calm m{at} was never told who else runs {group}"));
            };
            for (other, m) in world.machines.iter().enumerate() {
                if other == at || !takes_part(m, group) {
                    continue;
                }
                let Some(entry) = roster.iter().find(|entry| Some(entry.node) == m.disk.id) else {
                    return Some(format!(
                        "in calm m{at} was not told that m{other} runs {group}: {roster:?}"
                    ));
                };
                let is_master = masters.get(group).is_some_and(|masters| masters.contains(&other));
                if entry.state == NodeState::Disconnected || is_master != (entry.state == NodeState::Master) {
                    return Some(format!(
                        "in calm m{at} was told of {group}: {entry:?}; masters: {masters:?}"
                    ));
                }
            }
        }
    }
    None
}

/// Its daemon runs services of the group, and no other machine has its id.
fn takes_part(machine: &Machine, group: &GroupName) -> bool {
    let runs = group.is_main() || machine.settings.groups.contains(group);
    let mute = machine.disk.synced.as_ref().is_some_and(|durable| durable.mute.is_some());
    machine.core.is_some() && machine.settings.runner && runs && !mute
}
