//! One call's conversation with a helper.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{Abort, AttributesRead, CallAttributes, CallLog, Hook, Incident, LogLevel, NewestEpoch};
use koi_text::escaped;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::backend::helper::talk::{ABORT_GRACE, CallLimits, CallTimers, EarlyEnd, until};
use crate::backend::helper::{HelperProcess, LINE_BYTES, ReplyError, cut};
use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::host::allowance::{Allowance, Cost};
use crate::backend::wasm::host::exec;
use crate::backend::wasm::host::exec::ProgramCall;
use crate::backend::wasm::host::exec::kept::Kept;
use crate::backend::wasm::host::exec::program_watch::ProgramWatch;
use crate::backend::wasm::host::exec::programs::Programs;
use crate::backend::wasm::host::helper::GuestHelper;
use crate::backend::wasm::host::lookups::Lookups;
use crate::backend::wasm::host::store::StateStore;
use crate::backend::wasm::limits::Limits;
use crate::backend::wasm::protocol::{
    GuestMessage, GuestQuestion, HookEnding, HostAnswer, HostMessage, INPUT_BYTES, ProgramRunError, encode,
    level_of,
};
use crate::config::secret::Secrets;
use crate::stand_in::StandIn;

/// A helper ends its guest by itself when it is told to, or when the call's time is over: within a tick of its clock. One that has not
/// done so after this hangs, and is killed.
const OBEYS_WITHIN: Duration = Duration::from_millis(50);

/// What koid does for a call ends with the call. A disk or a program that does not is waited for no longer than this: the next hook may be
/// one that takes the service down.
const SETTLES_WITHIN: Duration = Duration::from_millis(100);

/// Pieces of a program's input that wait for the program.
const WAITING_INPUT: usize = 2;

/// Bytes of answers that wait for a helper to read them. One that asks on and on without reading is no helper of ours: that reads whenever
/// its guest waits, and has a bounded number of questions open.
const UNREAD_BYTES: usize = 1024 * 1024;

/// What koid does for the guests of one service.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) grants: Arc<Grants>,
    pub(crate) store: StateStore,
    pub(crate) lookups: Lookups,
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) watch: Arc<ProgramWatch>,
    pub(crate) limits: Limits,
    pub(crate) kept: Kept,
    /// The keys of its configuration that are read from files.
    pub(crate) secrets: Arc<Secrets>,
    /// Answers in place of programs, in a test.
    pub(crate) stand_in: Option<StandIn>,
}

/// What a call may ask of the cluster.
pub(crate) struct ClusterView {
    /// The newest epoch that this node has heard of.
    pub(crate) newest: NewestEpoch,
    /// The attributes of the service's group.
    pub(crate) attributes: Arc<dyn CallAttributes>,
}

/// How a conversation ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The hook ended.
    Ended(HookEnding),
    /// The component cannot be run.
    Refused(String),
    /// The process has ended, or is about to.
    Gone,
    /// The process says what it should not.
    Garbled,
    /// It did not end in time.
    Cut(EarlyEnd),
    /// It cannot reach a granted folder as that is now, and has not begun.
    Stale,
}

/// An answer that is being made.
type Work = std::pin::Pin<Box<dyn Future<Output = HostAnswer> + Send>>;

/// The open question of a guest.
#[derive(Default)]
struct Open {
    work: Option<Work>,
    /// Takes the input of a program.
    input: Option<mpsc::Sender<Vec<u8>>>,
    /// A piece of it that has no room yet: nothing more is read until it has.
    held: Option<Vec<u8>>,
    /// Bytes of input so far.
    input_bytes: usize,
}

impl Open {
    /// Waits for what still runs for a call that is over: it knows the call's time as well.
    async fn settle(&mut self) {
        if let Some(work) = self.work.take() {
            // What is dropped here is killed.
            let _ = tokio::time::timeout(SETTLES_WITHIN, work).await;
        }
    }

    /// Hands the piece that is held to the program, as soon as there is room.
    async fn pass_on(input: &mut Option<mpsc::Sender<Vec<u8>>>, held: &mut Option<Vec<u8>>) {
        let Some(sender) = input else { return *held = None };
        let taken = match (sender.reserve().await, held.take()) {
            (Ok(room), Some(piece)) => {
                room.send(piece);
                true
            }
            (Ok(_), None) => true,
            (Err(_), _) => false,
        };
        if !taken {
            // The program has ended.
            *input = None;
        }
    }
}

