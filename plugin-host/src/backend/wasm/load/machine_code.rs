//! The machine code of a component: out of the cache, or compiled now. The one place where code is taken for what it says it is.

use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::backend::wasm::engine::compatibility;
use crate::backend::wasm::load::cache::{Cache, CacheKey};
use crate::backend::wasm::load::compile;
use crate::backend::wasm::load::compile::CompileError;
use crate::host::Host;
use crate::plugin::FileHash;

/// Why there is no machine code of a component.
#[derive(Debug, thiserror::Error)]
pub enum MachineCodeError {
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It was compiled, and wasmtime does not take the result.
    #[error("its compiled code cannot be loaded: {0:#}")]
    Load(wasmtime::Error),
}

/// A component that can be run.
pub(crate) struct MachineCode {
    /// The code.
    pub(crate) component: Component,
    /// Its bytes.
    pub(crate) size_bytes: u64,
    /// It was compiled before.
    pub(crate) cached: bool,
}

/// Finds the code of a component, or has it compiled. A cache that cannot be used costs time and nothing else.
pub(crate) fn for_component(
    host: &Host,
    engine: &Engine,
    bytes: &[u8],
    hash: FileHash,
) -> Result<MachineCode, MachineCodeError> {
    let key = CacheKey::new(hash, compatibility(engine));
    let cache = Cache::open(&host.compiled_dir()).map_err(|error| tracing::warn!("{error}")).ok();
    if let Some(path) = cache.as_ref().and_then(|cache| cache.find(&key)) {
        match from_file(engine, &path) {
            Ok((component, size_bytes)) => return Ok(MachineCode { component, size_bytes, cached: true }),
            Err(error) => tracing::warn!("{}: {error:#}; it is compiled anew", path.display()),
        }
    }
    let compiled = compile::compile(&host.program, bytes)?;
    let size_bytes = compiled.len() as u64;
    let kept = cache.map(|cache| cache.put(&key, &compiled));
    // What lies on disk need not stay in memory: pages are read as they are run.
    let component = match kept {
        Some(Ok(path)) => from_file(engine, &path).map(|(component, _)| component),
        Some(Err(error)) => {
            tracing::warn!("compiled code cannot be kept in {}: {error}", host.compiled_dir().display());
            from_memory(engine, &compiled)
        }
        None => from_memory(engine, &compiled),
    };
    let component = component.map_err(MachineCodeError::Load)?;
    Ok(MachineCode { component, size_bytes, cached: false })
}

fn from_file(engine: &Engine, path: &Path) -> wasmtime::Result<(Component, u64)> {
    // SAFETY: the file is compiled code that this very version of koid wrote. It lies in a folder to which only the user that
    // koid runs as can write, and was compared with its digest just now (`Cache::find`), or written just now (`Cache::put`). It
    // is never changed, only replaced or removed, which leaves what is mapped as it is.
    let component = unsafe { Component::deserialize_file(engine, path)? };
    Ok((component, std::fs::metadata(path)?.len()))
}

fn from_memory(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: these bytes came out of the pipe of a process that we started and that compiles with this very engine.
    unsafe { Component::deserialize(engine, compiled) }
}
