//! The handler of one service: its helper, started when it is needed and started anew when it broke.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use koi_plugin_api::{
    Abort, Call, CallLog, Called, GroupReport, Handler, Hook, HookError, Incident, LogLevel, Metadata,
    Outcome, for_people,
};
use tokio::sync::Mutex;

use crate::backend::helper::slot::not_started;
use crate::backend::helper::talk::{CallLimits, EarlyEnd};
use crate::backend::helper::{CLOSED_WAIT, Killed, Slot};
use crate::backend::wasm::host::helper::GuestHelper;
use crate::backend::wasm::host::named_processes::NamedProcesses;
use crate::backend::wasm::host::talk::{ClusterView, Desk, Ending, talk};
use crate::backend::wasm::host::verdict;
use crate::backend::wasm::limits::Limits;
use crate::backend::wasm::load::sealed::ComponentCode;
use crate::backend::wasm::protocol::{HookEnding, HookRequest, HostMessage, SecretText, TestClock};
use crate::stand_in::StandIn;

/// What Rust says on standard error when it gets no memory, before it aborts.
const NO_MEMORY: &str = "memory allocation of ";

/// Characters of what a helper says of a component that it does not take.
const REFUSAL_CHARS: usize = 1000;

/// Runs a component's hooks, each in an instance of its own.
pub(crate) struct WasmHandler(pub(crate) Arc<WasmService>);

/// Everything that the calls of one service share.
pub(crate) struct WasmService {
    pub(crate) metadata: Metadata,
    /// koid's program.
    pub(crate) program: PathBuf,
    pub(crate) name: String,
    pub(crate) code: Arc<ComponentCode>,
    /// What each of its helpers is told first.
    pub(crate) setup: HostMessage,
    pub(crate) desk: Desk,
    pub(crate) limits: Limits,
    /// `[config]` with the handler's defaults.
    pub(crate) config: Vec<(String, String)>,
    pub(crate) slot: Mutex<Slot<GuestHelper>>,
    pub(crate) processes: NamedProcesses,
}

impl Handler for WasmHandler {
    fn metadata(&self) -> Metadata {
        self.0.metadata.clone()
    }

    fn call(&self, call: Call) -> Called {
        let service = self.0.clone();
        Box::pin(async move {
            if !service.metadata.hooks.has(call.hook) {
                if call.hook == Hook::Stop {
                    service.retire(&call.log).await;
                    service.desk.kept.end(&*call.log).await;
                }
                let own = verdict::own_details(None, service.desk.grants.is_dangerous());
                return Ok(verdict::not_there(call.hook, own));
            }
            service.desk.secrets.hide_in(service.clone().run(call).await)
        })
    }
}

/// A helper in the service of a call. Dropped, it is killed, and then the log is told that its group is gone.
struct Session {
    helper: Option<GuestHelper>,
    told: GroupReport,
}

/// What the wall clock says in the next call of a test.
fn test_clock(stand_in: &StandIn) -> TestClock {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = stand_in.machine().clock().unwrap_or_else(now);
    let wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
    TestClock { wall_us, sleeps: stand_in.machine().sleeps() }
}

impl WasmService {
    async fn run(self: Arc<WasmService>, call: Call) -> Result<Outcome, HookError> {
        let Call { hook, context, log, abort, newest_epoch, attributes } = call;
        let view = ClusterView { newest: newest_epoch, attributes };
        let log = self.desk.secrets.hiding(log);
        if abort.asked().is_some() {
            return Err(HookError::Aborted);
        }
        let mut limits = CallLimits::new(context.timeout, abort);
        // koid calls one at a time; whoever does not waits here.
        let mut slot = tokio::select! {
            biased;
            slot = self.slot.lock() => slot,
            early = limits.early(Abort::Gently) => {
                return Err(early.error(context.timeout, "an earlier call was still running"));
            }
        };
        let read = tokio::select! {
            biased;
            read = self.desk.secrets.read(hook, &*log) => read,
            early = limits.early(Abort::Gently) => {
                return Err(early.error(context.timeout, "the files of its secrets were still being read"));
            }
        };
        let read = read.map_err(|error| HookError::Failed(error.to_string()))?;
        let mut is_repeated = false;
        let (session, ending) = loop {
            let helper = self.helper(&mut slot, hook, &mut limits, &*log).await?;
            let told = GroupReport::new(helper.body.process.group(), log.clone());
            let mut session = Session { helper: Some(helper), told };
            let Some(helper) = &mut session.helper else { return Err(HookError::Aborted) };
            if let Some(programs) = &helper.programs {
                programs.begin_call(&log).await;
            }
            helper.body.output.forget();
            helper.hurry(hook);
            let secrets = read.iter().map(|(key, text)| (key.clone(), SecretText(text.clone()))).collect();
            let (grants, defaults) = (&self.desk.grants, &self.config);
            let mut request = HookRequest::new(hook, &context, limits.left(), grants, defaults, secrets);
            request.is_repeated = is_repeated;
            request.test = self.desk.stand_in.as_ref().map(test_clock);
            helper.ask(&HostMessage::Call(Box::new(request)));

            let ending = talk(helper, &self.desk, hook, &mut limits, &log, &view).await;
            helper.body.say_rest(&*log);
            if is_repeated || !matches!(ending, Ending::Stale) {
                break (session, ending);
            }
            // A folder was mounted or unmounted. The call has not begun: the next helper finds the folders as they are now.
            is_repeated = true;
            if let Some(helper) = session.helper.take() {
                helper.kill(&mut session.told).await;
            }
        };
        let lost = !matches!(ending, Ending::Ended(_) | Ending::Refused(_));
        let result = self.conclude(ending, hook, &limits, session, &mut slot).await;
        drop(slot);
        if lost && hook != Hook::Stop {
            self.warm_up();
        }
        result
    }