/// Talks until the hook, whose order waits to be sent, has ended. Nothing is killed here.
pub(crate) async fn talk(
    helper: &mut GuestHelper,
    desk: &Desk,
    hook: Hook,
    limits: &mut CallLimits,
    log: &Arc<dyn CallLog>,
    view: &ClusterView,
) -> Ending {
    let GuestHelper { body, requests, messages, programs, layers, .. } = helper;
    let HelperProcess { process, output, timers } = body;
    timers.begin(limits.deadline);
    let CallTimers { deadline, look } = timers;
    let take = |level: LogLevel, line: &str| log.line(level, line);
    let (mut open, mut lookups) = (Open::default(), desk.lookups.for_call(hook));
    let (mut at_least, mut cut_by) = (Some(Abort::Gently), None);
    let (mut kill_at, mut exceeded) = (None, None);
    let (mut has_begun, has_folders) = (false, desk.grants.directories().next().is_some());
    loop {
        let Open { work, input, held, .. } = &mut open;
        let is_reading = held.is_none();
        let answer = async {
            match work {
                Some(work) => work.await,
                None => pending().await,
            }
        };
        tokio::select! {
            // Neither a flood of questions nor one of output puts off the end.
            biased;
            early = limits.early_by(deadline, at_least.unwrap_or(Abort::Now)), if at_least.is_some() => {
                match early {
                    EarlyEnd::Aborted(how) => requests.push(&encode(&HostMessage::Abort(how == Abort::Now))),
                    // It knows its time.
                    EarlyEnd::TimedOut => {}
                }
                let patience;
                (at_least, patience) = match early {
                    EarlyEnd::Aborted(Abort::Gently) => (Some(Abort::Now), ABORT_GRACE + OBEYS_WITHIN),
                    EarlyEnd::Aborted(Abort::Now) | EarlyEnd::TimedOut => (None, OBEYS_WITHIN),
                };
                (kill_at, cut_by) = (Some(Instant::now() + patience), Some(early));
            }
            () = until(kill_at) => {
                open.settle().await;
                return Ending::Cut(cut_by.unwrap_or(EarlyEnd::TimedOut));
            }
            sent = requests.send(), if requests.are_waiting() => {
                // It has ended, or closed its end; what it said before is to be heard all the same.
                if sent.is_err() {
                    requests.forget();
                }
            }
            answer = answer => {
                if answer == HostAnswer::ProgramRefused(ProgramRunError::TooManyProcesses) {
                    exceeded = Some(desk.limits.processes_exceeded());
                }
                requests.push(&encode(&HostMessage::Answer(answer)));
                (open.work, open.input, open.held) = (None, None, None);
            }
            (number, answer) = lookups.next() => requests.push(&encode(&HostMessage::Found(number, answer))),
            () = Open::pass_on(input, held), if !is_reading => {}
            message = messages.next::<GuestMessage>(), if is_reading => {
                has_begun |= !matches!(message, Ok(GuestMessage::Ready(_) | GuestMessage::Stale));
                match message {
                Ok(GuestMessage::Line(level, text)) => {
                    log.line(level_of(level), &escaped(cut(&text, 2 * LINE_BYTES), &['\t']));
                }
                Ok(GuestMessage::Incident(0)) => log.incident(Incident::Crashed),
                Ok(GuestMessage::Incident(2)) => log.incident(Incident::NoScore),
                Ok(GuestMessage::Incident(_)) => log.incident(Incident::Unsupported),
                Ok(GuestMessage::Question(_) | GuestMessage::LookUp(..))
                    if requests.waiting_bytes() > UNREAD_BYTES =>
                {
                    return Ending::Garbled;
                }
                Ok(GuestMessage::Question(question)) if open.work.is_none() => {
                    open.begin(question, (desk, programs.as_ref()), hook, limits, log, view);
                }
                Ok(GuestMessage::LookUp(number, name)) => {
                    if !desk.grants.allows_look_up(&name) || !lookups.begin(number, name, &**log) {
                        return Ending::Garbled;
                    }
                }
                Ok(GuestMessage::Input(piece)) => {
                    open.input_bytes += piece.len();
                    if open.input_bytes > INPUT_BYTES {
                        return Ending::Garbled;
                    }
                    match piece.is_empty() {
                        // The program reads to its end.
                        true => open.input = None,
                        false => open.held = open.input.is_some().then_some(piece),
                    }
                }
                Ok(GuestMessage::Ended(ending, memory_bytes)) => {
                    // Whatever the helper says: a guest has no more than it may have.
                    let limit_bytes = desk.limits.memory_bytes as u64;
                    log.memory(memory_bytes.min(limit_bytes), Some(limit_bytes));
                    open.settle().await;
                    // Whatever the guest makes of it.
                    let failed = exceeded.map(|exceeded| HookEnding::Failed(exceeded.to_string()));
                    return Ending::Ended(failed.unwrap_or(ending));
                }
                Ok(GuestMessage::Refused(why)) => return Ending::Refused(why),
                Ok(GuestMessage::Ready(found)) if layers.is_none() => *layers = Some(found),
                // Whoever has begun and says so wants to run twice.
                Ok(GuestMessage::Stale) if !has_begun && has_folders => return Ending::Stale,
                Ok(_) | Err(ReplyError::Garbled) => return Ending::Garbled,
                Err(ReplyError::Closed) => return Ending::Gone,
            }
            }
            never = output.pump(&take) => match never {},
            () = look.ended(process) => return Ending::Gone,
        }
    }
}

