//! Signals of process 1.

use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;

/// Every signal, blocked until it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockedSignals(SigSet);

/// Blocks all signals.
pub(crate) fn hold_all_signals() -> BlockedSignals {
    let all = SigSet::all();
    // It fails only for a set that is none.
    let _ = all.thread_block();
    BlockedSignals(all)
}

/// Unblocks all signals.
pub(crate) fn let_signals_go() {
    let _ = SigSet::all().thread_unblock();
}

/// The next signal, in numbers; none: not within `patience`.
pub(crate) fn next_signal(held: &BlockedSignals, patience: Option<Duration>) -> Option<i32> {
    let timeout = patience.map(TimeSpec::from_duration);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), |timeout| {
        let timeout: &libc::timespec = timeout.as_ref();
        timeout
    });
    // SAFETY: the set and the time-out, if there is one, outlive the call; nothing is wanted of the signal but its number.
    let signal = unsafe { libc::sigtimedwait(held.0.as_ref(), std::ptr::null_mut(), timeout) };
    (signal > 0).then_some(signal)
}

/// What is sent to process 1 is meant for koid, but for what the kernel tells a parent or a terminal's process.
pub(crate) fn is_for_koid(signal: i32) -> bool {
    ![libc::SIGCHLD, libc::SIGTTIN, libc::SIGTTOU, libc::SIGTSTP, libc::SIGCONT, libc::SIGPIPE]
        .contains(&signal)
}

/// Sends a signal on.
pub(crate) fn pass_on(process: i32, signal: i32) {
    // SAFETY: it takes numbers. It may have ended, and has not been waited for: its id is nobody else's.
    unsafe { libc::kill(process, signal) };
}
