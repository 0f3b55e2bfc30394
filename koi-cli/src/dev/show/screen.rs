//! Lines, one below the other; on a terminal with a line below them that stays.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::CommandError;
use crate::output::Out;
use crate::render::layout::{Tone, text};

/// To the beginning of the line, and nothing on it.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// Where everything is shown. Clones share it.
#[derive(Clone)]
pub(in crate::dev) struct Screen(Arc<ScreenInner>);

struct ScreenInner {
    out: Out,
    state: Mutex<ScreenState>,
}

#[derive(Default)]
struct ScreenState {
    /// The line that stays; none: there is no terminal, or nothing to say yet.
    footer: Option<String>,
    /// Why nothing can be shown any more.
    failed: Option<CommandError>,
}

impl Screen {
    pub(in crate::dev) fn new(out: Out) -> Screen {
        Screen(Arc::new(ScreenInner { out, state: Mutex::default() }))
    }

    /// Whether colours are shown.
    pub(in crate::dev) fn has_color(&self) -> bool {
        self.0.out.view().paint.0
    }

    /// Shows a line of koi's own. What others have written in it steers no terminal.
    pub(in crate::dev) fn say(&self, tone: Tone, line: &str) {
        self.raw(&self.painted(tone, &text::clean(line)));
    }

    /// Text in the colour of its tone.
    pub(in crate::dev) fn painted(&self, tone: Tone, text: &str) -> String {
        self.0.out.view().paint.tone(tone, text)
    }

    /// Shows a line as it is.
    pub(in crate::dev) fn raw(&self, line: &str) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = match &state.footer {
            Some(footer) => format!("{CLEAR_LINE}{line}\n{footer}"),
            None => format!("{line}\n"),
        };
        self.write(&mut state, &shown);
    }

    /// Shows another line at the bottom, on a terminal.
    pub(in crate::dev) fn footer(&self, line: &str) {
        if !self.0.out.is_on_terminal() || self.0.out.is_json() {
            return;
        }
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.footer.as_deref() != Some(line) {
            self.write(&mut state, &format!("{CLEAR_LINE}{line}"));
            state.footer = Some(line.to_owned());
        }
    }

    /// Takes the line at the bottom away.
    pub(in crate::dev) fn end(&self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.footer.take().is_some() {
            self.write(&mut state, CLEAR_LINE);
        }
    }

    /// Why nothing can be shown any more, once.
    pub(in crate::dev) fn failed(&self) -> Option<CommandError> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).failed.take()
    }

    fn write(&self, state: &mut ScreenState, shown: &str) {
        if let Err(error) = self.0.out.write(shown) {
            state.failed = Some(error);
        }
    }
}
