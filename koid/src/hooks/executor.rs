//! Runs the hooks that the core asks for, each as a task of its own, and says how they ended.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use koi_core::io::{Cause, HookEnd, HookRun, Input, Observed, RunId, StatusReport, TargetRole};
use koi_core::types::Hook;
use koi_plugin_api as plugin;
use koi_plugin_api::{
    Abort, AbortSignal, Aborter, Call, Context, Handler, HookError, LogLevel, NewestEpoch, Outcome,
};
use koi_plugin_host::{LimitedLog, OutputLimit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cluster::event_loop::Cluster;
use crate::guardian_client::client::Guardian;
use crate::hooks::details::Details;
use crate::hooks::repeated_lines::StatusTalk;
use crate::os::sys;

/// Handlers keep to their time-out themselves. One that does not, for so long, is dropped.
const PATIENCE: Patience = Patience { late: Duration::from_secs(10), told: Duration::from_secs(1) };

/// What the core wants of hooks.
#[derive(Debug)]
pub(crate) enum HookCommand {
    /// Run this one.
    Run(Box<HookRun>),
    /// End this one early.
    Abort {
        /// Which.
        run: RunId,
        /// At once.
        now: bool,
    },
}

/// How one service's hooks are run.
#[derive(Clone)]
pub(crate) struct Runnable {
    /// The number of the handler, as its spec has it.
    pub(crate) code: u64,
    /// Runs them.
    pub(crate) handler: Arc<dyn Handler>,
    /// The service's folder.
    pub(crate) home: PathBuf,
    /// Where its processes run.
    pub(crate) workdir: PathBuf,
    /// `[config]` of its `service.toml`.
    pub(crate) config: Vec<(String, String)>,
    /// How much it may still say.
    pub(crate) output: Arc<OutputLimit>,
    /// What its `status` has said.
    pub(crate) talk: Arc<StatusTalk>,
}

/// The services' handlers, by name: the one in force, and one that the core may not have taken over yet. Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct Handlers(Arc<RwLock<HashMap<String, Vec<Runnable>>>>);

impl Handlers {
    /// Takes the handlers of the services that are there now. Those of services that have gone are kept: what still
    /// runs of them is yet to be stopped.
    pub(crate) fn update(&self, found: impl IntoIterator<Item = (String, Runnable)>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (name, mut runnable) in found {
            let opened = known.entry(name).or_default();
            if let Some(before) = opened.first() {
                // A change of the folder is no new allowance.
                (runnable.output, runnable.talk) = (before.output.clone(), before.talk.clone());
            }
            opened.retain(|before| before.code != runnable.code);
            opened.push(runnable);
        }
    }

    /// Whether `service` has a handler with this number.
    pub(crate) fn has(&self, service: &str, code: u64) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(service).is_some_and(|opened| opened.iter().any(|runnable| runnable.code == code))
    }

    /// Lets go of all: the daemon ends.
    pub(crate) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The one with this number; the core never comes back to one that it had before.
    fn get(&self, service: &str, code: u64) -> Option<Runnable> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let opened = known.get_mut(service)?;
        let at = opened.iter().position(|runnable| runnable.code == code)?;
        opened.drain(..at);
        opened.first().cloned()
    }
}

/// Who this node is, for hooks.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// `node.name`.
    pub(crate) name: String,
    /// The node's UUID.
    pub(crate) id: String,
    /// `cluster.id`.
    pub(crate) cluster: String,
    /// `node.bind`, if it is one address.
    pub(crate) address: Option<IpAddr>,
}

/// The process groups of the hooks that run. Whatever is left when the last clone's owner says so is killed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(Arc<Mutex<BTreeMap<RunId, i32>>>);

impl Groups {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills every hook that still runs.
    pub(crate) fn kill_all(&self) {
        for (_, group) in std::mem::take(&mut *self.lock()) {
            sys::kill_group(group);
        }
    }
}

/// Kills every hook that still runs when it is dropped: however the daemon ends, none outlives it.
#[derive(Debug)]
pub(crate) struct KillOnDrop(pub(crate) Groups);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill_all();
    }
}

/// Runs hooks until the cluster loop is gone.
pub(crate) struct HookExecutor {
    pub(crate) orders: mpsc::UnboundedReceiver<HookCommand>,
    pub(crate) handlers: Handlers,
    pub(crate) identity: Arc<RwLock<Identity>>,
    pub(crate) groups: Groups,
    pub(crate) cluster: Cluster,
    /// For handlers that ask.
    pub(crate) newest_epoch: NewestEpoch,
    /// What services say besides their state.
    pub(crate) details: Details,
    /// Is told of each process group: no hook outlives its daemon (R8). None: this is the guardian.
    pub(crate) guardian: Option<Guardian>,
}

