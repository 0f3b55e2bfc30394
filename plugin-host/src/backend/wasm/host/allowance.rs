//! How fast the guests of one service may ask: what koid does for one service is not to slow down what it does for the node.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Questions of a kind that are answered at once when none was asked for a while, and those in a second from then on.
#[derive(Clone, Copy, Debug)]
struct Rate {
    at_once: u32,
    a_second: u32,
}

/// Questions that koid answers out of its memory.
const QUESTIONS: Rate = Rate { at_once: 1000, a_second: 500 };
/// Looks into the store: up to a megabyte is read and summed up for each.
const READS: Rate = Rate { at_once: 200, a_second: 100 };
/// Changes of the store. Each is written to the disk that koid's own votes wait for.
const CHANGES: Rate = Rate { at_once: 100, a_second: 20 };

/// What the guests of one service may still ask.
#[derive(Debug)]
pub(crate) struct Allowance {
    questions: Mutex<Instant>,
    reads: Mutex<Instant>,
    changes: Mutex<Instant>,
}

/// What a question costs koid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Memory alone.
    Question,
    /// The store is read.
    Read,
    /// The disk besides.
    Change,
}

impl Allowance {
    pub(crate) fn new() -> Allowance {
        let full = || Mutex::new(Instant::now());
        Allowance { questions: full(), reads: full(), changes: full() }
    }

    /// Returns when it may be asked.
    pub(crate) async fn wait(&self, cost: Cost) {
        let now = Instant::now();
        let questions = QUESTIONS.take(&mut lock(&self.questions), now);
        let dearer = match cost {
            Cost::Question => None,
            Cost::Read => READS.take(&mut lock(&self.reads), now),
            Cost::Change => CHANGES.take(&mut lock(&self.changes), now),
        };
        if let Some(until) = questions.max(dearer) {
            sleep_until(until).await;
        }
    }
}

fn lock(spent: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    // A time is whole at any moment.
    spent.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rate {
    /// Takes one. The answer is when it may be used; none: now. `back` is when all that was taken will have come back.
    fn take(self, back: &mut Instant, now: Instant) -> Option<Instant> {
        let each = Duration::from_secs(1) / self.a_second;
        *back = (*back).max(now) + each;
        let from = back.checked_sub(each * self.at_once)?;
        (from > now).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { at_once: 100, a_second: 50 };

    /// Takes `count` one after the other; when the last one may be used.
    fn take(count: u32, back: &mut Instant, mut now: Instant) -> Instant {
        for _ in 0..count {
            now = RATE.take(back, now).unwrap_or(now);
        }
        now
    }

    #[test]
    fn many_at_once_are_answered_and_then_so_many_a_second() {
        let began = Instant::now();
        let mut back = began;
        assert_eq!(take(100, &mut back, began), began);
        assert_eq!(take(500, &mut back, began), began + Duration::from_secs(10));
    }

    #[test]
    fn what_is_not_asked_for_a_while_comes_back_and_no_more() {
        let began = Instant::now();
        let mut back = began;
        take(200, &mut back, began);
        let later = began + Duration::from_secs(3600);
        assert_eq!(take(100, &mut back, later), later);
        assert!(take(1, &mut back, later) > later);
    }
}
