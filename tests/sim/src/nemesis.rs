//! A schedule of faults from a seed, then healing, then the question whether all is well again.

use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::io::{Command, Input};
use koi_core::settings::Settings;
use koi_core::types::Hook;

use crate::fences;
use crate::invariants::healing;
use crate::machine::{Machine, Whim};
use crate::members;
use crate::stories;
use crate::world::{Lacks, MS, Shape, Trap, World, usual_settings};

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The cluster.
    pub shape: Shape,
    /// What was violated; empty: nothing.
    pub violations: Vec<String>,
    /// What happened.
    pub story: Vec<String>,
}

/// The clusters that seeds are tried on, by turns.
pub const SHAPES: [Shape; 4] = [
    Shape { runners: 3, voters: 0, services: 2, spares: 2, groups: 0, placed: false },
    Shape { runners: 2, voters: 1, services: 3, spares: 2, groups: 0, placed: false },
    Shape { runners: 5, voters: 0, services: 1, spares: 2, groups: 0, placed: false },
    Shape { runners: 2, voters: 0, services: 2, spares: 2, groups: 0, placed: false },
];

/// One whole run of a seed: most are wars, every fourth is a calm story.
pub fn run(seed: u64) -> Report {
    if seed % 4 == 3 { stories::run(seed) } else { war(seed) }
}

/// Start, faults for a minute, healing.
fn war(seed: u64) -> Report {
    let groups = (seed / 16) as usize % 3;
    let placed = seed % 5 < 2;
    let shape = Shape { groups, placed, ..SHAPES[(seed / 4) as usize % SHAPES.len()] };
    let mut world = World::new(seed, shape);
    let total = shape.founders();
    // What is promoted writes attributes.
    world.writers = seed % 3 == 1;
    // One koi at a time is exchanged for an older one, by mistake, and back.
    let downgrades = (shape.groups > 0 || world.writers) && seed / 48 % 3 == 1 && total > 2;
    // A koi that knows no groups knows nothing of their places either.
    let groupless = shape.groups > 0 && (seed / 48).is_multiple_of(3);
    world.invariants.watch_places(placed && !downgrades && !groupless);
    let wild_clocks = seed % 16 == 6;
    let fenced = fences::are_there(seed);
    if fenced {
        fences::configure(&mut world);
    }
    if seed % 7 == 3 {
        let services = world.machines.iter_mut().flat_map(|m| m.services.values_mut());
        services.for_each(|service| service.scored = true);
    }
    // Not in the first thousand, where broken rules are found by what happens in them.
    if seed % 6 == 2 && seed >= 1000 {
        let specs = world.machines.iter_mut().flat_map(|m| m.folders.values_mut().flatten());
        specs.for_each(|spec| spec.hooks = spec.hooks.with(Hook::Changed));
    }
    world.wild_clocks = wild_clocks;
    for machine in 0..total {
        if wild_clocks {
            world.machines[machine].clock.ppm = world.rng().between(0, 100_000) as i64 - 50_000;
        }
        // A rolling upgrade is under way in some worlds.
        world.machines[machine].newer = seed % 8 == 4 && world.rng().percent(50);
        if groupless {
            let groupless = world.rng().percent(40);
            world.machines[machine].set_groupless(groupless);
        } else if world.writers && (seed / 48).is_multiple_of(3) && world.rng().percent(40) {
            world.machines[machine].set_lacks(Some(Lacks::Attributes));
        }
        let delay = world.rng().between(0, 3000 * MS);
        world.boot_later(machine, delay);
    }
    if world.rng().percent(30) {
        rough_start(&mut world, total);
    }
    let started = world.run_until(60_000 * MS, |w| !w.masters().is_empty());
    if !started {
        world.invariants.violations.push("no first master within a minute".to_owned());
    }
    if placed && seed % 4 == 1 {
        fail_where_preferred(&mut world);
    }
    let mut backups = members::Backups::default();
    let faults = world.rng().between(5, 40);
    for _ in 0..faults {
        // Some faults strike while the one before is dealt with, others when it was.
        let longest = if world.rng().percent(50) { 300 * MS } else { 3000 * MS };
        let calm = world.rng().between(0, longest);
        world.run_for(calm);
        if downgrades && world.rng().percent(10) {
            downgrade_or_upgrade(&mut world, total);
        } else if fenced && world.rng().percent(25) {
            fences::strike(&mut world);
        } else if world.rng().percent(70) {
            strike(&mut world, total);
        } else {
            members::strike(&mut world, total, &mut backups);
        }
        let World { invariants, machines, .. } = &mut world;
        invariants.check_backlog(machines);
    }
    heal(&mut world, total, seed);
    if wild_clocks {
        // Beyond ρ the promise does not hold; everything else does.
        world
            .invariants
            .violations
            .retain(|v| !v.starts_with("two masters") && !v.starts_with("an old epoch"));
    }
    Report { seed, shape, violations: world.invariants.violations, story: world.story }
}

