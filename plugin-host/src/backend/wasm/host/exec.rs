//! Programs of the node, run for a guest: koid starts them, for a helper may start nothing.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use koi_child::Output;
use koi_child::group::{GroupEnd, GroupSignal, ProcessGroup};
use koi_plugin_api::{Abort, AbortSignal, CallLog, GroupReport, Hook, LogLevel};
use nix::errno::Errno;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::backend::wasm::grants::program::{Program, entry_for};
use crate::backend::wasm::host::talk::Desk;
use crate::backend::wasm::protocol::{HostAnswer, ProgramExit, ProgramRequest, ProgramRunError};

/// Bytes of a program's output that are kept, of each stream; the rest is read and thrown away.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Characters of a line about a program that may not be run.
const DENIED_CHARS: usize = 2000;

/// Where programs look for others.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that somebody has open for writing cannot be run (ETXTBSY): for a moment that is so right after it was installed.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The call for which a program is run.
pub(crate) struct ProgramCall {
    pub(crate) desk: Desk,
    pub(crate) hook: Hook,
    pub(crate) log: Arc<dyn CallLog>,
    /// A program ends then at the latest.
    pub(crate) deadline: Instant,
    pub(crate) abort: AbortSignal,
}

/// Runs what a guest asks for, with the input that comes out of `input`.
pub(crate) async fn run(
    asked: ProgramRequest,
    input: mpsc::Receiver<Vec<u8>>,
    call: ProgramCall,
) -> HostAnswer {
    let (deadline, mut abort) = (call.deadline, call.abort.clone());
    let own = asked.timeout_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    let end = own.map_or(deadline, |own| own.min(deadline));
    // The file system may be slow, or gone. Whoever drops the call before this has ended drops its result too, and that
    // kills the program.
    let starting = tokio::task::spawn_blocking(move || start(&asked, &call));
    let running = tokio::select! {
        biased;
        started = starting => started.unwrap_or_else(|error| Err(ProgramRunError::Io(error.to_string()))),
        () = sleep_until(end) => Err(ProgramRunError::TimedOut),
    };
    let exit = match running {
        Ok(running) => running.run(input, end, &mut abort).await,
        Err(error) => Err(error),
    };
    exit.map_or_else(HostAnswer::ProgramRefused, HostAnswer::Exited)
}

/// Starts what is granted. Blocks.
fn start(command: &ProgramRequest, call: &ProgramCall) -> Result<Running, ProgramRunError> {
    let (grants, log) = (&call.desk.grants, &call.log);
    let Some(program) = grants.program(&command.program, &command.args) else {
        let how = match command.program.starts_with('/') {
            true => to_grant(&grants.line_with("exec", entry_for(&command.program, &command.args))),
            false => "a program is named by its absolute path".into(),
        };
        return Err(denied(&**log, &format!("run {}; {how}", shown(command))));
    };
    if let Some((name, _)) = command.env.iter().find(|(name, _)| !grants.allows_exec_env(name)) {
        let how = to_grant(&grants.line_with("exec-env", name.as_str()));
        return Err(denied(&**log, &format!("set {name:?} for {}; {how}", command.program)));
    }
    look_at(program, call)?;
    let mut ready = koi_child::command(program.path());
    ready
        .args(&command.args)
        .env_clear()
        .env("PATH", PATH)
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    koi_child::run_exactly(&mut ready);
    let mut ready = Command::from(ready);
    let mut tries = 0;
    let mut child = loop {
        match ready.spawn() {
            Ok(child) => break child,
            Err(error) if is(&error, Errno::ETXTBSY) && tries < BUSY_TRIES => tries += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ProgramRunError::NotFound),
            Err(error) => return Err(ProgramRunError::Io(format!("{}: {error}", command.program))),
        }
        std::thread::sleep(BUSY_PAUSE);
    };
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // From here on whatever goes wrong ends the group.
    let group = ProgramGroup::new(child, log.clone());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(ProgramRunError::Io("the program has no pipes".into()));
    };
    let unread =
        |error: io::Error| ProgramRunError::Io(format!("the program's output cannot be read: {error}"));
    let stdout = stdout.into_owned_fd().and_then(Output::new).map_err(unread)?;
    let stderr = stderr.into_owned_fd().and_then(Output::new).map_err(unread)?;
    Ok(Running { group, stdin, stdout, stderr })
}

