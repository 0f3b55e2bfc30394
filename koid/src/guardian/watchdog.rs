//! The watchdog device (rule R7, `fence = "watchdog"`): the machine is reset when nobody pets it in time.
//!
//! It is petted only while nothing promoted here can outlive its lease and its grace: once a pet could keep the machine up
//! beyond that instant, it is not petted any more. So even a machine on which koid and its guardian both hang is reset before
//! anyone else is promoted.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_core::types::Time;

use crate::os::sys;

/// The shortest time-out that a watchdog knows.
const SHORTEST: Duration = Duration::from_secs(1);

/// Why a watchdog is not armed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchdogError {
    /// The device cannot be opened.
    #[error("the watchdog {} cannot be armed: {source}", .path.display())]
    Open { path: PathBuf, source: io::Error },
    /// Its shortest time-out is longer than lease and grace together allow. It is disarmed again.
    #[error(
        "the watchdog {} resets the machine after {} s at the earliest, which is too late for master_lease + demote_grace \
         ({} s): raise demote_grace to at least {} s",
        .path.display(), .timeout.as_secs(), .hold.as_secs_f32(), (*.timeout * 3 / 2).as_secs_f32()
    )]
    TooSlow { path: PathBuf, timeout: Duration, hold: Duration },
}

/// An armed watchdog.
#[derive(Debug)]
pub(super) struct Watchdog {
    device: File,
    path: PathBuf,
    /// How long after the last pet it resets the machine.
    timeout: Duration,
    next: Time,
    /// Says once that it is not petted any more.
    hungry: bool,
}

impl Watchdog {
    /// Opens the device, which arms it. `hold`: lease and grace together, within which a reset must come.
    pub(super) fn arm(path: &Path, hold: Duration) -> Result<Watchdog, WatchdogError> {
        let failed = |source| WatchdogError::Open { path: path.to_owned(), source };
        let device = sys::open_device(path).map_err(failed)?;
        let timeout = match sys::set_watchdog_timeout(&device, SHORTEST) {
            Ok(timeout) => timeout,
            Err(error) => {
                tracing::warn!("{} does not answer like a watchdog ({error})", path.display());
                SHORTEST
            }
        };
        let mut watchdog = Watchdog { device, path: path.to_owned(), timeout, next: Time(0), hungry: false };
        // A part of the lease must be left for pets: between two of them the lease is renewed.
        if timeout + timeout / 2 > hold {
            watchdog.disarm();
            return Err(WatchdogError::TooSlow { path: path.to_owned(), timeout, hold });
        }
        Ok(watchdog)
    }

    /// Pets it, if it is time to and that is safe. `must_end`: when nothing may be promoted here any more; none: nothing is, or
    /// that is no matter of leases now.
    pub(super) fn tend(&mut self, must_end: Option<Time>, now: Time) {
        if now < self.next {
            return;
        }
        self.next = now + self.timeout / 5;
        if must_end.is_some_and(|end| now + self.timeout > end) {
            if !std::mem::replace(&mut self.hungry, true) {
                tracing::warn!(
                    "the watchdog is not petted any more: something is promoted here, and its lease is running out"
                );
            }
            return;
        }
        self.hungry = false;
        if let Err(error) = self.device.write_all(b"p") {
            tracing::error!("the watchdog {} cannot be petted: {error}", self.path.display());
        }
    }

    /// When it wants to be tended next.
    pub(super) fn next(&self) -> Time {
        self.next
    }

    /// Stops it: nothing is promoted here, and nobody is left to pet it.
    pub(super) fn disarm(&mut self) {
        if let Err(error) = self.device.write_all(b"V") {
            tracing::error!(
                "the watchdog {} cannot be disarmed: {error}; it will reset the machine",
                self.path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// A device that remembers what was written to it.
    fn fake() -> (tempfile::TempDir, PathBuf, File) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchdog");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = sys::open_fifo_for_tests(&path);
        (folder, path, reader)
    }

    fn written(reader: &mut File) -> String {
        let mut bytes = [0; 256];
        let length = reader.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn it_is_petted_while_nothing_is_promoted_and_disarmed_at_the_end() {
        let (_folder, path, mut reader) = fake();
        let mut watchdog = Watchdog::arm(&path, 2 * S).unwrap();
        watchdog.tend(None, Time(0));
        watchdog.tend(None, Time(100_000)); // too early for the next
        watchdog.tend(None, Time(200_000));
        watchdog.disarm();
        assert_eq!(written(&mut reader), "ppV");
    }

    #[test]
    fn a_lease_that_runs_out_leaves_it_hungry_in_time() {
        let (_folder, path, mut reader) = fake();
        let mut watchdog = Watchdog::arm(&path, 2 * S).unwrap();
        let end = Some(Time(5_000_000));
        // A pet at 4 s would keep the machine up until 5 s: that is just allowed.
        watchdog.tend(end, Time(4_000_000));
        watchdog.tend(end, Time(4_200_000));
        watchdog.tend(end, Time(9_000_000));
        assert_eq!(written(&mut reader), "p");
        // The services are down: it is petted again.
        watchdog.tend(None, Time(9_300_000));
        assert_eq!(written(&mut reader), "p");
    }

    #[test]
    fn one_that_would_come_too_late_is_refused() {
        let (_folder, path, mut reader) = fake();
        let why = Watchdog::arm(&path, Duration::from_millis(1200)).unwrap_err().to_string();
        assert!(why.contains("demote_grace"), "{why}");
        assert_eq!(written(&mut reader), "V", "and left disarmed");
    }

    #[test]
    fn one_that_is_not_there_is_said() {
        let why = Watchdog::arm(Path::new("/nonexistent/watchdog"), 2 * S).unwrap_err().to_string();
        assert!(why.contains("/nonexistent/watchdog"), "{why}");
    }
}
