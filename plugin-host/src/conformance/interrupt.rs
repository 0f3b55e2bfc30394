//! Ctrl-C: the hook under way is asked to end, and what was started is taken down before the process ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use koi_plugin_api::{Abort, Aborter};
use nix::sys::signal::{SigSet, Signal};

use crate::conformance::exit;

/// Signals after which nothing is waited for any more.
const ENOUGH: u32 = 3;

/// Whether somebody wants it to end, and the call that this would end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    asked: u32,
    /// As many of them the trial knows of, and does what is left to do.
    known: u32,
    under_way: Option<Aborter>,
}

impl Interrupt {
    /// Watches for SIGINT and SIGTERM from now on. To be called before any other thread is there: it is by this thread's mask,
    /// which they inherit, that the signals come to the watch. Programs that are run get an empty mask.
    pub(crate) fn watch() -> Interrupt {
        let interrupt = Interrupt::default();
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        if signals.thread_block().is_ok() {
            let watched = interrupt.clone();
            thread::spawn(move || {
                while signals.wait().is_ok() {
                    watched.note();
                }
            });
        }
        interrupt
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) {
        let mut state = self.state();
        state.asked += 1;
        if state.asked >= ENOUGH {
            std::process::exit(exit::INTERRUPTED.into());
        }
        if let Some(aborter) = &state.under_way {
            aborter.abort(if state.asked == 1 { Abort::Gently } else { Abort::Now });
        }
    }

    /// Somebody wants it to end.
    pub(crate) fn asked(&self) -> bool {
        let mut state = self.state();
        state.known = state.asked;
        state.asked > 0
    }

    /// The call that is under way from now on, if any.
    pub(crate) fn under_way(&self, aborter: Option<Aborter>) {
        let mut state = self.state();
        // The signal came between two calls, and the trial has not looked since.
        if let Some(aborter) = aborter.as_ref().filter(|_| state.asked > state.known) {
            aborter.abort(Abort::Gently);
        }
        state.under_way = aborter;
    }
}
