//! What people and programs are told.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use koi_plugin_api::LogLevel;
use serde_json::{Value, json};

use crate::conformance::args::Args;

/// Characters of what a handler said.
const SAID: usize = 500;

/// A character that stands there more often in a row is shown [`RUN_SHOWN`] times.
const RUN: usize = 24;
const RUN_SHOWN: usize = 8;

/// Last lines of a call's log that are shown when it failed: so many for people, and so many more for debugging.
const LOG_LINES: usize = 8;
const DEBUG_LINES: usize = 6;

/// What one try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// Good to know, or not to be tried here.
    Note,
    /// It breaks the contract.
    Fail,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Fail => "FAIL",
        }
    }

    /// As a terminal shows it.
    fn color(self) -> &'static str {
        match self {
            Verdict::Ok => "32",
            Verdict::Note => "33",
            Verdict::Fail => "1;31",
        }
    }
}

/// A report: people read each line as it comes, programs the whole at the end.
pub(crate) struct Report {
    json: bool,
    color: bool,
    quiet: bool,
    began: Instant,
    part: String,
    /// The title of this part has been written.
    is_titled: bool,
    /// Something has been written.
    is_begun: bool,
    checks: Vec<Value>,
    counts: [usize; 3],
    failures: Vec<Failure>,
    /// Why nothing of the handler's own could be tried.
    untried: Option<&'static str>,
}

/// What went wrong, once or often: one mistake in `stop` spoils every story.
struct Failure {
    /// Where it did first.
    place: String,
    said: String,
    times: usize,
}

impl Report {
    pub(crate) fn new(args: &Args) -> Report {
        Report {
            json: args.json,
            color: args.color,
            quiet: args.quiet,
            began: Instant::now(),
            part: String::new(),
            is_titled: false,
            is_begun: false,
            checks: Vec::new(),
            counts: [0; 3],
            failures: Vec::new(),
            untried: None,
        }
    }

    /// What follows is about this.
    pub(crate) fn part(&mut self, title: &str) {
        self.part = title.to_owned();
        self.is_titled = false;
        if !self.quiet {
            self.title();
        }
    }

    fn title(&mut self) {
        if !self.is_titled {
            self.text(&format!("{}\n", painted(&self.part, "1", self.color)));
            (self.is_titled, self.is_begun) = (true, true);
        }
    }

    /// One try.
    pub(crate) fn add(&mut self, verdict: Verdict, what: &str, said: &str, took: Duration) {
        let said = koi_text::blanked(&cut(&squeezed(said)));
        let time = if took.is_zero() { String::new() } else { format!(" ({})", shown(took)) };
        let mark = painted(&format!("{:<4}", verdict.as_str()), verdict.color(), self.color);
        if !self.quiet || verdict != Verdict::Ok {
            self.title();
            self.text(&format!("  {mark}  {what}: {said}{time}\n"));
        }
        if verdict == Verdict::Fail {
            self.count_failure(what, &said);
        }
        self.counts[verdict as usize] += 1;
        let check = json!({
            "part": self.part, "check": what, "verdict": verdict.as_str(), "message": said, "ms": millis(took),
        });
        self.checks.push(check);
    }

    fn count_failure(&mut self, what: &str, said: &str) {
        match self.failures.iter_mut().find(|failure| failure.said == said) {
            Some(known) => known.times += 1,
            None => {
                let place = format!("{}, {what}", self.part);
                self.failures.push(Failure { place, said: said.to_owned(), times: 1 });
            }
        }
    }

    /// The last of what a failed call wrote.
    pub(crate) fn log(&self, lines: &[(LogLevel, String)]) {
        for line in last(lines) {
            self.text(&painted(
                &format!("          | {}\n", koi_text::blanked(&cut(&squeezed(line)))),
                "2",
                self.color,
            ));
        }
    }

    /// What the handler is for cannot be tried, and why.
    pub(crate) fn give_up(&mut self, why: &'static str) {
        self.untried = Some(why);
    }

    pub(crate) fn failed(&self) -> bool {
        self.counts[Verdict::Fail as usize] > 0
    }

