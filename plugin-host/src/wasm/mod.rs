//! WebAssembly components as handlers.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::host::Host;
use crate::plugin::{Code, FileHash};

/// Compiles (or finds compiled) the component in `bytes`, whose file is `path` (for messages only), checks its imports and
/// version, and asks it to describe itself. Blocks; must not be called from within an async runtime's worker.
pub(crate) fn load(
    _host: &Host,
    _path: &Path,
    _bytes: &[u8],
    _hash: FileHash,
) -> Result<Arc<dyn Code>, String> {
    Err("not yet".into())
}

/// The process that compiles: component on standard input, compiled code on standard output.
pub(crate) fn compile_process() -> ExitCode {
    ExitCode::FAILURE
}
