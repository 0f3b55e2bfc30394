//! `koi watch`: the status, again every second.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use koi_proto::api::{ErrorBody, Status};
use tokio::time::MissedTickBehavior;

use super::show::STATUS;
use super::signals::until_interrupted;
use crate::connect::{Answer, Daemon};
use crate::error::CommandError;
use crate::output::Out;
use crate::render::cluster::status;
use crate::render::layout::{View, clock, text};

const PERIOD: Duration = Duration::from_secs(1);
/// Another screen, so that what was there comes back; no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner; to the end of the line; to the end of the screen.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

/// Shows the status every second until Ctrl-C. What cannot be had now may be had later: errors do not end it.
pub(crate) async fn watch(daemon: &Daemon, out: Out) -> Result<u8, CommandError> {
    let screen = Screen::new(out)?;
    until_interrupted(redraw(daemon, &screen)).await
}

async fn redraw(daemon: &Daemon, screen: &Screen) -> Result<u8, CommandError> {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        screen.show(daemon.get::<Status>(STATUS).await)?;
    }
}

/// Where the status is drawn; left as it was found.
struct Screen {
    out: Out,
    full: bool,
}

impl Screen {
    fn new(out: Out) -> Result<Screen, CommandError> {
        let full = io::stdout().is_terminal() && !out.is_json();
        if full {
            out.write(ENTER)?;
        }
        Ok(Screen { out, full })
    }

    fn show(&self, answer: Result<Answer<Status>, CommandError>) -> Result<(), CommandError> {
        if self.out.is_json() {
            return self.out.line(&one_line(answer)?);
        }
        let view = self.out.view();
        let page = match answer {
            Ok(answer) => status::status(&answer.value, &view),
            Err(fail) => trouble(fail, &view)?,
        };
        if !self.full {
            return self.out.write(&format!("{page}\n"));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let head = view.paint.dim(&format!("{}, Ctrl-C ends", clock::instant(now)));
        let rows =
            terminal_size::terminal_size_of(io::stdout()).map_or(24, |(_, height)| usize::from(height.0));
        self.out.write(&frame(&format!("{head}\n{page}"), rows))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.full {
            // A terminal that has gone needs no restoring.
            let _ = self.out.write(LEAVE);
        }
    }
}

fn one_line(answer: Result<Answer<Status>, CommandError>) -> Result<String, CommandError> {
    match answer {
        Ok(answer) => Ok(answer.raw.to_string()),
        Err(CommandError::Reported { error, .. }) => serde_json::to_string(&ErrorBody { error })
            .map_err(|e| CommandError::local(format!("cannot write JSON: {e}"), "")),
        Err(closed @ CommandError::OutputClosed) => Err(closed),
    }
}

fn trouble(fail: CommandError, view: &View) -> Result<String, CommandError> {
    match fail {
        CommandError::Reported { error, .. } => {
            let message = view.paint.bad(&text::clean(&error.message));
            Ok(format!("{message}\n  {}\n", text::clean(&error.hint)))
        }
        closed @ CommandError::OutputClosed => Err(closed),
    }
}

/// A page on a terminal with so many rows, drawn over the one before.
fn frame(page: &str, rows: usize) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let room = rows.saturating_sub(1).max(1);
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    let mut drawn = HOME.to_owned();
    for line in &lines[..shown] {
        drawn.push_str(&format!("{line}{CLEAR_LINE}\n"));
    }
    if lines.len() > shown {
        drawn.push_str(&format!("… {} more lines{CLEAR_LINE}\n", lines.len() - shown));
    }
    drawn.push_str(CLEAR_REST);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_too_long_says_how_much_is_missing() {
        let drawn = frame("1\n2\n3\n4\n5\n", 4);
        assert_eq!(drawn.matches("\n").count(), 3);
        assert!(drawn.contains("… 3 more lines"), "{drawn:?}");
    }
}
