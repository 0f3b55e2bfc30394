//! What breaks out finds: a process that may do next to nothing.
//!
//! The process that runs guests goes through these steps:
//!
//! | layer | when | what it leaves |
//! |---|---|---|
//! | no new rights | first | no program gives it any (`no_new_privs`) |
//! | network | before the rules for files | an empty one, unless a grant needs the node's |
//! | Landlock | before the user changes: the folders are opened as koid | the granted folders and ports |
//! | user | before the component is loaded | one of its own, or the granted one; no capability but the one for granted folders of others |
//! | seccomp, first filter | before the component is loaded | the system calls that loading takes |
//! | limits | when it is loaded | its memory and files |
//! | seccomp, second filter | before the first guest | no new code, no new process, no thread but for files, no socket that nothing grants |
//!
//! The process that compiles goes the same way as far as its user, before it reads the component, and then has one filter of its own: memory, threads and its standard streams.
//!
//! None of it can be undone. What the machine does not allow, because koid is not root there, a container has no more users or the kernel is too old,
//! is left out, and koid is told: the sandbox is there all the same. No capability is kept where Landlock does not hold it to the granted folders.

mod files;
mod identity;
mod layers;
mod syscalls;

use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;

pub(crate) use files::is_stale;
pub(crate) use layers::Layers;
pub(crate) use syscalls::Stage;

use crate::backend::wasm::grants::Grants;

/// Why a process cannot be confined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("its process cannot be confined: {0}")]
    System(#[from] Errno),
    #[error("its process cannot become the user {0}, as `user` under [grants] says")]
    User(String),
    #[error("its process keeps capabilities: {0}")]
    Capabilities(#[from] io::Error),
    #[error("its process cannot be held to its folders: {0}")]
    Files(#[from] landlock::RulesetError),
    #[error("its process cannot be held to its system calls: the kernel took one filter and not the other")]
    SecondFilter,
    #[error("its process cannot be held to its system calls: {0}")]
    Syscalls(#[from] syscalls::FilterError),
}

/// Gives up the rights that `grants` do not need. `user` is who this process becomes where nothing else is granted. What it calls is not limited yet.
pub(crate) fn give_up_rights(grants: &Grants, user: u32) -> Result<Layers, ConfineError> {
    prctl::set_no_new_privs()?;
    let network = grants.needs_network() || leave_network()?;
    let landlock = files::restrict(grants)?;
    let user = identity::become_user(grants, user, landlock)?;
    // Nobody of the same user may look into it.
    prctl::set_dumpable(false)?;
    Ok(Layers { user, network, landlock, seccomp: false })
}

/// Limits the system calls of this process to those of `stage`. A process whose rights are given up goes through one stage, or from loading to serving.
pub(crate) fn limit_calls(grants: &Grants, stage: Stage, layers: Layers) -> Result<Layers, ConfineError> {
    let seccomp = syscalls::restrict(grants, stage)?;
    match layers.seccomp && !seccomp {
        true => Err(ConfineError::SecondFilter),
        false => Ok(Layers { seccomp, ..layers }),
    }
}

/// Goes into a network of its own, in which nothing is up. False: the machine does not allow it.
fn leave_network() -> Result<bool, Errno> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => Ok(true),
        Err(Errno::EPERM | Errno::EINVAL | Errno::ENOSPC | Errno::ENOSYS) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
