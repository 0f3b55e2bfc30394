//! Back-off: what repeats itself waits longer each time, and is counted. Coming down never waits.

use std::time::Duration;

use crate::types::Time;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(30);
/// What has happened within this is news.
pub(crate) const RECENT: Duration = Duration::from_secs(60);
/// After so much calm the count begins anew. Longer than [`LONGEST`], so that waiting alone is no calm.
const CALM: Duration = Duration::from_secs(60);
/// The same for masterships: several nodes take turns, and each may rest as long.
const CALM_OF_MASTERSHIPS: Duration = Duration::from_secs(5 * 60);

/// How often something has repeated itself of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    calm: Duration,
    count: u32,
    last: Time,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { calm: CALM, count: 0, last: Time(0) }
    }
}

impl Patience {
    /// With masterships.
    pub(crate) fn of_masterships() -> Patience {
        Patience { calm: CALM_OF_MASTERSHIPS, ..Patience::default() }
    }

    /// It has happened again.
    pub(crate) fn count(&mut self, now: Time) {
        self.count = self.lately(now).saturating_add(1);
        self.last = now;
    }

    /// How often it has happened without a calm in between; zero after a calm.
    pub(crate) fn lately(&self, now: Time) -> u32 {
        if now.since(self.last) >= self.calm { 0 } else { self.count }
    }

    /// When it last happened; none: not of late.
    pub(crate) fn last(&self, now: Time) -> Option<Time> {
        (self.lately(now) > 0).then_some(self.last)
    }

    /// Until when to wait before the next try. The first `free` times cost nothing.
    pub(crate) fn until(&self, free: u32) -> Time {
        match self.count.saturating_sub(free) {
            0 => Time(0),
            _ if mutant!(NoBackOff) => Time(0),
            beyond => self.last + wait(beyond),
        }
    }
}

/// How long to wait after the `times`th time.
pub(crate) fn wait(times: u32) -> Duration {
    match times.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => (FIRST * 2_u32.pow(doublings.min(16))).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn each_wait_is_twice_the_last_up_to_the_longest() {
        let mut patience = Patience::default();
        assert_eq!(patience.until(1), Time(0), "nothing has happened");
        let waits = [0, 1, 2, 4, 8, 16, 30, 30].map(|wait| {
            let now = patience.until(1).max(Time(SECOND));
            patience.count(now);
            assert_eq!(patience.until(1).since(now).as_secs(), wait);
            wait
        });
        assert_eq!(patience.lately(patience.until(1)), waits.len() as u32);
    }

    #[test]
    fn a_calm_makes_it_forget() {
        let mut patience = Patience::default();
        (0..5).for_each(|n| patience.count(Time(n)));
        let calm = Time(4) + CALM;
        assert_eq!((patience.lately(calm), patience.last(calm)), (0, None));
        patience.count(calm);
        assert_eq!((patience.lately(calm), patience.until(1)), (1, Time(0)));
    }
}
