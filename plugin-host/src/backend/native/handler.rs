//! The handler of one service: its helper, started when it is needed and started anew when it broke.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::native::abi;
use koi_plugin_api::{
    Abort, Call, CallLog, Called, Context, GroupReport, Handler, Hook, HookError, Incident, LogLevel,
    Metadata, Outcome,
};
use nix::errno::Errno;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::backend::native::backoff::Backoff;
use crate::backend::native::helper::output::for_people;
use crate::backend::native::helper::process::exit_text;
use crate::backend::native::helper::protocol::{
    CallRequest, CreateRequest, HelperRequest, MESSAGE_BYTES, cut, millis, text,
};
use crate::backend::native::helper::talk::{CallLimits, EarlyEnd, TalkEnd, talk};
use crate::backend::native::helper::{Helper, Phase};
use crate::backend::native::source::LibrarySource;
use crate::backend::native::verdict;
use crate::plugin::{Setup, UNSUPPORTED};

/// How long a helper that has closed its end may take to be gone.
const CLOSED_WAIT: Duration = Duration::from_secs(5);

/// Runs the hooks of one service in a helper of its own.
pub(crate) struct NativeHandler(Arc<NativeService>);

/// Lives as long as the handler or a call of it. Dropped, it ends the helper in order.
struct NativeService {
    metadata: Metadata,
    source: LibrarySource,
    name: String,
    home: String,
    config: Vec<(String, String)>,
    slot: Mutex<HelperSlot>,
}

#[derive(Default)]
struct HelperSlot {
    /// An idle one.
    helper: Option<Helper>,
    backoff: Backoff,
}

impl NativeHandler {
    pub(crate) fn new(metadata: &Metadata, source: &LibrarySource, setup: &Setup<'_>) -> NativeHandler {
        NativeHandler(Arc::new(NativeService {
            metadata: metadata.clone(),
            source: source.clone(),
            name: setup.service.to_owned(),
            home: text(setup.home),
            config: setup.config.to_vec(),
            slot: Mutex::default(),
        }))
    }
}

impl Handler for NativeHandler {
    fn metadata(&self) -> Metadata {
        self.0.metadata.clone()
    }

    fn call(&self, call: Call) -> Called {
        let service = self.0.clone();
        Box::pin(async move { service.run(call).await })
    }
}

impl Drop for NativeService {
    fn drop(&mut self) {
        if let Some(helper) = self.slot.get_mut().helper.take() {
            helper.end(std::mem::take(&mut self.name));
        }
    }
}

/// A helper in the service of a call. Dropped, it is killed, and then the log is told that its group is gone.
struct Session {
    helper: Option<Helper>,
    told: GroupReport,
}

impl NativeService {
    async fn run(&self, call: Call) -> Result<Outcome, HookError> {
        let Call { hook, context, log, abort, newest_epoch } = call;
        if abort.asked().is_some() {
            return Err(HookError::Aborted);
        }
        if !self.metadata.hooks.has(hook) {
            return Ok(verdict::absent(hook));
        }
        let timeout = context.timeout;
        let mut limits = CallLimits::new(timeout, abort);
        // koid calls one at a time; whoever does not waits here.
        let mut slot = tokio::select! {
            biased;
            slot = self.slot.lock() => slot,
            early = limits.early(Abort::Gently) => return Err(cut_short(early, timeout, "an earlier call was still running")),
        };
        let helper = self.helper(&mut slot, hook, timeout, &context, &mut limits, &*log).await?;
        let told = GroupReport::new(helper.process.group(), log.clone());
        let mut session = Session { helper: Some(helper), told };
        let Some(helper) = &mut session.helper else { return Err(HookError::Aborted) };
        helper.output.forget();
        helper.requests.push(&HelperRequest::Call(Box::new(CallRequest::new(hook, context, limits.left()))));

        let ending = talk(helper, hook, &mut limits, &*log, &newest_epoch).await;
        helper.output.rest(&|level, line| log.line(level, line));
        if matches!(&ending, TalkEnd::Done(ended) if ended.code == abi::UNSUPPORTED) {
            log.incident(Incident::Unsupported);
            log.line(LogLevel::Debug, UNSUPPORTED);
        }
        self.conclude(ending, hook, timeout, &limits, session, &mut slot).await
    }

    /// An idle helper, or a new one as soon as it may be started.
    async fn helper(
        &self,
        slot: &mut HelperSlot,
        hook: Hook,
        timeout: Duration,
        context: &Context,
        limits: &mut CallLimits,
        log: &dyn CallLog,
    ) -> Result<Helper, HookError> {
        if let Some(mut helper) = slot.helper.take() {
            if !helper.process.has_ended() {
                helper.phase = Phase::Calling(hook);
                return Ok(helper);
            }
            slot.backoff.broke(Instant::now());
            helper.output.rest(&|level, line| log.line(level, line));
            // Before the leader is reaped: afterwards the group's id may belong to another process.
            helper.process.signal();
            let end = exit_text(helper.process.reap());
            log.line(
                LogLevel::Warn,
                &format!("the plugin's process {end} between two calls; a new one is started"),
            );
        }
        if let Some(not_before) = slot.backoff.not_before().filter(|_| waits(hook)) {
            tokio::select! {
                biased;
                early = limits.early(Abort::Gently) => {
                    let why = format!("its process ended badly {} times in a row, and a new one was not due yet", slot.backoff.breaks());
                    return Err(cut_short(early, timeout, &why));
                }
                () = sleep_until(not_before) => {}
            }
        }
        self.start(&context.workdir, limits).await
    }

