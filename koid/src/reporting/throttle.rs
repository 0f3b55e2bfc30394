//! Says a thing that repeats itself once in a while, with a count of how often it was left unsaid.
//!
//! What is said of a source is bounded by itself, and what is said of a kind of thing however many sources there are: a
//! stranger chooses the address that stands on a datagram.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use koi_core::types::Time;

/// Sources of one kind of thing that are named in an interval.
const SOURCES: usize = 8;

/// Lets each kind of thing through once per interval and source, and of so many sources.
#[derive(Debug)]
pub(crate) struct Throttle<S> {
    interval: Duration,
    /// As many as the program has names for.
    kinds: BTreeMap<&'static str, ThrottledKind<S>>,
}

#[derive(Debug)]
struct ThrottledKind<S> {
    /// Sources that were named, when, and how often each was left unsaid since.
    named: BTreeMap<S, (Time, u64)>,
    /// How often another source was left unsaid since something of this kind was last said.
    others: u64,
}

/// What was not said. Shown, it is the end of a sentence, and empty if there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsaid {
    /// Of the same source.
    pub(crate) same: u64,
    /// Of other sources.
    pub(crate) others: u64,
}

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsaid { same: 0, others: 0 } => Ok(()),
            Unsaid { same: 0, others } => write!(f, " (and {others} more from other addresses)"),
            Unsaid { same, others: 0 } => write!(f, " (and {same} more since this was last said)"),
            Unsaid { same, others } => {
                write!(f, " (and {same} more since this was last said, and {others} from other addresses)")
            }
        }
    }
}

impl<S: Ord + Clone> Throttle<S> {
    /// Once per `interval`.
    pub(crate) fn new(interval: Duration) -> Throttle<S> {
        Throttle { interval, kinds: BTreeMap::new() }
    }

    /// Whether to say it now, and how often it was left unsaid before.
    pub(crate) fn allow(&mut self, kind: &'static str, source: S, now: Time) -> Option<Unsaid> {
        let interval = self.interval;
        let kind =
            self.kinds.entry(kind).or_insert_with(|| ThrottledKind { named: BTreeMap::new(), others: 0 });
        if let Some((last, unsaid)) = kind.named.get_mut(&source) {
            if now.since(*last) < interval {
                *unsaid += 1;
                return None;
            }
            *last = now;
            return Some(Unsaid { same: std::mem::take(unsaid), others: std::mem::take(&mut kind.others) });
        }
        if kind.named.len() >= SOURCES {
            let oldest = kind.named.iter().min_by_key(|(_, (last, _))| *last);
            let over = oldest
                .filter(|(_, (last, _))| now.since(*last) >= interval)
                .map(|(source, _)| source.clone());
            let Some(over) = over else {
                kind.others += 1;
                return None;
            };
            kind.others += kind.named.remove(&over).map_or(0, |(_, unsaid)| unsaid);
        }
        kind.named.insert(source, (now, 0));
        Some(Unsaid { same: 0, others: std::mem::take(&mut kind.others) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "kind";

    fn same(same: u64) -> Option<Unsaid> {
        Some(Unsaid { same, others: 0 })
    }

    #[test]
    fn a_thing_is_said_once_per_interval_with_what_was_left_out() {
        let mut throttle = Throttle::new(Duration::from_micros(100));
        assert_eq!(throttle.allow(KIND, "a", Time(0)), same(0));
        assert_eq!(throttle.allow(KIND, "a", Time(50)), None);
        assert_eq!(throttle.allow(KIND, "b", Time(50)), same(0));
        assert_eq!(throttle.allow("other", "a", Time(50)), same(0));
        assert_eq!(throttle.allow(KIND, "a", Time(99)), None);
        let unsaid = throttle.allow(KIND, "a", Time(100)).unwrap();
        assert_eq!((unsaid.same, unsaid.to_string().as_str()), (2, " (and 2 more since this was last said)"));
    }

    #[test]
    fn however_many_sources_there_are_so_much_is_said_and_kept() {
        let mut throttle = Throttle::new(Duration::from_micros(1_000_000));
        let flood = |throttle: &mut Throttle<u64>, from: u64, at: u64| {
            (0..100_000).filter(|n| throttle.allow(KIND, from + n, Time(at + n)).is_some()).count()
        };
        assert_eq!(flood(&mut throttle, 0, 0), SOURCES);
        assert_eq!(throttle.kinds[KIND].named.len(), SOURCES);
        // The next interval says how much it was.
        let unsaid = throttle.allow(KIND, 1, Time(2_000_000)).unwrap();
        assert_eq!(unsaid.others, 100_000 - SOURCES as u64);
        assert_eq!(unsaid.to_string(), format!(" (and {} more from other addresses)", unsaid.others));
        assert!(flood(&mut throttle, 500_000, 2_000_001) < SOURCES);
    }
}
