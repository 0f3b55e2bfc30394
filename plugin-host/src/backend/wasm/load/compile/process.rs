//! The process that compiles, from within.
//!
//! It reads what others wrote, so it confines itself before it reads a byte of that: what a component makes of the compiler finds the component, the way
//! back to koid, a processor for a while and some memory.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use crate::backend::wasm::confine::{ConfineError, Layers, Stage, give_up_rights, limit_calls};
use crate::backend::wasm::engine;
use crate::backend::wasm::engine::EngineError;
use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::load::compile::{COMPONENT_BYTES, CPU_SECONDS, KEY, memory_limit_bytes};
use crate::backend::wasm::protocol::{COMPILER, encode};
use crate::rlimit::lower;

/// Why the compiling process ends without code. Its text is what [`CompileError::Said`](super::CompileError::Said) passes on.
#[derive(Debug, thiserror::Error)]
enum CompilerError {
    #[error("it cannot be told of koid's end: {0}")]
    DeathSignal(Errno),
    #[error("no limit can be set: {0}")]
    Limit(Errno),
    #[error(transparent)]
    Confine(#[from] ConfineError),
    #[error("the component cannot be read: {0}")]
    Read(io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("not a valid component: {0:#}")]
    Invalid(wasmtime::Error),
    #[error("nobody takes the code: {0}")]
    Write(io::Error),
}

/// The process that compiles: component on standard input; on standard output what confines it, and then compiled code. With the argument [`KEY`] it only
/// says what its code can be run by.
pub(crate) fn process(args: &[OsString]) -> ExitCode {
    koi_child::close_inherited();
    let done = match args.first().is_some_and(|arg| arg == KEY) {
        true => say_compatibility(),
        false => compile_here(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::stderr::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn say_compatibility() -> Result<(), CompilerError> {
    let key = engine::compatibility(&engine::engine()?);
    let mut out = io::stdout().lock();
    write!(out, "{key:016x}").and_then(|()| out.flush()).map_err(CompilerError::Write)
}

fn compile_here() -> Result<(), CompilerError> {
    // Hooks and leases come first, and it is no loss: it can be compiled again.
    koi_child::step_back();
    let limits = [
        // The hard limit kills without a word of its own.
        (Resource::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 5),
        (Resource::RLIMIT_CORE, 0, 0),
        // What it says goes through pipes.
        (Resource::RLIMIT_FSIZE, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        lower(resource, soft, hard).map_err(CompilerError::Limit)?;
    }
    // What the engine asks of the machine it asks now.
    let engine = engine::engine()?;
    let layers = confine()?;
    let mut out = io::stdout().lock();
    // Before the component is read: whatever that makes of this process, it is true.
    out.write_all(&encode(&layers)).and_then(|()| out.flush()).map_err(CompilerError::Write)?;
    let mut component = Vec::new();
    io::stdin().lock().take(COMPONENT_BYTES).read_to_end(&mut component).map_err(CompilerError::Read)?;
    let memory = memory_limit_bytes(&component);
    // Whoever finds no memory aborts.
    lower(Resource::RLIMIT_DATA, memory, memory).map_err(CompilerError::Limit)?;
    let compiled = engine.precompile_component(&component).map_err(CompilerError::Invalid)?;
    out.write_all(&compiled).and_then(|()| out.flush()).map_err(CompilerError::Write)
}

/// Leaves this process its standard streams, memory and threads.
fn confine() -> Result<Layers, CompilerError> {
    let nothing = Grants::default();
    let rights = give_up_rights(&nothing, COMPILER)?;
    // Nobody wants the code any more once koid, or the thread of it that waits, has ended. A change of user undoes this, and afterwards it cannot be
    // undone.
    set_pdeathsig(Signal::SIGKILL).map_err(CompilerError::DeathSignal)?;
    Ok(limit_calls(&nothing, Stage::Compiling, rights)?)
}
