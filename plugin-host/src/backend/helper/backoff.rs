//! How soon a helper that broke is started anew.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The pause doubles with every break, and a call that went well takes it away.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    breaks: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// The helper broke, `now`.
    pub(crate) fn broke(&mut self, now: Instant) {
        let pause = FIRST.saturating_mul(1 << self.breaks.min(16)).min(LONGEST);
        self.breaks = self.breaks.saturating_add(1);
        self.not_before = Some(now + pause);
    }

    /// A call was answered.
    pub(crate) fn went_well(&mut self) {
        *self = Backoff::default();
    }

    /// How many breaks in a row there were.
    pub(crate) fn breaks(&self) -> u32 {
        self.breaks
    }

    /// When the next start may be; none: at once.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_ten_seconds_and_a_good_call_takes_it_away() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            backoff.broke(now);
            pauses.push((backoff.not_before().unwrap() - now).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.went_well();
        assert_eq!((backoff.breaks(), backoff.not_before()), (0, None));
    }
}
