//! Stories of nodes that half work: scripts that contradict themselves, disks that take nothing.

use koi_core::io::Command;

use crate::invariants::healing;
use crate::invariants::leaders::Masters;
use crate::machine::Whim;
use crate::world::{MS, World};

type Story = Result<(), String>;

/// How long whims are watched.
const SPAN: u64 = 120_000 * MS;
/// Starts of a service within that: the first, a retry, and one for each recovery after 10 s.
const STARTS: usize = 16;
/// Masterships within that, wherever: each rests longer than the last.
const MASTERSHIPS: usize = 14;
/// By when a contradiction has a name: three statuses, or two masterships, each with hooks that hang for 20 s.
const NAMED: u64 = 100_000 * MS;

/// The same service takes to something everywhere. Nothing repeats itself fast, and when it is over all is well again.
pub(super) fn everywhere(world: &mut World) -> Story {
    let whim = world.rng().pick(&Whim::ALL);
    (0..world.machines.len()).for_each(|machine| world.whim(machine, whim));
    world.invariants.restart_pace();
    world.run_for(SPAN);
    let (starts, masterships) = world.invariants.pace();
    if starts > STARTS || masterships > MASTERSHIPS {
        let seconds = SPAN / MS / 1000;
        return Err(format!("{whim:?}: {starts} starts and {masterships} masterships in {seconds} s"));
    }
    mended(world)
}

/// One standby contradicts itself: it fails, and says by what, and the master stays.
pub(super) fn one_contradicts_itself(world: &mut World) -> Story {
    let whims = [Whim::StoppedAfterStart, Whim::PromotedAfterDemote, Whim::PromotedForEver];
    let whim = world.rng().pick(&whims);
    let [old] = world.masters()[..] else { return Err("not one master".to_owned()) };
    let leader = world.leader().ok_or("the leader is gone")?;
    let other = world.machines.iter().find(|m| m.index != old && m.settings.runner).map(|m| m.index);
    let other = other.ok_or("only one runner")?;
    world.command(leader, Command::Promote { node: format!("m{other}"), dry_run: false });
    if !world.run_until(60_000 * MS, |w| w.masters() == [other] && w.is_ready()) {
        return Err("a promotion by hand was not carried out".to_owned());
    }
    let before = world.masters();
    world.whim(old, whim);
    let words = match whim {
        Whim::StoppedAfterStart => "status says stopped (92) after start",
        Whim::PromotedForEver => "could not be stopped",
        _ => "status says promoted (90) after demote",
    };
    let named = |w: &World| w.view(old).is_some_and(|view| view.reason.contains(words));
    if !world.run_until(NAMED, named) {
        return Err(format!("m{old} is {whim:?}, and never said: {words}"));
    }
    for _ in 0..20 {
        world.run_for(1000 * MS);
        if whim == Whim::PromotedForEver && world.is_well() {
            return Err(format!("all is well, it says, while m{old} may be a second master"));
        }
    }
    if world.masters() != before {
        return Err(format!("the master moved from {before:?} to {:?}", world.masters()));
    }
    mended(world)
}

/// The master's disk is full, and others change the record: R7 alone ends a mastership.
pub(super) fn the_masters_disk_is_full(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    let third = (0..world.machines.len()).find(|m| *m != leader && *m != master).ok_or("only two")?;
    let before = Masters::of(world);
    world.fill_disk(master);
    world.command(leader, Command::Stop(format!("m{third}")));
    world.run_for(1000 * MS);
    world.command(leader, Command::Start(format!("m{third}")));
    world.run_for(20_000 * MS);
    if world.is_well() {
        return Err("a full disk is called well".to_owned());
    }
    before.unmoved(world)?;
    mended(world)
}

/// The disk of a standby is full, and nobody has noticed: it may be named once, and another soon after.
pub(super) fn a_standbys_disk_is_full(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    let standbys: Vec<usize> = (0..world.machines.len()).filter(|m| ![leader, master].contains(m)).collect();
    let full = world.rng().pick(&standbys);
    world.fill_disk(full);
    world.machines[master].services.values_mut().for_each(|s| s.broken = true);
    world.tell(format!("m{master}: every service breaks"));
    let moved = |w: &World| matches!(w.masters()[..], [now] if now != master && now != full);
    if !world.run_until(45_000 * MS, moved) {
        return Err(format!("m{full} takes no state, and nobody else became master: {:?}", world.masters()));
    }
    mended(world)
}

fn mended(world: &mut World) -> Story {
    world.tell("--- everything is mended ---");
    for machine in 0..world.machines.len() {
        world.whim(machine, Whim::Honest);
        world.mend_disk(machine);
        world.machines[machine].services.values_mut().for_each(|s| s.broken = false);
        world.command(machine, Command::Recover);
    }
    healing::check(world, true).map_or(Ok(()), Err)
}
