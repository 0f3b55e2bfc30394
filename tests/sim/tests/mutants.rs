//! Each rule, broken, must be found out. Built with `RUSTFLAGS="--cfg koi_mutants"`; `cargo xtask mutants` does that.

#![cfg(koi_mutants)]

use koi_core::mutant::{Mutant, break_rule};
use koi_sim::nemesis;

/// Seeds that each mutant may survive.
const BUDGET: u64 = 20_000;

/// The first seed that finds the mutant out, and how.
fn hunt() -> Option<(u64, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let found = std::sync::atomic::AtomicU64::new(u64::MAX);
    let hunts: Vec<(u64, String)> = std::thread::scope(|scope| {
        let hunters: Vec<_> = (0..threads)
            .map(|hunter| {
                let found = &found;
                scope.spawn(move || {
                    for seed in (hunter..BUDGET).step_by(threads as usize) {
                        if found.load(std::sync::atomic::Ordering::Relaxed) < seed {
                            return None;
                        }
                        let caught = match std::panic::catch_unwind(|| nemesis::run(seed)) {
                            Ok(report) => report.violations.into_iter().next(),
                            Err(_) => Some("a panic".to_owned()),
                        };
                        if let Some(violation) = caught {
                            found.fetch_min(seed, std::sync::atomic::Ordering::Relaxed);
                            return Some((seed, violation));
                        }
                    }
                    None
                })
            })
            .collect();
        hunters.into_iter().filter_map(|h| h.join().expect("a hunter does not panic")).collect()
    });
    hunts.into_iter().min()
}

#[test]
fn every_broken_rule_is_found_out() {
    let only = std::env::var("KOI_MUTANT").ok();
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL {
        let name = format!("{mutant:?}");
        if only.as_ref().is_some_and(|o| *o != name) {
            continue;
        }
        break_rule(Some(mutant));
        match hunt() {
            Some((seed, violation)) => println!("{name:24} seed {seed:6}  {violation}"),
            None => {
                println!("{name:24} SURVIVES {BUDGET} seeds");
                survivors.push(name);
            }
        }
    }
    break_rule(None);
    assert!(survivors.is_empty(), "rules that nothing misses: {survivors:?}");
}