impl HookExecutor {
    /// Runs until the cluster loop is gone.
    pub(crate) async fn run(mut self) {
        let mut running: HashMap<RunId, Aborter> = HashMap::new();
        let mut tasks = JoinSet::new();
        let mut names: HashMap<tokio::task::Id, RunId> = HashMap::new();
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return,
                    Some(HookCommand::Abort { run, now }) => {
                        // It may have ended by itself a moment ago.
                        if let Some(aborter) = running.get(&run) {
                            aborter.abort(if now { Abort::Now } else { Abort::Gently });
                        }
                    }
                    Some(HookCommand::Run(hook)) => {
                        let (aborter, abort) = plugin::abort_pair();
                        let run = hook.run;
                        running.insert(run, aborter);
                        let task = tasks.spawn(self.task(*hook, abort));
                        names.insert(task.id(), run);
                    }
                },
                Some(done) = tasks.join_next_with_id() => {
                    let (task, ended) = match done {
                        Ok((task, ended)) => (task, ended),
                        Err(error) => (error.id(), failed(format!("its handler broke: {error}"))),
                    };
                    if let Some(run) = names.remove(&task) {
                        running.remove(&run);
                        self.forget_group(run);
                        self.cluster.input(Input::HookFinished { run, ended }).await;
                    }
                }
            }
        }
    }

    /// A handler that broke, or was dropped, did not say that its processes are gone: they go now.
    fn forget_group(&self, run: RunId) {
        let left = self.groups.lock().remove(&run);
        if let Some(group) = left {
            sys::kill_group(group);
            if let Some(guardian) = &self.guardian {
                guardian.group(run.0, None);
            }
        }
    }

    fn task(&self, hook: HookRun, abort: AbortSignal) -> impl Future<Output = HookEnd> + Send + 'static {
        let identity = self.identity.read().unwrap_or_else(PoisonError::into_inner).clone();
        let runnable = self.handlers.get(&hook.service, hook.code);
        let (groups, guardian) = (self.groups.clone(), self.guardian.clone());
        let (newest_epoch, details) = (self.newest_epoch.clone(), self.details.clone());
        async move {
            let Some(runnable) = runnable else {
                let message = format!("the service {} has no handler here", hook.service);
                return failed(message);
            };
            let log = HookLog {
                service: hook.service.clone(),
                hook: hook.hook.as_str(),
                run: hook.run,
                groups,
                guardian,
            };
            let log: Arc<dyn plugin::CallLog> = match hook.hook {
                Hook::Status => runnable.talk.clone().listen(Arc::new(log)),
                Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Failed => Arc::new(log),
            };
            let log = LimitedLog::new(log, runnable.output.clone());
            let limits = (hook.timeout, abort.clone());
            let call = Again {
                hook: to_plugin(hook.hook),
                context: context(hook, &runnable, &identity),
                log: Arc::new(log),
                abort,
                newest_epoch,
            };
            let (hook, service) = (call.hook, call.context.service.clone());
            let status = hook == plugin::Hook::Status;
            let home = call.context.home.clone();
            if matches!(hook, plugin::Hook::Start | plugin::Hook::Stop) {
                details.clear(&service);
            }
            let handler = runnable.handler.clone();
            let call = Box::pin(async move {
                let result = call.until_there_is_room(&*handler).await;
                match &result {
                    Ok(Outcome::Status(seen)) => details.set(&service, &seen.details),
                    Err(HookError::Aborted) | Ok(Outcome::Done) => {}
                    Err(_) => details.clear(&service),
                }
                result
            });
            let ended = within(call, limits.0, PATIENCE, limits.1).await;
            // A folder that is not there says nothing about the service: the next look at the services will.
            let gone = || matches!(std::fs::exists(&home), Ok(false));
            match ended {
                HookEnd::Failed { .. } if status && gone() => HookEnd::Aborted,
                ended => ended,
            }
        }
    }
}

/// How long what takes down waits for room for its process before it is tried again.
const ROOM_PAUSE: Duration = Duration::from_millis(250);

/// A call that can be made more than once.
struct Again {
    hook: plugin::Hook,
    context: Context,
    log: Arc<dyn plugin::CallLog>,
    abort: AbortSignal,
    newest_epoch: NewestEpoch,
}

impl Again {
    fn call(&self) -> Call {
        Call {
            hook: self.hook,
            context: self.context.clone(),
            log: self.log.clone(),
            abort: self.abort.clone(),
            newest_epoch: self.newest_epoch.clone(),
        }
    }

    /// What takes down is tried until its time-out when the machine has no room for it: one that was not run is no proof that nothing can
    /// be taken down. What goes up, and status, can wait for the core.
    async fn until_there_is_room(mut self, handler: &dyn Handler) -> Result<Outcome, HookError> {
        let waits = matches!(self.hook, plugin::Hook::Demote | plugin::Hook::Stop | plugin::Hook::Failed);
        let deadline = tokio::time::Instant::now() + self.context.timeout;
        loop {
            match handler.call(self.call()).await {
                Err(HookError::NoRoom(why)) if waits => {
                    if tokio::time::Instant::now() + ROOM_PAUSE >= deadline {
                        return Err(HookError::TimedOut(why));
                    }
                }
                result => return result,
            }
            tokio::select! {
                _ = self.abort.asked_for(Abort::Gently) => return Err(HookError::Aborted),
                () = tokio::time::sleep(ROOM_PAUSE) => {}
            }
        }
    }
}

