//! A new service is taken when its folder has not changed for a moment: until then somebody may still be writing it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long nothing may have changed.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);

/// A new service as it was seen.
#[derive(Clone, Copy, Debug)]
struct UnsettledService {
    /// Another number after any change.
    stirring: u64,
    since: Instant,
}

/// The new services that are not taken yet, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settling(BTreeMap<String, UnsettledService>);

impl Settling {
    /// Whether a new service has been still for long enough.
    pub(crate) fn is_settled(&mut self, name: &str, stirring: u64, now: Instant) -> bool {
        let seen = self.0.entry(name.to_owned()).or_insert_with(|| {
            tracing::info!(
                "{name} is new: it is taken when nothing in its folder has changed for {SETTLE:?}"
            );
            UnsettledService { stirring, since: now }
        });
        if seen.stirring != stirring {
            *seen = UnsettledService { stirring, since: now };
        }
        now.duration_since(seen.since) >= SETTLE
    }

    /// Forgets all others: they were taken, or have gone.
    pub(crate) fn keep_only(&mut self, is_waiting: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| is_waiting(name));
    }

    /// Until the next of them can have been still for long enough.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        let left = |seen: &UnsettledService| SETTLE.saturating_sub(now.duration_since(seen.since));
        self.0.values().map(left).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_service_is_taken_once_it_has_been_still() {
        let (mut settling, begun) = (Settling::default(), Instant::now());
        let half = SETTLE / 2;
        assert!(!settling.is_settled("web", 1, begun));
        assert!(!settling.is_settled("web", 2, begun + half), "it was written to");
        assert!(!settling.is_settled("web", 2, begun + SETTLE));
        assert_eq!(settling.pause(begun + SETTLE), Some(half));
        assert!(settling.is_settled("web", 2, begun + half + SETTLE));
        settling.keep_only(|_| false);
        assert_eq!(settling.pause(begun), None);
    }
}
