//! Random faults from a seed, and one rule: whatever it does, daemon and guardian of a node are never killed together without
//! what they guard. That alone the promise leaves to a fence.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use koi_sim::rng::Rng;
use nix::sys::signal::Signal;

use crate::faults::Faults;
use crate::world::World;

/// Something that goes wrong, with nodes by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The network has these faults, until others come.
    Network(Faults),
    /// kill -9 of koid.
    Kill(String),
    /// kill -9 of koid, and a start at once.
    KillAndStart(String),
    /// kill -9 of the guardian.
    KillGuardian(String),
    /// Everything on the node ends.
    PowerLoss(String),
    /// SIGTERM.
    Stop(String),
    /// SIGSTOP, and SIGCONT after so many milliseconds.
    Hang(String, u64),
    /// An operator wants this node as master.
    Promote(String),
    /// Every daemon that does not run is started.
    StartAll,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Network(faults) if *faults == Faults::default() => write!(f, "the network is well"),
            Fault::Network(faults) => write!(f, "{faults:?}"),
            Fault::Kill(node) => write!(f, "kill -9 of koid on {node}"),
            Fault::KillAndStart(node) => write!(f, "kill -9 of koid on {node}, and a start at once"),
            Fault::KillGuardian(node) => write!(f, "kill -9 of the guardian on {node}"),
            Fault::PowerLoss(node) => write!(f, "everything on {node} ends"),
            Fault::Stop(node) => write!(f, "SIGTERM to koid on {node}"),
            Fault::Hang(node, ms) => write!(f, "koid on {node} hangs for {ms} ms"),
            Fault::Promote(node) => write!(f, "koi promote {node}"),
            Fault::StartAll => write!(f, "every daemon is started"),
        }
    }
}

/// A number that whoever runs a test may give.
///
/// # Panics
/// If it is none.
pub fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text:?}: {error}")))
}

/// `KOI_NEMESIS_SEED`, or one that is drawn. To be printed: it brings the same faults, not the same instants.
pub fn seed() -> u64 {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::from(d.subsec_nanos()));
    from_environment("KOI_NEMESIS_SEED").unwrap_or_else(drawn)
}

/// `KOI_NEMESIS_SECONDS`: how long faults come.
pub fn seconds(usual: u64) -> u64 {
    from_environment("KOI_NEMESIS_SECONDS").unwrap_or(usual)
}

/// Draws the next fault for so many nodes with these names.
pub fn draw(rng: &mut Rng, names: &[String]) -> Fault {
    let nodes = names.len();
    let node = (rng.draw() % nodes as u64) as usize;
    let other = (node + 1 + (rng.draw() % (nodes as u64 - 1)) as usize) % nodes;
    let name = || names[node].clone();
    match rng.between(0, 19) {
        0 | 1 => Fault::Network(Faults::default().cut_off(&[node], nodes)),
        2 => Fault::Network(Faults::default().cut_pair(node, other)),
        3 => Fault::Network(Faults::default().cut_one_way(node, other)),
        4 => Fault::Network(Faults::default().deaf(node, nodes)),
        5 => Fault::Network(Faults::default().mute(node, nodes)),
        6 => Fault::Network(Faults::default().lose_percent(rng.pick(&[5, 20, 50]))),
        7 => Fault::Network(Faults::default().lose_percent(20).cut_pair(node, other)),
        8..=10 => Fault::Network(Faults::default()),
        11 => Fault::Kill(name()),
        12 => Fault::KillAndStart(name()),
        13 => Fault::KillGuardian(name()),
        14 => Fault::PowerLoss(name()),
        15 => Fault::Stop(name()),
        16 => Fault::Hang(name(), rng.between(100, 3500)),
        17 => Fault::Promote(name()),
        _ => Fault::StartAll,
    }
}

/// Lets faults come for `duration`, and checks the promise after each; then mends everything.
///
/// # Panics
/// If the promise is broken, or the cluster does not find together again.
pub fn run(world: &World, seed: u64, duration: Duration) {
    strike(world, seed, duration, |_| {});
    mend(world);
    let master = world.settle();
    println!("{master} is master after {} promotions in all", world.promotions());
}

/// Everything works again, and every daemon runs.
pub fn mend(world: &World) {
    println!("everything is mended");
    world.heal();
    world.start_all();
}

/// Lets faults come for `duration`, and checks the promise after each; `meanwhile` is called after each too.
///
/// # Panics
/// If the promise is broken.
pub fn strike(world: &World, seed: u64, duration: Duration, mut meanwhile: impl FnMut(&World)) {
    let mut rng = Rng::new(seed);
    let names: Vec<String> = world.cluster.nodes().iter().map(|n| n.name.clone()).collect();
    let begun = Instant::now();
    while begun.elapsed() < duration {
        let fault = draw(&mut rng, &names);
        println!("{:8.3} s ({:.3}): {fault}", begun.elapsed().as_secs_f64(), crate::now());
        commit(world, &fault);
        world.pass(Duration::from_millis(rng.between(20, 3000)));
        meanwhile(world);
    }
}

fn commit(world: &World, fault: &Fault) {
    let running = |name: &str| world.cluster.node(name).is_running();
    match fault {
        Fault::Network(faults) => drop(world.network(faults)),
        Fault::StartAll => world.start_all(),
        Fault::Kill(name) if running(name) => {
            // A daemon whose guardian is being replaced is not killed: that would be both.
            world.wait_guarded(name);
            world.cluster.node(name).kill();
        }
        Fault::KillAndStart(name) if running(name) => {
            world.wait_guarded(name);
            world.cluster.node(name).kill();
            world.cluster.node(name).start();
        }
        Fault::KillGuardian(name) if running(name) => {
            world.wait_guarded(name);
            let old = world.kill_guardian(name);
            world.wait_guardian(name, Some(old));
            world.wait_guarded(name);
        }
        Fault::PowerLoss(name) if running(name) => drop(world.kill_everything(name)),
        Fault::Stop(name) if running(name) => {
            world.cluster.node(name).signal(Signal::SIGTERM);
            world.cluster.node(name).wait_end();
        }
        Fault::Hang(name, ms) if running(name) => {
            world.wait_guarded(name);
            let node = world.cluster.node(name);
            node.signal(Signal::SIGSTOP);
            world.pass(Duration::from_millis(*ms));
            // Its guardian has ended it if that was longer than its lease.
            if node.is_running() {
                node.signal(Signal::SIGCONT);
            }
        }
        // It may be refused, or not be done in time: that is an answer too.
        Fault::Promote(name) if running(name) => {
            drop(world.cluster.node(name).koi(&["-t", "2s", "promote", name]));
        }
        Fault::Kill(_)
        | Fault::KillAndStart(_)
        | Fault::KillGuardian(_)
        | Fault::PowerLoss(_)
        | Fault::Stop(_)
        | Fault::Hang(..)
        | Fault::Promote(_) => println!("           (its daemon does not run)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_faults_every_time() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let faults = |seed| {
            let mut rng = Rng::new(seed);
            std::iter::repeat_with(|| draw(&mut rng, &names)).take(50).collect::<Vec<_>>()
        };
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
    }
}
