//! Calm clusters, and one thing that happens to each: what must come of it is known.

mod schedules;
mod whims;

use std::time::Duration;

use koi_core::concern::Concern;
use koi_core::group::GroupName;
use koi_core::io::{Command, Input, ServiceSpec};
use koi_core::policy::ServicePolicy;
use koi_core::types::Hook;

use crate::invariants::leaders::Masters;
use crate::nemesis::{Report, SHAPES};
use crate::world::{MS, Shape, Tempo, World};

type Story = Result<(), String>;

/// How many there are.
const STORIES: u64 = 26;

/// One run.
pub fn run(seed: u64) -> Report {
    let turn = seed / 4;
    let shape = match turn % STORIES {
        5 | 7 | 12 => SHAPES[2],
        6 | 13..=23 => SHAPES[0],
        24 => SHAPES[3],
        _ => SHAPES[(turn / STORIES) as usize % 3],
    };
    let mut world = World::new(seed, shape);
    if turn % STORIES == 15 {
        let told = schedules::two_sets_found_a_cluster(&mut world);
        world.invariants.violations.extend(told.err());
        return Report { seed, shape, violations: world.invariants.violations, story: world.story };
    }
    (0..world.founders).for_each(|machine| world.boot(machine));
    let told = calm(&mut world).and_then(|()| match turn % STORIES {
        0 => leader_is_lost(&mut world),
        1 => one_is_deaf(&mut world),
        2 => master_leaves(&mut world),
        3 => master_is_moved(&mut world),
        4 => power_is_lost_at_an_answer(&mut world),
        5 => a_line_of_three(&mut world, shape),
        6 => the_only_voter_restarts(&mut world),
        7 => answers_are_slow(&mut world),
        8 => a_term_was_spent_in_vain(&mut world),
        9 => whims::everywhere(&mut world),
        10 => whims::one_contradicts_itself(&mut world),
        11 => whims::the_masters_disk_is_full(&mut world),
        12 => whims::a_standbys_disk_is_full(&mut world),
        13 => schedules::a_change_begins_in_a_partition(&mut world),
        14 => schedules::a_leader_removes_itself(&mut world),
        16 => schedules::a_removed_elector_has_spent_a_term(&mut world),
        17 => schedules::a_copy_of_a_master_that_is_cut_off(&mut world),
        18 => schedules::a_copy_of_a_master_in_maintenance(&mut world),
        19 => schedules::recordings_are_no_news(&mut world),
        20 => schedules::an_old_resignation_comes_again(&mut world),
        21 => schedules::a_service_crashes_in_maintenance(&mut world),
        22 => disks_are_slow(&mut world),
        23 => schedules::both_are_killed_at_a_promotion(&mut world),
        25 => a_process_ends(&mut world),
        _ => schedules::newcomers_lose_sight_of_the_cluster(&mut world),
    });
    world.invariants.violations.extend(told.err());
    Report { seed, shape, violations: world.invariants.violations, story: world.story }
}

/// All is well, and the leader is not the master.
fn calm(world: &mut World) -> Story {
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
    if !world.run_until(60_000 * MS, World::is_ready) {
        return Err("a runner was not ready after a minute".to_owned());
    }
    world.run_for(2000 * MS);
    world.tell("--- all is calm, and the leader is not the master ---");
    Ok(())
}

/// A change of leader alone demotes nobody.
fn leader_is_lost(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let before = Masters::of(world);
    match world.rng().between(0, 3) {
        0 => world.lose_power(leader),
        1 => world.kill_daemon(leader),
        2 => world.pause(leader, 3000 * MS),
        _ => world.say(leader, Input::Shutdown),
    }
    if !world.run_until(10_000 * MS, |w| w.leader().is_some_and(|l| l != leader)) {
        return Err("no new leader 10 s after the old one was lost".to_owned());
    }
    world.run_for(8000 * MS);
    before.unmoved(world)
}

/// Every disk takes longer than an election usually does: campaigns wait for them, and somebody leads.
fn disks_are_slow(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    world.tell("every disk takes up to a second");
    world.machines.iter_mut().for_each(|m| m.disk_delay = 1000 * MS);
    world.run_for(5000 * MS);
    world.lose_power(leader);
    match world.run_until(30_000 * MS, |w| w.leader().is_some_and(|l| l != leader)) {
        true => Ok(()),
        false => Err("no new leader 30 s after the old one was lost, beside slow disks".to_owned()),
    }
}

