//! The guardian (rule R8): koid's second process. It takes services down when koid is killed, or hangs past its lease; and it
//! tells the others, so that nobody has to wait.
//!
//! It is koid's own executable, started anew with its end of a socket as standard input. It holds no key: what it would say is
//! sealed beforehand. Until it has to act it is one thread that waits for messages and for one deadline.

mod obituary;
mod state;
mod teardown;
mod watchdog;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use self::state::GuardedState;
use self::watchdog::Watchdog;
use crate::args::Args;
use crate::guardian_client::protocol::{GuardianMessage, HERE, MESSAGE_BYTES, STANDS};
use crate::os::sys;
use crate::reporting::log;

/// Why the guardian acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakeoverCause {
    /// koid is gone without a good-bye.
    Dead,
    /// koid has let its lease run out, or its grace.
    Hangs,
}

/// The guardian's life.
pub(crate) fn run(args: &Args, lock: &Path) -> ExitCode {
    let daemon = sys::parent();
    sys::leave_terminal();
    let _logging = log::start(&args.log, args.no_color);
    // Two guardians never take the same services down: the next waits until the earlier is done.
    let _lock = match sys::lock_file(lock) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::error!("the guardian cannot lock {}: {error}", lock.display());
            return ExitCode::FAILURE;
        }
    };
    // The others wait for the demote hooks of a dead koid: a process that starts beside them would cost them its time.
    koi_child::start_keeper();
    let _ = sys::lock_memory();
    let _ = sys::make_realtime();
    match guard() {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some((state, cause))) => {
            teardown::take_down(state, cause, daemon);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("the guardian has failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for messages and for the deadline; none: koid said good-bye.
fn guard() -> io::Result<Option<(GuardedState, TakeoverCause)>> {
    let socket = io::stdin();
    let mut state = GuardedState {
        setup: None,
        route: None,
        watching: BTreeMap::new(),
        services: BTreeMap::new(),
        groups: BTreeMap::new(),
        grace: Duration::ZERO,
        watchdog: None,
    };
    if sys::send_message(socket.as_fd(), STANDS).is_err() {
        return Ok(None); // koid ended meanwhile, and had nothing promoted yet
    }
    let mut buffer = vec![0; MESSAGE_BYTES];
    loop {
        state.tend_watchdog();
        let wake = state.deadline().into_iter().chain(state.watchdog.as_ref().map(Watchdog::next)).min();
        let patience = wake.map(|at| at.since(sys::now()));
        if !sys::wait_readable(socket.as_fd(), patience)? {
            if state.deadline().is_some_and(|at| sys::now() >= at) {
                return Ok(Some((state, TakeoverCause::Hangs)));
            }
            continue;
        }
        let Some(length) = sys::receive_message(socket.as_fd(), &mut buffer)? else {
            return Ok(Some((state, TakeoverCause::Dead)));
        };
        match minicbor::decode::<GuardianMessage>(&buffer[..length]) {
            Ok(GuardianMessage::Bye) => {
                state.release_watchdog();
                return Ok(None);
            }
            Ok(GuardianMessage::Setup(setup)) => {
                if let Some(answer) = state.set_up(setup) {
                    // koid may be gone by now: the next turn finds out.
                    let _ = sys::send_message(socket.as_fd(), &answer);
                }
            }
            Ok(GuardianMessage::Ping) => drop(sys::send_message(socket.as_fd(), HERE)),
            Ok(message) => state.apply(message),
            Err(error) => tracing::error!("the guardian did not understand a word of koid: {error}"),
        }
    }
}
