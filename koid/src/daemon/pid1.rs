//! koid as process 1, as in a container without an init.
//!
//! Process 1 is given every orphan of its namespace, and must wait for it. koid proper cannot: whoever waits for any child takes
//! the exits of its own hooks away from those who wait for them. So process 1 becomes a small init that has one child, koid
//! proper. It waits for whatever ends, passes signals on, and ends as koid does; not before the guardian, which may still be
//! taking services down when koid was killed: with process 1 the kernel ends everything.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::os::sys::{self, Forked};

/// How often the guardian is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// What a shell adds to the number of a signal that has ended a process.
const BY_SIGNAL: i32 = 128;

/// Splits in two where this is process 1; whoever gets none is koid proper. `guardian` is what guardians are called in a list of processes.
pub(crate) fn stand_in(guardian: &str) -> Option<ExitCode> {
    if std::process::id() != 1 {
        return None;
    }
    // From now on: none is lost, and none has the default action, which for process 1 is to do nothing.
    let signals = sys::hold_all_signals();
    match sys::fork() {
        Ok(Forked::Child) => {
            sys::let_signals_go();
            None
        }
        Ok(Forked::Parent { child }) => Some(wait_for(child, guardian, &signals)),
        Err(error) => {
            crate::reporting::say::error(&format!("koid: process 1 cannot start koid proper: {error}"));
            Some(ExitCode::FAILURE)
        }
    }
}

/// The life of process 1.
fn wait_for(koid: i32, guardian: &str, signals: &sys::BlockedSignals) -> ExitCode {
    let mut ended = None;
    loop {
        while let Some((process, code)) = sys::reap_any() {
            if process == koid {
                ended = Some(code);
            }
        }
        match ended {
            Some(code) if !is_left(guardian) => return exit_code(code),
            Some(_) => drop(sys::next_signal(signals, Some(LOOK))),
            None => {
                if let Some(signal) =
                    sys::next_signal(signals, None).filter(|signal| sys::is_for_koid(*signal))
                {
                    sys::pass_on(koid, signal);
                }
            }
        }
    }
}

fn exit_code(code: sys::ExitOutcome) -> ExitCode {
    let number = match code {
        sys::ExitOutcome::Exited(code) => code,
        sys::ExitOutcome::Killed(signal) => BY_SIGNAL + signal,
    };
    ExitCode::from(u8::try_from(number).unwrap_or(u8::MAX))
}

/// When koid is gone its guardian, a process called so, is a child of process 1.
fn is_left(guardian: &str) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes.flatten().any(|entry| is_called(guardian, &entry.path()) && is_ours(&entry.path()))
}

fn is_called(name: &str, process: &Path) -> bool {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).next() == Some(name.as_bytes())
}

/// proc(5): `pid (name) state ppid …`, and the name may hold anything.
fn is_ours(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().nth(1) == Some("1")
}
