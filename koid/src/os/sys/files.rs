//! Locks and groups of files, and random bits.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Group, chown};

/// The group that may use the API socket beside root.
const SOCKET_GROUP: &str = "koi";

/// Locks a file, waiting as long as it takes; the lock lasts as long as what is returned.
pub(crate) fn lock_file(path: &Path) -> io::Result<Flock<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

/// Gives the API socket to the group `koi`. False: there is no such group.
pub(crate) fn give_to_group(socket: &Path) -> io::Result<bool> {
    let Some(group) = Group::from_name(SOCKET_GROUP)? else { return Ok(false) };
    chown(socket, None, Some(group.gid))?;
    Ok(true)
}

/// Random bits from the kernel.
pub(crate) fn random_u64() -> u64 {
    getrandom::u64().expect("the kernel's random source is there on every Linux since 3.17")
}
