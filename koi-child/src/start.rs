//! Every child's start.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::sys;

/// A command whose process finds things as koid found them when it was started: every signal with its default action and none
/// blocked, the resource limits, the umask, the scheduling, the I/O priority and the score for the OOM killer that koid was
/// given, and no open file but its standard ones. Only signals 32 and 33 may be ignored: glibc's posix_spawn(3), for which they are internal,
/// starts every process so. The environment is that of this process until the caller says otherwise.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    sys::start_clean(&mut command);
    command
}

/// As whom a program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIds {
    /// The user.
    pub user: u32,
    /// The user's own group.
    pub group: u32,
    /// All groups that the user is in.
    pub groups: Vec<u32>,
}

/// Lets the kernel alone decide whether the program, a path, can be run: the C library would give what the kernel refuses
/// (ENOEXEC) to `/bin/sh`. To be called last, with all arguments and variables set: the environment is what was set, and nothing of
/// this process's own. With `user` the program runs as that one; only root may say so.
pub fn run_exactly(command: &mut Command, user: Option<UserIds>) {
    let text = |bytes: &[u8]| CString::new(bytes).ok();
    let program = text(command.get_program().as_bytes());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let arguments: Option<Vec<CString>> = words.map(|word| text(word.as_bytes())).collect();
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables: Option<Vec<CString>> =
        set.map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat())).collect();
    // With a NUL somewhere the command cannot be run at all, and says so itself.
    if let (Some(program), Some(arguments), Some(variables)) = (program, arguments, variables) {
        sys::run_exactly(command, (program, arguments, variables), user);
    }
}
