//! Limits that a process sets for itself.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Sets a limit, or leaves what koid was started with where that is lower: nobody but root may raise it.
pub(crate) fn lower(resource: Resource, soft: u64, hard: u64) -> Result<(), Errno> {
    let (_, most) = getrlimit(resource)?;
    setrlimit(resource, soft.min(most), hard.min(most))
}