/// One elector hears the leader no more, and all others do: it may ask, and nobody elects it (R1).
fn one_is_deaf(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let follower = world.machines.iter().find(|m| m.index != leader && !m.promoted()).map(|m| m.index);
    let follower = follower.ok_or("everyone else is master")?;
    world.tell(format!("nothing passes from the leader m{leader} to m{follower}"));
    world.network.cut.push((leader, follower));
    world.run_for(6000 * MS);
    let deaf = Concern::Deaf { node: format!("m{follower}") };
    match world.leader() {
        Some(still) if still == leader && world.concerns().is_some_and(|all| all.contains(&deaf)) => Ok(()),
        Some(still) if still == leader => Err(format!("m{follower} is deaf, and nobody says so")),
        now => Err(format!("m{leader} led, was heard by a quorum, and was deposed by {now:?}")),
    }
}

/// A clean stop: the next promote begins when the last demote has ended, and the news of it has passed (R11).
fn master_leaves(world: &mut World) -> Story {
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    world.tempo = Tempo::Smooth;
    world.say(master, Input::Shutdown);
    hands_over(world, master)
}

/// A promotion by hand: the same.
fn master_is_moved(world: &mut World) -> Story {
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    let leader = world.leader().ok_or("the leader is gone")?;
    let other = world.machines.iter().find(|m| m.index != master && m.settings.runner).map(|m| m.index);
    let node = format!("m{}", other.ok_or("only one runner")?);
    world.tempo = Tempo::Smooth;
    world.command(leader, Command::Promote { node, dry_run: false });
    hands_over(world, master)
}

/// A process of the master's first service ends, long before its status is due: the role moves at once (R11).
fn a_process_ends(world: &mut World) -> Story {
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    for machine in 0..world.machines.len() {
        let folder = world.machines[machine].folders[&GroupName::MAIN].iter();
        let rarely = Duration::from_secs(60);
        let folder: Vec<_> = folder
            .map(|spec| ServiceSpec {
                policy: ServicePolicy::default(),
                status_interval: rarely,
                ..spec.clone()
            })
            .collect();
        world.machines[machine].folders.insert(GroupName::MAIN, folder.clone());
        world.say(machine, Input::Services { group: GroupName::MAIN, specs: folder });
    }
    // The status that was due before has been asked, and has answered: one may hang.
    world.run_for(3000 * MS);
    let quiet = |w: &World| w.running_hooks().iter().all(|(machine, ..)| *machine != master);
    if !world.run_until(40_000 * MS, quiet) {
        return Err("a status of the master never ends".to_owned());
    }
    let Some((name, service)) = world.machines[master].services.iter_mut().next() else {
        return Err("the master has no services".to_owned());
    };
    (service.broken, service.promoted) = (true, false);
    let input = Input::ProcessEnded { service: name.clone() };
    world.tempo = Tempo::Smooth;
    let ended = world.now;
    world.say(master, input);
    if !world.run_until(20_000 * MS, |w| w.masters().iter().any(|m| *m != master)) {
        return Err("a process of the master ended, and nobody followed".to_owned());
    }
    let began = world.last_begin(Hook::Promote).ok_or("nothing was promoted")?;
    // A status, `failed`, and at most three times a demote and a stop; then as when a master leaves.
    let bound = 8 * 20 * MS + 60 * MS;
    if began.saturating_sub(ended) > bound {
        return Err(format!("the next promote began {} µs after the process had ended", began - ended));
    }
    Ok(())
}

/// The next promote begins when the last demote has ended, and the news of it has passed.
fn hands_over(world: &mut World, master: usize) -> Story {
    if !world.run_until(20_000 * MS, |w| w.masters().iter().any(|m| *m != master)) {
        return Err("nobody followed a master that left".to_owned());
    }
    let ended = world.last_end(master, Hook::Demote).ok_or("nothing was demoted")?;
    let began = world.last_begin(Hook::Promote).ok_or("nothing was promoted")?;
    // Three disks in turn, five ways through the network, and what else a simulated machine is busy with.
    let bound = 60 * MS;
    if began.saturating_sub(ended) > bound {
        return Err(format!("the next promote began {} µs after the last demote", began - ended));
    }
    Ok(())
}

