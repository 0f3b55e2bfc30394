//! What a guest that breaks out of its sandbox finds: a process that may do next to nothing.
//!
//! All of it is done before any code of the component is loaded, and none of it can be undone. What the machine does not allow, because koid
//! is not root there or a container has no more users, is left out: the sandbox is there all the same.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use crate::backend::wasm::grants::Grants;
use crate::rlimit::lower;

/// `CAP_DAC_OVERRIDE`: files are read and changed whoever owns them.
const DAC_OVERRIDE: u64 = 1 << 1;
/// `CAP_DAC_READ_SEARCH`: files are read whoever owns them.
const DAC_READ_SEARCH: u64 = 1 << 2;
/// `CAP_FOWNER`: times and modes of files are changed whoever owns them.
const FOWNER: u64 = 1 << 3;

/// Processes and threads of the user that a helper runs as.
const PROCESSES: u64 = 256;

/// Why a helper cannot be confined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("the process that runs it cannot be confined: {0}")]
    System(#[from] Errno),
    #[error("the process that runs it keeps capabilities: {0}")]
    Capabilities(#[from] std::io::Error),
}

/// Confines this process to what `grants` need. `user` is who it becomes where it needs no files.
pub(crate) fn confine(grants: &Grants, user: u32) -> Result<(), ConfineError> {
    prctl::set_no_new_privs()?;
    let is_root = geteuid().is_root();
    if !["tcp", "udp", "http", "lookup"].into_iter().any(|key| grants.has(key)) {
        // A namespace of its own, in which nothing is up.
        match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) | Err(Errno::EPERM | Errno::EINVAL | Errno::ENOSPC | Errno::ENOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let writes = grants.directories().any(|(_, writable)| writable);
    let reads = grants.directories().next().is_some();
    let keep = match (is_root, writes, reads) {
        // What a folder of root's is granted for goes on working.
        (true, true, _) => DAC_OVERRIDE | DAC_READ_SEARCH | FOWNER,
        (true, false, true) => DAC_READ_SEARCH,
        (true, false, false) | (false, ..) => 0,
    };
    koi_child::bound_capabilities(keep);
    if is_root && !reads {
        become_user(user)?;
    }
    koi_child::keep_capabilities(keep)?;
    // Nobody of the same user may look into it.
    prctl::set_dumpable(false)?;
    Ok(())
}

/// Nobody else's user: with it there is no file that is its own.
fn become_user(user: u32) -> Result<(), ConfineError> {
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    let become_it = || {
        setgroups(&[])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)
    };
    match become_it() {
        Ok(()) => Ok(lower(Resource::RLIMIT_NPROC, PROCESSES, PROCESSES)?),
        // A container without such users.
        Err(Errno::EINVAL | Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
