//! Runs seeds by hand: `cargo xtask sim` calls it.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::time::Instant;

use koi_sim::{nemesis, survey};

const HELP: &str = "\
sim --seed N            tells the whole story of one seed
sim --seeds N [FROM]    runs N seeds, from FROM on (0), on all cores, and tells the story of the first that violates something";

fn main() -> ExitCode {
    #[cfg(koi_mutants)]
    break_rule();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).map(|text| text.parse::<u64>());
    match (args.first().map(String::as_str), number(1), number(2)) {
        (Some("--seed"), Some(Ok(seed)), None) => tell(&nemesis::run(seed)),
        (Some("--seeds"), Some(Ok(count)), None) => many(0, count),
        (Some("--seeds"), Some(Ok(count)), Some(Ok(from))) => many(from, count),
        _ => {
            eprintln!("{HELP}");
            ExitCode::from(2)
        }
    }
}

/// `KOI_MUTANT=NAME` breaks a rule.
#[cfg(koi_mutants)]
fn break_rule() {
    use koi_core::mutant::{self, Mutant};
    let wanted = std::env::var("KOI_MUTANT").unwrap_or_default();
    let broken = Mutant::ALL.into_iter().find(|m| format!("{m:?}") == wanted);
    assert!(broken.is_some() || wanted.is_empty(), "KOI_MUTANT={wanted} is none of {:?}", Mutant::ALL);
    mutant::break_rule(broken);
}

fn many(from: u64, count: u64) -> ExitCode {
    let began = Instant::now();
    let shows = stderr().is_terminal();
    let found = survey::survey(from..from.saturating_add(count), |done| {
        if shows && done % 100 == 0 {
            let rate = done as f64 / began.elapsed().as_secs_f64();
            let _ = write!(stderr(), "\r{done} of {count} seeds, {rate:.0} a second ");
        }
    });
    if shows {
        let _ = write!(stderr(), "\r\x1b[K");
    }
    match found {
        Some(report) => tell(&report),
        None => {
            println!("{count} seeds from {from} on violate nothing ({:.0} s)", began.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
    }
}

fn tell(report: &nemesis::Report) -> ExitCode {
    for line in &report.story {
        println!("{line}");
    }
    if report.violations.is_empty() {
        println!("seed {} with {:?} violates nothing", report.seed, report.shape);
        return ExitCode::SUCCESS;
    }
    println!("seed {} with {:?} violates:", report.seed, report.shape);
    report.violations.iter().for_each(|v| println!("  {v}"));
    println!("again: cargo xtask sim --seed {}", report.seed);
    ExitCode::FAILURE
}
