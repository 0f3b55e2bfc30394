//! The processes of a node.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Those of `processes` whose command line has `word` in it.
pub(crate) fn named(processes: &[Pid], word: &str) -> Vec<Pid> {
    let has = |pid: &&Pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    };
    processes.iter().filter(has).copied().collect()
}

/// Sends a signal to all of them; who has ended meanwhile needs none.
pub(crate) fn signal(processes: &[Pid], signal: Signal) {
    for pid in processes {
        let _ = kill(*pid, signal);
    }
}
