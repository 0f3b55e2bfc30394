//! Schedules of membership and identity that were holes once: each is told with everything that it needs, and nothing by chance.

use std::time::Duration;

use koi_core::io::{Command, ElectorChange, Input};
use koi_core::record::{Durable, Record, StateOrigin};
use koi_core::settings::Settings;
use koi_core::types::NodeId;

use crate::world::{MS, World};

type Story = Result<(), String>;

/// The leader is master too, and the first spare machine runs.
fn leader_is_master_beside_a_spare(world: &mut World) -> Result<(usize, usize), String> {
    let spare = world.founders;
    world.boot(spare);
    let leader = world.leader().ok_or("the leader is gone")?;
    let node = id_of(world, leader)?;
    world.command(leader, Command::Promote { node, dry_run: false });
    if !world.run_until(60_000 * MS, |w| w.masters() == [leader]) {
        return Err("a promotion by hand was not carried out".to_owned());
    }
    world.run_for(2000 * MS);
    match world.leader() {
        Some(still) if still == leader => Ok((leader, spare)),
        _ => Err("the leader is gone".to_owned()),
    }
}

fn id_of(world: &World, machine: usize) -> Result<String, String> {
    world.machines[machine].disk.id.map(|id| id.to_string()).ok_or_else(|| format!("m{machine} has no id"))
}

fn part(world: &mut World, left: &[usize], right: &[usize]) {
    world.tell(format!("the network splits: {left:?} | {right:?}"));
    for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
        world.network.cut.extend([(a, b), (b, a)]);
    }
}

/// An elector is replaced, and in that instant the leader is alone with the newcomer: of the members before it has no quorum, and the two
/// others elect one of them.
pub(super) fn a_change_begins_in_a_partition(world: &mut World) -> Story {
    let (leader, spare) = leader_is_master_beside_a_spare(world)?;
    let others: Vec<usize> = (0..world.founders).filter(|m| *m != leader).collect();
    let (old, new) = (id_of(world, others[0])?, id_of(world, spare)?);
    // The leader cannot know it yet: all have just acknowledged.
    part(world, &[leader, spare], &others);
    world.command(leader, Command::Electors(ElectorChange::Replace { old, new }));
    world.run_for(15_000 * MS);
    world.network.cut.clear();
    world.run_for(3000 * MS);
    Ok(())
}

/// The leader of four removes itself. Then it has one of the other three on its side, and two are on the other.
pub(super) fn a_leader_removes_itself(world: &mut World) -> Story {
    let (leader, spare) = leader_is_master_beside_a_spare(world)?;
    let (new, own) = (id_of(world, spare)?, id_of(world, leader)?);
    world.command(leader, Command::Electors(ElectorChange::Add(new)));
    world.run_for(1000 * MS);
    world.command(leader, Command::Electors(ElectorChange::Remove(own)));
    world.run_for(20 * MS);
    let mut others: Vec<usize> = (0..=spare).filter(|m| *m != leader).collect();
    others.sort_by_key(|m| world.machines[*m].disk.id);
    part(world, &[leader, others[0]], &others[1..]);
    world.run_for(15_000 * MS);
    if world.leader() == Some(leader) {
        return Err(format!("m{leader} is no elector any more, and leads still"));
    }
    world.network.cut.clear();
    world.run_for(3000 * MS);
    Ok(())
}

/// Of four electors without a record two have founded a cluster of three with the third, and two one with the second: no leader has every
/// vote of one set.
pub(super) fn two_sets_found_a_cluster(world: &mut World) -> Story {
    let id = |n: usize| NodeId(1000 + n as u128);
    for machine in 0..4 {
        let members = if machine < 2 { [id(0), id(1), id(2)] } else { [id(1), id(2), id(3)] };
        let record = Record { members: members.into(), ..Record::default() };
        let durable = Durable { record, origin: StateOrigin::Founder, ..Durable::default() };
        let disk = &mut world.machines[machine].disk;
        (disk.id, disk.synced) = (Some(id(machine)), Some(durable));
    }
    part(world, &[0, 1], &[2, 3]);
    (0..4).for_each(|machine| world.boot(machine));
    world.run_for(15_000 * MS);
    match world.leader() {
        None => Ok(()),
        Some(leader) => Err(format!("m{leader} leads, and not every one of its founders has voted for it")),
    }
}