    /// The end: how it stands, and what could not be tried. `facts` is what programs are to know besides.
    pub(crate) fn finish(&self, unchecked: &[String], mut facts: Value) {
        let [well, notes, failures] = self.counts;
        if self.json {
            let whole = json!({
                "ok": !self.failed(), "passed": well, "notes": notes, "failed": failures,
                "ms": millis(self.began.elapsed()), "checks": self.checks, "not_checked": unchecked,
            });
            if let (Value::Object(facts), Value::Object(whole)) = (&mut facts, whole) {
                facts.extend(whole);
            }
            json(&facts);
            return;
        }
        if self.is_begun {
            self.text("\n");
        }
        for what in unchecked {
            self.text(&format!("not checked: {}\n", koi_text::blanked(what)));
        }
        // Where nothing was tried it stands right above.
        for failure in self.failures.iter().filter(|_| self.untried.is_none()) {
            self.text(&format!("{} {failure}\n", painted("FAIL", Verdict::Fail.color(), self.color)));
        }
        let counts = format!("{well} ok, {}, {}", count(notes, "note"), count(failures, "failure"));
        let (word, verdict) = match self.failed() {
            true => (self.untried.unwrap_or("breaks the contract"), Verdict::Fail),
            false if unchecked.is_empty() => ("keeps to the contract", Verdict::Ok),
            false => ("keeps to the contract as far as it was checked", Verdict::Ok),
        };
        let word = painted(word, verdict.color(), self.color);
        self.text(&format!("{word}: {counts}, in {}\n", shown(self.began.elapsed())));
    }

    fn text(&self, text: &str) {
        if !self.json {
            write(text);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { place, said, times } = self;
        match times {
            1 => write!(f, "{place}: {said}"),
            _ => write!(f, "{place}, and {} more: {said}", times - 1),
        }
    }
}

/// The last of these lines. The names of the functions that a crash happened in must not push its message out.
pub(crate) fn last(lines: &[(LogLevel, String)]) -> Vec<&str> {
    let (mut words, mut debug) = (LOG_LINES, DEBUG_LINES);
    let mut last = Vec::new();
    for (level, line) in lines.iter().rev() {
        let room = if *level == LogLevel::Debug { &mut debug } else { &mut words };
        if *room > 0 {
            *room -= 1;
            last.push(line.as_str());
        }
    }
    last.reverse();
    last
}

/// Writes to standard output. Who has stopped reading wants no more: the process ends when its work does.
pub(crate) fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a document.
pub(crate) fn json(value: &Value) {
    write(&format!("{value:#}\n"));
}

/// What takes long, for people who wait: on standard error, and only on a terminal.
pub(crate) fn progress(text: &str) {
    if io::stderr().is_terminal() {
        crate::stderr::complain(text);
    }
}

pub(crate) fn painted(text: &str, color: &str, with: bool) -> String {
    if with { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
}

/// `text` without its long runs of one character: a check hands over values of 64 KiB, and handlers repeat them.
fn squeezed(text: &str) -> String {
    let mut squeezed = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let mut run = 1;
        while rest.next_if_eq(&c).is_some() {
            run += 1;
        }
        let shown = if run > RUN { RUN_SHOWN } else { run };
        squeezed.extend(std::iter::repeat_n(c, shown));
        if run > RUN {
            squeezed.push('…');
        }
    }
    squeezed
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SAID) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Milliseconds, to the microsecond.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// A time as people read it: `0.3 ms`, `12 ms`, `1.2 s`.
pub(crate) fn shown(time: Duration) -> String {
    let ms = millis(time);
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_one_needs() {
        let times = [300, 12_300, 1_240_000].map(|us| shown(Duration::from_micros(us)));
        assert_eq!(times, ["0.3 ms", "12 ms", "1.2 s"]);
    }

    #[test]
    fn a_failure_that_comes_again_is_counted() {
        let mut report = Report::new(&Args { quiet: true, json: true, ..Args::default() });
        for (part, what, said) in [
            ("its life", "stop", "exit code 1"),
            ("its life", "stop a second time", "exit code 1"),
            ("failures", "promote", "exit code 2"),
            ("failures", "stop", "exit code 1"),
        ] {
            report.part(part);
            report.add(Verdict::Fail, what, said, Duration::ZERO);
        }
        let shown: Vec<_> = report.failures.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["its life, stop, and 2 more: exit code 1", "failures, promote: exit code 2"]);
    }

    #[test]
    fn a_long_backtrace_leaves_the_message_in_sight() {
        let mut lines = vec![(LogLevel::Error, "index out of bounds".to_owned())];
        lines.extend((0..20).map(|n| (LogLevel::Debug, format!("  in f{n}"))));
        let shown = last(&lines);
        assert_eq!((shown.len(), shown[0], shown[1]), (7, "index out of bounds", "  in f14"));
    }

    #[test]
    fn a_long_text_is_cut_and_a_wild_one_tamed() {
        assert_eq!(cut(&"ö".repeat(600)).chars().count(), SAID + 1);
        assert_eq!(koi_text::blanked("a\x1b[2J\nb"), "a [2J b");
        assert_eq!(
            squeezed(&format!("score = \"{}\" is no number", "x".repeat(999))),
            "score = \"xxxxxxxx…\" is no number"
        );
        assert_eq!(squeezed("----------  ööö"), "----------  ööö");
    }
}
