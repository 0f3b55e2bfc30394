//! Where everything is written. `println!` panics when the reader has gone; nothing in here does.

use std::io::{self, IsTerminal, Write};

use koi_proto::api::{ApiError, ErrorBody};
use serde::Serialize;

use crate::cli::{Color, Options, Output};
use crate::error::CommandError;
use crate::render::layout::{Paint, View, text};

/// Columns when standard output is no terminal and `COLUMNS` does not say.
const COLUMNS: usize = 80;
/// Fewer would leave nothing to read.
const LEAST_COLUMNS: usize = 40;

/// Standard output and error, in the format and colour asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    format: Output,
    color: Color,
}

impl Out {
    pub(crate) fn new(options: &Options) -> Out {
        Out { format: options.output, color: options.color }
    }

    /// Whether a program reads it.
    pub(crate) fn is_json(self) -> bool {
        self.format == Output::Json
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_on_terminal(self) -> bool {
        io::stdout().is_terminal()
    }

    /// How to draw on standard output now: a terminal's size may change.
    pub(crate) fn view(self) -> View {
        let terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = terminal.or_else(variable).unwrap_or(COLUMNS).max(LEAST_COLUMNS);
        View { width, paint: self.paint(io::stdout().is_terminal()) }
    }

    fn paint(self, on_terminal: bool) -> Paint {
        let plain = || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Paint(match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => on_terminal && !plain() && !dumb(),
        })
    }

    /// Writes text as it is.
    pub(crate) fn write(self, text: &str) -> Result<(), CommandError> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|e| CommandError::from_output(&e))
    }

    /// Writes a line.
    pub(crate) fn line(self, text: &str) -> Result<(), CommandError> {
        self.write(&format!("{text}\n"))
    }

    /// Writes a document of JSON, indented.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| CommandError::local(format!("cannot write JSON: {e}"), ""))?;
        self.line(&text)
    }

    /// The JSON of `value`, or what `table` makes of it.
    pub(crate) fn show(
        self,
        value: &impl Serialize,
        table: impl FnOnce(&View) -> String,
    ) -> Result<(), CommandError> {
        if self.is_json() { self.json(value) } else { self.write(&table(&self.view())) }
    }

    /// Says what went wrong: people read it on standard error, programs as the API says errors.
    pub(crate) fn error(self, error: &ApiError) {
        if self.is_json() {
            // Nothing is left to be done about a reader that has gone.
            let _ = self.json(&ErrorBody { error: error.clone() });
            return;
        }
        let paint = self.paint(io::stderr().is_terminal());
        say(&paint.bad("koi:"), &format!("{}\n{}", error.message, error.hint));
    }

    /// Something to know beside the result, for people only.
    pub(crate) fn note(self, message: &str) {
        say("koi:", message);
    }

    /// As [`Out::note`], about something that is not as it should be.
    pub(crate) fn warn(self, message: &str) {
        let paint = self.paint(io::stderr().is_terminal());
        say(&paint.warn("koi: warning:"), message);
    }
}

/// A line on a terminal's standard error, for people, which is drawn over itself and gone in the end.
#[derive(Debug)]
pub(crate) struct PassingLine {
    is_shown: bool,
}

impl PassingLine {
    /// Nothing is drawn for programs, and where there is no terminal.
    pub(crate) fn new(out: Out) -> PassingLine {
        PassingLine { is_shown: !out.is_json() && io::stderr().is_terminal() }
    }

    /// Whether anybody sees it.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Draws it, cut to the terminal. What others have written in it steers no terminal.
    pub(crate) fn draw(&self, line: &str) {
        if self.is_shown {
            let terminal = terminal_size::terminal_size_of(io::stderr());
            let columns = terminal.map_or(COLUMNS, |(width, _)| usize::from(width.0));
            to_stderr(&format!("\r{}\x1b[K", text::cut(&text::clean(line), columns.saturating_sub(1))));
        }
    }

    /// Takes it away.
    pub(crate) fn clear(&self) {
        if self.is_shown {
            to_stderr("\r\x1b[K");
        }
    }
}

/// Says something on standard error, further lines below the first one.
fn say(mark: &str, message: &str) {
    let mut lines = message.lines().map(text::clean);
    let first = lines.next().unwrap_or_default();
    let rest: String = lines.map(|line| format!("     {}\n", line.trim_start())).collect();
    to_stderr(&format!("{mark} {first}\n{rest}"));
}

/// Writes to standard error; that it cannot be read is no reason to fail.
pub(crate) fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
