//! Programs of the node, run for a guest: koid checks what is asked for, and the service's broker starts it.

mod approval;
pub(crate) mod broker;
pub(crate) mod kept;
mod output;
pub(crate) mod program_watch;
pub(crate) mod programs;

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use koi_child::Output;
use koi_child::group::NotedGroup;
use koi_plugin_api::{Abort, AbortSignal, CallLog, GroupReport, Hook, LogLevel};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use tokio::net::unix::pipe::Sender;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::wasm::broker::protocol::RunRequest;
use crate::backend::wasm::grants::programs::program::Program;
use crate::backend::wasm::host::exec::approval::approve;
use crate::backend::wasm::host::exec::broker::{Broker, BrokerLostError, Exit, Start};
use crate::backend::wasm::host::exec::kept::{KeepError, Kept};
use crate::backend::wasm::host::exec::output::{KeptOutput, feed};
use crate::backend::wasm::host::exec::programs::Programs;
use crate::backend::wasm::host::talk::Desk;
use crate::backend::wasm::protocol::{HostAnswer, ProgramExit, ProgramRequest, ProgramRunError};
use crate::stand_in::StandIn;

/// Where programs look for others.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that somebody has open for writing cannot be run (ETXTBSY): for a moment that is so right after it was installed.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The call for which a program is run.
pub(crate) struct ProgramCall {
    pub(crate) desk: Desk,
    pub(crate) programs: Programs,
    pub(crate) hook: Hook,
    pub(crate) log: Arc<dyn CallLog>,
    /// A program ends then at the latest.
    pub(crate) deadline: Instant,
    pub(crate) abort: AbortSignal,
}

/// Runs what a guest asks for, with the input that comes out of `input`. Dropped, it leaves the broker to be ended.
pub(crate) async fn run(
    asked: ProgramRequest,
    input: mpsc::Receiver<Vec<u8>>,
    mut call: ProgramCall,
) -> HostAnswer {
    let own = asked.timeout_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    let end = own.map_or(call.deadline, |own| own.min(call.deadline));
    let exit = run_until(asked, input, &mut call, end).await;
    exit.map_or_else(HostAnswer::ProgramRefused, HostAnswer::Exited)
}

/// What a made-up machine says to what a guest asks for, if that is granted.
pub(crate) async fn make_up(
    asked: ProgramRequest,
    mut input: mpsc::Receiver<Vec<u8>>,
    (desk, stand_in): (Desk, StandIn),
    hook: Hook,
    log: Arc<dyn CallLog>,
) -> HostAnswer {
    let mut all = Vec::new();
    while let Some(piece) = input.recv().await {
        all.extend(piece);
    }
    let run = approve(&asked, &desk, hook, &*log).and_then(|_| stand_in.machine().run(&asked, &all));
    run.map_or_else(HostAnswer::ProgramRefused, HostAnswer::Exited)
}

async fn run_until(
    asked: ProgramRequest,
    input: mpsc::Receiver<Vec<u8>>,
    call: &mut ProgramCall,
    end: Instant,
) -> Result<ProgramExit, ProgramRunError> {
    let (desk, hook, log) = (call.desk.clone(), call.hook, call.log.clone());
    let approving = tokio::task::spawn_blocking(move || (approve(&asked, &desk, hook, &*log), asked));
    let (program, asked) = tokio::select! {
        biased;
        approved = approving => {
            let (program, asked) = approved.map_err(|error| ProgramRunError::Io(error.to_string()))?;
            (program?, asked)
        }
        () = sleep_until(end) => return Err(ProgramRunError::TimedOut),
    };
    let mut held = call.programs.hold().await;
    let path = program.path().display().to_string();
    if !program.keeps() {
        let broker = held.broker_for(&path, &call.log).await.map_err(failed)?;
        return run_in(broker, (&asked, &program), input, (call, end)).await;
    }
    let broker = held.launcher(&call.log).await.map_err(failed)?;
    let ended = run_in(broker, (&asked, &program), input, (call, end)).await;
    let Some(broker) = held.launched() else { return Err(BrokerLostError.into()) };
    match ended {
        Ok(exit) => keep(broker, path, &call.desk.kept).await.map(|()| exit),
        Err(error) => {
            broker.shut_down().await;
            Err(error)
        }
    }
}

async fn run_in(
    broker: &mut Broker,
    (asked, program): (&ProgramRequest, &Program),
    input: mpsc::Receiver<Vec<u8>>,
    (call, end): (&mut ProgramCall, Instant),
) -> Result<ProgramExit, ProgramRunError> {
    let processes = call.desk.limits.processes;
    let running = tokio::select! {
        biased;
        started = Running::start(asked, program, broker, (processes, &call.log)) => started?,
        // What it has started meanwhile ends with it.
        () = sleep_until(end) => return Err(ProgramRunError::TimedOut),
    };
    running.run(input, broker, end, &mut call.abort).await
}

/// Leaves alone what a program has left that has exited. It is noted before: nothing is kept that nobody knows of.
async fn keep(broker: Broker, program: String, kept: &Kept) -> Result<(), ProgramRunError> {
    let (noting, id) = (kept.clone(), broker.id());
    let noted = tokio::task::spawn_blocking(move || noting.note(&program, id)).await;
    match noted.unwrap_or_else(|error| Err(KeepError::Note(error.into()))) {
        Ok(()) => {
            if !broker.release().await? {
                let kept = kept.clone();
                // It is known that it does not run.
                let _ = tokio::task::spawn_blocking(move || kept.tidy()).await;
            }
            Ok(())
        }
        Err(error) => {
            broker.shut_down().await;
            Err(ProgramRunError::Io(error.to_string()))
        }
    }
}