impl Open {
    /// Begins to make the answer to a question.
    fn begin(
        &mut self,
        question: GuestQuestion,
        (desk, programs): (&Desk, Option<&Programs>),
        hook: Hook,
        limits: &CallLimits,
        log: &Arc<dyn CallLog>,
        view: &ClusterView,
    ) {
        let (store, log, allowance) = (desk.store.clone(), log.clone(), desk.allowance.clone());
        let cost = match question {
            GuestQuestion::Set(..) | GuestQuestion::Delete(_) | GuestQuestion::WriteAttribute(..) => {
                Cost::Change
            }
            GuestQuestion::Get(_) | GuestQuestion::Keys | GuestQuestion::ReadAttributes(_) => Cost::Read,
            GuestQuestion::Epoch | GuestQuestion::Run(_) => Cost::Question,
        };
        let work: Work = match question {
            GuestQuestion::Epoch => {
                let epoch = view.newest.get();
                Box::pin(async move { HostAnswer::Epoch(epoch) })
            }
            GuestQuestion::Get(key) => Box::pin(async move { store.get(key, &*log).await }),
            GuestQuestion::Set(key, value) => Box::pin(async move { store.set(key, value, &*log).await }),
            GuestQuestion::Delete(key) => Box::pin(async move { store.delete(key, &*log).await }),
            GuestQuestion::Keys => Box::pin(async move { store.keys(&*log).await }),
            GuestQuestion::ReadAttributes(fresh) => {
                let attributes = view.attributes.clone();
                Box::pin(async move {
                    match attributes.read(fresh).await {
                        Ok(AttributesRead { version, values }) => HostAnswer::Attributes(version, values),
                        Err(error) => HostAnswer::AttributesRefused(error.into()),
                    }
                })
            }
            GuestQuestion::WriteAttribute(key, value) => {
                let attributes = view.attributes.clone();
                Box::pin(async move {
                    match attributes.write(key, value).await {
                        Ok(()) => HostAnswer::AttributeWritten,
                        Err(error) => HostAnswer::AttributesRefused(error.into()),
                    }
                })
            }
            GuestQuestion::Run(program) => {
                let (sender, receiver) = mpsc::channel(WAITING_INPUT);
                (self.input, self.input_bytes) = (Some(sender), 0);
                if let Some(stand_in) = desk.stand_in.clone() {
                    let made_up = exec::make_up(program, receiver, (desk.clone(), stand_in), hook, log);
                    return self.work = Some(Box::pin(made_up));
                }
                let (deadline, abort) = (limits.deadline, limits.abort.clone());
                let Some(programs) = programs.cloned() else {
                    return self.work =
                        Some(Box::pin(ready(HostAnswer::ProgramRefused(ProgramRunError::Denied))));
                };
                let call = ProgramCall { desk: desk.clone(), programs, hook, log, deadline, abort };
                Box::pin(async move { exec::run(program, receiver, call).await })
            }
        };
        self.work = Some(Box::pin(async move {
            allowance.wait(cost).await;
            work.await
        }));
    }
}
