//! Compiling, in a process of its own: the compiler takes hundreds of megabytes that it would never give back, and it reads
//! what others wrote.

mod process;
mod talk;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use koi_plugin_api::for_people;
use nix::sys::signal::Signal;

use crate::backend::wasm::confine::Layers;
use crate::backend::wasm::engine;
use crate::backend::wasm::protocol::decode;
use crate::subcommand::COMPILE;
use talk::{Compiler, Said};

pub(crate) use process::process;

/// Memory of the compiling process: so much whatever the component, and so much for each byte of it. A Python component of 18 MB takes
/// 470 MiB of the 1,500 that it may have, one of 1.6 MB from JavaScript 120 of 490.
const MEMORY_BYTES: u64 = 384 << 20;
const MEMORY_PER_BYTE: u64 = 64;
/// No component has more.
const MEMORY_LIMIT_BYTES: u64 = 1536 << 20;

/// Processor time of the compiling process; a Python component takes 8 seconds.
const CPU_SECONDS: u64 = 120;

/// Time on the wall. The process gives way to everything, so on a busy machine a good component may take many minutes: this ends what stands still.
pub(crate) const WALL: Duration = Duration::from_secs(1800);

/// A component; the largest that were seen have 40 MB.
const COMPONENT_BYTES: u64 = 256 << 20;

/// Compiled code: so much whatever the component, and so much for each byte of it. From real components come four bytes of code for each.
const CODE_BYTES: u64 = 64 << 20;
const CODE_PER_BYTE: u64 = 32;
/// No code is larger.
const CODE_LIMIT_BYTES: u64 = 1 << 30;

/// What the process says of its layers.
const LAYERS_BYTES: usize = 64;

/// The argument for a process that only says what its code can be run by.
const KEY: &str = "--key";

/// Threads that compile, at most.
const THREADS: usize = 4;

/// How a component is built.
const RECIPE: &str = "./build.sh of `koi plugins new` does it; docs/handlers.md says how, for each language";

/// Why there is no compiled code of a component.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Larger than components may be.
    #[error("larger than {} MiB; strip its debug information", COMPONENT_BYTES >> 20)]
    TooLarge,
    /// What most compilers write by themselves.
    #[error("not a component but a core module: build it as a component ({RECIPE})")]
    CoreModule,
    /// The text format.
    #[error("WebAssembly text, not a component: build it as a component ({RECIPE})")]
    Text,
    /// No byte at all.
    #[error("empty, and so not a WebAssembly component ({RECIPE})")]
    Empty,
    /// Anything else.
    #[error("not a WebAssembly component ({RECIPE})")]
    NotAComponent,
    /// The compiling process cannot be started.
    #[error("{}, which compiles it, cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// The compiling process was lost.
    #[error("the process that compiles it was lost: {0}")]
    Lost(io::Error),
    /// It took too long by the clock.
    #[error("compiling it took more than {} minutes and was ended; is the machine too busy for what gives way to all else?", WALL.as_secs() / 60)]
    Wall,
    /// It used too much of the processor.
    #[error("compiling it took more than {CPU_SECONDS} seconds of processor time")]
    Processor,
    /// It was killed, by the kernel as a rule.
    #[error("the process that compiled it was killed; did the machine run out of memory?")]
    Killed,
    /// It used too much memory.
    #[error("compiling it took more than {} MiB of memory, which no component of its size needs", limit_bytes >> 20)]
    Memory { limit_bytes: u64 },
    /// It called what no compiler calls: the component has made another program of it.
    #[error(
        "the process that compiled it tried what no compiler does, and was ended ({0}); is the plugin to be trusted?"
    )]
    Forbidden(Signal),
    /// Another signal ended it.
    #[error("compiling it ended with {0}")]
    Signal(Signal),
    /// It failed and said nothing.
    #[error("compiling it failed: {0}")]
    Silent(ExitStatus),
    /// It failed and said why.
    #[error("{0}")]
    Said(String),
    /// It did not say what every such process says first.
    #[error("the process that compiles it says what no such process says; is the plugin to be trusted?")]
    Garbled,
    /// The code is larger than code may be.
    #[error("its compiled code is larger than {} MiB, which no component of its size needs", limit_bytes >> 20)]
    CodeTooLarge { limit_bytes: u64 },
}

/// What the compiling process has made of a component.
pub(crate) struct CompiledCode {
    pub(crate) bytes: Vec<u8>,
    /// What confined the process.
    pub(crate) layers: Layers,
}

/// Compiles `component` by starting `program` again. Blocks.
pub(crate) fn compile(program: &Path, component: &[u8]) -> Result<CompiledCode, CompileError> {
    let started = Compiler::start(command(program));
    let compiler = started.map_err(|source| CompileError::Start { program: program.to_owned(), source })?;
    let limit_bytes = code_limit_bytes(component);
    let most_bytes = limit_bytes + LAYERS_BYTES as u64;
    let said = compiler.run(component, most_bytes, Instant::now() + WALL).map_err(CompileError::Lost)?;
    let Said { status, output, words } = said;
    match status {
        Some(status) if status.success() => {}
        Some(status) => return Err(failure(status, &words, memory_limit_bytes(component))),
        None if output.len() as u64 > most_bytes => return Err(CompileError::CodeTooLarge { limit_bytes }),
        None => return Err(CompileError::Wall),
    }
    let (layers, length) = decode(&output, LAYERS_BYTES).ok().flatten().ok_or(CompileError::Garbled)?;
    let mut bytes = output;
    bytes.drain(..length);
    Ok(CompiledCode { bytes, layers })
}

