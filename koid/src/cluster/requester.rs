//! Who asks for a command, and until when it may be begun.
//!
//! A client that was told "no answer" acts on that: its command must not be begun afterwards. A command carries the time that is
//! left, and never an instant: clocks of machines differ.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use koi_core::types::Time;

use crate::os::sys;

/// Whether the other end of a connection is there. It never blocks.
type IsConnected = Arc<dyn Fn() -> bool + Send + Sync>;

/// Who waits for a command, and how long.
#[derive(Clone, Default)]
pub(crate) struct Requester {
    /// Nobody waits from then on; none: it was not said.
    pub(crate) until: Option<Time>,
    /// None: there is no connection that could end.
    is_connected: Option<IsConnected>,
}

impl Requester {
    /// One that waits until then, as long as the connection lasts.
    pub(crate) fn new(until: Option<Time>, is_connected: IsConnected) -> Requester {
        Requester { until, is_connected: Some(is_connected) }
    }

    /// Whether a command may be begun for it at `now`.
    pub(crate) fn waits(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
            && self.is_connected.as_ref().is_none_or(|is_connected| is_connected())
    }

    /// How much longer it waits, less what the way back takes; none: it was not said.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        /// What the way back takes at least and at most.
        const LEAST: Duration = Duration::from_millis(20);
        const MOST: Duration = Duration::from_millis(500);
        let left = self.until?.since(sys::now());
        Some(left.saturating_sub((left / 8).clamp(LEAST, MOST)))
    }

    /// At most `most`, and no longer than it waits.
    pub(crate) fn at_most(&self, most: Duration) -> Duration {
        self.remaining().map_or(most, |left| left.min(most))
    }
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requester").field("until", &self.until).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn it_waits_until_its_time_is_over_or_it_has_gone() {
        let there = Arc::new(AtomicBool::new(true));
        let asked = there.clone();
        let requester = Requester::new(Some(Time(100)), Arc::new(move || asked.load(Ordering::Relaxed)));
        assert!(requester.waits(Time(99)) && !requester.waits(Time(100)));
        there.store(false, Ordering::Relaxed);
        assert!(!requester.waits(Time(0)), "it has gone");
        assert!(Requester::default().waits(Time::NEVER), "nothing was said");
    }

    #[test]
    fn something_is_left_for_the_way_back() {
        let waiting = |time| {
            Requester { until: Some(sys::now() + time), is_connected: None }.at_most(Duration::from_secs(10))
        };
        assert!(waiting(Duration::from_secs(2)) < Duration::from_secs(2));
        assert!(waiting(Duration::from_secs(2)) > Duration::from_secs(1));
        assert_eq!(waiting(Duration::from_millis(5)), Duration::ZERO);
        assert_eq!(waiting(Duration::from_secs(60)), Duration::from_secs(10));
    }
}
