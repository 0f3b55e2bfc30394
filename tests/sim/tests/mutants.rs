//! Each rule, broken, must be found out. Built with `RUSTFLAGS="--cfg koi_mutants"`; `cargo xtask mutants` does that.

#![cfg(koi_mutants)]

use koi_core::mutant::{Mutant, break_rule};
use koi_sim::survey;

/// Seeds that no mutant may survive.
const BUDGET: u64 = 20_000;

/// Seeds that show what few others do: a campaign that does not wait for disks, a farewell that is taken for another group's, and a lease that is
/// counted from its answer. They are tried after the first thousand.
const RARE: [u64; 3] = [1027, 5393, 5647];

/// Whoever looks up a rule finds what shows that it is kept.
#[test]
fn the_protocols_page_names_every_mutant() {
    let page = include_str!("../../../docs/protocol.md");
    let unnamed: Vec<_> = Mutant::ALL.into_iter().filter(|m| !page.contains(&format!("`{m:?}`"))).collect();
    assert!(unnamed.is_empty(), "docs/protocol.md does not name {unnamed:?}");
}

/// `KOI_MUTANT=NAME` hunts one only.
#[test]
fn every_broken_rule_is_found_out() {
    let only = std::env::var("KOI_MUTANT").ok();
    let wanted = |m: &Mutant| only.as_ref().is_none_or(|name| *name == format!("{m:?}"));
    let hunted: Vec<Mutant> = Mutant::ALL.into_iter().filter(wanted).collect();
    assert!(!hunted.is_empty(), "KOI_MUTANT={only:?} is none of {:?}", Mutant::ALL);
    // A mutant may trip an assertion: that is a way to be found out, and no news.
    std::panic::set_hook(Box::new(|_| {}));
    let mut survivors = Vec::new();
    for (n, mutant) in hunted.iter().enumerate() {
        let (name, at) = (format!("{mutant:?}"), format!("{:2} of {}", n + 1, hunted.len()));
        break_rule(Some(*mutant));
        let rare = || RARE.into_iter().find_map(|seed| survey::survey(seed..seed + 1, |_| {}));
        match survey::survey(0..1000, |_| {}).or_else(rare).or_else(|| survey::survey(1000..BUDGET, |_| {})) {
            Some(report) => {
                let violation = report.violations.first().cloned().unwrap_or_default();
                println!("{at}  {name:24} seed {:6}  {violation}", report.seed);
            }
            None => {
                println!("{at}  {name:24} SURVIVES {BUDGET} seeds");
                survivors.push(name);
            }
        }
    }
    break_rule(None);
    let _ = std::panic::take_hook();
    assert!(survivors.is_empty(), "rules that nothing misses: {survivors:?}");
}
