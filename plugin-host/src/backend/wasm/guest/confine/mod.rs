//! What a guest that breaks out of its sandbox finds: a process that may do next to nothing.
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
//! None of it can be undone. What the machine does not allow, because koid is not root there, a container has no more users or the kernel is too old,
//! is left out, and koid is told: the sandbox is there all the same. No capability is kept where Landlock does not hold it to the granted folders.

mod budget;
mod files;
mod identity;
mod syscalls;

use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;

pub(crate) use budget::Budget;
pub(crate) use budget::BudgetError;
pub(crate) use files::is_stale;
use syscalls::Stage;

use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::layers::Layers;

/// Why a helper cannot be confined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("the process that runs it cannot be confined: {0}")]
    System(#[from] Errno),
    #[error("the process that runs it cannot become the user {0}, as `user` under [grants] says")]
    User(String),
    #[error("the process that runs it keeps capabilities: {0}")]
    Capabilities(#[from] io::Error),
    #[error("the process that runs it cannot be held to its folders: {0}")]
    Files(#[from] landlock::RulesetError),
    #[error(
        "the process that runs it cannot be held to its system calls: the kernel took one filter and not the other"
    )]
    SecondFilter,
    #[error("the process that runs it cannot be held to its system calls: {0}")]
    Syscalls(#[from] syscalls::FilterError),
}

/// Confines this process to what `grants` need, but for what it takes to load a component. `user` is who it becomes where nothing else is granted.
pub(crate) fn confine(grants: &Grants, user: u32) -> Result<Layers, ConfineError> {
    prctl::set_no_new_privs()?;
    let network = grants.needs_network() || leave_network()?;
    let landlock = files::restrict(grants)?;
    let user = identity::become_user(grants, user, landlock)?;
    // Nobody of the same user may look into it.
    prctl::set_dumpable(false)?;
    let seccomp = syscalls::restrict(grants, Stage::Loading)?;
    Ok(Layers { user, network, landlock, seccomp })
}

/// The last step, when the component is loaded.
pub(crate) fn close(grants: &Grants, layers: Layers) -> Result<(), ConfineError> {
    match layers.seccomp && !syscalls::restrict(grants, Stage::Serving)? {
        true => Err(ConfineError::SecondFilter),
        false => Ok(()),
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
