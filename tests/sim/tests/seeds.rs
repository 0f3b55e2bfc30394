//! Many seeds: nothing is ever promoted twice, and what heals is well again.

use std::env;

use koi_sim::nemesis;

/// `KOI_SIM_SEEDS=FROM..TO` runs others.
#[test]
fn no_seed_finds_two_masters() {
    let (from, to) = range();
    println!("seeds {from} to {to}; KOI_SIM_SEEDS=FROM..TO runs others");
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let failed: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    (from..to)
                        .filter(|seed| seed % threads == worker)
                        .map(|seed| {
                            let run = std::panic::catch_unwind(|| nemesis::run(seed));
                            run.unwrap_or_else(|_| panic!("seed {seed} panicked"))
                        })
                        .find(|report| !report.violations.is_empty())
                })
            })
            .collect();
        workers.into_iter().filter_map(|w| w.join().expect("a run does not panic")).collect()
    });
    if let Some(report) = failed.first() {
        let from = report.story.len().saturating_sub(400);
        for line in &report.story[from..] {
            println!("{line}");
        }
        panic!("seed {} with {:?}: {:#?}", report.seed, report.shape, report.violations);
    }
}

fn range() -> (u64, u64) {
    let text = env::var("KOI_SIM_SEEDS").unwrap_or_else(|_| "0..300".to_owned());
    let parts: Option<(u64, u64)> =
        text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parts.expect("KOI_SIM_SEEDS is FROM..TO")
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let (once, again) = (nemesis::run(7), nemesis::run(7));
    assert_eq!(once.story, again.story);
    assert!(!once.story.is_empty());
}
