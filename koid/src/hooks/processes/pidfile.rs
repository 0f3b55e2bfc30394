//! Reads a pidfile. koid does so as root, by a name that a service has given: nothing that is not such a file harms it or makes it wait.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use super::problem::{Place, ProcessProblem};

/// Bytes that a pidfile may have.
pub(super) const PIDFILE_BYTES: u64 = 4096;

/// What a pidfile says.
#[derive(Debug)]
pub(super) struct Pidfile {
    /// Its first line, without blanks around it.
    pub(super) first_line: String,
    /// When it was written last.
    pub(super) written: SystemTime,
}

/// Opens nothing but a regular file, follows no link in the last part of the path, and waits for no writer.
pub(super) fn read(path: &Path) -> Result<Pidfile, ProcessProblem> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let unreadable = |why| ProcessProblem::Unreadable { path: path.to_owned(), why };
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(|why| {
        match why.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => ProcessProblem::NoFile(path.to_owned()),
            Some(libc::ELOOP) => ProcessProblem::Link(path.to_owned()),
            // A socket.
            Some(libc::ENXIO) => ProcessProblem::NoRegularFile(path.to_owned()),
            _ => unreadable(why),
        }
    })?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(ProcessProblem::NoRegularFile(path.to_owned()));
    }
    if found.len() > PIDFILE_BYTES {
        return Err(ProcessProblem::TooLarge { path: path.to_owned(), bytes: found.len() });
    }
    let written = found.modified().map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(PIDFILE_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first_line = std::str::from_utf8(first_line)
        .map_err(|_| ProcessProblem::NoId { place: Place::File(path.to_owned()) })?;
    Ok(Pidfile { first_line: first_line.trim().to_owned(), written })
}

/// When a process was started that long after the machine, by the clock on the wall as it is now.
pub(super) fn wall_time(ticks: u64) -> io::Result<SystemTime> {
    use std::time::Duration;

    let up: Duration = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)?.into();
    let started = Duration::from_millis(ticks.saturating_mul(1000) / koi_child::ticks_per_second());
    Ok(SystemTime::now() - up.saturating_sub(started))
}