/// The first election of a cluster, between two that do not hear each other, with the third losing its power over its vote: nobody has
/// promised anything yet, and only what is on disk counts.
fn rough_start(world: &mut World, total: usize) {
    let one = world.rng().between(0, total as u64 - 1) as usize;
    let other = (one + 1) % total;
    (0..total).for_each(|machine| world.boot(machine));
    world.run_for(400 * MS);
    world.network.cut.extend([(one, other), (other, one)]);
    world.trap = Some(Trap::Vote);
    world.run_for(4000 * MS);
    world.trap = None;
    world.network.cut.clear();
}

/// The master of `main` fails, is mended at once, and is ready again after a while: it stays where it went (R15).
fn fail_where_preferred(world: &mut World) {
    let [master] = world.masters()[..] else { return };
    world.tell(format!("m{master}: all services of main break, and are mended when they have failed"));
    let breaks = |world: &mut World, broken: bool| {
        let services = world.machines[master].services.values_mut();
        services.filter(|s| s.group.is_main()).for_each(|s| s.broken = broken);
    };
    breaks(world, true);
    world.run_until(10_000 * MS, |w| !w.masters().contains(&master));
    breaks(world, false);
    world.run_for(20_000 * MS);
}

/// One fault, or one operator.
fn strike(world: &mut World, total: usize) {
    let machine = world.rng().between(0, total as u64 - 1) as usize;
    let other = world.rng().between(0, total as u64 - 1) as usize;
    match world.rng().between(0, 26) {
        0 | 1 => {
            world.lose_power(machine);
            let delay = world.rng().between(10 * MS, 8000 * MS);
            world.boot_later(machine, delay);
        }
        2 | 3 => {
            world.kill_daemon(machine);
            // Later than its guardian is done: one that starts before takes down by itself, which is R8's business.
            let delay = world.rng().between(800 * MS, 8000 * MS);
            world.boot_later(machine, delay);
        }
        4 => {
            let span = world.rng().between(10 * MS, 4000 * MS);
            world.pause(machine, span);
        }
        5 => world.isolate(machine),
        6 => {
            world.tell(format!("nothing passes from m{machine} to m{other}"));
            world.network.cut.push((machine, other));
        }
        7 | 8 => world.mend_network(),
        9 => {
            let loss = world.rng().pick(&[0, 5, 20, 50]);
            let delay = world.rng().pick(&[2, 2, 20, 150, 600]);
            world.tell(format!("the network loses {loss} % and delays up to {delay} ms"));
            world.network.loss = loss;
            world.network.delay = delay * MS;
            world.network.duplicates = loss;
        }
        10 => (0..20).for_each(|_| world.replay()),
        11 => {
            let Some(name) = world.a_service(machine) else { return };
            world.machines[machine].services.entry(name).and_modify(|s| s.broken = !s.broken);
            world.tell(format!("m{machine}: a service breaks, or is mended"));
        }
        12 if total > 2 => {
            // One disk at a time: two wiped disks of three are beyond any promise.
            world.lose_power(machine);
            if members::may_lose_a_disk(world, machine) {
                world.wipe(machine);
            }
            let delay = world.rng().between(10 * MS, 3000 * MS);
            world.boot_later(machine, delay);
        }
        17..=19 => {
            let trap = [Trap::Vote, Trap::Acknowledgement, Trap::Promote, Trap::Demote, Trap::Answer];
            world.trap = Some(world.rng().pick(&trap));
        }
        21 => upgrade_alone(world, machine),
        22 => {
            let Some(name) = world.a_service(machine) else { return };
            world.machines[machine].services.entry(name).and_modify(|s| s.stuck = !s.stuck);
            world.tell(format!("m{machine}: a service cannot be taken down any more, or can be again"));
        }
        23 => fill_or_mend(world, machine, total),
        24 | 25 => {
            let whim = match world.rng().percent(30) {
                true => Whim::Honest,
                false => world.rng().pick(&Whim::ALL),
            };
            world.whim(machine, whim);
        }
        26 => world.crash(machine),
        20 => depose(world, machine),
        14 => reconfigure(world, machine),
        13 => world.say(machine, Input::Shutdown),
        _ => operate(world, machine, other),
    }
}

