//! Runs `koi` and keeps what came of it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `koi` with nothing of this machine's environment that would change what it says.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_koi"));
    for variable in ["KOI_SECRET", "KOI_SOCKET", "KOI_TOKEN", "NO_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON: {e}: {self:?}"))
    }
}

/// Runs `koi` with these arguments.
pub(crate) fn koi(args: &[&str]) -> Ran {
    command().args(args).output().unwrap().into()
}

/// Runs `koi` in a folder.
pub(crate) fn koi_in(folder: &Path, args: &[&str]) -> Ran {
    command().current_dir(folder).args(args).output().unwrap().into()
}
