//! Many seeds: nothing is ever promoted twice, and what heals is well again.

use std::env;
use std::ops::Range;

use koi_sim::{nemesis, survey};

/// `KOI_SIM_SEEDS=FROM..TO` runs others.
#[test]
fn no_seed_finds_two_masters() {
    let seeds = seeds();
    println!("seeds {seeds:?}; KOI_SIM_SEEDS=FROM..TO runs others");
    if let Some(report) = survey::survey(seeds, |_| {}) {
        let from = report.story.len().saturating_sub(200);
        report.story[from..].iter().for_each(|line| println!("{line}"));
        panic!(
            "seed {} with {:?}: {:#?}; the whole story: cargo xtask sim --seed {}",
            report.seed, report.shape, report.violations, report.seed
        );
    }
}

fn seeds() -> Range<u64> {
    let text = env::var("KOI_SIM_SEEDS").unwrap_or_else(|_| "0..1000".to_owned());
    let ends = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    ends.expect("KOI_SIM_SEEDS is FROM..TO")
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in [7, 8] {
        let (once, again) = (nemesis::run(seed), nemesis::run(seed));
        assert_eq!(once.story, again.story);
        assert!(!once.story.is_empty());
    }
}