/// One koi at a time is an older one. What it has taken down must be down: its marks say nothing to the older one.
fn downgrade_or_upgrade(world: &mut World, total: usize) {
    let old = (0..total).find(|m| world.machines[*m].lacks.is_some());
    let machine = old.unwrap_or_else(|| world.rng().between(0, total as u64 - 1) as usize);
    // What it has is a part of the record from then on: a copy less, as when a disk is lost.
    if old.is_none() && !members::all_have_the_newest(world) {
        return;
    }
    let groups = world.machines.iter().any(|m| m.folders.len() > 1);
    let lacks = match world.writers && (!groups || world.rng().percent(50)) {
        true => Lacks::Attributes,
        false => Lacks::Groups,
    };
    let what = if old.is_some() { "upgraded".to_owned() } else { format!("downgraded: it lacks {lacks:?}") };
    world.tell(format!("m{machine} is {what}"));
    world.lose_power(machine);
    world.machines[machine].set_lacks(old.is_none().then_some(lacks));
    let delay = world.rng().between(10 * MS, 3000 * MS);
    world.boot_later(machine, delay);
    if old.is_none() && world.rng().percent(50) {
        // What it has is not to become the truth while whoever leads is away.
        world.run_for(5000 * MS);
        let Some(leader) = world.leader().filter(|leader| *leader != machine) else { return };
        world.lose_power(leader);
        world.run_for(5000 * MS);
        world.boot_later(leader, 0);
    }
}

/// One disk at a time is full.
fn fill_or_mend(world: &mut World, machine: usize, total: usize) {
    match (0..total).find(|m| world.machines[*m].disk.is_full()) {
        Some(full) => world.mend_disk(full),
        None if members::some_have_a_part(world) => {}
        None => world.fill_disk(machine),
    }
}

/// The leader is cut off just long enough to be deposed, and cannot know it at once.
fn depose(world: &mut World, machine: usize) {
    let leader = world.leader().unwrap_or(machine);
    world.isolate(leader);
    let span = world.rng().between(300 * MS, 1500 * MS);
    world.run_for(span);
    world.mend_network();
}

/// The master is cut off in maintenance mode, and does not learn that it is over: it stays promoted.
fn upgrade_alone(world: &mut World, machine: usize) {
    let leader = world.leader().unwrap_or(machine);
    world.command(leader, Command::Maintenance(true));
    world.run_for(200 * MS);
    if let Some(master) = world.masters().first().copied() {
        world.isolate(master);
    }
    let span = world.rng().between(100 * MS, 1500 * MS);
    world.run_for(span);
    let leader = world.leader().unwrap_or(machine);
    world.command(leader, Command::Maintenance(false));
    world.run_for(3500 * MS);
    world.mend_network();
}

/// One node's leases differ from the others' for a while: lengths travel with the messages.
fn reconfigure(world: &mut World, machine: usize) {
    let ms = Duration::from_millis;
    let (leader, master, grace) = world.rng().pick(&[(500, 1000, 1000), (300, 700, 800), (800, 1500, 1000)]);
    let mut settings = world.machines[machine].settings.clone();
    (settings.leader_lease, settings.master_lease, settings.demote_grace) =
        (ms(leader), ms(master), ms(grace));
    world.tell(format!(
        "m{machine} is configured with leases of {leader} and {master} ms, and {grace} ms of grace"
    ));
    world.machines[machine].settings = settings.clone();
    world.say(machine, Input::Configure(Box::new(settings)));
}

fn operate(world: &mut World, machine: usize, other: usize) {
    let Some(name) = world.machines[other].disk.id.map(|id| id.to_string()) else { return };
    let command = match world.rng().between(0, 9) {
        0..=3 => Command::Promote { node: name, dry_run: false },
        4 => Command::Stop(name),
        5 => Command::Start(name),
        6 => Command::Demote,
        7 => Command::Elect,
        8 => Command::Maintenance(true),
        _ => Command::Maintenance(false),
    };
    let machine = world.leader().unwrap_or(machine);
    let group = a_group(world);
    if world.writers && world.rng().percent(30) && world.machines[machine].paused_until <= world.now {
        return world.force(machine, &group);
    }
    world.command_about(machine, group, command);
}

