//! Reads a pidfile. koid does so as root, by a name that a service has given: nothing that is not such a file harms it or makes it wait.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};
use std::time::SystemTime;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

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
    let flags = TO_READ.bits();
    let file = File::options().read(true).custom_flags(flags).open(path);
    said_by(file.map_err(|why| unopened(path, why))?, path)
}

/// How a file is opened for what it says.
const TO_READ: OFlag =
    OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// The same below `folder`, on a way without links: whoever may change what lies there chooses no file elsewhere.
pub(super) fn read_within(folder: &Path, path: &Path) -> Result<Pidfile, ProcessProblem> {
    let whole = folder.join(path);
    let to_walk = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at = folder.to_owned();
    let mut parent: OwnedFd = File::options()
        .read(true)
        .custom_flags(to_walk.bits())
        .open(folder)
        .map_err(|why| unopened(folder, why))?
        .into();
    let names: Vec<_> = path.components().collect();
    let Some((last, on_way)) = names.split_last() else { return Err(ProcessProblem::NoRegularFile(whole)) };
    let open = |parent: &OwnedFd, name: &Component<'_>, flags, at: &Path| match name {
        Component::Normal(name) => {
            openat(parent, *name, flags, Mode::empty()).map_err(|why| unopened(at, why.into()))
        }
        _ => Err(ProcessProblem::NoFile(at.to_owned())),
    };
    for name in on_way {
        at.push(name);
        let next = File::from(open(&parent, name, to_walk, &at)?);
        let kind = next.metadata().map_err(|why| unopened(&at, why))?.file_type();
        if kind.is_symlink() {
            return Err(ProcessProblem::Link(at));
        }
        if !kind.is_dir() {
            return Err(ProcessProblem::NoFile(whole));
        }
        parent = next.into();
    }
    said_by(open(&parent, last, TO_READ | OFlag::O_RDONLY, &whole)?.into(), &whole)
}

/// Why a file was not opened.
fn unopened(path: &Path, why: io::Error) -> ProcessProblem {
    match why.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => ProcessProblem::NoFile(path.to_owned()),
        Some(libc::ELOOP) => ProcessProblem::Link(path.to_owned()),
        // A socket.
        Some(libc::ENXIO) => ProcessProblem::NoRegularFile(path.to_owned()),
        _ => ProcessProblem::Unreadable { path: path.to_owned(), why },
    }
}

fn said_by(file: File, path: &Path) -> Result<Pidfile, ProcessProblem> {
    let unreadable = |why| ProcessProblem::Unreadable { path: path.to_owned(), why };
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