/// A change was answered "done", and at that instant all lose their power; the leader does not come back for long. A quorum had the
/// change on disk (R4).
fn power_is_lost_at_an_answer(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    world.answers.clear();
    world.command(leader, Command::Maintenance(true));
    while world.answers.is_empty() {
        world.run_for(MS / 20);
    }
    for machine in 0..world.founders {
        world.lose_power(machine);
        if machine != leader {
            world.boot_later(machine, 5 * MS);
        }
    }
    if !world.run_until(20_000 * MS, |w| w.leader().is_some()) {
        return Err("no leader 20 s after the power was lost".to_owned());
    }
    world.run_for(1000 * MS);
    let leader = world.leader().ok_or("the new leader is gone")?;
    world.invariants.check_promises(&world.machines, leader);
    Ok(())
}

/// The leader, which is master too, is acknowledged by one elector only; that one restarts, and from then on hears only the third. Its word
/// would let the third take over at once, if it forgot what it had promised (R1, R6).
fn the_only_voter_restarts(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    world.command(leader, Command::Promote { node: format!("m{leader}"), dry_run: false });
    if !world.run_until(60_000 * MS, |w| w.masters() == [leader] && w.is_ready()) {
        return Err("a promotion by hand was not carried out".to_owned());
    }
    let others: Vec<usize> = (0..world.founders).filter(|m| *m != leader).collect();
    let [voter, third] = others[..] else { return Err("not three machines".to_owned()) };
    world.tell(format!("m{third} does not hear the leader m{leader} any more, nor the other way round"));
    world.network.cut.extend([(leader, third), (third, leader)]);
    let span = world.rng().between(2500 * MS, 3500 * MS);
    world.run_for(span);
    world.network.cut.extend([(leader, voter), (voter, leader)]);
    world.lose_power(voter);
    world.boot(voter);
    if !world.run_until(10_000 * MS, |w| w.leader().is_some_and(|l| l != leader)) {
        return Err("the two others elected nobody".to_owned());
    }
    world.run_for(4000 * MS);
    Ok(())
}

/// What the leader says takes long to reach the master, and then the master is cut off: its lease counts from when it reported, not from when
/// the answer came (R5).
fn answers_are_slow(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let [master] = world.masters()[..] else { return Err("not one master".to_owned()) };
    world.tell(format!("what m{leader} says reaches m{master} 700 ms later"));
    world.network.slow.push((leader, master, 700 * MS));
    world.run_for(3000 * MS);
    let others = (0..world.machines.len()).filter(|m| *m != master);
    let cuts: Vec<_> = others.flat_map(|m| [(master, m), (m, master)]).collect();
    world.network.cut.extend(cuts);
    world.run_for(6000 * MS);
    Ok(())
}

/// An elector claimed a term that nobody gave it, and comes back with it: the sitting leader claims again above it, the master stays, and
/// nobody is shut out (R11).
fn a_term_was_spent_in_vain(world: &mut World) -> Story {
    let leader = world.leader().ok_or("the leader is gone")?;
    let before = Masters::of(world);
    let claimer = world.machines.iter().find(|m| m.index != leader && !m.promoted()).map(|m| m.index);
    let claimer = claimer.ok_or("everyone else is master")?;
    world.lose_power(claimer);
    let spent = world.machines[claimer].disk.synced.as_mut().ok_or("nothing is on its disk")?;
    spent.term.0 += 3;
    spent.vote = None;
    world.boot(claimer);
    world.run_for(3000 * MS);
    if !world.run_until(40_000 * MS, World::is_well) {
        return Err(format!("m{claimer}, which spent a term in vain, is still shut out after 40 s"));
    }
    before.unmoved(world)
}

/// Two of five are lost, and of the others two do not hear each other: only the one between them can be elected, and it is
/// not the highest. The higher rank gives way after its own campaign has failed (R2).
fn a_line_of_three(world: &mut World, shape: Shape) -> Story {
    let mut ranked: Vec<usize> = (0..shape.founders()).collect();
    ranked.sort_by_key(|m| std::cmp::Reverse(world.machines[*m].disk.id));
    let leader = world.leader().ok_or("the leader is gone")?;
    let kept: Vec<usize> = ranked.into_iter().filter(|m| *m != leader).take(3).collect();
    let [high, middle, low] = kept[..] else { return Err("too few machines".to_owned()) };
    world.tell(format!(
        "only m{high}, m{middle} and m{low} are left; m{high} and m{low} do not hear each other"
    ));
    let lost: Vec<usize> = (0..world.machines.len()).filter(|m| ![high, middle, low].contains(m)).collect();
    lost.into_iter().for_each(|machine| world.lose_power(machine));
    world.network.cut.extend([(high, low), (low, high)]);
    if !world.run_until(15_000 * MS, |w| w.leader().is_some()) {
        return Err("nobody was elected in 15 s, although one had a quorum".to_owned());
    }
    Ok(())
}
