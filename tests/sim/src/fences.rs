//! What makes work for fences: services that cannot be stopped, and masters that are lost in maintenance.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_core::io::Command;

use crate::world::{MS, World};

/// In these worlds nodes can be turned off by others.
pub fn are_there(seed: u64) -> bool {
    seed / 64 % 2 == 1
}

/// Every node knows how to turn the others off.
pub fn configure(world: &mut World) {
    let limit = Duration::from_millis(world.rng().pick(&[3000, 8000]));
    let fences: BTreeMap<String, Duration> =
        world.machines.iter().map(|m| (m.settings.name.clone(), limit)).collect();
    for machine in 0..world.machines.len() {
        world.machines[machine].configure_fences(fences.clone());
    }
}

/// One fault of this kind.
pub fn strike(world: &mut World) {
    let groups: Vec<_> = world.all_masters().into_iter().filter(|(_, masters)| !masters.is_empty()).collect();
    let Some(at) = groups.len().checked_sub(1).map(|last| world.rng().between(0, last as u64) as usize)
    else {
        return;
    };
    let (group, masters) = &groups[at];
    let master = masters[0];
    let Some(id) = world.machines[master].disk.id.map(|id| id.to_string()) else { return };
    match world.rng().between(0, 4) {
        0..=2 => {
            let services = world.machines[master].services.values_mut();
            services.filter(|s| s.group == *group).take(1).for_each(|s| s.stuck = true);
            world.tell(format!("m{master}: a service of {group} cannot be taken down any more"));
            let leader = world.leader().unwrap_or(master);
            match world.rng().between(0, 3) {
                0 => _ = world.command_about(leader, group.clone(), Command::Stop(id.clone())),
                1 => _ = world.command_about(leader, group.clone(), Command::Demote),
                2 => world.isolate(master),
                _ => world.kill_daemon(master),
            }
            let span = world.rng().between(100 * MS, 6000 * MS);
            world.run_for(span);
            if world.rng().percent(50) {
                world.command_about(leader, group.clone(), Command::Start(id));
                world.command_about(leader, group.clone(), Command::Elect);
            }
        }
        3 => {
            let leader = world.leader().unwrap_or(master);
            world.command(leader, Command::Maintenance(true));
            world.run_for(300 * MS);
            world.isolate(master);
            let leader = world.leader().unwrap_or(leader);
            world.command(leader, Command::Maintenance(false));
            let span = world.rng().between(100 * MS, 8000 * MS);
            world.run_for(span);
            if world.rng().percent(50) {
                world.mend_network();
            }
        }
        _ => {
            let leader = world.leader().unwrap_or(master);
            world.command(leader, Command::Fence { node: id, dry_run: false });
        }
    }
}
