//! Text for people, whoever has written it: what scripts, clients and other nodes say must not steer a terminal, forge lines of
//! a log, or fill it; and whoever reads standard output may have gone.

use std::borrow::Cow;
use std::io::{self, Write};

/// Characters of one message; what is cut off is counted.
const CHARS: usize = 4000;

/// The exit code of a program that nobody listens to any more: that of one which SIGPIPE has ended.
const NOBODY_LISTENS: i32 = 128 + 13;

/// What may stand in a text for people: it has lines.
const LINES: [char; 2] = ['\n', '\t'];

/// `text` with everything escaped that a terminal acts on, or nobody sees, but for the ends of lines; and cut if it is longer than 4000
/// characters.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(CHARS) {
        None => koi_text::escaped(text, &LINES),
        Some((at, _)) => {
            let (shown, rest) = text.split_at(at);
            Cow::Owned(format!("{}… ({} bytes more)", koi_text::escaped(shown, &LINES), rest.len()))
        }
    }
}

/// As [`harmless`], in one line.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    harmless(&lines.join(" ")).into_owned()
}

/// At most so many characters of `text`.
pub(crate) fn short(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
    }
}

/// A line on standard output. If nobody reads it any more (`koid --check | head`) the program ends, as others do.
pub(crate) fn line(text: &str) {
    written(raw(&harmless(text)));
}

/// A line for programs on standard output, as it is.
pub(crate) fn line_as_it_is(text: &str) {
    written(raw(text));
}

fn raw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

fn written(result: io::Result<()>) {
    if let Err(error) = result {
        if error.kind() != io::ErrorKind::BrokenPipe {
            self::error(&format!("koid: cannot write to standard output: {error}"));
        }
        std::process::exit(NOBODY_LISTENS);
    }
}

/// A line on standard error; that nobody reads it is no reason to end.
pub(crate) fn error(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_everything_else_stays() {
        assert_eq!(harmless("größer\tals\nsonst"), "größer\tals\nsonst");
        assert_eq!(harmless("\x1b[2Jhello\r\x07\u{9b}1m"), "\\u{1b}[2Jhello\\r\\u{7}\\u{9b}1m");
        assert_eq!(harmless("a\u{202e}b\u{2028}c"), "a\\u{202e}b\\u{2028}c");
        assert_eq!(one_line("two\n  lines\x00"), "two lines\\u{0}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let long = harmless(&"ö".repeat(60_000)).into_owned();
        assert!(
            long.chars().count() < CHARS + 30 && long.ends_with("… (112000 bytes more)"),
            "{}",
            long.len()
        );
    }
}
