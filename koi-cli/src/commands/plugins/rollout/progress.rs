//! What is said while nodes do what may take long. It goes to standard error: standard output has the plan and what was done.

use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::output::{Out, PassingLine};
use crate::render::layout::clock::span_of;

/// What takes longer is said to go on.
const LONG: Duration = Duration::from_secs(2);
/// Time between two words about it on a terminal. Elsewhere one is enough.
const PERIOD: Duration = Duration::from_secs(1);

/// Tells people how a rollout goes. Programs that read JSON are told nothing but the result.
pub(super) struct Progress {
    out: Out,
    passing: PassingLine,
    /// What goes on now.
    doing: RefCell<String>,
}

impl Progress {
    pub(super) fn new(out: Out) -> Progress {
        Progress { out, passing: PassingLine::new(out), doing: RefCell::default() }
    }

    /// Says that something begins.
    pub(super) fn begins(&self, what: &str) {
        self.doing(what.to_owned());
        self.say(&format!("{what} …"));
    }

    /// Says what came of it, and how long that took if it was long.
    pub(super) fn ended(&self, what: &str, began: Instant) {
        let took = began.elapsed();
        let after = if took < LONG { String::new() } else { format!(", after {}", span_of(took)) };
        self.say(&format!("{what}{after}"));
    }

    /// Notes more closely what goes on now: `a is still compiling`.
    pub(super) fn doing(&self, what: String) {
        self.doing.replace(what);
    }

    /// Waits for the end of something, and says after a moment that it goes on.
    pub(super) async fn until_done<T>(&self, work: impl Future<Output = T>) -> T {
        let (began, mut work) = (Instant::now(), pin!(work));
        let mut said = 0;
        loop {
            let next = LONG + said * PERIOD;
            match timeout_at(began + next, &mut work).await {
                Ok(done) => {
                    self.passing.clear();
                    return done;
                }
                Err(_) => self.goes_on(began.elapsed(), said == 0),
            }
            said += 1;
        }
    }

    fn goes_on(&self, so_far: Duration, is_first: bool) {
        let line = format!("{}, {} so far", self.doing.borrow(), span_of(so_far));
        if self.passing.is_shown() {
            self.passing.draw(&format!("koi: {line}"));
        } else if is_first {
            self.say(&line);
        }
    }

    fn say(&self, line: &str) {
        if !self.out.is_json() {
            self.out.note(line);
        }
    }
}