/// Two electors lead a cluster, and a change waits for the full disk of one: the leader gives its record to nobody now. Two more electors,
/// configured alike and without a record, follow it, and then hear only each other: they begin no cluster of their own.
pub(super) fn newcomers_lose_sight_of_the_cluster(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let other = (0..world.founders).find(|m| *m != leader).ok_or("there is only one")?;
    world.fill_disk(other);
    world.command(leader, Command::Maintenance(true));
    world.run_for(500 * MS);
    let spares: Vec<usize> = (world.founders..world.machines.len()).collect();
    spares.iter().for_each(|machine| world.boot(*machine));
    world.run_for(3000 * MS);
    let founders: Vec<usize> = (0..world.founders).collect();
    part(world, &founders, &spares);
    world.run_for(5000 * MS);
    for machine in spares {
        world.lose_power(machine);
        world.boot(machine);
    }
    world.run_for(10_000 * MS);
    Ok(())
}

/// An elector claims a term in vain, is cut off, and is removed in the old term. Back, it follows the leader of that term.
pub(super) fn a_removed_elector_has_spent_a_term(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let out = (0..world.founders).find(|m| *m != leader && !world.machines[*m].promoted());
    let out = out.ok_or("everyone else is master")?;
    world.lose_power(out);
    let old = id_of(world, out)?;
    world.run_for(1000 * MS);
    world.command(leader, Command::Electors(ElectorChange::Remove(old)));
    world.run_for(1000 * MS);
    let spent = world.machines[out].disk.synced.as_mut().ok_or("nothing is on its disk")?;
    spent.term.0 += 3;
    spent.vote = None;
    world.boot(out);
    world.run_for(5000 * MS);
    let follows = world.view(out).is_some_and(|view| view.leader.is_some());
    match world.leader() {
        Some(still) if still == leader && follows => Ok(()),
        now => Err(format!(
            "m{out}, which is no elector any more, follows: {follows}; m{leader} led, and now {now:?}"
        )),
    }
}

/// The master is cut off, and a copy of its machine starts where the leader hears it: the copy's word frees nothing of the master's.
pub(super) fn a_copy_of_a_master_that_is_cut_off(world: &mut World) -> Story {
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    let spare = world.founders;
    let rest: Vec<usize> = (0..world.machines.len()).filter(|m| *m != master).collect();
    part(world, &[master], &rest);
    world.clone_disk(master, spare);
    world.boot(spare);
    world.run_for(10_000 * MS);
    Ok(())
}

/// The same in maintenance mode, in which the master stays promoted; then maintenance is over, and the master does not learn it.
pub(super) fn a_copy_of_a_master_in_maintenance(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    world.command(leader, Command::Maintenance(true));
    world.run_for(1000 * MS);
    let spare = world.founders;
    let rest: Vec<usize> = (0..world.machines.len()).filter(|m| *m != master).collect();
    part(world, &[master], &rest);
    world.clone_disk(master, spare);
    world.boot(spare);
    world.run_for(5000 * MS);
    let leader = world.leader().ok_or("the leader is gone")?;
    world.command(leader, Command::Maintenance(false));
    world.run_for(10_000 * MS);
    Ok(())
}

