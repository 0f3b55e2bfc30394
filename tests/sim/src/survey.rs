//! Many seeds on all cores.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::nemesis::{self, Report};
use crate::world::Shape;

/// The first seed of `seeds` that violates something, as far as it was looked for: each core stops at its first. `progress` is told how
/// many are done, now and then. A panic is a violation too.
pub fn survey(seeds: Range<u64>, progress: impl Fn(u64) + Sync) -> Option<Report> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (done, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (done, found, progress, seeds) = (&done, &found, &progress, seeds.clone());
                scope.spawn(move || {
                    for seed in (seeds.start + worker..seeds.end).step_by(threads as usize) {
                        if found.load(Ordering::Relaxed) < seed {
                            return None;
                        }
                        let report = run(seed);
                        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                        if !report.violations.is_empty() {
                            found.fetch_min(seed, Ordering::Relaxed);
                            return Some(report);
                        }
                    }
                    None
                })
            })
            .collect();
        workers.into_iter().filter_map(|w| w.join().ok().flatten()).collect()
    });
    reports.into_iter().min_by_key(|r| r.seed)
}

fn run(seed: u64) -> Report {
    std::panic::catch_unwind(|| nemesis::run(seed)).unwrap_or_else(|_| Report {
        seed,
        shape: Shape { runners: 0, voters: 0, services: 0, spares: 0, groups: 0, placed: false },
        violations: vec!["a panic; its message stands above".to_owned()],
        story: Vec::new(),
    })
}
