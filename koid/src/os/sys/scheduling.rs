//! What makes the daemon prompt: memory that stays, and a thread that goes first.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Real-time priorities, the first that the machine allows: above every ordinary process and, with the first, above the brokers of programs, which have
/// the lowest; below whatever else is real-time here.
const REALTIME_PRIORITIES: [i32; 2] = [2, 1];

/// Keeps the daemon's memory from being swapped out: a swapped-out daemon misses its leases. Pages are locked as they
/// are first touched, so that reserved address space costs nothing.
pub(crate) fn lock_memory() -> io::Result<()> {
    let unlimited: rlim_t = nix::libc::RLIM_INFINITY;
    // With a limit, every later allocation beyond it would fail: locked without bounds, or not at all. For whoever has CAP_IPC_LOCK no
    // limit counts, and children keep theirs.
    if !may_lock_memory() && getrlimit(Resource::RLIMIT_MEMLOCK)?.0 != unlimited {
        setrlimit(Resource::RLIMIT_MEMLOCK, unlimited, unlimited)?;
    }
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: mlockall takes flags only and touches no memory of ours.
    Errno::result(unsafe { libc::mlockall(flags) })?;
    Ok(())
}

/// Whether this process has CAP_IPC_LOCK.
fn may_lock_memory() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> CAP_IPC_LOCK & 1 == 1)
}

/// Makes the calling thread real-time. Threads and processes that it starts are ordinary again.
pub(crate) fn make_realtime() -> io::Result<()> {
    let make = |priority: i32| {
        let parameters = libc::sched_param { sched_priority: priority };
        let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        // SAFETY: pid 0 is the calling thread, and the pointer is to a whole sched_param that outlives the call.
        Errno::result(unsafe { libc::sched_setscheduler(0, policy, &parameters) }).map(drop)
    };
    let [first, last] = REALTIME_PRIORITIES;
    Ok(make(first).or_else(|_| make(last))?)
}
