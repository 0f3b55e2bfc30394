//! A bound on how much one service may say.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use koi_plugin_api::{CallLog, Incident, LogLevel};

/// Lines that may come at once.
const BURST_LINES: u32 = 200;

/// Time in which one more line is earned: 100 a second.
const LINE_INTERVAL: Duration = Duration::from_millis(10);

/// How often dropped lines are told of.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// What one service may still say: a token bucket, shared by all its calls.
#[derive(Debug)]
pub struct OutputLimit(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    lines: u32,
    earned_until: Instant,
    /// How many lines were dropped and not told of, and since when.
    dropped: Option<(u64, Instant)>,
}

impl Default for OutputLimit {
    fn default() -> OutputLimit {
        let bucket = Bucket { lines: BURST_LINES, earned_until: Instant::now(), dropped: None };
        OutputLimit(Mutex::new(bucket))
    }
}

impl Bucket {
    /// Whether a line may pass.
    fn admit(&mut self, now: Instant) -> bool {
        self.earn(now);
        if self.lines > 0 {
            self.lines -= 1;
            return true;
        }
        self.dropped.get_or_insert((0, now)).0 += 1;
        false
    }

    fn earn(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.earned_until);
        let earned = u32::try_from(elapsed.as_nanos() / LINE_INTERVAL.as_nanos()).unwrap_or(u32::MAX);
        self.lines = self.lines.saturating_add(earned).min(BURST_LINES);
        // What is left of an interval counts for the next line, unless the bucket is full.
        self.earned_until = match self.lines {
            BURST_LINES => now,
            _ => self.earned_until + LINE_INTERVAL * earned,
        };
    }

    /// A sentence about what was dropped, if it is time to say it.
    fn tell(&mut self, now: Instant, at_once: bool) -> Option<String> {
        let (count, since) = self.dropped?;
        let span = now.saturating_duration_since(since);
        if !at_once && span < TELL_INTERVAL {
            return None;
        }
        self.dropped = None;
        let lines = if count == 1 { "line" } else { "lines" };
        Some(match span.as_secs() {
            0 | 1 => format!("dropped {count} {lines} of output in the last second"),
            seconds => format!("dropped {count} {lines} of output in the last {seconds} seconds"),
        })
    }
}

/// A call's log that passes on at most 200 lines at once and 100 a second from then on, counts what it drops, and tells of it
/// once a second and at the call's end. It never blocks longer than the log behind it does.
pub struct LimitedLog {
    inner: Arc<dyn CallLog>,
    limit: Arc<OutputLimit>,
}

impl LimitedLog {
    /// Limits what goes to `inner` by what the service, whose calls share `limit`, has said already.
    pub fn new(inner: Arc<dyn CallLog>, limit: Arc<OutputLimit>) -> LimitedLog {
        LimitedLog { inner, limit }
    }

    fn line_at(&self, level: LogLevel, text: &str, now: Instant) {
        let (told, passes) = self.with_bucket(|bucket| (bucket.tell(now, false), bucket.admit(now)));
        if let Some(told) = told {
            self.inner.line(LogLevel::Warn, &told);
        }
        if passes {
            self.inner.line(level, text);
        }
    }

    fn tell_now(&self) {
        if let Some(told) = self.with_bucket(|bucket| bucket.tell(Instant::now(), true)) {
            self.inner.line(LogLevel::Warn, &told);
        }
    }

    fn with_bucket<T>(&self, work: impl FnOnce(&mut Bucket) -> T) -> T {
        // A bucket is whole at any moment: whoever panicked with it left it usable.
        work(&mut self.limit.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CallLog for LimitedLog {
    fn line(&self, level: LogLevel, text: &str) {
        self.line_at(level, text, Instant::now());
    }

    fn group_began(&self, id: i32) {
        self.inner.group_began(id);
    }

    fn broker_began(&self, id: i32) {
        self.inner.broker_began(id);
    }

    fn group_gone(&self, id: i32) {
        self.tell_now();
        self.inner.group_gone(id);
    }

    fn incident(&self, incident: Incident) {
        self.inner.incident(incident);
    }

    fn memory(&self, peak_bytes: u64, limit_bytes: Option<u64>) {
        self.inner.memory(peak_bytes, limit_bytes);
    }
}

impl Drop for LimitedLog {
    fn drop(&mut self) {
        self.tell_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Vec<String>>);

    impl CallLog for Memory {
        fn line(&self, _: LogLevel, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }

    fn limited() -> (Arc<Memory>, LimitedLog, Instant) {
        let memory = Arc::new(Memory::default());
        let log = LimitedLog::new(memory.clone(), Arc::default());
        (memory, log, Instant::now())
    }

    fn lines(memory: &Memory) -> Vec<String> {
        std::mem::take(&mut *memory.0.lock().unwrap())
    }

    #[test]
    fn a_burst_passes_and_what_is_over_is_counted_and_told_of_a_second_later() {
        let (memory, log, begin) = limited();
        for n in 0..2034 {
            log.line_at(LogLevel::Info, &n.to_string(), begin);
        }
        assert_eq!(lines(&memory).len(), 200);
        log.line_at(LogLevel::Info, "later", begin + Duration::from_secs(1));
        assert_eq!(lines(&memory), ["dropped 1834 lines of output in the last second", "later"]);
    }

    #[test]
    fn a_hundred_a_second_pass_for_ever() {
        let (memory, log, begin) = limited();
        for n in 0..10_000u32 {
            log.line_at(LogLevel::Info, "steady", begin + LINE_INTERVAL * n);
        }
        assert_eq!(lines(&memory).len(), 10_000);
    }

    #[test]
    fn a_flood_is_told_of_once_a_second() {
        let (memory, log, begin) = limited();
        for ms in 0..10_000u64 {
            log.line_at(LogLevel::Info, "flood", begin + Duration::from_millis(ms));
        }
        let lines = lines(&memory);
        let told = lines.iter().filter(|line| line.starts_with("dropped")).count();
        assert!((8..=10).contains(&told), "{told}");
        assert!(lines.len() < 200 + 1000 + 20, "{}", lines.len());
    }

    #[test]
    fn the_rest_is_told_of_at_the_end_of_the_call_and_once_only() {
        let (memory, log, begin) = limited();
        for _ in 0..201 {
            log.line_at(LogLevel::Info, "line", begin);
        }
        log.group_gone(1);
        assert_eq!(lines(&memory).last().unwrap(), "dropped 1 line of output in the last second");
        drop(log);
        assert!(lines(&memory).is_empty());
    }

    #[test]
    fn calls_of_one_service_share_its_limit() {
        let (memory, log, begin) = limited();
        let next = LimitedLog::new(memory.clone(), log.limit.clone());
        for _ in 0..150 {
            log.line_at(LogLevel::Info, "first", begin);
            next.line_at(LogLevel::Info, "next", begin);
        }
        assert_eq!(lines(&memory).len(), 200);
    }
}
