//! Lines that `status` repeats are logged once.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use koi_core::types::Time;
use koi_plugin_api::{CallLog, Incident, LogLevel};

use crate::os::sys;

/// Lines of one call that are compared with those of the call before. Further lines count as repeated.
const LINES: usize = 1024;
/// How often it is said that something is said again and again.
const SAID_AGAIN: Duration = Duration::from_secs(600);

/// What the last two calls of `status` of one service have said. Each call begins with [`StatusLines::listen`].
#[derive(Debug, Default)]
pub(crate) struct StatusLines(Mutex<RecentLines>);

#[derive(Debug, Default)]
struct RecentLines {
    /// Hashes of the lines.
    before: HashSet<u64>,
    now: HashSet<u64>,
    /// How many lines were left unsaid since one was said, and since when.
    unsaid: u64,
    said_at: Time,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Novelty {
    /// The call before has not said it.
    News,
    /// It has, and that is worth a word: so many lines were left unsaid.
    Repeated(u64),
    Old,
}

impl StatusLines {
    /// The log of the next call: what the call before has said, too, goes to the log at debug level.
    pub(crate) fn listen(self: Arc<Self>, log: Arc<dyn CallLog>) -> Arc<dyn CallLog> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.before = std::mem::take(&mut heard.now);
        drop(heard);
        Arc::new(RepeatFilter { status_lines: self, log })
    }

    fn judge(&self, level: LogLevel, text: &str, at: Time) -> Novelty {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = hash(level, text);
        let room = heard.now.len() < LINES;
        let is_old = heard.before.contains(&line) || heard.now.contains(&line) || !room;
        if room {
            heard.now.insert(line);
        }
        if !is_old {
            (heard.unsaid, heard.said_at) = (0, at);
            return Novelty::News;
        }
        heard.unsaid += 1;
        if at.since(heard.said_at) < SAID_AGAIN {
            return Novelty::Old;
        }
        heard.said_at = at;
        Novelty::Repeated(std::mem::take(&mut heard.unsaid))
    }
}

fn hash(level: LogLevel, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (level as u8, text).hash(&mut hasher);
    hasher.finish()
}

/// See [`StatusLines::listen`].
struct RepeatFilter {
    status_lines: Arc<StatusLines>,
    log: Arc<dyn CallLog>,
}

impl CallLog for RepeatFilter {
    fn line(&self, level: LogLevel, text: &str) {
        match self.status_lines.judge(level, text, sys::now()) {
            Novelty::News => self.log.line(level, text),
            Novelty::Repeated(unsaid) => {
                self.log.line(level, &format!("{text} (unchanged: {unsaid} such lines were not logged)"));
            }
            Novelty::Old => self.log.line(LogLevel::Debug, text),
        }
    }

    fn group_began(&self, id: i32) {
        self.log.group_began(id);
    }

    fn broker_began(&self, id: i32) {
        self.log.broker_began(id);
    }

    fn group_gone(&self, id: i32) {
        self.log.group_gone(id);
    }

    fn incident(&self, incident: Incident) {
        self.log.incident(incident);
    }

    fn memory(&self, peak_bytes: u64, limit_bytes: Option<u64>) {
        self.log.memory(peak_bytes, limit_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<(LogLevel, String)>>);

    impl CallLog for Lines {
        fn line(&self, level: LogLevel, text: &str) {
            self.0.lock().unwrap().push((level, text.to_owned()));
        }
    }

    /// What is logged above debug level when calls say this.
    fn news(calls: &[&[&str]]) -> Vec<String> {
        let (status_lines, lines) = (Arc::new(StatusLines::default()), Arc::new(Lines::default()));
        for call in calls {
            let log = status_lines.clone().listen(lines.clone());
            call.iter().for_each(|line| log.line(LogLevel::Info, line));
        }
        let said = lines.0.lock().unwrap();
        said.iter().filter(|(level, _)| *level != LogLevel::Debug).map(|(_, line)| line.clone()).collect()
    }

    #[test]
    fn what_the_call_before_has_said_is_no_news() {
        assert_eq!(
            news(&[&["ok"], &["ok"], &["ok"], &["lag 3"], &["lag 3"], &["ok"]]),
            ["ok", "lag 3", "ok"]
        );
        assert_eq!(news(&[&["a", "b"], &["b", "a"], &["a", "b", "c"]]), ["a", "b", "c"]);
        assert_eq!(news(&[&["ok"], &[], &["ok"]]), ["ok", "ok"], "it had ceased to say so");
    }

    #[test]
    fn once_in_a_while_it_is_said_that_nothing_has_changed() {
        let status_lines = Arc::new(StatusLines::default());
        let start = Time(1);
        assert_eq!(status_lines.judge(LogLevel::Info, "ok", start), Novelty::News);
        for second in 1..SAID_AGAIN.as_secs() {
            let at = start + Duration::from_secs(second);
            assert_eq!(status_lines.judge(LogLevel::Info, "ok", at), Novelty::Old);
        }
        let unsaid = SAID_AGAIN.as_secs();
        assert_eq!(status_lines.judge(LogLevel::Info, "ok", start + SAID_AGAIN), Novelty::Repeated(unsaid));
        assert_eq!(status_lines.judge(LogLevel::Info, "ok", start + SAID_AGAIN), Novelty::Old);
    }

    #[test]
    fn memory_is_bounded() {
        let status_lines = Arc::new(StatusLines::default());
        for n in 0..10 * LINES {
            let news = status_lines.judge(LogLevel::Info, &n.to_string(), Time(0)) == Novelty::News;
            assert_eq!(news, n < LINES);
        }
        assert_eq!(status_lines.0.lock().unwrap().now.len(), LINES);
    }
}
