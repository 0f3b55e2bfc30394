//! The calls that only Linux has, and those between fork and exec.
//!
//! The one module of this crate that may use `unsafe`. What runs between fork and exec makes system calls and touches its own
//! stack, nothing else: no allocation, no lock.
//!
//! A fork copies the page tables of the daemon, whose memory is locked: that takes longer than all the rest of a hook's start. So this
//! process keeps itself such that a child needs no step of its own before exec, and the standard library starts it as vfork does. Only
//! where something differs from what this process was started with is it put back after a fork.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use libc::c_int;
use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::start::UserIds;

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

/// What a process was started with, and its children are to have. The umask belongs to it as well, and nothing here changes that.
#[derive(Clone, Copy, PartialEq)]
struct Inherited {
    limits: [Option<libc::rlimit>; LIMITS],
    policy: c_int,
    priority: c_int,
    nice: c_int,
    /// None: this kernel has none, or a real-time thread asked, which is told of one that children do not inherit.
    io_priority: Option<c_int>,
    score: [u8; SCORE_BYTES],
    score_length: usize,
}

static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// Notes what this process was started with, and undoes at once what no child is to inherit. It counts only the first time.
pub(crate) fn begin() {
    INHERITED.get_or_init(|| {
        hear_signals();
        close_on_exec();
        look()
    });
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
    // SAFETY: these take and return numbers. sched_param is plain numbers, and outlives the call.
    unsafe {
        let mut parameters: libc::sched_param = zeroed();
        libc::sched_getparam(0, &mut parameters);
        let policy = libc::sched_getscheduler(0);
        // Whoever asked for that did not want it for children.
        let own = policy >= 0 && policy & RESET_ON_FORK != 0;
        let ordinary = policy < 0 || own;
        let io_priority = libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) as c_int;
        Inherited {
            limits,
            policy: if ordinary { libc::SCHED_OTHER } else { policy },
            priority: if ordinary { 0 } else { parameters.sched_priority },
            nice: libc::getpriority(libc::PRIO_PROCESS, 0),
            io_priority: (io_priority >= 0 && !own).then_some(io_priority),
            score,
            score_length,
        }
    }
}

/// The signals that its parent had blocked reach this process, and what its parent had ignored has its default action again: that is
/// inherited through exec, and a handler is not. Must be called before handlers are installed.
fn hear_signals() {
    // SAFETY: an empty set is made before it is used; the actions are whole values on this stack; none of it runs code of ours.
    unsafe {
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        // SIGPIPE is ignored by the standard library, which gives children its default.
        for signal in (1..=SIGNALS).filter(|signal| *signal != libc::SIGPIPE) {
            let mut found: libc::sigaction = zeroed();
            match libc::sigaction(signal, std::ptr::null(), &mut found) {
                0 if found.sa_sigaction == libc::SIG_IGN => drop(libc::signal(signal, libc::SIG_DFL)),
                0 => {}
                // The C library hides two of them, which a parent may have ignored all the same. It has installed nothing for them
                // yet. All zeros are the default action, no flags and an empty mask, whatever the order of the kernel's fields.
                _ => {
                    let (default, none) = ([0_u64; 8], std::ptr::null_mut::<u64>());
                    let mask_bytes = size_of::<u64>();
                    libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, mask_bytes);
                }
            }
        }
    }
}