    async fn start(&self, workdir: &Path, limits: &CallLimits) -> Result<Helper, HookError> {
        let (source, name, workdir) = (self.source.clone(), self.name.clone(), workdir.to_owned());
        // A call that is dropped meanwhile drops the helper with it.
        let started = tokio::task::spawn_blocking(move || Helper::start(&source, &name, &workdir)).await;
        let mut helper = started.map_err(std::io::Error::from).flatten().map_err(|error| {
            let program = self.source.program.display();
            let why = format!("the plugin's process cannot be started ({program}): {error}");
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) => HookError::NoRoom(why),
                _ => HookError::CannotRun(why),
            }
        })?;
        helper.requests.push(&HelperRequest::Create(CreateRequest {
            service: self.name.clone(),
            home: self.home.clone(),
            config: self.config.clone(),
            timeout_ms: millis(limits.left()),
        }));
        Ok(helper)
    }

    /// What a conversation's end means, and what becomes of the helper.
    async fn conclude(
        &self,
        ending: TalkEnd,
        hook: Hook,
        timeout: Duration,
        limits: &CallLimits,
        mut session: Session,
        slot: &mut HelperSlot,
    ) -> Result<Outcome, HookError> {
        let Some(helper) = session.helper.take() else { return Err(HookError::Aborted) };
        let (phase, told) = (helper.phase.words(), &mut session.told);
        if ending.is_crash(hook) {
            told.log().incident(Incident::Crashed);
        }
        if ending.is_broken() {
            slot.backoff.broke(Instant::now());
        }
        match ending {
            TalkEnd::Done(ended) if ended.code == abi::BROKEN => {
                kill(helper, told).await;
                verdict::from_hook(hook, ended)
            }
            TalkEnd::Done(ended) => {
                slot.backoff.went_well();
                slot.helper = Some(Helper { phase: Phase::Idle, ..helper });
                if limits.abort.asked().is_some() {
                    Err(HookError::Aborted)
                } else {
                    verdict::from_hook(hook, ended)
                }
            }
            TalkEnd::NotCreated(ended) => {
                kill(helper, told).await;
                Err(verdict::from_create(&ended))
            }
            TalkEnd::Refused(why) => {
                kill(helper, told).await;
                let why = self.source.explain(cut(&why, MESSAGE_BYTES));
                Err(HookError::CannotRun(for_people(&why)))
            }
            TalkEnd::Gone => {
                let by_itself = helper.process.ends_within(CLOSED_WAIT).await;
                let killed = kill(helper, told).await;
                let end = if by_itself { killed.end } else { "has closed its way to koid".to_owned() };
                Err(HookError::Failed(format!("the plugin's process {end} {phase}{}", killed.last_word)))
            }
            TalkEnd::Garbled => {
                kill(helper, told).await;
                Err(HookError::Failed(format!(
                    "the plugin wrote to koid's own socket {phase}; it needs mending"
                )))
            }
            TalkEnd::Cut(early) => {
                let killed = kill(helper, told).await;
                let how = if told.is_stuck() { killed.end } else { "was killed".to_owned() };
                let why = format!("the plugin hung {phase}, and its process {how}{}", killed.last_word);
                Err(cut_short(early, timeout, &why))
            }
        }
    }
}

/// Whether `hook` waits until a helper that broke may be started anew. What takes a service down does not.
fn waits(hook: Hook) -> bool {
    match hook {
        Hook::Demote | Hook::Stop => false,
        Hook::Start | Hook::Promote | Hook::Status | Hook::Failed => true,
    }
}

fn cut_short(early: EarlyEnd, timeout: Duration, why: &str) -> HookError {
    match early {
        EarlyEnd::Aborted(_) => HookError::Aborted,
        EarlyEnd::TimedOut => HookError::TimedOut(format!("not done within {timeout:?}: {why}")),
    }
}

/// What is left of a helper.
struct Killed {
    /// How its process ended, for people.
    end: String,
    /// What it said last, as the end of a sentence; may be empty.
    last_word: String,
}

/// Ends a helper with all that it has started.
async fn kill(helper: Helper, told: &mut GroupReport) -> Killed {
    let Helper { process, mut output, .. } = helper;
    let exit = process.kill().await;
    output.rest(&|level, line| told.log().line(level, line));
    if exit.is_none() {
        told.set_stuck();
    }
    let last_word = match output.last_word() {
        "" => String::new(),
        last => format!(": {last}"),
    };
    Killed { end: exit_text(exit), last_word }
}
