//! The calls that only Linux has: a port to another system begins here.
//!
//! The one module of the daemon that may use `unsafe`.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use koi_core::types::Time;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Group, Pid, chown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The group that may use the API socket beside root.
const SOCKET_GROUP: &str = "koi";

/// The lowest of the real-time priorities: above every ordinary process, below whatever else is real-time here.
const REALTIME_PRIORITY: i32 = 1;

/// Now, by CLOCK_BOOTTIME: it goes on while the machine is suspended and never steps.
pub(crate) fn now() -> Time {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux since 2.6.39 has CLOCK_BOOTTIME");
    Time(now.tv_sec() as u64 * 1_000_000 + now.tv_nsec() as u64 / 1000)
}

/// Wakes the cluster loop at an instant of [`now`]'s clock. tokio's own timers stand still while the machine is
/// suspended, and a lease does not.
#[derive(Debug)]
pub(crate) struct BootTimer {
    timer: AsyncFd<Timer>,
    armed: Time,
}

impl BootTimer {
    /// One that is not armed. Must be called within a tokio runtime.
    pub(crate) fn new() -> io::Result<BootTimer> {
        let timer =
            TimerFd::new(TimerClock::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: the AsyncFd owns the timer, whose descriptor stays the same and open until both are dropped.
        let timer = unsafe { AsyncFd::register(Timer(timer)) }?;
        Ok(BootTimer { timer, armed: Time::NEVER })
    }

    /// Waits until `deadline`; for ever, if it is [`Time::NEVER`]. May be cancelled.
    pub(crate) async fn wait_until(&mut self, deadline: Time) -> io::Result<()> {
        if deadline != self.armed {
            self.arm(deadline)?;
        }
        loop {
            let mut ready = self.timer.readable().await?;
            match self.timer.get_ref().take_expiry() {
                Ok(()) => {
                    self.armed = Time::NEVER;
                    return Ok(());
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(other) => return Err(other.into()),
            }
        }
    }

    fn arm(&mut self, deadline: Time) -> io::Result<()> {
        let timer = &self.timer.get_ref().0;
        if deadline == Time::NEVER {
            timer.unset()?;
        } else {
            // An absolute time of zero would disarm it.
            let us = deadline.0.max(1);
            let at = TimeSpec::new((us / 1_000_000) as i64, (us % 1_000_000 * 1000) as i64);
            timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        }
        self.armed = deadline;
        Ok(())
    }
}

/// What [`AsyncFd`] can wait for.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Timer {
    /// Reads an expired timer; EAGAIN: it has not expired.
    fn take_expiry(&self) -> nix::Result<()> {
        nix::unistd::read(&self.0, &mut [0u8; 8]).map(drop)
    }
}

/// Waits for datagrams on a socket that does not block. Must be called within a tokio runtime.
pub(crate) fn watch_socket(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: the AsyncFd owns the socket, whose descriptor stays the same and open until both are dropped.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(io::Error::from)
}

/// Whether the other end of a connection has closed it, or its sending half. It never blocks.
pub(crate) fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut asked = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: there is one structure, it is ours, and the descriptor is borrowed while the call lasts.
    let found = unsafe { libc::poll(&raw mut asked, 1, 0) };
    // Of one that cannot be asked nothing is known: something was read from it a moment ago.
    found > 0 && asked.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

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

/// Makes the calling thread real-time, at the lowest such priority. Threads and processes that it starts are ordinary
/// again.
pub(crate) fn make_realtime() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: REALTIME_PRIORITY };
    // SAFETY: pid 0 is the calling thread, and the pointer is to a whole sched_param that outlives the call.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameters) };
    Errno::result(result)?;
    Ok(())
}

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