/// A node starts where it hears nobody, and someone sends it what its leader once said: no recording tells it what counts now.
pub(super) fn recordings_are_no_news(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let node = world.machines.iter().find(|m| m.settings.runner && m.index != leader && !m.promoted());
    let node = node.map(|m| m.index).ok_or("no other runner")?;
    world.lose_power(node);
    world.command(leader, Command::Maintenance(true));
    world.run_for(1000 * MS);
    let rest: Vec<usize> = (0..world.machines.len()).filter(|m| *m != node).collect();
    part(world, &[node], &rest);
    world.boot(node);
    for _ in 0..40 {
        world.run_for(50 * MS);
        world.replay_to(node);
    }
    world.run_for(3000 * MS);
    match world.machines[node].services.values().any(|s| s.started) {
        true => Err(format!("m{node} has started services on the word of a recording")),
        false => Ok(()),
    }
}

/// A leader resigns and leads again. Then someone repeats its resignation: that was true of an earlier term, and frees nothing now (R1).
pub(super) fn an_old_resignation_comes_again(world: &mut World) -> Story {
    let first = world.leader().ok_or("the leader is gone")?;
    let usual = world.machines[first].settings.clone();
    let mut lease = usual.leader_lease;
    for turn in 0.. {
        let Some(leader) = world.leader() else { return Err("nobody leads".to_owned()) };
        if turn > 0 && leader == first {
            break;
        }
        if turn > 20 {
            return Err(format!("m{first} is never elected again"));
        }
        // The lease is longer by one millisecond, which is reason enough.
        lease += Duration::from_millis(1);
        let settings = Settings { leader_lease: lease, ..world.machines[leader].settings.clone() };
        world.say(leader, Input::Configure(Box::new(settings)));
        world.run_for(20 * MS);
        if !world.run_until(20_000 * MS, |w| w.leader().is_some()) {
            return Err("nobody leads after a resignation".to_owned());
        }
        world.run_for(1000 * MS);
    }
    let term = |w: &World| w.view(first).map(|view| view.term);
    let before = term(world);
    for machine in (0..world.founders).filter(|m| *m != first) {
        world.replay_to(machine);
    }
    world.run_for(3000 * MS);
    match world.leader() {
        Some(leader) if leader == first && term(world) == before => Ok(()),
        now => Err(format!("m{first} led, somebody repeated what it had said before, and now {now:?} leads")),
    }
}

/// A service of the master crashes in maintenance. When that is over nobody says that all is well before its status has been asked.
pub(super) fn a_service_crashes_in_maintenance(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    world.command(leader, Command::Maintenance(true));
    world.run_for(1000 * MS);
    world.tell(format!("m{master}: every service has crashed"));
    world.machines[master].services.values_mut().for_each(|s| (s.started, s.promoted) = (false, false));
    world.command(leader, Command::Maintenance(false));
    for _ in 0..20_000 {
        world.run_for(MS / 4);
        if world.concerns().is_some_and(|all| all.is_empty()) && world.masters().is_empty() {
            return Err("all is well, it says, and nothing is promoted".to_owned());
        }
    }
    match world.run_until(60_000 * MS, World::is_well) {
        true => Ok(()),
        false => Err("it is not well after maintenance".to_owned()),
    }
}

/// In the instant in which something is promoted koid and its guardian are killed, and koid starts again at once: it finds its mark, and takes
/// down what its earlier run has left before anyone else is promoted (R8).
pub(super) fn both_are_killed_at_a_promotion(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let other = world.machines.iter().find(|m| m.settings.runner && m.disk.id.is_some() && !m.promoted());
    let other = other.map(|m| m.index).ok_or("no other runner")?;
    let node = id_of(world, other)?;
    world.command(leader, Command::Promote { node, dry_run: false });
    let mut patience = 400_000;
    while !world.machines[other].promoted() {
        world.run_for(MS / 20);
        patience -= 1;
        if patience == 0 {
            return Err("a promotion by hand was not carried out".to_owned());
        }
    }
    world.tell(format!("m{other}: koid and its guardian are killed"));
    world.machines[other].kill_daemon();
    world.boot_later(other, 20 * MS);
    world.run_for(15_000 * MS);
    Ok(())
}