    /// An idle helper, or a new one as soon as it may be started.
    async fn helper(
        &self,
        slot: &mut Slot<GuestHelper>,
        hook: Hook,
        limits: &mut CallLimits,
        log: &dyn CallLog,
    ) -> Result<GuestHelper, HookError> {
        if let Some(helper) = slot.helper.take() {
            if !helper.body.process.has_ended() {
                return Ok(helper);
            }
            slot.broke();
            helper.body.bury(log);
        }
        slot.may_start(hook, limits).await?;
        self.start().await
    }

    async fn start(&self) -> Result<GuestHelper, HookError> {
        let (program, name) = (self.program.clone(), self.name.clone());
        let (code, setup) = (self.code.clone(), self.setup.clone());
        // A call that is dropped meanwhile drops the helper with it.
        let runs_programs = self.desk.grants.has("exec") && self.desk.stand_in.is_none();
        let starting = move || GuestHelper::start(&program, &name, (&code, &setup), runs_programs);
        let started = tokio::task::spawn_blocking(starting).await;
        let started = started.map_err(std::io::Error::from).flatten();
        started.map_err(|error| not_started(&self.program, &error))
    }

    /// Starts the next helper before it is needed, so that whatever takes the service down finds one.
    fn warm_up(self: Arc<WasmService>) {
        tokio::spawn(async move {
            let mut slot = self.slot.lock().await;
            if slot.helper.is_none() {
                // A call that finds none starts one, and says why it cannot.
                slot.helper = self.start().await.ok();
            }
        });
    }

    /// The service is down: nothing is asked of it.
    async fn retire(&self, log: &Arc<dyn CallLog>) {
        if let Some(helper) = self.slot.lock().await.helper.take() {
            let mut told = GroupReport::new(helper.body.process.group(), log.clone());
            helper.kill(&mut told).await;
        }
    }

    /// What a conversation's end means, and what becomes of the helper.
    async fn conclude(
        &self,
        ending: Ending,
        hook: Hook,
        limits: &CallLimits,
        mut session: Session,
        slot: &mut Slot<GuestHelper>,
    ) -> Result<Outcome, HookError> {
        let Some(mut helper) = session.helper.take() else { return Err(HookError::Aborted) };
        let told = &mut session.told;
        if matches!(ending, Ending::Gone | Ending::Garbled | Ending::Stale) {
            told.log().incident(Incident::Crashed);
        }
        let broke = matches!(
            ending,
            Ending::Gone | Ending::Garbled | Ending::Stale | Ending::Cut(EarlyEnd::TimedOut)
        );
        if broke {
            slot.broke();
        }
        match ending {
            Ending::Ended(ended) => {
                slot.backoff.went_well();
                helper.messages.shrink();
                let mut ended = ended;
                if let Some(programs) = &helper.programs
                    && programs.end_call(hook, &**told.log()).await
                {
                    ended = HookEnding::Failed(self.limits.processes_exceeded().to_string());
                }
                let own = verdict::own_details(helper.layers, self.desk.grants.is_dangerous());
                // Nothing is asked of a service that is down.
                if hook == Hook::Stop && ended == HookEnding::Done {
                    helper.kill(told).await;
                    self.desk.kept.end(&**told.log()).await;
                } else {
                    slot.helper = Some(helper);
                }
                let named = match &mut ended {
                    HookEnding::Status { processes, .. } => std::mem::take(processes),
                    _ => Vec::new(),
                };
                let mut result = verdict::of(hook, ended, limits.timeout, own);
                if let Ok(Outcome::Status(seen)) = &mut result {
                    seen.processes = self.processes.allowed(named, &self.desk, &**told.log());
                    if self.desk.grants.keeps_some() {
                        let kept = self.desk.kept.look().await;
                        seen.details.extend(kept.into_iter().map(|kept| kept.detail()));
                    }
                }
                match result {
                    // A guest that was told to end may fail because of that: it is no failure of the hook.
                    Err(HookError::Failed(why)) if limits.abort.asked().is_some() => {
                        told.log().line(LogLevel::Debug, &why);
                        Err(HookError::Aborted)
                    }
                    result => result,
                }
            }
            Ending::Refused(why) => {
                helper.kill(told).await;
                Err(HookError::CannotRun(for_people(&why, REFUSAL_CHARS)))
            }
            Ending::Gone => {
                let by_itself = helper.body.process.ends_within(CLOSED_WAIT).await;
                let killed = helper.kill(told).await;
                Err(HookError::Failed(self.death(hook, by_itself, &killed)))
            }
            Ending::Garbled | Ending::Stale => {
                helper.kill(told).await;
                Err(HookError::Failed(format!(
                    "the plugin's process said in {} what no such process says, and was ended; is the plugin to be trusted?",
                    hook.as_str()
                )))
            }
            Ending::Cut(early) => {
                let killed = helper.kill(told).await;
                let how = if told.is_stuck() { killed.end } else { "was killed".to_owned() };
                let why = format!("the plugin hung in {}, and its process {how}", hook.as_str());
                Err(early.error(limits.timeout, &why))
            }
        }
    }

    /// How a helper died in a hook.
    fn death(&self, hook: Hook, by_itself: bool, killed: &Killed) -> String {
        if killed.last_word.contains(NO_MEMORY) {
            return format!(
                "{} (in {}, with what koi holds for it)",
                self.limits.memory_exceeded(),
                hook.as_str()
            );
        }
        let end = if by_itself { &killed.end } else { "has closed its way to koid" };
        format!("the plugin's process {end} in {}{}", hook.as_str(), killed.last_word)
    }
}