/// SIGKILL to a whole process group.
pub(crate) fn kill_group(group: i32) {
    // Gone already is as good as killed.
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

/// SIGTERM to a whole process group.
pub(crate) fn end_group(group: i32) {
    let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
}

/// Some process of the group is left.
pub(crate) fn group_exists(group: i32) -> bool {
    killpg(Pid::from_raw(group), None).is_ok()
}

/// The process that started this one.
pub(crate) fn parent() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// SIGKILL to the process that started this one, if it still lives: its number is not given away before it is reaped, and then
/// the parent is another.
pub(crate) fn kill_parent(known: i32) {
    if parent() == known {
        let _ = nix::sys::signal::kill(Pid::from_raw(known), Signal::SIGKILL);
    }
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

/// Every signal, blocked until it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held(SigSet);

/// Blocks all signals.
pub(crate) fn hold_all_signals() -> Held {
    let all = SigSet::all();
    // It fails only for a set that is none.
    let _ = all.thread_block();
    Held(all)
}

/// Unblocks all signals.
pub(crate) fn let_signals_go() {
    let _ = SigSet::all().thread_unblock();
}

/// The next signal, in numbers; none: not within `patience`.
pub(crate) fn next_signal(held: &Held, patience: Option<Duration>) -> Option<i32> {
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

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    /// By itself.
    Exited(i32),
    /// By a signal.
    Killed(i32),
}

/// Takes the exit of any child that has ended; none: all that there are still run.
pub(crate) fn reap_any() -> Option<(i32, Ended)> {
    let mut status = 0;
    // SAFETY: the pointer is to an int that outlives the call. By the kernel's own numbers: nix knows no real-time signals.
    let process = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    let ended = match libc::WIFSIGNALED(status) {
        true => Ended::Killed(libc::WTERMSIG(status)),
        false => Ended::Exited(libc::WEXITSTATUS(status)),
    };
    (process > 0).then_some((process, ended))
}

/// Locks a file, waiting as long as it takes; the lock lasts as long as what is returned.
pub(crate) fn lock_file(path: &Path) -> io::Result<Flock<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

/// Two ends of a socket that keeps words apart. The first never blocks a sender, and has room for `room` bytes.
pub(crate) fn word_socket(room: usize, word: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    // Beyond the usual limit where that is allowed, else up to it.
    if setsockopt(&ours, sockopt::SndBufForce, &room).is_err() {
        setsockopt(&ours, sockopt::SndBuf, &room.max(word))?;
    }
    Ok((ours, theirs))
}

/// Sends a word; an error, rather than a wait, when there is no room.
pub(crate) fn send_word(socket: BorrowedFd<'_>, word: &[u8]) -> io::Result<()> {
    use nix::sys::socket::{MsgFlags, send};
    send(socket.as_raw_fd(), word, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Receives a word; none: the other end is closed.
pub(crate) fn receive_word(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    use nix::sys::socket::{MsgFlags, recv};
    match recv(socket.as_raw_fd(), buffer, MsgFlags::empty()) {
        Ok(0) | Err(Errno::ECONNRESET) => Ok(None),
        Ok(length) => Ok(Some(length)),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until there is something to read, or the other end is closed; false: not within `patience`.
pub(crate) fn wait_readable(socket: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let timeout = match patience {
        None => PollTimeout::NONE,
        // Rounded up: waking too early would mean waking again and again.
        Some(patience) => PollTimeout::try_from(patience.as_millis() + 1).unwrap_or(PollTimeout::MAX),
    };
    match poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a watchdog device, which arms it.
pub(crate) fn open_device(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)
}

/// The reading end of a FIFO that plays a watchdog.
#[cfg(test)]
pub(crate) fn open_fifo_for_tests(path: &Path) -> File {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// Asks a watchdog to reset the machine so long after the last pet; what it made of that.
pub(crate) fn set_watchdog_timeout(device: &File, timeout: Duration) -> io::Result<Duration> {
    // _IOWR('W', 6, int) of linux/watchdog.h.
    const WDIOC_SETTIMEOUT: libc::Ioctl = 0xc004_5706_u32 as libc::Ioctl;
    let mut seconds = libc::c_int::try_from(timeout.as_secs()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the request reads and writes one int, which outlives the call.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), WDIOC_SETTIMEOUT, &mut seconds) })?;
    Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Gives the API socket to the group `koi`. False: there is no such group.
pub(crate) fn give_to_group(socket: &Path) -> io::Result<bool> {
    let Some(group) = Group::from_name(SOCKET_GROUP)? else { return Ok(false) };
    chown(socket, None, Some(group.gid))?;
    Ok(true)
}

/// An address of a network interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interface {
    /// Its number.
    pub(crate) index: u32,
    /// One of its addresses.
    pub(crate) address: IpAddr,
    /// It is up, not the loopback, and carries multicast.
    pub(crate) multicast: bool,
}

/// The addresses of all interfaces that are up.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found = Vec::new();
    for entry in getifaddrs()? {
        let Some(storage) = entry.address else { continue };
        let address = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            (None, None) => continue,
        };
        let up = entry.flags.contains(InterfaceFlags::IFF_UP);
        let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let multicast = up && !loopback && entry.flags.contains(InterfaceFlags::IFF_MULTICAST);
        let index = if_nametoindex(entry.interface_name.as_str()).unwrap_or(0);
        if up {
            found.push(Interface { index, address, multicast });
        }
    }
    Ok(found)
}

/// The address at which others reach this node: `bind`, or if that is any, the one that the kernel would take to reach
/// `peer`.
pub(crate) fn address_towards(bind: IpAddr, peer: Option<SocketAddr>) -> Option<IpAddr> {
    if !bind.is_unspecified() {
        return Some(bind);
    }
    let peer = peer?;
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a datagram socket sends nothing: it asks the routing table.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

/// A moment of the wall clock in the machine's time zone, for people.
#[derive(Clone, Copy)]
pub(crate) struct LocalTime(libc::tm);

/// The local time `seconds` after 1970.
pub(crate) fn local_time(seconds: u64) -> LocalTime {
    let seconds = libc::time_t::try_from(seconds).unwrap_or(0);
    // SAFETY: tm is plain numbers and a pointer, for all of which zero is a value; localtime_r fills it from the
    // seconds, both of which outlive the call. When it fails the zeros stay.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut tm);
        tm
    };
    LocalTime(tm)
}

impl std::fmt::Display for LocalTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tm = &self.0;
        let (year, month) = (tm.tm_year + 1900, tm.tm_mon + 1);
        write!(
            f,
            "{year:04}-{month:02}-{:02} {:02}:{:02}:{:02}",
            tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec
        )
    }
}

