//! Says a thing that repeats itself once in a while, with a count of how often it was left unsaid.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_core::types::Time;

/// Kinds of things that are told apart; beyond them the least recently said one is forgotten.
const KEYS: usize = 256;

/// Lets each kind of thing through once per interval.
#[derive(Debug)]
pub(crate) struct Throttle<K> {
    interval: Duration,
    said: BTreeMap<K, (Time, u64)>,
}

impl<K: Ord + Clone> Throttle<K> {
    /// Once per `interval`.
    pub(crate) fn new(interval: Duration) -> Throttle<K> {
        Throttle { interval, said: BTreeMap::new() }
    }

    /// Whether to say it now, and how often it was left unsaid since the last time.
    pub(crate) fn allow(&mut self, key: K, now: Time) -> Option<u64> {
        if let Some((last, unsaid)) = self.said.get_mut(&key) {
            if now.since(*last) < self.interval {
                *unsaid += 1;
                return None;
            }
            let count = std::mem::take(unsaid);
            *last = now;
            return Some(count);
        }
        if self.said.len() >= KEYS {
            let oldest = self.said.iter().min_by_key(|(_, (last, _))| *last).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.said.remove(&oldest);
            }
        }
        self.said.insert(key, (now, 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_said_once_per_interval_with_what_was_left_out() {
        let mut throttle = Throttle::new(Duration::from_micros(100));
        assert_eq!(throttle.allow("a", Time(0)), Some(0));
        assert_eq!(throttle.allow("a", Time(50)), None);
        assert_eq!(throttle.allow("b", Time(50)), Some(0));
        assert_eq!(throttle.allow("a", Time(99)), None);
        assert_eq!(throttle.allow("a", Time(100)), Some(2));
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::new(Duration::from_micros(100));
        for n in 0..10 * KEYS {
            assert_eq!(throttle.allow(n, Time(n as u64)), Some(0));
        }
        assert_eq!(throttle.said.len(), KEYS);
    }
}