/// How much longer a call may last than it should.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// After its time-out.
    late: Duration,
    /// After it was told to end at once.
    told: Duration,
}

/// Handlers keep to time-out and abort themselves; this is for one that does not. Dropping a call ends it.
async fn within(
    call: plugin::Called,
    timeout: Duration,
    patience: Patience,
    mut abort: AbortSignal,
) -> HookEnd {
    let told_to_end = async {
        abort.asked_for(Abort::Now).await;
        tokio::time::sleep(patience.told).await;
    };
    tokio::select! {
        result = call => match result {
            Ok(outcome) => ended_well(outcome),
            Err(error) => ended_badly(error),
        },
        () = tokio::time::sleep(timeout.saturating_add(patience.late)) => HookEnd::Failed {
            message: format!("its handler did not end it after {} s", timeout.as_secs_f32()),
            timed_out: true,
            lasting: false,
        },
        () = told_to_end => HookEnd::Aborted,
    }
}

/// Badly, and worth another try.
fn failed(message: String) -> HookEnd {
    HookEnd::Failed { message, timed_out: false, lasting: false }
}

fn ended_well(outcome: Outcome) -> HookEnd {
    match outcome {
        Outcome::Done => HookEnd::Done,
        Outcome::Status(seen) => HookEnd::Status(StatusReport {
            observed: match seen.observed {
                plugin::Observed::Healthy => Observed::Healthy,
                plugin::Observed::Promoted => Observed::Promoted,
                plugin::Observed::Standby => Observed::Standby,
                plugin::Observed::Stopped => Observed::Stopped,
                plugin::Observed::Live => Observed::Live,
            },
            message: seen.message,
            score: seen.score,
        }),
    }
}

fn ended_badly(error: HookError) -> HookEnd {
    match error {
        HookError::Failed(message) | HookError::CannotRun(message) => failed(message),
        HookError::Lasting(message) => HookEnd::Failed { message, timed_out: false, lasting: true },
        HookError::TimedOut(message) => HookEnd::Failed { message, timed_out: true, lasting: false },
        HookError::Aborted => HookEnd::Aborted,
        HookError::NoRoom(message) => HookEnd::NoRoom(message),
    }
}

fn to_plugin(hook: Hook) -> plugin::Hook {
    match hook {
        Hook::Start => plugin::Hook::Start,
        Hook::Stop => plugin::Hook::Stop,
        Hook::Promote => plugin::Hook::Promote,
        Hook::Demote => plugin::Hook::Demote,
        Hook::Status => plugin::Hook::Status,
        Hook::Failed => plugin::Hook::Failed,
    }
}

fn context(hook: HookRun, runnable: &Runnable, identity: &Identity) -> Context {
    let master = hook.master.map(|(name, address)| {
        let own = if name == identity.name { identity.address } else { None };
        let address = address.or(own).map(|ip| ip.to_string()).unwrap_or_default();
        (name, address)
    });
    let failure =
        |c: Cause| plugin::Failure { hook: to_plugin(c.hook), message: c.message, timed_out: c.timed_out };
    Context {
        service: hook.service,
        node: identity.name.clone(),
        node_id: identity.id.clone(),
        cluster: identity.cluster.clone(),
        call_id: hook.run.0,
        attempt: hook.attempt,
        role: match hook.role {
            TargetRole::None => plugin::Role::None,
            TargetRole::Standby => plugin::Role::Standby,
            TargetRole::Promoted => plugin::Role::Promoted,
        },
        node_state: hook.state.as_classic_str().to_owned(),
        epoch: hook.epoch.0,
        master,
        timeout: hook.timeout,
        home: runnable.home.clone(),
        workdir: runnable.workdir.clone(),
        config: runnable.config.clone(),
        cause: hook.cause.map(failure),
    }
}

/// Takes a hook's output to the log, and remembers its process group.
struct HookLog {
    service: String,
    hook: &'static str,
    run: RunId,
    groups: Groups,
    guardian: Option<Guardian>,
}

impl plugin::CallLog for HookLog {
    fn line(&self, level: LogLevel, text: &str) {
        let (service, hook) = (self.service.as_str(), self.hook);
        match level {
            LogLevel::Debug => tracing::debug!(service, hook, "{text}"),
            LogLevel::Info => tracing::info!(service, hook, "{text}"),
            LogLevel::Warn => tracing::warn!(service, hook, "{text}"),
            LogLevel::Error => tracing::error!(service, hook, "{text}"),
        }
    }

    fn process_group(&self, id: Option<i32>) {
        if let Some(guardian) = &self.guardian {
            guardian.group(self.run.0, id);
        }
        let mut groups = self.groups.lock();
        match id {
            Some(group) => groups.insert(self.run, group),
            None => groups.remove(&self.run),
        };
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