impl LocalTime {
    /// `Mmm dd hh:mm:ss`.
    pub(crate) fn for_syslog(&self) -> String {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let tm = &self.0;
        let month = usize::try_from(tm.tm_mon).ok().and_then(|m| MONTHS.get(m)).unwrap_or(&"Jan");
        format!("{month} {:2} {:02}:{:02}:{:02}", tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec)
    }
}

/// Random bits from the kernel.
pub(crate) fn random_u64() -> u64 {
    getrandom::u64().expect("the kernel's random source is there on every Linux since 3.17")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_timer_wakes_at_its_deadline_and_not_before() {
        let mut timer = BootTimer::new().unwrap();
        let deadline = now() + Duration::from_millis(20);
        timer.wait_until(deadline).await.unwrap();
        assert!(now() >= deadline);
        // A deadline that has passed wakes at once, and a new one works after a cancelled wait.
        timer.wait_until(deadline).await.unwrap();
        let never = tokio::time::timeout(Duration::from_millis(5), timer.wait_until(Time::NEVER)).await;
        assert!(never.is_err());
        timer.wait_until(now() + Duration::from_millis(1)).await.unwrap();
    }

    #[test]
    fn the_address_towards_a_peer_is_one_that_it_can_answer_to() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        assert_eq!(address_towards(any, Some((loopback, 9).into())), Some(loopback));
        assert_eq!(address_towards(loopback, None), Some(loopback));
        assert_eq!(address_towards(any, None), None);
    }

    #[test]
    fn the_loopback_interface_is_found_and_carries_no_multicast() {
        let all = interfaces().unwrap();
        let loopback = all.iter().find(|i| i.address == IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        assert!(!loopback.multicast);
        assert!(loopback.index > 0);
    }
}