/// One of the groups that there are.
fn a_group(world: &mut World) -> GroupName {
    let groups: Vec<GroupName> = world.groups().into_iter().collect();
    let at = if groups.len() > 1 { world.rng().between(0, groups.len() as u64 - 1) } else { 0 };
    groups[at as usize].clone()
}

/// Everything is mended; then there is one leader, what was promised holds, and there is one master.
fn heal(world: &mut World, total: usize, seed: u64) {
    world.tell("--- everything is mended ---");
    world.trap = None;
    world.calm_network();
    for machine in 0..world.machines.len() {
        world.machines[machine].disk_delay = 5 * MS;
        world.machines[machine].newer = true;
        world.mend_disk(machine);
        let services = world.machines[machine].services.values_mut();
        services.for_each(|s| (s.broken, s.stuck, s.whim) = (false, false, Whim::Honest));
        // Nodes that disagree are never all well.
        let electors = u16::try_from(total).unwrap_or(u16::MAX);
        let m = &world.machines[machine];
        let (groups, placement) = (m.settings.groups.clone(), m.settings.placement.clone());
        let fences = m.settings.fences.clone();
        let usual =
            Settings { groups, placement, fences, ..usual_settings(machine, electors, m.settings.runner) };
        world.machines[machine].settings = usual.clone();
        world.say(machine, Input::Configure(Box::new(usual)));
    }
    world.revive = true;
    upgrade(world);
    world.run_for(5000 * MS);
    (0..total).for_each(|machine| world.boot(machine));
    members::boot_known(world);
    if !world.run_until(20_000 * MS, |w| w.leader().is_some()) {
        let why = format!("no leader 20 s after healing: {}", world.diagnosis());
        world.invariants.violations.push(why);
        return;
    }
    world.run_for(2000 * MS);
    let Some(leader) = still_led(world, "2 s after it was elected") else { return };
    world.invariants.check_promises(&world.machines, leader);
    members::settle(world);
    let Some(leader) = still_led(world, "after its electors were put in order") else { return };
    let ids: Vec<_> = world.machines.iter().filter_map(|m| m.disk.id).collect();
    world.command(leader, Command::Maintenance(false));
    for group in world.groups() {
        for id in &ids {
            world.command_about(leader, group.clone(), Command::Start(id.to_string()));
        }
        (0..world.machines.len())
            .for_each(|machine| _ = world.command_about(machine, group.clone(), Command::Recover));
        world.command_about(leader, group, Command::Elect);
    }
    attest(world);
    world.run_for(2000 * MS);
    // A fence may have acted only now: what could not be stopped was left alone in maintenance mode.
    attest(world);
    let wrong = healing::check(world, seed.is_multiple_of(3));
    world.invariants.violations.extend(wrong);
}

/// Who leads. One that was to be fenced itself has laid it down: another is elected then.
fn still_led(world: &mut World, when: &str) -> Option<usize> {
    if world.leader().is_none() && world.invariants.has_resigned_to_be_fenced(world.now) {
        world.run_until(20_000 * MS, |w| w.leader().is_some());
    }
    let leader = world.leader();
    if leader.is_none() {
        world.invariants.violations.push(format!("the leader is gone {when}"));
    }
    leader
}

/// The operator says that a master is down whose run is over and which cannot give its word any more: its disk was wiped in maintenance mode,
/// or it was started anew since and cannot show that it is the same machine.
fn attest(world: &mut World) {
    let Some(leader) = world.leader() else { return };
    let Some(core) = &world.machines[leader].core else { return };
    let masters: Vec<_> = core.applied().masters().map(|(group, m)| (group.clone(), m.clone())).collect();
    for (group, master) in masters {
        let runs = |m: &Machine| {
            m.core.as_ref().is_some_and(|c| (c.id(), c.session()) == (master.node, master.session))
        };
        let is_there = |m: &Machine| runs(m) || m.disk.id == Some(master.node) && m.promotes(&group);
        if !world.machines.iter().any(is_there) {
            world.command(leader, Command::ConfirmDown(master.node.to_string()));
        }
    }
}

/// Every machine runs the newest koi: those that do not are upgraded, one after the other.
fn upgrade(world: &mut World) {
    for machine in 0..world.machines.len() {
        if world.machines[machine].lacks.is_none() {
            continue;
        }
        world.kill_daemon(machine);
        world.machines[machine].set_lacks(None);
        world.boot_later(machine, 800 * MS);
        world.run_for(3000 * MS);
    }
}
