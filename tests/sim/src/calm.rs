//! A calm cluster, and one fault of the leader: a change of leader alone demotes nobody.

use koi_core::io::{Command, Input};

use crate::nemesis::{Report, SHAPES};
use crate::world::{MS, World};

/// One run.
pub fn run(seed: u64) -> Report {
    let shape = SHAPES[(seed / 8) as usize % 3];
    let mut world = World::new(seed, shape);
    let total = shape.runners + shape.voters;
    (0..total).for_each(|machine| world.boot(machine));
    let violation = story(&mut world).err();
    world.invariants.violations.extend(violation);
    Report { seed, shape, violations: world.invariants.violations, story: world.story }
}

fn story(world: &mut World) -> Result<(), String> {
    if !world.run_until(60_000 * MS, World::is_well) {
        return Err("no first master within a minute".to_owned());
    }
    let leader = world.leader().ok_or("no leader")?;
    if world.masters() == [leader] {
        let other = world.machines.iter().find(|m| m.index != leader && m.settings.runner).map(|m| m.index);
        let node = format!("m{}", other.ok_or("only one runner")?);
        world.command(leader, Command::Promote { node, dry_run: false });
        if !world.run_until(60_000 * MS, |w| w.masters().len() == 1 && w.masters() != [leader] && w.is_well())
        {
            return Err("a promotion by hand was not carried out".to_owned());
        }
    }
    world.run_for(2000 * MS);
    let leader = world.leader().ok_or("the leader is gone")?;
    let (masters, demotes) = (world.masters(), world.demotes);
    world.tell("--- all is calm; now the leader, which is not master ---");
    match world.rng().between(0, 4) {
        // One elector hears the leader no more, and all others do: it may ask, and nobody elects it.
        4 => return deaf(world, leader),
        0 => world.lose_power(leader),
        1 => world.kill_daemon(leader),
        2 => world.pause(leader, 3000 * MS),
        _ => world.say(leader, Input::Shutdown),
    }
    let again = world.run_until(10_000 * MS, |w| w.leader().is_some_and(|l| l != leader));
    if !again {
        return Err("no new leader 10 s after the old one was lost".to_owned());
    }
    world.run_for(8000 * MS);
    if world.masters() != masters || world.demotes != demotes {
        return Err(format!("a change of leader moved the master from {masters:?} to {:?}", world.masters()));
    }
    Ok(())
}

fn deaf(world: &mut World, leader: usize) -> Result<(), String> {
    let follower = world.machines.iter().find(|m| m.index != leader && !m.promoted()).map(|m| m.index);
    let follower = follower.ok_or("everyone else is master")?;
    world.tell(format!("nothing passes from the leader m{leader} to m{follower}"));
    world.network.cut.push((leader, follower));
    world.run_for(6000 * MS);
    match world.leader() {
        Some(still) if still == leader => Ok(()),
        now => Err(format!("m{leader} led, was heard by a quorum, and was deposed by {now:?}")),
    }
}
