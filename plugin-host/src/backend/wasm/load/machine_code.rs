//! The machine code of a component: out of the cache, or compiled now.

use std::collections::BTreeMap;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use crate::backend::wasm::engine;
use crate::backend::wasm::load::cache::{Cache, CacheKey};
use crate::backend::wasm::load::compile;
use crate::backend::wasm::load::compile::CompileError;
use crate::backend::wasm::load::parts;
use crate::backend::wasm::load::parts::Parts;
use crate::backend::wasm::load::sealed::{ComponentCode, SealedCode};
use crate::host::Host;
use crate::plugin::FileHash;

/// Why there is no machine code of a component.
#[derive(Debug, thiserror::Error)]
pub enum MachineCodeError {
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It was compiled, and there is no memory to keep the result in.
    #[error("its compiled code cannot be kept in memory: {0}")]
    Memory(#[from] io::Error),
}

/// The code of a component.
pub(crate) struct MachineCode {
    pub(crate) code: ComponentCode,
    /// It was compiled before.
    pub(crate) cached: bool,
    /// What did not confine the process that compiled it now, as this machine does not give it, for people.
    pub(crate) lacking: Option<String>,
}

/// Finds the code of a component, or has it compiled. A cache that cannot be used costs time and nothing else.
pub(crate) fn for_component(
    host: &Host,
    bytes: &[u8],
    hash: FileHash,
) -> Result<MachineCode, MachineCodeError> {
    // What is none is told before anything is started for it.
    compile::check_form(bytes)?;
    let compatibility = compatibility(host)?;
    let key = CacheKey::new(hash, &compatibility);
    let parts = if engine::is_quick() { parts::split(bytes) } else { None };
    let in_parts = |parts: Parts| {
        let runtime_key = CacheKey::of_runtime(FileHash::from_bytes(&parts.runtime), &compatibility);
        thread::scope(|scope| {
            // To read so much code takes as long as to compile what an author has written.
            let runtime = scope.spawn(|| runtime_code(host, &parts.runtime, &runtime_key));
            let rest = find_or_make(host, &parts.rest, &key);
            let runtime = runtime.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            Ok((rest?, Some(runtime)))
        })
    };
    let found: Result<_, MachineCodeError> = parts.map(in_parts).transpose();
    let (component, runtime) = match found {
        Ok(Some(made)) => made,
        // What is refused is refused as it is.
        Ok(None) | Err(_) => (find_or_make(host, bytes, &key)?, None),
    };
    let (runtime, lacking_then) = runtime.unzip();
    let lacking = component.lacking.or(lacking_then.flatten());
    let code = ComponentCode { component: component.code, runtime };
    Ok(MachineCode { code, cached: component.cached, lacking })
}

/// The code of a language's runtime, and what did not confine the process that compiled it now. All components that are loaded share it:
/// it is sealed, and was looked at when it was read.
fn runtime_code(
    host: &Host,
    bytes: &[u8],
    key: &CacheKey,
) -> Result<(Arc<SealedCode>, Option<String>), MachineCodeError> {
    static LOADED: Mutex<BTreeMap<CacheKey, Weak<SealedCode>>> = Mutex::new(BTreeMap::new());
    let loaded = || LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = loaded().get(key).and_then(Weak::upgrade) {
        return Ok((code, None));
    }
    let made = find_or_make(host, bytes, key)?;
    let code = Arc::new(made.code);
    let mut loaded = loaded();
    loaded.retain(|_, code| code.strong_count() > 0);
    loaded.insert(key.clone(), Arc::downgrade(&code));
    Ok((code, made.lacking))
}

/// Code of a component, or of a part of one.
struct Made {
    code: SealedCode,
    cached: bool,
    lacking: Option<String>,
}

fn find_or_make(host: &Host, bytes: &[u8], key: &CacheKey) -> Result<Made, MachineCodeError> {
    let cache = Cache::open(&host.compiled_dir()).map_err(|error| tracing::warn!("{error}")).ok();
    if let Some(code) = cache.as_ref().and_then(|cache| cache.find(key)) {
        return Ok(Made { code, cached: true, lacking: None });
    }
    let claim = cache.as_ref().and_then(|cache| cache.claim(key, compile::WALL));
    // Made meanwhile, if somebody had to be waited for.
    if let Some(code) = cache.as_ref().and_then(|cache| cache.find(key)) {
        return Ok(Made { code, cached: true, lacking: None });
    }
    let compiled = compile::compile(&host.program, bytes)?;
    let lacking = compiled.layers.lacking();
    if let Some(lacking) = &lacking {
        tracing::info!("a component was compiled in a process {lacking}: this machine does not give it");
    }
    if let Some(Err(error)) = cache.map(|cache| cache.put(key, &compiled.bytes)) {
        tracing::warn!("compiled code cannot be kept in {}: {error}", host.compiled_dir().display());
    }
    drop(claim);
    Ok(Made { code: SealedCode::from_bytes(&compiled.bytes)?, cached: false, lacking })
}

/// Tells apart engines that cannot run each other's code. The program that compiles is asked once: this process has no engine.
fn compatibility(host: &Host) -> Result<String, CompileError> {
    static KNOWN: Mutex<Option<String>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = &*known {
        return Ok(known.clone());
    }
    let asked = compile::compatibility(&host.program)?;
    *known = Some(asked.clone());
    Ok(asked)
}
