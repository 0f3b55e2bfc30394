//! The last lines that a component has written while it was asked what it is. They are of interest when it did not say that.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use koi_plugin_api::{CallLog, LogLevel, for_people};

use crate::backend::helper::output::RUST_HINT;

/// Lines that are kept, and characters of each. Go says first what happened, and then two lines for each function.
const LINES: usize = 12;
const LINE_CHARS: usize = 200;

/// Keeps the last lines.
#[derive(Debug, Default)]
pub(crate) struct LastLines(Mutex<VecDeque<(LogLevel, String)>>);

impl LastLines {
    fn kept(&self) -> MutexGuard<'_, VecDeque<(LogLevel, String)>> {
        // At worst a line is lost.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes them to another log.
    pub(crate) fn write_to(&self, log: &dyn CallLog) {
        for (level, line) in self.kept().drain(..) {
            log.line(level, &line);
        }
    }

    /// They behind a sentence; the sentence alone where there are none.
    pub(crate) fn behind(&self, sentence: String) -> String {
        let kept = self.kept();
        let lines: Vec<_> = kept.iter().map(|(_, line)| line.as_str()).collect();
        match lines.is_empty() {
            true => sentence,
            false => format!("{sentence}; what it wrote last: {}", lines.join(" | ")),
        }
    }
}

impl CallLog for LastLines {
    fn line(&self, level: LogLevel, text: &str) {
        let line = for_people(text, LINE_CHARS);
        if line.is_empty() || line.starts_with(RUST_HINT) {
            return;
        }
        let mut kept = self.kept();
        if kept.len() == LINES {
            kept.pop_front();
        }
        kept.push_back((level, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_cleaned() {
        let lines = LastLines::default();
        assert_eq!(lines.behind("it trapped".into()), "it trapped");
        lines.line(LogLevel::Warn, "long ago");
        for line in ["\x1b[31mred", "", "note: run with `RUST_BACKTRACE=1` to see more", &"x".repeat(300)] {
            lines.line(LogLevel::Warn, line);
        }
        let long = format!("{}…", "x".repeat(LINE_CHARS - 1));
        assert_eq!(
            lines.behind("it trapped".into()),
            format!("it trapped; what it wrote last: long ago | [31mred | {long}")
        );
        (0..LINES).for_each(|n| lines.line(LogLevel::Info, &n.to_string()));
        let copy = LastLines::default();
        lines.write_to(&copy);
        assert_eq!(
            copy.behind(String::new()),
            "; what it wrote last: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11"
        );
    }
}
