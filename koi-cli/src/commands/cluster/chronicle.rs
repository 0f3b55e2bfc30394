//! When what nodes tell of has happened. Each node stamps its events by its own wall clock, and those differ: every stamp is placed on the clock
//! of this command, which runs evenly.

use std::time::Duration;

use koi_proto::api::{Event, Local, NodeStatus};
use tokio::time::Instant;

use crate::commands::plugins::paths::at_node;
use crate::connect::Daemon;

/// How often each node is asked for its time: the quickest answer says the most.
const LOOKS: usize = 3;
/// Microseconds that a stamp of whole milliseconds leaves open.
const STAMP_US: i64 = 1_000;
/// The share of a time by which a clock may be slewed meanwhile.
const SLEW: i64 = 1_000;

/// How a node's wall clock stands to the clock of this command. An answer was written after the question left, and before it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NodeClock {
    /// Microseconds since 1970 by the node's clock when this command's is at zero: at least.
    least_us: i64,
    /// And at most.
    most_us: i64,
}

impl NodeClock {
    /// What one answer says: the question left at `sent_us`, and the answer came at `came_us`.
    fn read(now_ms: u64, sent_us: i64, came_us: i64) -> NodeClock {
        let now_us = micros(now_ms);
        NodeClock { least_us: now_us - came_us, most_us: now_us + STAMP_US - sent_us }
    }

    /// What both say; none: they contradict each other, because the clock was set between them.
    fn and(self, other: NodeClock) -> Option<NodeClock> {
        let least_us = self.least_us.max(other.least_us);
        let most_us = self.most_us.min(other.most_us);
        (least_us <= most_us).then_some(NodeClock { least_us, most_us })
    }

    /// The same after so long: it may have been slewed.
    fn after(self, elapsed_us: i64) -> NodeClock {
        let slewed = elapsed_us / SLEW;
        NodeClock { least_us: self.least_us - slewed, most_us: self.most_us + slewed }
    }

    /// When a stamp was made.
    fn place(self, at_ms: u64) -> Moment {
        let (earliest, latest) = (micros(at_ms) - self.most_us, micros(at_ms) + STAMP_US - self.least_us);
        Moment { at_us: earliest.midpoint(latest), within_us: (latest - earliest) / 2 }
    }
}

fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000)
}

/// An instant, in microseconds since the chronicle began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    at_us: i64,
    /// By how much it may have been earlier or later.
    within_us: i64,
}

impl Moment {
    /// At some time from this to `other`.
    pub(crate) fn until(self, other: Moment) -> Moment {
        let (earliest, latest) = (self.at_us - self.within_us, other.at_us + other.within_us);
        Moment { at_us: earliest.midpoint(latest), within_us: (latest - earliest) / 2 }
    }

    /// So much later.
    pub(crate) fn later(self, time: Duration) -> Moment {
        let time_us = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Moment { at_us: self.at_us.saturating_add(time_us), ..self }
    }

    /// How much later than `other` it was, and by how much that may be wrong.
    pub(crate) fn since(self, other: Moment) -> Measured {
        let took_us = u64::try_from(self.at_us - other.at_us).unwrap_or_default();
        let within_us = u64::try_from(self.within_us + other.within_us).unwrap_or_default();
        Measured { took: Duration::from_micros(took_us), within: Duration::from_micros(within_us) }
    }
}

/// A time that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) took: Duration,
    /// By how much it may be wrong.
    pub(crate) within: Duration,
}

/// Something that a node tells of, and when it was.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Moment,
    pub(crate) event: Event,
}

/// A node that is asked what happens on it.
#[derive(Debug)]
struct Teller {
    name: String,
    clock: NodeClock,
    /// The number of its first event that counts.
    since: u64,
}

/// What happens on some nodes, from a certain moment on.
pub(crate) struct Chronicle<'d> {
    daemon: &'d Daemon,
    origin: Instant,
    tellers: Vec<Teller>,
}

