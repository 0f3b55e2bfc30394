//! The counters of one service with one handler: they only grow, and counting waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use koi_core::io::HookEnd;
use koi_core::types::Hook;

use crate::reporting::events::unix_ms;

/// What the calls of one service have cost while one content was its handler.
#[derive(Debug, Default)]
pub(crate) struct HandlerCounters {
    /// SHA-256 of the plugin's file, in hexadecimal digits; none: scripts.
    pub(crate) hash: Option<String>,
    /// The handler's own version.
    pub(crate) version: String,
    /// From when on it counts, in seconds since 1970 by the wall clock.
    pub(crate) since: u64,
    /// By the place of the hook in [`Hook::ALL`].
    hooks: [HookCounters; Hook::ALL.len()],
    /// Zero: not known.
    memory_peak_bytes: AtomicU64,
    /// Zero: not known, or there is none.
    memory_limit_bytes: AtomicU64,
}

/// Of the calls of one hook that have ended.
#[derive(Debug, Default)]
struct HookCounters {
    calls: AtomicU64,
    failures: AtomicU64,
    timed_out: AtomicU64,
    crashed: AtomicU64,
    aborted: AtomicU64,
    no_room: AtomicU64,
    total_us: AtomicU64,
    longest_us: AtomicU64,
    last_us: AtomicU64,
}

/// The calls of one hook that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HookCount {
    /// All of them.
    pub(crate) calls: u64,
    /// Those that failed.
    pub(crate) failures: u64,
    /// Those of the failures that were not done in time.
    pub(crate) timed_out: u64,
    /// Those of the failures in which the handler's code broke off.
    pub(crate) crashed: u64,
    /// Those that koi wanted to end early, which is no failure.
    pub(crate) aborted: u64,
    /// Those that the machine had no room for, which is no failure of the handler.
    pub(crate) no_room: u64,
    /// How long they took together, from koi's call to its end, in microseconds.
    pub(crate) total_us: u64,
    /// The longest of them.
    pub(crate) longest_us: u64,
    /// The newest of them.
    pub(crate) last_us: u64,
}

impl HandlerCounters {
    /// Counts from now on.
    pub(super) fn new(hash: Option<String>, version: String) -> HandlerCounters {
        HandlerCounters { hash, version, since: unix_ms() / 1000, ..HandlerCounters::default() }
    }

    /// What was counted of `hook`. A call that ends just now may be counted in part.
    pub(crate) fn of(&self, hook: Hook) -> HookCount {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.hooks[hook as usize];
        HookCount {
            calls: read(&counters.calls),
            failures: read(&counters.failures),
            timed_out: read(&counters.timed_out),
            crashed: read(&counters.crashed),
            aborted: read(&counters.aborted),
            no_room: read(&counters.no_room),
            total_us: read(&counters.total_us),
            longest_us: read(&counters.longest_us),
            last_us: read(&counters.last_us),
        }
    }

    /// Whether a call has ended since it counts.
    pub(super) fn was_called(&self) -> bool {
        Hook::ALL.into_iter().any(|hook| self.of(hook).calls > 0)
    }

    /// A call has had so much memory, and may have so much.
    pub(crate) fn saw_memory(&self, peak_bytes: u64, limit_bytes: Option<u64>) {
        self.memory_peak_bytes.fetch_max(peak_bytes, Ordering::Relaxed);
        self.memory_limit_bytes.store(limit_bytes.unwrap_or_default(), Ordering::Relaxed);
    }

    /// The most memory that a call has had; none: nobody says.
    pub(crate) fn memory_peak_bytes(&self) -> Option<u64> {
        Some(self.memory_peak_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// How much memory the newest call might have had; none: there is no limit, or nobody says.
    pub(crate) fn memory_limit_bytes(&self) -> Option<u64> {
        Some(self.memory_limit_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    fn count(&self, hook: Hook, end: CountedEnd, took: Duration) {
        let add = |counter: &AtomicU64, more: u64| {
            counter.fetch_add(more, Ordering::Relaxed);
        };
        let counters = &self.hooks[hook as usize];
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        add(&counters.total_us, us);
        counters.longest_us.fetch_max(us, Ordering::Relaxed);
        counters.last_us.store(us, Ordering::Relaxed);
        match end {
            CountedEnd::Well => {}
            CountedEnd::Failed { timed_out, crashed } => {
                add(&counters.failures, 1);
                add(&counters.timed_out, timed_out.into());
                add(&counters.crashed, crashed.into());
            }
            CountedEnd::Aborted => add(&counters.aborted, 1),
            CountedEnd::NoRoom => add(&counters.no_room, 1),
        }
        add(&counters.calls, 1);
    }
}

/// How a call has ended, as far as that is counted.
enum CountedEnd {
    Well,
    Failed { timed_out: bool, crashed: bool },
    Aborted,
    NoRoom,
}

/// Measures one call, and counts it when it has ended. Dropped before that it counts a crash: what ran the call has panicked.
#[derive(Debug)]
pub(crate) struct CallMeter {
    counters: Arc<HandlerCounters>,
    hook: Hook,
    began: Instant,
    has_ended: bool,
}

impl CallMeter {
    /// The call begins now.
    pub(crate) fn begin(counters: Arc<HandlerCounters>, hook: Hook) -> CallMeter {
        CallMeter { counters, hook, began: Instant::now(), has_ended: false }
    }

    /// It has ended so. `crashed`: the handler's code broke off meanwhile.
    pub(crate) fn ended(mut self, end: &HookEnd, crashed: bool) {
        self.has_ended = true;
        let end = match end {
            HookEnd::Done | HookEnd::Status(_) => CountedEnd::Well,
            HookEnd::Failed { timed_out, .. } => CountedEnd::Failed { timed_out: *timed_out, crashed },
            HookEnd::Aborted => CountedEnd::Aborted,
            HookEnd::NoRoom(_) => CountedEnd::NoRoom,
        };
        self.counters.count(self.hook, end, self.began.elapsed());
    }
}

impl Drop for CallMeter {
    fn drop(&mut self) {
        if !self.has_ended {
            let broke = CountedEnd::Failed { timed_out: false, crashed: true };
            self.counters.count(self.hook, broke, self.began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_call_the_newest_and_all_of_them_are_told_apart() {
        let counters = HandlerCounters::default();
        for ms in [2, 5, 1] {
            counters.count(Hook::Promote, CountedEnd::Well, Duration::from_millis(ms));
        }
        let counted =
            HookCount { calls: 3, total_us: 8000, longest_us: 5000, last_us: 1000, ..Default::default() };
        assert_eq!(counters.of(Hook::Promote), counted);
        assert_eq!(counters.of(Hook::Demote), HookCount::default());
    }

    #[test]
    fn the_mark_of_memory_only_rises_and_the_limit_is_the_newest_one() {
        let counters = HandlerCounters::default();
        assert_eq!((counters.memory_peak_bytes(), counters.memory_limit_bytes()), (None, None));
        counters.saw_memory(700, Some(1000));
        counters.saw_memory(300, Some(2000));
        assert_eq!((counters.memory_peak_bytes(), counters.memory_limit_bytes()), (Some(700), Some(2000)));
    }
}
