//! WebAssembly components as handlers.
//!
//! `component` loads one: `compile` (in a process of its own) and `cache` give its `machine_code`, `versions` and `describe` say
//! what it is. `handler` runs its hooks, each in a fresh instance (`guest`) on threads of its own (`runtime`), until it returns or
//! `deadline` says that it is over. What a guest may use of the node is in `grants`, `wasi`, `exec` and `store`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::error::LoadError;
use crate::host::Host;
use crate::plugin::{Code, Facts, FileHash};

mod bindings;
mod cache;
mod compile;
mod component;
mod convert;
mod deadline;
mod describe;
mod engine;
mod exec;
mod grants;
mod guest;
mod handler;
mod host;
mod limits;
mod lines;
#[allow(unsafe_code)]
mod machine_code;
mod output;
mod runtime;
mod store;
mod trap;
mod versions;
mod wanted;
mod wasi;

#[cfg(test)]
pub(crate) use compile::CompileError;
pub(crate) use component::ComponentError;
pub(crate) use grants::GrantError;
pub(crate) use limits::LimitsError;
#[cfg(test)]
pub(crate) use machine_code::MachineCodeError;

/// Compiles (or finds compiled) the component in `bytes`, whose file is `path` (for messages only), checks its imports and
/// version, and asks it to describe itself. Blocks; must not be called from within an async runtime's worker.
pub(crate) fn load(
    host: &Host,
    path: &Path,
    bytes: &[u8],
    hash: FileHash,
) -> Result<Arc<dyn Code>, LoadError> {
    match component::WasmCode::load(host, bytes, hash) {
        Ok(code) => Ok(Arc::new(code)),
        Err(source) => Err(LoadError::Component { path: path.to_owned(), source }),
    }
}

/// The component in `bytes`: it was loaded before, and said `facts` then. It is not asked again, and compiled only if its code is no
/// longer in the cache. Blocks, as [`load`] does.
pub(crate) fn resume(
    host: &Host,
    path: &Path,
    bytes: &[u8],
    hash: FileHash,
    facts: Facts,
) -> Result<Arc<dyn Code>, LoadError> {
    match component::WasmCode::resume(host, bytes, hash, facts) {
        Ok(code) => Ok(Arc::new(code)),
        Err(source) => Err(LoadError::Component { path: path.to_owned(), source }),
    }
}

/// The process that compiles: component on standard input, compiled code on standard output.
pub(crate) fn compile_process() -> ExitCode {
    compile::process()
}