impl<'d> Chronicle<'d> {
    /// Begins one of these nodes, as far as they answer.
    pub(crate) async fn begin(daemon: &'d Daemon, nodes: &[NodeStatus]) -> Chronicle<'d> {
        let mut chronicle = Chronicle { daemon, origin: Instant::now(), tellers: Vec::new() };
        for node in nodes {
            if let Some((clock, newest)) = chronicle.look(&node.name).await {
                chronicle.tellers.push(Teller { name: node.name.clone(), clock, since: newest + 1 });
            }
        }
        chronicle
    }

    /// Now.
    pub(crate) fn now(&self) -> Moment {
        Moment { at_us: self.elapsed_us(), within_us: 0 }
    }

    /// What has happened since `from`, on all nodes that still answer, in order of time. A node whose clock was set meanwhile tells nothing, nor
    /// does one whose daemon was started anew of what it did before.
    pub(crate) async fn since(&self, from: Moment) -> Vec<Entry> {
        let mut entries = Vec::new();
        for teller in &self.tellers {
            let Some((now, _)) = self.look(&teller.name).await else { continue };
            let Some(clock) = teller.clock.after(self.elapsed_us()).and(now) else { continue };
            for event in self.events(teller).await {
                let at = clock.place(event.at_ms);
                if at.at_us + at.within_us >= from.at_us {
                    entries.push(Entry { at, event });
                }
            }
        }
        entries.sort_by_key(|entry| entry.at.at_us);
        entries
    }

    fn elapsed_us(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// How a node's clock stands now, and the number of the newest event that it had when it was asked first.
    async fn look(&self, node: &str) -> Option<(NodeClock, u64)> {
        let mut found: Option<(NodeClock, u64)> = None;
        for _ in 0..LOOKS {
            let sent_us = self.elapsed_us();
            let local = self.daemon.get::<Local>(&at_node("/v1/local", Some(node))).await.ok()?.value;
            let clock = NodeClock::read(local.now_ms?, sent_us, self.elapsed_us());
            found = match found {
                None => Some((clock, local.newest_event?)),
                Some((before, newest)) => Some((before.and(clock)?, newest)),
            };
        }
        found
    }

    /// What a node has kept since. One that does not answer tells nothing.
    async fn events(&self, teller: &Teller) -> Vec<Event> {
        let path =
            format!("{}&since={}&follow=false", at_node("/v1/events", Some(&teller.name)), teller.since);
        let mut events = Vec::new();
        let Ok(mut lines) = self.daemon.lines(&path).await else { return events };
        while let Ok(Some(line)) = lines.next().await {
            events
                .extend(serde_json::from_str::<Event>(&line).ok().filter(|event| event.node == teller.name));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_placed_as_closely_as_the_quickest_answer_allows() {
        // The node's clock is an hour ahead.
        const AHEAD_MS: u64 = 3_600_000;
        let slow = NodeClock::read(AHEAD_MS + 50, 10_000, 90_000);
        let quick = NodeClock::read(AHEAD_MS + 102, 100_000, 104_000);
        let clock = slow.and(quick).unwrap();
        assert_eq!(clock, quick, "{slow:?}");
        let moment = clock.place(AHEAD_MS + 200);
        assert!((198_000..=202_000).contains(&moment.at_us), "{moment:?}");
        assert_eq!(moment.within_us, 3_000);
        let later = clock.place(AHEAD_MS + 250);
        let measured = later.since(moment);
        assert_eq!((measured.took, measured.within), (Duration::from_millis(50), Duration::from_millis(6)));
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_places_nothing() {
        let before = NodeClock::read(1_000, 0, 2_000);
        let after = NodeClock::read(9_000, 5_000_000, 5_002_000);
        assert_eq!(before.after(5_000_000).and(after), None);
        let slewed = NodeClock::read(6_003, 5_000_000, 5_002_000);
        assert!(before.after(5_000_000).and(slewed).is_some());
    }
}
