//! The handler of one service: its helper, started when it is needed and started anew when it broke.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::native::abi;
use koi_plugin_api::{
    Abort, Call, CallLog, Called, Context, GroupReport, Handler, Hook, HookError, Incident, LogLevel,
    Metadata, Outcome,
};
use tokio::sync::Mutex;

use crate::backend::helper::output::for_people;
use crate::backend::helper::slot::not_started;
use crate::backend::helper::talk::CallLimits;
use crate::backend::helper::{CLOSED_WAIT, MESSAGE_BYTES, Slot, cut};
use crate::backend::native::helper::protocol::{CallRequest, CreateRequest, HelperRequest, millis, text};
use crate::backend::native::helper::talk::{CallView, TalkEnd, talk};
use crate::backend::native::helper::{Helper, Phase};
use crate::backend::native::source::LibrarySource;
use crate::backend::native::verdict;
use crate::plugin::{Setup, UNSUPPORTED};

/// Runs the hooks of one service in a helper of its own.
pub(crate) struct NativeHandler(Arc<NativeService>);

/// Lives as long as the handler or a call of it. Dropped, it ends the helper in order.
struct NativeService {
    metadata: Metadata,
    source: LibrarySource,
    name: String,
    home: String,
    config: Vec<(String, String)>,
    slot: Mutex<Slot<Helper>>,
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
        let Call { hook, context, log, abort, newest_epoch, attributes } = call;
        let view = CallView { call_id: context.call_id, newest: newest_epoch, attributes };
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
            early = limits.early(Abort::Gently) => return Err(early.error(timeout, "an earlier call was still running")),
        };
        let helper = self.helper(&mut slot, hook, &context, &mut limits, &*log).await?;
        let told = GroupReport::new(helper.body.process.group(), log.clone());
        let mut session = Session { helper: Some(helper), told };
        let Some(helper) = &mut session.helper else { return Err(HookError::Aborted) };
        helper.body.output.forget();
        helper.ask(&HelperRequest::Call(Box::new(CallRequest::new(hook, context, limits.left()))));

        let ending = talk(helper, hook, &mut limits, &*log, &view).await;
        helper.body.say_rest(&*log);
        // The kernel's file: reading it waits for nobody.
        if let Some(peak_bytes) = helper.body.process.memory_peak_bytes(hook) {
            log.memory(peak_bytes, None);
        }
        if matches!(&ending, TalkEnd::Done(ended) if ended.code == abi::UNSUPPORTED) {
            log.incident(Incident::Unsupported);
            log.line(LogLevel::Debug, UNSUPPORTED);
        }
        self.conclude(ending, hook, timeout, &limits, session, &mut slot).await
    }

    /// An idle helper, or a new one as soon as it may be started.
    async fn helper(
        &self,
        slot: &mut Slot<Helper>,
        hook: Hook,
        context: &Context,
        limits: &mut CallLimits,
        log: &dyn CallLog,
    ) -> Result<Helper, HookError> {
        if let Some(mut helper) = slot.helper.take() {
            if !helper.body.process.has_ended() {
                helper.phase = Phase::Calling(hook);
                return Ok(helper);
            }
            slot.broke();
            helper.body.bury(log);
        }
        slot.may_start(hook, limits).await?;
        self.start(&context.workdir, limits).await
    }

    async fn start(&self, workdir: &Path, limits: &CallLimits) -> Result<Helper, HookError> {
        let (source, name, workdir) = (self.source.clone(), self.name.clone(), workdir.to_owned());
        // A call that is dropped meanwhile drops the helper with it.
        let started = tokio::task::spawn_blocking(move || Helper::start(&source, &name, &workdir)).await;
        let started = started.map_err(std::io::Error::from).flatten();
        let mut helper = started.map_err(|error| not_started(&self.source.program, &error))?;
        helper.ask(&HelperRequest::Create(CreateRequest {
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
        slot: &mut Slot<Helper>,
    ) -> Result<Outcome, HookError> {
        let Some(helper) = session.helper.take() else { return Err(HookError::Aborted) };
        let (phase, told) = (helper.phase.words(), &mut session.told);
        if ending.is_crash(hook) {
            told.log().incident(Incident::Crashed);
        }
        if ending.is_broken() {
            slot.broke();
        }
        match ending {
            TalkEnd::Done(ended) if ended.code == abi::BROKEN => {
                helper.body.kill(told).await;
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
                helper.body.kill(told).await;
                Err(verdict::from_create(&ended))
            }
            TalkEnd::Refused(why) => {
                helper.body.kill(told).await;
                let why = self.source.explain(cut(&why, MESSAGE_BYTES));
                Err(HookError::CannotRun(for_people(&why)))
            }
            TalkEnd::Gone => {
                let by_itself = helper.body.process.ends_within(CLOSED_WAIT).await;
                let killed = helper.body.kill(told).await;
                let end = if by_itself { killed.end } else { "has closed its way to koid".to_owned() };
                Err(HookError::Failed(format!("the plugin's process {end} {phase}{}", killed.last_word)))
            }
            TalkEnd::Garbled => {
                helper.body.kill(told).await;
                Err(HookError::Failed(format!(
                    "the plugin wrote to koid's own socket {phase}; it needs mending"
                )))
            }
            TalkEnd::Cut(early) => {
                let killed = helper.body.kill(told).await;
                let how = if told.is_stuck() { killed.end } else { "was killed".to_owned() };
                let why = format!("the plugin hung {phase}, and its process {how}{}", killed.last_word);
                Err(early.error(timeout, &why))
            }
        }
    }
}
