//! Whether another node's clock runs as fast as this one's. Leases are kept by clocks that differ by less than
//! [`DRIFT_PERCENT`].
//!
//! A report says how long its daemon runs. The network delays it, never the other way: of all reports in a while the one that seems the
//! latest was delayed the least, and says best how far ahead the other clock is.

use std::time::Duration;

use crate::settings::DRIFT_PERCENT;
use crate::types::Time;

/// So many instants of the past are compared, each the best of a while.
const MARKS: usize = 7;
/// How long such a while is.
const WHILE: Duration = Duration::from_secs(10);
/// Parts per thousand by which two clocks may differ.
const MOST: i64 = DRIFT_PERCENT as i64 * 10;

/// How far ahead another clock was, at some instants of the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// The oldest first: when it was measured, and how far ahead the other clock was then, in µs from anywhere.
    marks: Vec<(Time, i64)>,
    /// The best of the while that has begun, and when it began.
    best: Option<(Time, i64)>,
    began: Time,
}

impl Pace {
    /// The other node says at `now` that it runs for `uptime`.
    pub(crate) fn says(&mut self, uptime: Duration, now: Time) {
        let micros = i64::try_from(uptime.as_micros()).unwrap_or(i64::MAX);
        let ahead = micros.saturating_sub(i64::try_from(now.0).unwrap_or(i64::MAX));
        let Some((_, best)) = self.best else {
            (self.best, self.began) = (Some((now, ahead)), now);
            return;
        };
        if now.since(self.began) > WHILE * 2 {
            // It was silent for long: what was measured before says nothing of now.
            *self = Pace { marks: Vec::new(), best: Some((now, ahead)), began: now };
        } else if now.since(self.began) >= WHILE {
            self.marks.extend(self.best.replace((now, ahead)));
            self.began = now;
            let beyond = self.marks.len().saturating_sub(MARKS);
            self.marks.drain(..beyond);
        } else if ahead > best {
            self.best = Some((now, ahead));
        }
    }

    /// By how many parts per thousand the other clock is fast, if that is more than clocks may differ. It must be so in both halves of the last
    /// minute: a network that has become slow looks like a clock that stood still once.
    pub(crate) fn strays(&self) -> Option<i64> {
        let [first, .., last] = self.marks[..] else { return None };
        let middle = self.marks.get(MARKS / 2).filter(|_| self.marks.len() == MARKS)?;
        let halves = [fast(first, *middle)?, fast(*middle, last)?];
        let strays = halves.iter().all(|half| *half > MOST) || halves.iter().all(|half| *half < -MOST);
        strays.then(|| fast(first, last)).flatten()
    }
}

fn fast(from: (Time, i64), to: (Time, i64)) -> Option<i64> {
    let span = i64::try_from(to.0.since(from.0).as_micros()).ok()?;
    to.1.saturating_sub(from.1).saturating_mul(1000).checked_div(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports each 100 ms over `seconds`; `delay` in ms at each instant.
    fn pace(percent: f64, seconds: u64, delay: impl Fn(u64) -> u64) -> Pace {
        let mut pace = Pace::default();
        for ms in (0..seconds * 1000).step_by(100) {
            let sent = ms as f64 * (1.0 + percent / 100.0);
            pace.says(Duration::from_micros((sent * 1000.0) as u64), Time((5000 + ms + delay(ms)) * 1000));
        }
        pace
    }

    #[test]
    fn a_clock_that_runs_otherwise_is_noticed_within_minutes() {
        assert_eq!(pace(3.0, 90, |ms| ms % 7).strays(), Some(30));
        assert_eq!(pace(-2.5, 90, |ms| ms % 300).strays(), Some(-25));
        assert_eq!(pace(0.9, 300, |ms| ms % 300).strays(), None, "clocks may differ so much");
        assert_eq!(pace(3.0, 40, |_| 0).strays(), None, "too early to say");
    }

    #[test]
    fn a_network_that_becomes_slow_is_no_clock() {
        assert_eq!(pace(0.0, 300, |ms| if ms > 150_000 { 2000 } else { 1 }).strays(), None);
        assert_eq!(pace(0.0, 180, |ms| if ms > 150_000 { 2000 } else { 1 }).strays(), None);
        assert_eq!(pace(0.0, 160, |ms| if ms > 150_000 { 1 } else { 2000 }).strays(), None);
    }
}