/// What this process was left open by its parent is nobody else's.
fn close_on_exec() {
    // SAFETY: it takes numbers, and closes nothing now.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// No program that this process becomes can have other capabilities than those in `keep`, a bit for each by its number. Whoever may not say so is
/// left as it is.
pub fn bound_capabilities(keep: u64) {
    for number in 0..64 {
        if keep & 1 << number == 0 {
            // SAFETY: it takes numbers. There are fewer than 64.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        }
    }
}

/// This process keeps of its capabilities those in `keep`, a bit for each by its number, and passes none on.
pub fn keep_capabilities(keep: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let half = |shift: u32| {
        let bits = (keep >> shift) as u32;
        Sets { effective: bits, permitted: bits, inheritable: 0 }
    };
    let (header, sets) = (Header { version: VERSION_3, pid: 0 }, [half(0), half(32)]);
    // SAFETY: the pointers are to whole values of the form that the kernel wants for this version.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        Errno::result(libc::syscall(libc::SYS_capset, &header, sets.as_ptr()))?;
    }
    Ok(())
}

/// Closes all that this process was left open by its parent, but for the standard streams. To be called before anything is opened.
pub fn close_inherited() {
    // SAFETY: whoever opened these descriptors is another process; nothing in this one knows them.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
}

/// This process goes on whatever is sent to it but SIGKILL. Its children do not.
pub fn outlive_signals() {
    extern "C" fn nothing(_: c_int) {}
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: the action is a whole value, and its handler does nothing. Were the signal ignored, children would ignore it too.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = nothing as extern "C" fn(c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// This process lets others go first, and so do its children.
pub(crate) fn give_way() {
    const NICENESS: c_int = 10;
    // SAFETY: it takes numbers.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}

/// The processes of a group are nicer than this one was started, by so much.
pub(crate) fn set_niceness(group: i32, by: c_int) {
    let own = INHERITED.get_or_init(look).nice;
    // SAFETY: it takes numbers. Where the machine does not allow it things stay as they are.
    unsafe { libc::setpriority(libc::PRIO_PGRP, group as libc::id_t, own + by) };
}

/// This thread goes before all that are not real-time, where the machine allows it, and after those that are. Children do not.
pub fn go_first() {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: it takes numbers and a whole value.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | RESET_ON_FORK, &first) };
}

/// This process gives way to everything else: to whoever wants the processor, and when memory runs out it goes first. What the machine does
/// not allow is left out.
pub fn step_back() {
    const LOWEST: c_int = 19;
    let ordinary: libc::sched_param = libc::sched_param { sched_priority: 0 };
    // SAFETY: they take numbers and a whole value.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, LOWEST);
        libc::sched_setscheduler(0, libc::SCHED_BATCH, &ordinary);
    }
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Whether a child of this thread would find everything as this process found it, without a step between fork and exec.
fn is_as_begun() -> bool {
    let Some(begun) = INHERITED.get() else { return false };
    let mut now = look();
    if now.io_priority.is_none() {
        now.io_priority = begun.io_priority;
    }
    now == *begun
}

/// The child of this command finds everything as this process found it.
pub(crate) fn start_clean(command: &mut Command) {
    if is_as_begun() {
        return;
    }
    let inherited = *INHERITED.get_or_init(look);
    // SAFETY: `give_back` makes system calls only, and what it needs was copied before.
    unsafe {
        command.pre_exec(move || {
            give_back(&inherited);
            Ok(())
        })
    };
}

/// Between fork and exec. What cannot be given back stays as it is: that is no reason not to run.
fn give_back(to: &Inherited) {
    // SAFETY: system calls with numbers and with pointers to whole values on this stack or in `to`.
    unsafe {
        // As in `hear_signals`: this process may not have begun.
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
        close_on_exec();
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

/// Between fork and exec: this process becomes that user, with those groups and no other.
fn become_user(user: &UserIds) -> io::Result<()> {
    // SAFETY: the pointer is to as many whole numbers as the first argument says; the others take numbers.
    unsafe {
        Errno::result(libc::setgroups(user.groups.len(), user.groups.as_ptr()))?;
        Errno::result(libc::setresgid(user.group, user.group, user.group))?;
        Errno::result(libc::setresuid(user.user, user.user, user.user))?;
    }
    Ok(())
}

/// The child of this command becomes that program by the kernel's word alone. Without a step between fork and exec it does so anyway:
/// posix_spawn(3) leaves out the shell.
pub(crate) fn run_exactly(
    command: &mut Command,
    (program, arguments, variables): (CString, Vec<CString>, Vec<CString>),
    user: Option<UserIds>,
) {
    if is_as_begun() && user.is_none() {
        return;
    }
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
    // SAFETY: it makes system calls with what was prepared before.
    unsafe {
        command.pre_exec(move || {
            if let Some(user) = &user {
                become_user(user)?;
            }
            Err(exec.run())
        })
    };
}

/// As many files may be open as this process could ask for.
pub(crate) fn open_many_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a whole rlimit that outlives both calls.
    unsafe {
        Errno::result(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        Errno::result(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(())
}

/// A handle of the process that has this number now: it stands for no other later.
pub(crate) fn open_process(id: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: it takes numbers.
    let handle = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, id, 0) })?;
    Ok(received(handle as RawFd))
}

/// Has the runtime say when the process of this handle has ended: then it can be read.
pub(crate) fn watch_process(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is the handle's own, and is not closed before the registration is gone.
    unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }.map_err(io::Error::from)
}

/// Sends a signal to a process by its handle.
pub(crate) fn signal_process(handle: &OwnedFd, signal: c_int) -> Result<(), Errno> {
    let (handle, nothing) = (handle.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: it takes numbers and, instead of a pointer, none.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle, signal, nothing, 0) }).map(drop)
}

/// Ticks of /proc in a second.
pub fn ticks_per_second() -> u64 {
    // SAFETY: it takes a number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100).max(1)
}

/// Whether this process has a descriptor of this number.
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: it takes numbers and changes nothing.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Takes a descriptor that the kernel has just made, of a process or with a message.
pub(crate) fn received(end: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(end) }
}
