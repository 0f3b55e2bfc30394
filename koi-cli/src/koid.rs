//! Where the daemon's program is.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::CommandError;

/// Beside this very program, so that both are of one version; else wherever the shell would find it.
pub(crate) fn find() -> Result<PathBuf, CommandError> {
    let beside = env::current_exe().ok().and_then(|koi| Some(koi.parent()?.to_owned()));
    let path: OsString = env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("koid"))
        .find(|koid| koid.is_file())
        .ok_or_else(|| {
            CommandError::local(
                "koid is not found",
                "it is looked for beside koi and in PATH: install it there",
            )
        })
}
