//! What a line of a koid's log is to the author of a handler.

/// A line that an author wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogLine<'l> {
    /// `12:03:04.123`.
    pub(super) time: &'l str,
    pub(super) level: &'l str,
    pub(super) what: Heard<'l>,
}

/// What it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard<'l> {
    /// A hook has said something.
    Guest { hook: &'l str, text: &'l str },
    /// A hook has ended.
    Ended { hook: &'l str, took: &'l str, how: &'l str },
    /// koid has something to say.
    Koid(&'l str),
}

/// What koid says at its level `info`, and an author wants to know.
const TOLD: &str = "this node is master";

impl LogLine<'_> {
    /// Reads a line as `koid --log console` writes it: `2026-11-22 12:03:04.123 info  [db start] text`. None: it is not for an author.
    pub(super) fn read<'l>(line: &'l str, service: &str) -> Option<LogLine<'l>> {
        let (_, rest) = line.split_once(' ')?;
        let (time, rest) = rest.split_once(' ')?;
        let (level, rest) = rest.split_once(' ')?;
        let text = rest.trim_start();
        let what = guest(text, service).or_else(|| ended(text, service)).or_else(|| koid(level, text))?;
        Some(LogLine { time, level, what })
    }
}

fn guest<'l>(text: &'l str, service: &str) -> Option<Heard<'l>> {
    let (head, text) = text.strip_prefix('[')?.split_once("] ")?;
    let (of, hook) = head.split_once(' ')?;
    (of == service).then_some(Heard::Guest { hook, text })
}

/// `db: start ended after 3 ms: done`.
fn ended<'l>(text: &'l str, service: &str) -> Option<Heard<'l>> {
    let rest = text.strip_prefix(service)?.strip_prefix(": ")?;
    let (hook, rest) = rest.split_once(" ended after ")?;
    let (took, how) = rest.split_once(": ")?;
    Some(Heard::Ended { hook, took, how })
}

fn koid<'l>(level: &str, text: &'l str) -> Option<Heard<'l>> {
    let is_told = matches!(level, "error" | "warn") || text.starts_with(TOLD);
    is_told.then_some(Heard::Koid(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(rest: &str) -> Option<Heard<'_>> {
        let line = Box::leak(format!("2026-11-22 12:03:04.123 {rest}").into_boxed_str());
        LogLine::read(line, "db").map(|line| line.what)
    }

    #[test]
    fn what_a_handler_says_and_how_its_hooks_end_is_for_its_author() {
        assert_eq!(heard("info  [db start] up"), Some(Heard::Guest { hook: "start", text: "up" }));
        assert_eq!(
            heard("error db: start ended after 3 ms: no: such file"),
            Some(Heard::Ended { hook: "start", took: "3 ms", how: "no: such file" })
        );
        assert_eq!(heard("warn  the disk is full"), Some(Heard::Koid("the disk is full")));
        assert_eq!(heard("info  db: start begins"), None);
        assert_eq!(heard("info  b is there"), None);
        assert_eq!(LogLine::read("no line of a log", "db"), None);
    }
}
