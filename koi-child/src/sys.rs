//! The calls that only Linux has, and those between fork and exec.
//!
//! The one module of this crate that may use `unsafe`. What runs between fork and exec makes system calls and touches its own
//! stack, nothing else: no allocation, no lock.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use libc::c_int;

/// The kinds of limits that Linux knows.
const LIMITS: usize = 16;
/// The highest number of a signal.
const SIGNALS: c_int = 64;
/// Room for a score, as text.
const SCORE_BYTES: usize = 8;
/// Of `ioprio_get` and `ioprio_set`: a process.
const IOPRIO_WHO_PROCESS: c_int = 1;
/// In a scheduling policy: children are ordinary again.
const RESET_ON_FORK: c_int = libc::SCHED_RESET_ON_FORK;
/// Where the score for the OOM killer is.
const SCORE: &std::ffi::CStr = c"/proc/self/oom_score_adj";

/// What a process was started with.
#[derive(Clone, Copy)]
struct Inherited {
    limits: [Option<libc::rlimit>; LIMITS],
    umask: libc::mode_t,
    policy: c_int,
    priority: c_int,
    nice: c_int,
    /// None: this kernel has none.
    io_priority: Option<c_int>,
    score: [u8; SCORE_BYTES],
    score_length: usize,
}

static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// Notes what this process was started with. It counts only the first time.
pub(crate) fn note_inherited() {
    INHERITED.get_or_init(look);
}

fn look() -> Inherited {
    let mut limits = [None; LIMITS];
    for (kind, limit) in limits.iter_mut().enumerate() {
        let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a whole rlimit that outlives the call.
        let known = unsafe { libc::getrlimit(kind as _, &mut found) } == 0;
        *limit = known.then_some(found);
    }
    let mut score = [0; SCORE_BYTES];
    let text = std::fs::read(SCORE.to_str().unwrap_or_default()).unwrap_or_default();
    let score_length = if text.len() > SCORE_BYTES { 0 } else { text.len() };
    score[..score_length].copy_from_slice(&text[..score_length]);
    // SAFETY: these take and return numbers; umask is put back at once, and there is no other thread yet. sched_param is plain
    // numbers, and outlives the call.
    unsafe {
        let umask = libc::umask(0o077);
        libc::umask(umask);
        let mut parameters: libc::sched_param = zeroed();
        libc::sched_getparam(0, &mut parameters);
        let policy = libc::sched_getscheduler(0);
        // Whoever asked for that did not want it for children.
        let ordinary = policy < 0 || policy & RESET_ON_FORK != 0;
        let io_priority = libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) as c_int;
        Inherited {
            limits,
            umask,
            policy: if ordinary { libc::SCHED_OTHER } else { policy },
            priority: if ordinary { 0 } else { parameters.sched_priority },
            nice: libc::getpriority(libc::PRIO_PROCESS, 0),
            io_priority: (io_priority >= 0).then_some(io_priority),
            score,
            score_length,
        }
    }
}

/// This process hears signals that its parent had blocked, and may wait for its children though its parent did not want to.
pub(crate) fn hear_signals() {
    // SAFETY: an empty set is made before it is used; neither call runs code of ours.
    unsafe {
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// This process goes on whatever is sent to it but SIGKILL.
pub(crate) fn ignore_signals() {
    for signal in [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGPIPE,
    ] {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// The child of this command finds everything as this process found it.
pub(crate) fn start_clean(command: &mut Command) {
    let inherited = *INHERITED.get_or_init(look);
    // SAFETY: `give_back` makes system calls only, and what it needs was copied before.
    unsafe {
        command.pre_exec(move || {
            give_back(&inherited);
            Ok(())
        })
    };
}

/// The child of this command lets others go first.
pub(crate) fn give_way(command: &mut Command) {
    const NICENESS: c_int = 10;
    // SAFETY: it makes one system call with numbers.
    unsafe {
        command.pre_exec(|| {
            libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS);
            Ok(())
        })
    };
}

/// Between fork and exec. What cannot be given back stays as it is: that is no reason not to run.
fn give_back(to: &Inherited) {
    // SAFETY: system calls with numbers and with pointers to whole values on this stack or in `to`.
    unsafe {
        // By the kernel's own call: the C library hides two of them, which a parent may have ignored all the same. All zeros are the
        // default action, no flags and an empty mask, whatever the order of the kernel's fields.
        let default = [0_u64; 8];
        for signal in 1..=SIGNALS {
            let (none, mask_bytes) = (std::ptr::null_mut::<u64>(), size_of::<u64>());
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, mask_bytes);
        }
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        for (kind, limit) in to.limits.iter().enumerate() {
            if let Some(limit) = limit {
                libc::setrlimit(kind as _, limit);
            }
        }
        libc::umask(to.umask);
        if libc::sched_getscheduler(0) != to.policy {
            let mut parameters: libc::sched_param = zeroed();
            parameters.sched_priority = to.priority;
            libc::sched_setscheduler(0, to.policy, &parameters);
        }
        libc::setpriority(libc::PRIO_PROCESS, 0, to.nice);
        if let Some(io_priority) = to.io_priority {
            libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, io_priority);
        }
        if to.score_length > 0 {
            let file = libc::open(SCORE.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if file >= 0 {
                libc::write(file, to.score.as_ptr().cast(), to.score_length);
                libc::close(file);
            }
        }
        // Whatever koid was left open by its own parent is nobody else's.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// What `execve` takes: texts that stay where they are, and the lists of where they are, each with a null at its end.
struct Exec {
    program: CString,
    arguments: Vec<*const libc::c_char>,
    variables: Vec<*const libc::c_char>,
    _texts: [Vec<CString>; 2],
}

// SAFETY: the pointers are to texts that this owns and that nobody changes.
unsafe impl Send for Exec {}
// SAFETY: as above.
unsafe impl Sync for Exec {}

impl Exec {
    /// Between fork and exec. Returns only when it fails.
    fn run(&self) -> io::Error {
        // SAFETY: the texts and both lists live in this process's copy of the memory, as they were.
        unsafe { libc::execve(self.program.as_ptr(), self.arguments.as_ptr(), self.variables.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// The child of this command becomes that program by the kernel's word alone.
pub(crate) fn run_exactly(
    command: &mut Command,
    program: CString,
    arguments: Vec<CString>,
    variables: Vec<CString>,
) {
    let list = |texts: &[CString]| {
        let texts = texts.iter().map(|text| text.as_ptr());
        texts.chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let exec = Exec {
        program,
        arguments: list(&arguments),
        variables: list(&variables),
        _texts: [arguments, variables],
    };
    // SAFETY: it makes one system call with what was prepared before.
    unsafe { command.pre_exec(move || Err(exec.run())) };
}

/// As many files may be open as this process could ask for.
pub(crate) fn open_many_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a whole rlimit that outlives both calls.
    unsafe {
        nix::errno::Errno::result(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        nix::errno::Errno::result(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(())
}

/// Takes a descriptor that has come with a message.
pub(crate) fn received(end: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(end) }
}