/// What tells apart compiled code of other engines than the compiler's, by starting `program` again. Blocks.
pub(crate) fn compatibility(program: &Path) -> Result<String, CompileError> {
    let start = |source| CompileError::Start { program: program.to_owned(), source };
    let mut command = koi_child::command(program);
    command.arg(COMPILE).arg(KEY).env_clear().envs(engine::variables()).stdin(Stdio::null());
    let answer = command.output().map_err(start)?;
    match answer.status.success() {
        true => Ok(String::from_utf8_lossy(&answer.stdout).into_owned()),
        false => Err(failure(answer.status, &answer.stderr, MEMORY_BYTES)),
    }
}

fn code_limit_bytes(component: &[u8]) -> u64 {
    (CODE_BYTES + CODE_PER_BYTE * component.len() as u64).min(CODE_LIMIT_BYTES)
}

fn memory_limit_bytes(component: &[u8]) -> u64 {
    (MEMORY_BYTES + MEMORY_PER_BYTE * component.len() as u64).min(MEMORY_LIMIT_BYTES)
}

/// Tells what is no component by its first bytes, in clearer words than the compiler has.
pub(crate) fn check_form(bytes: &[u8]) -> Result<(), CompileError> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] if bytes.len() as u64 <= COMPONENT_BYTES => Ok(()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Err(CompileError::TooLarge),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(CompileError::CoreModule),
        [b'(', ..] => Err(CompileError::Text),
        [] => Err(CompileError::Empty),
        _ => Err(CompileError::NotAComponent),
    }
}

fn command(program: &Path) -> Command {
    let processors = thread::available_parallelism().map_or(1, |n| n.get());
    // Half the machine at most is busy with it, unless somebody waits for it; and every thread has its share of the address space.
    let threads = if engine::is_quick() { processors } else { processors / 2 };
    let mut command = koi_child::command(program);
    command
        .arg(COMPILE)
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.clamp(1, THREADS).to_string())
        .env("MALLOC_ARENA_MAX", THREADS.to_string())
        .envs(engine::variables())
        .current_dir("/");
    command
}

/// Why it failed, from what it said and how it ended.
fn failure(status: ExitStatus, words: &[u8], limit_bytes: u64) -> CompileError {
    match status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        Some(Signal::SIGXCPU) => CompileError::Processor,
        Some(Signal::SIGKILL) => CompileError::Killed,
        Some(Signal::SIGABRT) => CompileError::Memory { limit_bytes },
        Some(signal @ (Signal::SIGSYS | Signal::SIGXFSZ)) => CompileError::Forbidden(signal),
        Some(signal) => CompileError::Signal(signal),
        None => match for_people(&String::from_utf8_lossy(words), 500) {
            said if said.is_empty() => CompileError::Silent(status),
            said => CompileError::Said(said),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_by_its_first_bytes() {
        let refusal = |bytes: &[u8]| check_form(bytes).unwrap_err().to_string();
        assert!(refusal(b"\0asm\x01\0\0\0").starts_with("not a component but a core module: build it"));
        assert!(refusal(b"(component)").starts_with("WebAssembly text"));
        assert!(refusal(b"\x7fELF").starts_with("not a WebAssembly component"));
        assert!(refusal(b"").starts_with("empty"));
        assert!(check_form(b"\0asm\x0d\0\x01\0").is_ok());
    }

    #[test]
    fn a_large_component_may_have_more_memory_and_none_has_all() {
        let limit_mib = |bytes: usize| memory_limit_bytes(&vec![0; bytes]) >> 20;
        assert_eq!((limit_mib(0), limit_mib(1 << 20), limit_mib(40 << 20)), (384, 448, 1536));
    }

    #[test]
    fn how_it_ended_is_said() {
        let failure =
            |status, words: &[u8]| failure(ExitStatus::from_raw(status), words, 416 << 20).to_string();
        assert_eq!(failure(1 << 8, b"bad\n"), "bad");
        assert!(failure(6, b"").contains("416 MiB of memory"));
        assert!(failure(24, b"").contains("120 seconds"));
        assert!(failure(31, b"").contains("tried what no compiler does, and was ended (SIGSYS)"));
    }

    #[test]
    fn a_compiler_that_is_none_is_told_by_what_it_says() {
        let refusal = |program: &str| compile(program.as_ref(), b"component").err().unwrap().to_string();
        assert!(refusal("/bin/true").contains("says what no such process says"));
        assert!(refusal("/bin/echo").contains("says what no such process says"));
        assert_eq!(
            refusal("/bin/yes"),
            "its compiled code is larger than 64 MiB, which no component of its size needs"
        );
        assert_eq!(refusal("/bin/false"), "compiling it failed: exit status: 1");
    }
}