fn failed(error: io::Error) -> ProgramRunError {
    ProgramRunError::Io(error.to_string())
}

impl From<BrokerLostError> for ProgramRunError {
    fn from(lost: BrokerLostError) -> ProgramRunError {
        ProgramRunError::Io(lost.to_string())
    }
}

/// koid's ends of a program's pipes, and the program's.
struct Pipes {
    stdin: Sender,
    stdout: Output,
    stderr: Output,
    theirs: [OwnedFd; 3],
}

impl Pipes {
    fn new() -> io::Result<Pipes> {
        let ((in_end, stdin), (stdout, out_end), (stderr, err_end)) = (io::pipe()?, io::pipe()?, io::pipe()?);
        Ok(Pipes {
            stdin: Sender::from_owned_fd(stdin.into())?,
            stdout: Output::new(stdout.into())?,
            stderr: Output::new(stderr.into())?,
            theirs: [in_end.into(), out_end.into(), err_end.into()],
        })
    }
}

/// A program under way.
struct Running {
    /// Its group. The broker reaps its leader.
    group: NotedGroup,
    /// Of its group. The broker sees to it that nothing of it goes on.
    report: GroupReport,
    stdin: Sender,
    stdout: Output,
    stderr: Output,
}

impl Running {
    async fn start(
        asked: &ProgramRequest,
        program: &Program,
        broker: &mut Broker,
        (processes, log): (usize, &Arc<dyn CallLog>),
    ) -> Result<Running, ProgramRunError> {
        let Pipes { stdin, stdout, stderr, theirs } = Pipes::new().map_err(failed)?;
        let path = [("PATH".to_owned(), PATH.to_owned())];
        let request = RunRequest {
            program: program.path().display().to_string(),
            args: asked.args.clone(),
            env: path.into_iter().chain(asked.env.iter().cloned()).collect(),
            processes: processes as u64,
            user: program.user().map(|(_, ids)| ids.clone()),
        };
        let mut tries = 0;
        loop {
            match broker.run(request.clone(), theirs.each_ref().map(OwnedFd::as_fd)).await? {
                Start::Began(group) => {
                    let (noted, report) = (NotedGroup::now(group), GroupReport::new(group, log.clone()));
                    return Ok(Running { group: noted, report, stdin, stdout, stderr });
                }
                Start::Failed(Errno::ETXTBSY) if tries < BUSY_TRIES => tries += 1,
                Start::TooMany => return Err(ProgramRunError::TooManyProcesses),
                Start::Failed(Errno::ENOENT) => return Err(ProgramRunError::NotFound),
                Start::Failed(errno) => {
                    return Err(ProgramRunError::Io(format!(
                        "{}: {}",
                        asked.program,
                        io::Error::from(errno)
                    )));
                }
            }
            sleep(BUSY_PAUSE).await;
        }
    }

    async fn run(
        self,
        input: mpsc::Receiver<Vec<u8>>,
        broker: &mut Broker,
        end: Instant,
        abort: &mut AbortSignal,
    ) -> Result<ProgramExit, ProgramRunError> {
        let Running { group, mut report, stdin, mut stdout, mut stderr } = self;
        let (mut out, mut err) = (KeptOutput::default(), KeptOutput::default());
        let code = {
            // Polled until the program is done or ended, and then dropped: a process that it left in the background may hold the
            // pipes open for ever. It goes on writing to the keeper.
            let talk = async {
                tokio::join!(feed(stdin, input), out.read(&mut stdout), err.read(&mut stderr));
                std::future::pending::<Infallible>().await
            };
            tokio::select! {
                biased;
                ended = until(broker, end, abort, (group, &mut report)) => ended,
                never = talk => match never {},
            }
        }?;
        out.read_rest(&mut stdout);
        err.read_rest(&mut stderr);
        let truncated = out.truncated || err.truncated;
        Ok(ProgramExit { code, truncated, stdout: out.bytes, stderr: err.bytes })
    }
}

/// Waits for the program's own end, or ends it with all that it has started.
async fn until(
    broker: &mut Broker,
    end: Instant,
    abort: &mut AbortSignal,
    (group, report): (NotedGroup, &mut GroupReport),
) -> Result<Option<i32>, ProgramRunError> {
    let gently = tokio::select! {
        biased;
        exit = broker.exited() => {
            return match exit {
                Ok(Exit::Code(code)) => Ok(code),
                Ok(Exit::TooMany) => Err(ProgramRunError::TooManyProcesses),
                Err(lost) => {
                    // As much as can be done without it.
                    group.signal(Signal::SIGKILL);
                    Err(lost.into())
                }
            };
        }
        how = abort.asked_for(Abort::Gently) => how == Abort::Gently,
        () = sleep_until(end) => false,
    };
    let hurry = async {
        abort.asked_for(Abort::Now).await;
    };
    if broker.end(gently, hurry).await?.hangs {
        report.set_stuck();
        report.log().line(LogLevel::Error, "a program hangs in the kernel and cannot be killed");
    }
    Err(ProgramRunError::TimedOut)
}
