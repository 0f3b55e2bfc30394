//! When what a status says is worth another line.

use std::time::{Duration, Instant};

/// Between two lines of a node that differ in numbers only.
const PAUSE: Duration = Duration::from_secs(10);

/// What the status of one node has said last.
#[derive(Debug, Default)]
pub(super) struct StatusLine {
    said: String,
    /// When it was shown.
    at: Option<Instant>,
}

impl StatusLine {
    /// Notes what is said now, and whether it is to be shown: it is something else than what was shown last, and not in its numbers alone.
    /// Another number is shown some time later.
    pub(super) fn takes(&mut self, said: &str, now: Instant) -> bool {
        if said.is_empty() || said == self.said {
            return false;
        }
        let is_pause = self.at.is_some_and(|at| now.saturating_duration_since(at) < PAUSE);
        if is_pause && without_numbers(said) == without_numbers(&self.said) {
            return false;
        }
        (self.said, self.at) = (said.to_owned(), Some(now));
        true
    }
}

/// What the status of one node has failed with last.
#[derive(Debug, Default)]
pub(super) struct StatusFailure {
    message: String,
    /// Milliseconds that it was ago at the last look; none: it has not failed.
    ago_ms: Option<u64>,
}

impl StatusFailure {
    /// Notes a failure so long ago, and whether it is to be shown: it is a new one, and not one of many that say the same.
    pub(super) fn takes(&mut self, message: &str, ago_ms: u64) -> bool {
        // The same failure is ever longer ago.
        let is_shown = self.ago_ms.is_none_or(|before| {
            ago_ms < before && (message != self.message || u128::from(before) >= PAUSE.as_millis())
        });
        (self.message, self.ago_ms) = (message.to_owned(), Some(ago_ms));
        is_shown
    }
}

/// `lag 3.5, 12 clients` and `lag 12, 9 clients` are one.
fn without_numbers(text: &str) -> String {
    let mut left = String::new();
    for c in text.chars() {
        let is_of_number = c.is_ascii_digit() || (c == '.' && left.ends_with('#'));
        match is_of_number {
            true if left.ends_with('#') => {}
            true => left.push('#'),
            false => left.push(c),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_new_failure_is_shown_and_not_each_of_a_row() {
        let mut failure = StatusFailure::default();
        assert!(failure.takes("no answer", 20));
        assert!(!failure.takes("no answer", 900), "the same one, later");
        assert!(!failure.takes("no answer", 10), "the next of a row");
        assert!(failure.takes("the disk is full", 5), "another one");
        assert!(!failure.takes("the disk is full", 60_000));
        assert!(failure.takes("the disk is full", 30), "again, after a while");
    }

    #[test]
    fn a_figure_that_changes_each_second_does_not_flood_and_another_word_is_shown_at_once() {
        let (mut line, began) = (StatusLine::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(line.takes("runs · lag 1", at(0)));
        let shown: Vec<u64> = (1..25)
            .filter(|second| line.takes(&format!("runs · lag {}.5", second * 7), at(*second)))
            .collect();
        assert_eq!(shown, [10, 20]);
        assert!(line.takes("stands still · lag 7", at(25)), "another word");
        assert!(!line.takes("stands still · lag 7", at(60)), "nothing new");
        assert!(!line.takes("", at(61)));
    }
}
