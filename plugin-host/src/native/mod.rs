//! Shared libraries as handlers.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::host::Host;
use crate::plugin::{Code, FileHash};

/// Starts a helper that loads the library at `pinned` (a copy that nobody changes) and reads what it says of itself. `path` is where
/// it was found, for messages. Blocks.
pub(crate) fn load(
    _host: &Host,
    _path: &Path,
    _pinned: &Path,
    _hash: FileHash,
) -> Result<Arc<dyn Code>, String> {
    Err("not yet".into())
}

/// The process that a library is loaded into.
pub(crate) fn library_process(_args: &[OsString]) -> ExitCode {
    ExitCode::FAILURE
}
