//! Runs the hooks that the core asks for, each as a task of its own, and says how they ended.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use koi_core::io::{HookEnd, HookRun, RunId};
use koi_core::types::Hook;
use koi_plugin_api as plugin;
use koi_plugin_api::{
    Abort, AbortSignal, Aborter, Context, HookError, NamedProcess, NewestEpoch, Observed, Outcome,
    StatusReport,
};
use koi_plugin_host::LimitedLog;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::attributes::{HookAttributes, no_attributes};
use super::call::failed;
use super::call::{PATIENCE, RetriedCall, within};
use super::call_log::HookLog;
use super::context::context;
use super::details::Details;
use super::drilled::DrilledStatuses;
use super::handlers::Handlers;
use super::hidden_token::{HiddenToken, without_token};
use super::identity::NodeIdentity;
use super::process_groups::{GroupKind, ProcessGroups};
use super::processes::{Naming, Processes};
use super::statistics::counters::CallMeter;
use crate::attributes::live_calls::LiveCall;
use crate::guardian_client::client::Guardian;

/// Why a status has failed that was none.
const A_DRILL: &str = "a drill";

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

/// Runs hooks until the cluster loop is gone.
pub(crate) struct HookExecutor {
    pub(crate) orders: mpsc::UnboundedReceiver<HookCommand>,
    pub(crate) handlers: Handlers,
    pub(crate) identity: Arc<RwLock<NodeIdentity>>,
    pub(crate) groups: ProcessGroups,
    /// Is told how each hook ended: `Cluster::report_hooks`, or the guardian's teardown. Bounded by the core, which has at most `services.max_parallel` hooks running.
    pub(crate) ended: mpsc::UnboundedSender<(RunId, HookEnd)>,
    /// For handlers that ask.
    pub(crate) newest_epoch: NewestEpoch,
    /// What services say besides their state.
    pub(crate) details: Details,
    /// Statuses that a drill counts as failed.
    pub(crate) drilled: DrilledStatuses,
    /// The processes that services run in. None: this is the guardian, which only takes down.
    pub(crate) processes: Option<Processes>,
    /// Is told of each process group: no hook outlives its daemon (R8). None: this is the guardian.
    pub(crate) guardian: Option<Guardian>,
    /// Opens the attributes to calls. None: this is the guardian, and koid is dead.
    pub(crate) attributes: Option<HookAttributes>,
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
                        self.forget_groups(run);
                        // The daemon may be ending.
                        let _ = self.ended.send((run, ended));
                    }
                }
            }
        }
    }

    /// Ends the process groups of a call that ended without reporting them gone: its handler panicked or was dropped.
    fn forget_groups(&self, run: RunId) {
        for (group, kind) in self.groups.take(run) {
            kind.end(group);
            // A broker that was let go of is told of as gone when it is.
            if let Some(guardian) = self.guardian.as_ref().filter(|_| kind == GroupKind::Plain) {
                guardian.group_gone(run.0, group.id());
            }
        }
    }

    fn task(&self, hook: HookRun, abort: AbortSignal) -> impl Future<Output = HookEnd> + Send + 'static {
        let identity = self.identity.read().unwrap_or_else(PoisonError::into_inner).clone();
        let runnable = self.handlers.get(&hook.service, hook.instance);
        let (groups, guardian) = (self.groups.clone(), self.guardian.clone());
        let (newest_epoch, details) = (self.newest_epoch.clone(), self.details.clone());
        let drilled = self.drilled.clone();
        let processes = self.processes.clone();
        let (live, attributes) = match &self.attributes {
            Some(attributes) => attributes.begin(&hook),
            None => (None, no_attributes("koid is gone, and nobody here knows them")),
        };
        async move {
            let Some(runnable) = runnable else {
                let message = format!("the service {} has no handler here", hook.service);
                return failed(message);
            };
            let meter = CallMeter::begin(runnable.counters.clone(), hook.hook);
            let hook_log = Arc::new(HookLog {
                service: hook.service.clone(),
                hook: hook.hook.as_str(),
                run: hook.run,
                groups,
                guardian,
                counters: runnable.counters.clone(),
                crashed: AtomicBool::new(false),
                started: Mutex::default(),
            });
            let log: Arc<dyn plugin::CallLog> = match hook.hook {
                Hook::Status => runnable.status_lines.clone().listen(hook_log.clone()),
                Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Failed | Hook::Changed => {
                    hook_log.clone()
                }
            };
            let log: Arc<dyn plugin::CallLog> = Arc::new(LimitedLog::new(log, runnable.output.clone()));
            let access = live.as_ref().map(LiveCall::access);
            let token = access.as_ref().map(|access| access.token.clone());
            let limits = (hook.timeout, abort.clone());
            let call = RetriedCall {
                hook: hook.hook,
                context: Context { access, ..context(hook, &runnable, &identity) },
                log: HiddenToken::log(token.clone(), log),
                abort,
                newest_epoch,
                attributes,
            };
            let (hook, service) = (call.hook, call.context.service.clone());
            let (status, named) = (hook == plugin::Hook::Status, service.clone());
            let home = call.context.home.clone();
            if matches!(hook, plugin::Hook::Start | plugin::Hook::Stop) {
                details.clear(&service);
                if let Some(processes) = &processes {
                    processes.forget(&service);
                }
            }
            let naming = {
                let (home, hook_log) = (home.clone(), hook_log.clone());
                move |names: &[NamedProcess]| Naming {
                    names: names.to_vec(),
                    home,
                    own: hook_log.groups_started(),
                }
            };
            let (handler, plugin_hash) = (runnable.handler.clone(), runnable.plugin_hash.clone());
            let call = Box::pin(async move {
                let result = call.until_there_is_room(&*handler).await;
                let result = match &token {
                    Some(token) => without_token(token, result),
                    None => result,
                };
                if let (Some(processes), Ok(outcome)) = (&processes, &result) {
                    match outcome {
                        Outcome::Status(StatusReport { observed: Observed::Stopped, .. }) => {
                            processes.forget(&service);
                        }
                        Outcome::Started(named) | Outcome::Status(StatusReport { processes: named, .. }) => {
                            processes.named(&service, naming(named));
                        }
                        Outcome::Done => {}
                    }
                }
                match &result {
                    Ok(Outcome::Status(seen)) => details.set(&service, &seen.details, plugin_hash),
                    Err(HookError::Aborted) | Ok(Outcome::Done | Outcome::Started(_)) => {}
                    // It says nothing of how the service is.
                    Err(_) if hook == plugin::Hook::Changed => {}
                    Err(_) => details.clear(&service),
                }
                result
            });
            let ended = within(call, limits.0, PATIENCE, limits.1).await;
            // Its token opens nothing any more.
            drop(live);
            // The folder is gone, so the status says nothing about the service. The next scan finds that out.
            let gone = || matches!(std::fs::exists(&home), Ok(false));
            let ended = match ended {
                HookEnd::Failed { .. } if status && gone() => HookEnd::Aborted,
                ended => ended,
            };
            meter.ended(&ended, hook_log.crashed());
            match drilled.counts_as_failed(&named, hook, &ended) {
                true => failed(A_DRILL.to_owned()),
                false => ended,
            }
        }
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
