//! Runs hooks, one at a time, and keeps what came of each.

use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use koi_plugin_api::{
    Abort, Aborter, Call, CallLog, Circumstances, Context, Handler, Hook, HookError, Incident, LogLevel,
    NamedProcess, NewestEpoch, Outcome, Role, abort_pair,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::conformance::error::TrialError;
use crate::conformance::interrupt::Interrupt;
use crate::conformance::target::Target;
use crate::conformance::trial_group::TrialGroup;

/// How long a hook may take where nobody says: on a service that does more, `service.toml` does.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The same of what reaches nothing, and so has nothing to wait for: one without end is not waited for as long.
const ALONE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a call is given to end once its time is over, before it counts as hung: SIGTERM, a second later SIGKILL, and a busy
/// machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lines of one call that are kept.
const LINES: usize = 1000;

/// What koid lets pass of one service's output: so many lines at once, and so many more each second.
const BURST_LINES: f64 = 200.0;
const LINES_PER_SECOND: f64 = 100.0;

/// The epoch of the first mastership: the second term's.
pub(crate) const EPOCH: u64 = 1 << 16;

/// One call, and what cuts it off.
pub(crate) struct TrialCall {
    pub(crate) hook: Hook,
    pub(crate) context: Context,
    /// The newest epoch that the node has heard of.
    pub(crate) newest_epoch: u64,
    /// It is asked to end after this.
    pub(crate) cancel_after: Option<Duration>,
}

/// What came of one call.
pub(crate) struct CallReport {
    pub(crate) end: CallEnd,
    pub(crate) took: Duration,
    /// What it wrote, as far as it is kept.
    pub(crate) lines: Vec<(LogLevel, String)>,
    /// Lines that it wrote in all.
    pub(crate) lines_in_all: usize,
    /// What its end alone does not tell.
    pub(crate) incidents: Vec<Incident>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum CallEnd {
    /// By itself, or as koi ends calls.
    Result(Result<Outcome, HookError>),
    /// Not at all.
    Hung,
    /// koid's own code broke.
    Panicked,
}

impl CallReport {
    /// The processes that it named.
    pub(crate) fn processes(&self) -> &[NamedProcess] {
        match &self.end {
            CallEnd::Result(Ok(Outcome::Started(named))) => named,
            CallEnd::Result(Ok(Outcome::Status(report))) => &report.processes,
            CallEnd::Result(Ok(Outcome::Done) | Err(_)) | CallEnd::Hung | CallEnd::Panicked => &[],
        }
    }

    /// Lines that koid would have dropped.
    pub(crate) fn dropped_lines(&self) -> usize {
        let passes = BURST_LINES + LINES_PER_SECOND * self.took.as_secs_f64();
        self.lines_in_all.saturating_sub(passes as usize)
    }
}

/// What a call has written so far.
#[derive(Default)]
struct CallOutput {
    /// The first [`LINES`].
    lines: Vec<(LogLevel, String)>,
    lines_in_all: usize,
    incidents: Vec<Incident>,
}

/// Keeps what a call writes.
#[derive(Default)]
struct Recorder {
    said: Mutex<CallOutput>,
    live: Option<fn(LogLevel, &str)>,
}

impl Recorder {
    fn said(&self) -> MutexGuard<'_, CallOutput> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallLog for Recorder {
    fn line(&self, level: LogLevel, text: &str) {
        if let Some(show) = self.live {
            show(level, text);
        }
        let mut said = self.said();
        said.lines_in_all += 1;
        if said.lines.len() < LINES {
            said.lines.push((level, text.to_owned()));
        }
    }

    fn incident(&self, incident: Incident) {
        let incidents = &mut self.said().incidents;
        if !incidents.contains(&incident) {
            incidents.push(incident);
        }
    }
}

/// Runs hooks.
pub(crate) struct Harness<'t> {
    /// Never dropped: dropping one waits for what hangs in it, and the process ends anyway.
    runtime: &'static Runtime,
    interrupt: Interrupt,
    target: &'t Target,
    timeout: Option<Duration>,
    calls: AtomicU64,
    /// Whose attributes its calls use.
    pub(crate) group: TrialGroup,
    /// Is shown each line as it comes.
    pub(crate) live: Option<fn(LogLevel, &str)>,
}

impl<'t> Harness<'t> {
    /// Of this target. `timeout` counts for every hook, whatever the service says.
    pub(crate) fn new(
        target: &'t Target,
        timeout: Option<Duration>,
        interrupt: Interrupt,
    ) -> Result<Self, TrialError> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(TrialError::Runtime)?;
        let runtime = Box::leak(Box::new(runtime));
        Ok(Harness {
            runtime,
            interrupt,
            target,
            timeout,
            calls: AtomicU64::new(1),
            group: TrialGroup::default(),
            live: None,
        })
    }

    /// Somebody wants it to end.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt.asked()
    }

    /// How long a hook may take.
    pub(crate) fn timeout(&self, hook: Hook) -> Duration {
        let usual = if self.target.is_harmless() { ALONE_TIMEOUT } else { TIMEOUT };
        self.timeout.or(self.target.manifest.timeouts.for_hook(hook)).unwrap_or(usual)
    }

    /// An ordinary call of `hook` on a node that is not the master.
    pub(crate) fn context(&self, hook: Hook, home: &Path, config: &[(String, String)]) -> Context {
        Context {
            service: self.target.name.clone(),
            node: "trial".into(),
            node_id: "00000000-0000-4000-8000-000000000001".into(),
            cluster: "13".into(),
            call_id: self.calls.fetch_add(1, Ordering::Relaxed),
            attempt: 1,
            role: Role::Standby,
            node_state: "Live".into(),
            epoch: EPOCH,
            master: None,
            timeout: self.timeout(hook),
            home: home.to_owned(),
            workdir: home.to_owned(),
            config: config.to_vec(),
            cause: None,
            circumstances: Circumstances::default(),
            access: None,
        }
    }

    /// Ends a handler: what runs for it belongs to our runtime.
    pub(crate) fn close(&self, handler: Arc<dyn Handler>) {
        let _within = self.runtime.enter();
        drop(handler);
    }

    /// Runs one hook to its end.
    pub(crate) fn run(&self, handler: &Arc<dyn Handler>, order: TrialCall) -> CallReport {
        let (aborter, abort) = abort_pair();
        let recorder = Arc::new(Recorder { live: self.live, ..Recorder::default() });
        let newest_epoch = NewestEpoch::default();
        newest_epoch.raise(order.newest_epoch);
        let patience = order.context.timeout.saturating_add(PATIENCE);
        let attributes = self.group.for_call(order.hook, &order.context, order.newest_epoch);
        let (hook, context, log) = (order.hook, order.context, recorder.clone());
        let call = Call { hook, context, log, abort, newest_epoch, attributes };
        self.interrupt.under_way(Some(aborter.clone()));
        let began = Instant::now();
        let end =
            self.runtime.block_on(to_its_end(handler.clone(), call, order.cancel_after, aborter, patience));
        let took = began.elapsed();
        self.interrupt.under_way(None);
        let CallOutput { lines, lines_in_all, incidents } = std::mem::take(&mut *recorder.said());
        CallReport { end, took, lines, lines_in_all, incidents }
    }
}

async fn to_its_end(
    handler: Arc<dyn Handler>,
    call: Call,
    cancel_after: Option<Duration>,
    aborter: Aborter,
    patience: Duration,
) -> CallEnd {
    let mut task = tokio::spawn(async move { handler.call(call).await });
    let cancel = async {
        if let Some(after) = cancel_after {
            sleep(after).await;
            aborter.abort(Abort::Gently);
        }
        pending::<Infallible>().await
    };
    let ended = tokio::select! {
        biased;
        ended = timeout(patience, &mut task) => ended,
        never = cancel => match never {},
    };
    match ended {
        Ok(Ok(result)) => CallEnd::Result(result),
        Ok(Err(_)) => CallEnd::Panicked,
        Err(_) => {
            // Dropping a call ends whatever runs for it.
            task.abort();
            CallEnd::Hung
        }
    }
}
