//! The clocks: one for decisions, one for people.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use koi_core::types::Time;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use tokio::io::unix::AsyncFd;

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
}
