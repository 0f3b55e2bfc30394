//! Processes and their groups.

use std::io;

use koi_child::ProcessHandle;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Reboots the machine at once, without syncing disks: a fence must not wait for a disk that hangs. Returns only when
/// that is not allowed.
pub(crate) fn reboot_now() -> io::Error {
    match nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT) {
        Err(errno) => errno.into(),
    }
}

/// Begins this program anew, with its arguments, as the same process. Returns only if that fails.
pub(crate) fn execute_anew() -> io::Error {
    use std::os::unix::process::CommandExt;
    std::process::Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec()
}

/// The process that started this one.
pub(crate) fn parent() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// SIGKILL to the process that started this one, if it still lives. Its number is not given away before it is reaped, and then the parent is another: so the handle, which
/// is opened before that is looked at, is the parent's.
pub(crate) fn kill_parent(known: i32) {
    let handle = ProcessHandle::open(known);
    if parent() != known {
        return;
    }
    match handle {
        Some(handle) => handle.signal(Signal::SIGKILL),
        // It cannot be looked at. That it hangs is worse.
        None => drop(kill(Pid::from_raw(known), Signal::SIGKILL)),
    }
}

/// SIGKILL to this process alone.
pub(crate) fn kill_self() {
    let _ = kill(Pid::this(), Signal::SIGKILL);
}

/// A process of its own: no signal of a terminal, nor one that is meant for the daemon, ends it.
pub(crate) fn leave_terminal() {
    let _ = nix::unistd::setsid();
    koi_child::outlive_signals();
}

/// Who one is after [`fork`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forked {
    /// The new process.
    Child,
    /// The old one.
    Parent {
        /// The new one's id.
        child: i32,
    },
}

/// Splits this process in two. Only before there is a second thread.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: there is one thread, so that no lock is held by one that the child does not have.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
        nix::unistd::ForkResult::Parent { child } => Ok(Forked::Parent { child: child.as_raw() }),
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ExitOutcome {
    /// By itself.
    Exited(i32),
    /// By a signal.
    Killed(i32),
}

/// Takes the exit of any child that has ended; none: all that there are still run.
pub(crate) fn reap_any() -> Option<(i32, ExitOutcome)> {
    let mut status = 0;
    // SAFETY: the pointer is to an int that outlives the call. By the kernel's own numbers: nix knows no real-time signals.
    let process = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    let ended = match libc::WIFSIGNALED(status) {
        true => ExitOutcome::Killed(libc::WTERMSIG(status)),
        false => ExitOutcome::Exited(libc::WEXITSTATUS(status)),
    };
    (process > 0).then_some((process, ended))
}
