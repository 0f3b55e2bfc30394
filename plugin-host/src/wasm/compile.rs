//! Compiling, in a process of its own: the compiler takes hundreds of megabytes that it would never give back, and it reads
//! what others wrote.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use koi_plugin_api::for_people;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use super::engine;
use crate::process::COMPILE;

/// Address space of the compiling process.
const ADDRESS_BYTES: u64 = 4 << 30;

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

/// Threads that compile, at most.
const THREADS: usize = 4;

/// Compiles `component` by starting `program` again. Blocks.
///
/// # Errors
/// A sentence for people.
pub(crate) fn compile(program: &Path, component: &[u8]) -> Result<Vec<u8>, String> {
    check_form(component)?;
    let mut child = start(program)
        .map_err(|error| format!("{}, which compiles it, cannot be started: {error}", program.display()))?;
    let (status, compiled, words) = feed(&mut child, component, WALL)
        .map_err(|error| format!("the process that compiles it cannot be waited for: {error}"))?;
    match status {
        None => Err(format!("compiling it took more than {} seconds and was ended", WALL.as_secs())),
        Some(status) if status.success() && compiled.len() as u64 > COMPILED_BYTES => {
            Err(format!("its compiled code is larger than {} MiB", COMPILED_BYTES >> 20))
        }
        Some(status) if status.success() => Ok(compiled),
        Some(status) => Err(failure(status, &words)),
    }
}

/// Tells what is no component by its first bytes, in clearer words than the compiler has.
fn check_form(bytes: &[u8]) -> Result<(), String> {
    const RECIPE: &str =
        "./build.sh of `koi plugins new` does it; docs/handlers.md says how, for each language";
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] if bytes.len() as u64 <= COMPONENT_BYTES => Ok(()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => {
            Err(format!("larger than {} MiB; strip its debug information", COMPONENT_BYTES >> 20))
        }
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => {
            Err(format!("not a component but a core module: build it as a component ({RECIPE})"))
        }
        [b'(', ..] => Err(format!("WebAssembly text, not a component: build it as a component ({RECIPE})")),
        [] => Err(format!("empty, and so not a WebAssembly component ({RECIPE})")),
        _ => Err(format!("not a WebAssembly component ({RECIPE})")),
    }
}

fn start(program: &Path) -> io::Result<Child> {
    let processors = thread::available_parallelism().map_or(1, |n| n.get());
    koi_child::command(program)
        .arg(COMPILE)
        .env_clear()
        // Half the machine at most is busy with it; and every thread has its share of the address space.
        .env("RAYON_NUM_THREADS", (processors / 2).clamp(1, THREADS).to_string())
        .env("MALLOC_ARENA_MAX", THREADS.to_string())
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
fn failure(status: ExitStatus, words: &[u8]) -> String {
    match status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        Some(Signal::SIGXCPU) => {
            format!("compiling it took more than {CPU_SECONDS} seconds of processor time")
        }
        Some(Signal::SIGKILL) => {
            "the process that compiled it was killed; did the machine run out of memory?".into()
        }
        Some(Signal::SIGABRT) => {
            format!("compiling it took more than {} GiB of memory", ADDRESS_BYTES >> 30)
        }
        Some(signal) => format!("compiling it ended with {signal}"),
        None => match for_people(&String::from_utf8_lossy(words), 500) {
            said if said.is_empty() => format!("compiling it failed: {status}"),
            said => said,
        },
    }
}

/// The process that compiles: component on standard input, compiled code on standard output.
pub(crate) fn process() -> ExitCode {
    match compile_here() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn compile_here() -> Result<(), String> {
    // Nobody wants the code any more once koid, or the thread of it that waits, has ended.
    set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("it cannot be told of koid's end: {error}"))?;
    let limits = [
        (Resource::RLIMIT_AS, ADDRESS_BYTES, ADDRESS_BYTES),
        // The hard limit kills without a word of its own.
        (Resource::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 5),
        (Resource::RLIMIT_CORE, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        setrlimit(resource, soft, hard).map_err(|error| format!("no limit can be set: {error}"))?;
    }
    let mut component = Vec::new();
    io::stdin()
        .lock()
        .take(COMPONENT_BYTES)
        .read_to_end(&mut component)
        .map_err(|error| format!("the component cannot be read: {error}"))?;
    let compiled = engine::engine()?
        .precompile_component(&component)
        .map_err(|error| format!("not a valid component: {error:#}"))?;
    let mut out = io::stdout().lock();
    out.write_all(&compiled)
        .and_then(|()| out.flush())
        .map_err(|error| format!("nobody takes the code: {error}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_component_is_told_by_its_first_bytes() {
        let refusal = |bytes: &[u8]| check_form(bytes).unwrap_err();
        assert!(refusal(b"\0asm\x01\0\0\0").starts_with("not a component but a core module: build it"));
        assert!(refusal(b"(component)").starts_with("WebAssembly text"));
        assert!(refusal(b"\x7fELF").starts_with("not a WebAssembly component"));
        assert!(refusal(b"").starts_with("empty"));
        assert_eq!(check_form(b"\0asm\x0d\0\x01\0"), Ok(()));
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
    fn how_it_ended_is_said() {
        assert_eq!(failure(ExitStatus::from_raw(1 << 8), b"bad\n"), "bad");
        assert!(failure(ExitStatus::from_raw(6), b"").contains("4 GiB of memory"));
        assert!(failure(ExitStatus::from_raw(24), b"").contains("120 seconds"));
    }
}
