//! Compiling, in a process of its own: the compiler takes hundreds of megabytes that it would never give back, and it reads
//! what others wrote.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use koi_plugin_api::for_people;
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use crate::backend::wasm::engine;
use crate::backend::wasm::engine::EngineError;
use crate::rlimit::lower;
use crate::subcommand::COMPILE;

/// Memory of the compiling process: so much whatever the component, and so much for each byte of it. A Python component of 18 MB takes
/// 470 MiB of the 1,500 that it may have, one of 1.6 MB from JavaScript 120 of 490.
const MEMORY_BYTES: u64 = 384 << 20;
const MEMORY_PER_BYTE: u64 = 64;
/// No component has more.
const MEMORY_LIMIT_BYTES: u64 = 1536 << 20;

/// Processor time of the compiling process; a Python component takes 8 seconds.
const CPU_SECONDS: u64 = 120;

/// Time on the wall, on a machine that is busy with other things.
const WALL: Duration = Duration::from_secs(300);

/// A component; the largest that were seen have 40 MB.
const COMPONENT_BYTES: u64 = 256 << 20;

/// Compiled code.
const COMPILED_BYTES: u64 = 1 << 30;

/// What the process may say of a failure.
const WORDS_BYTES: u64 = 4096;

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
    #[error("the process that compiles it cannot be waited for: {0}")]
    Wait(io::Error),
    /// It took too long by the clock.
    #[error("compiling it took more than {} seconds and was ended", WALL.as_secs())]
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
    /// Another signal ended it.
    #[error("compiling it ended with {0}")]
    Signal(Signal),
    /// It failed and said nothing.
    #[error("compiling it failed: {0}")]
    Silent(ExitStatus),
    /// It failed and said why.
    #[error("{0}")]
    Said(String),
    /// The code is larger than code may be.
    #[error("its compiled code is larger than {} MiB", COMPILED_BYTES >> 20)]
    CodeTooLarge,
}

/// Why the compiling process ends without code. Its text is what [`CompileError::Said`] passes on.
#[derive(Debug, thiserror::Error)]
enum CompilerError {
    #[error("it cannot be told of koid's end: {0}")]
    DeathSignal(Errno),
    #[error("no limit can be set: {0}")]
    Limit(Errno),
    #[error("the component cannot be read: {0}")]
    Read(io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("not a valid component: {0:#}")]
    Invalid(wasmtime::Error),
    #[error("nobody takes the code: {0}")]
    Write(io::Error),
}

/// Compiles `component` by starting `program` again. Blocks.
pub(crate) fn compile(program: &Path, component: &[u8]) -> Result<Vec<u8>, CompileError> {
    let mut child =
        start(program).map_err(|source| CompileError::Start { program: program.to_owned(), source })?;
    let (status, compiled, words) = feed(&mut child, component, WALL).map_err(CompileError::Wait)?;
    match status {
        None => Err(CompileError::Wall),
        Some(status) if status.success() && compiled.len() as u64 > COMPILED_BYTES => {
            Err(CompileError::CodeTooLarge)
        }
        Some(status) if status.success() => Ok(compiled),
        Some(status) => Err(failure(status, &words, memory_limit_bytes(component))),
    }
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

fn start(program: &Path) -> io::Result<Child> {
    let processors = thread::available_parallelism().map_or(1, |n| n.get());
    // Half the machine at most is busy with it, unless somebody waits for it; and every thread has its share of the address space.
    let threads = if engine::is_quick() { processors } else { processors / 2 };
    koi_child::command(program)
        .arg(COMPILE)
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.clamp(1, THREADS).to_string())
        .env("MALLOC_ARENA_MAX", THREADS.to_string())
        .envs(engine::variables())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Hands `component` to the process and takes what it says. No status: it took too long and was killed.
fn feed(
    child: &mut Child,
    component: &[u8],
    wall: Duration,
) -> io::Result<(Option<ExitStatus>, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // When it does not take it all, its exit says why.
            stdin.map(|mut stdin| stdin.write_all(component))
        });
        let words = scope.spawn(move || read(stderr, WORDS_BYTES));
        let (done, is_done) = mpsc::channel();
        let compiled = scope.spawn(move || {
            let compiled = read(stdout, COMPILED_BYTES + 1);
            // Nobody listens once the time is over.
            let _ = done.send(());
            compiled
        });
        let in_time = is_done.recv_timeout(wall) != Err(mpsc::RecvTimeoutError::Timeout);
        if !in_time {
            child.kill()?;
        }
        let status = child.wait()?;
        let all = (compiled.join().unwrap_or_default(), words.join().unwrap_or_default());
        Ok((in_time.then_some(status), all.0, all.1))
    })
}

/// Up to `limit_bytes`; what comes after is not read, and the writer is told so by a closed pipe.
fn read(pipe: Option<impl Read>, limit_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error is all there is.
        let _ = pipe.take(limit_bytes).read_to_end(&mut bytes);
    }
    bytes
}

/// Why it failed, from what it said and how it ended.
fn failure(status: ExitStatus, words: &[u8], limit_bytes: u64) -> CompileError {
    match status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        Some(Signal::SIGXCPU) => CompileError::Processor,
        Some(Signal::SIGKILL) => CompileError::Killed,
        Some(Signal::SIGABRT) => CompileError::Memory { limit_bytes },
        Some(signal) => CompileError::Signal(signal),
        None => match for_people(&String::from_utf8_lossy(words), 500) {
            said if said.is_empty() => CompileError::Silent(status),
            said => CompileError::Said(said),
        },
    }
}

/// The process that compiles: component on standard input, compiled code on standard output. With the argument [`KEY`] it only says what
/// its code can be run by.
pub(crate) fn process(args: &[OsString]) -> ExitCode {
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
    // Nobody wants the code any more once koid, or the thread of it that waits, has ended.
    set_pdeathsig(Signal::SIGKILL).map_err(CompilerError::DeathSignal)?;
    // Hooks and leases come first, and it is no loss: it can be compiled again.
    koi_child::step_back();
    let limits = [
        // The hard limit kills without a word of its own.
        (Resource::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 5),
        (Resource::RLIMIT_CORE, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        lower(resource, soft, hard).map_err(CompilerError::Limit)?;
    }
    let mut component = Vec::new();
    io::stdin().lock().take(COMPONENT_BYTES).read_to_end(&mut component).map_err(CompilerError::Read)?;
    let memory = memory_limit_bytes(&component);
    // Whoever finds no memory aborts.
    lower(Resource::RLIMIT_DATA, memory, memory).map_err(CompilerError::Limit)?;
    let compiled = engine::engine()?.precompile_component(&component).map_err(CompilerError::Invalid)?;
    let mut out = io::stdout().lock();
    out.write_all(&compiled).and_then(|()| out.flush()).map_err(CompilerError::Write)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

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
    fn a_compiler_that_does_not_end_is_killed() {
        let mut command = Command::new("sleep");
        command.arg("3600").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (status, ..) = feed(&mut child, b"component", Duration::from_millis(50)).unwrap();
        assert_eq!(status, None);
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
    }
}