/// Whether a program may still be run for this hook. What takes a service down runs whatever has happened. Blocks.
fn look_at(program: &Program, call: &ProgramCall) -> Result<(), ProgramRunError> {
    if let Some(change) = call.desk.watch.change(program.path()) {
        call.log.line(LogLevel::Warn, &format!("{change}; it is run all the same"));
    }
    let Some(why) = program.distrust() else { return Ok(()) };
    let path = program.path().display();
    match call.hook {
        Hook::Start | Hook::Promote | Hook::Status => {
            let text = format!("{path} is not run, for others may change it: {why}");
            call.log.line(LogLevel::Warn, &text);
            Err(ProgramRunError::Io(text))
        }
        Hook::Demote | Hook::Stop | Hook::Failed => {
            let text = format!(
                "{path} is run though others may change it, for {} must go on: {why}",
                call.hook.as_str()
            );
            call.log.line(LogLevel::Error, &text);
            Ok(())
        }
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn to_grant(line: &str) -> String {
    format!("to grant it write under [grants] of service.toml: {line}")
}

fn denied(log: &dyn CallLog, what: &str) -> ProgramRunError {
    // Arguments may be of any length.
    let text: String = format!("denied: {what}").chars().take(DENIED_CHARS).collect();
    log.line(LogLevel::Warn, &text);
    ProgramRunError::Denied
}

fn shown(command: &ProgramRequest) -> String {
    let words = std::iter::once(&command.program).chain(&command.args);
    words.map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")
}

/// A program under way.
struct Running {
    group: ProgramGroup,
    stdin: ChildStdin,
    stdout: Output,
    stderr: Output,
}

impl Running {
    async fn run(
        self,
        input: mpsc::Receiver<Vec<u8>>,
        end: Instant,
        abort: &mut AbortSignal,
    ) -> Result<ProgramExit, ProgramRunError> {
        let Running { mut group, stdin, mut stdout, mut stderr } = self;
        let (mut out, mut err) = (KeptOutput::default(), KeptOutput::default());
        let ended = {
            // Polled until the program is done or ended, and then dropped: a process that it left in the background may hold the
            // pipes open for ever. It goes on writing to the keeper.
            let talk = async {
                tokio::join!(feed(stdin, input), out.read(&mut stdout), err.read(&mut stderr));
                std::future::pending::<Infallible>().await
            };
            tokio::select! {
                biased;
                ended = group.until(end, abort) => ended,
                never = talk => match never {},
            }
        };
        let status = ended?;
        out.read_rest(&mut stdout);
        err.read_rest(&mut stderr);
        Ok(ProgramExit {
            code: status.code(),
            truncated: out.truncated || err.truncated,
            stdout: out.bytes,
            stderr: err.bytes,
        })
    }
}

/// Writes all of the input. A program may exit without reading all of it.
async fn feed(mut stdin: ChildStdin, mut input: mpsc::Receiver<Vec<u8>>) {
    while let Some(piece) = input.recv().await {
        if stdin.write_all(&piece).await.is_err() {
            return;
        }
    }
}

/// What is kept of one stream.
#[derive(Default)]
struct KeptOutput {
    bytes: Vec<u8>,
    truncated: bool,
}

impl KeptOutput {
    /// Reads up to the stream's end.
    async fn read(&mut self, stream: &mut Output) {
        let mut chunk = vec![0; 8 * 1024];
        while let count @ 1.. = stream.read(&mut chunk).await {
            self.keep(&chunk[..count]);
        }
    }

    /// Reads what is in the pipe now.
    fn read_rest(&mut self, stream: &mut Output) {
        let mut chunk = vec![0; 8 * 1024];
        // Not more than fits in a pipe: somebody left in the background may fill it as fast as this empties it.
        for _ in 0..OUTPUT_BYTES / 1024 {
            let Some(count) = stream.read_now(&mut chunk) else { return };
            self.keep(&chunk[..count]);
        }
    }

    fn keep(&mut self, chunk: &[u8]) {
        let room = OUTPUT_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        self.truncated |= chunk.len() > room;
    }
}

/// The process group that a program leads. Dropped before the program has exited, it kills the group.
///
/// What a program has left in the background when it exits by itself is left alone.
struct ProgramGroup {
    // Dropped first: the log is told when the group is gone.
    group: ProcessGroup,
    report: GroupReport,
}

impl ProgramGroup {
    fn new(leader: Child, log: Arc<dyn CallLog>) -> ProgramGroup {
        let group = ProcessGroup::new(leader);
        let report = GroupReport::new(group.id(), log);
        ProgramGroup { group, report }
    }

    /// Waits for the program's own end, or ends it with all that it has started.
    async fn until(&mut self, end: Instant, abort: &mut AbortSignal) -> Result<ExitStatus, ProgramRunError> {
        let signal = tokio::select! {
            biased;
            exit = self.group.exited() => {
                return exit.map_err(|error| ProgramRunError::Io(format!("its exit was lost: {error}")));
            }
            how = abort.asked_for(Abort::Gently) => match how {
                Abort::Gently => GroupSignal::Terminate,
                Abort::Now => GroupSignal::Kill,
            },
            () = sleep_until(end) => GroupSignal::Kill,
        };
        let hurry = async {
            abort.asked_for(Abort::Now).await;
        };
        let end = self.group.end(signal, hurry).await;
        if end == GroupEnd::Stuck {
            self.report.set_stuck();
            self.report.log().line(LogLevel::Error, "a program hangs in the kernel and cannot be killed");
        }
        Err(ProgramRunError::TimedOut)
    }
}
