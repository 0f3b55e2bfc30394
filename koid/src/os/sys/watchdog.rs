//! The watchdog device of Linux.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

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
