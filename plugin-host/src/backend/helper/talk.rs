//! How long a call in a helper may go on.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use koi_plugin_api::{Abort, AbortSignal, HookError};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::backend::helper::process::Process;

/// Between the request to end and SIGKILL.
pub(crate) const ABORT_GRACE: Duration = Duration::from_secs(1);
/// As good as never.
pub(crate) const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// How often a process is looked at that is not known to be ending. As a rule its end shows at once: the socket is closed.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Why a call has to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EarlyEnd {
    Aborted(Abort),
    TimedOut,
}

impl EarlyEnd {
    /// The call's result.
    pub(crate) fn error(self, timeout: Duration, why: &str) -> HookError {
        match self {
            EarlyEnd::Aborted(_) => HookError::Aborted,
            EarlyEnd::TimedOut => HookError::TimedOut(format!("not done within {timeout:?}: {why}")),
        }
    }
}

/// How long a call may go on.
pub(crate) struct CallLimits {
    pub(crate) timeout: Duration,
    pub(crate) abort: AbortSignal,
    pub(crate) deadline: Instant,
}

impl CallLimits {
    pub(crate) fn new(timeout: Duration, abort: AbortSignal) -> CallLimits {
        CallLimits { timeout, abort, deadline: Instant::now() + timeout.min(FAR) }
    }

    /// Waits until it has to end, for one request at least as strong as `at_least`.
    pub(crate) async fn early(&mut self, at_least: Abort) -> EarlyEnd {
        tokio::select! {
            biased;
            how = self.abort.asked_for(at_least) => EarlyEnd::Aborted(how),
            () = sleep_until(self.deadline) => EarlyEnd::TimedOut,
        }
    }

    /// The same with a timer that stands at the deadline already: see [`KeptTimer`].
    pub(crate) async fn early_by(&mut self, deadline: &mut KeptTimer, at_least: Abort) -> EarlyEnd {
        tokio::select! {
            biased;
            how = self.abort.asked_for(at_least) => EarlyEnd::Aborted(how),
            () = deadline.elapsed() => EarlyEnd::TimedOut,
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Waits until then; none: for ever.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// A timer that stays from call to call. To put it off is a store in memory. A new one takes the lock of the runtime's timers and wakes the
/// thread that waits for them, which takes as long as a fifth of a small hook.
pub(crate) struct KeptTimer(Pin<Box<Sleep>>);

impl KeptTimer {
    /// Must be called in a runtime.
    pub(crate) fn new() -> KeptTimer {
        KeptTimer(Box::pin(sleep_until(Instant::now())))
    }

    /// Sets it anew.
    pub(crate) fn set(&mut self, at: Instant) {
        self.0.as_mut().reset(at);
    }

    /// Waits until then. May be dropped and begun again at any time.
    pub(crate) async fn elapsed(&mut self) {
        self.0.as_mut().await;
    }
}

/// What a conversation with a helper waits for beside the helper. It stays with the helper.
pub(crate) struct CallTimers {
    /// The end of the call's time.
    pub(crate) deadline: KeptTimer,
    pub(crate) look: ProcessLook,
}

impl CallTimers {
    /// Must be called in a runtime.
    pub(crate) fn new() -> CallTimers {
        CallTimers { deadline: KeptTimer::new(), look: ProcessLook(KeptTimer::new()) }
    }

    /// A call begins, of a process that was there a moment ago.
    pub(crate) fn begin(&mut self, deadline: Instant) {
        self.deadline.set(deadline);
        self.look.put_off();
    }
}

/// The next look whether a process is still there.
pub(crate) struct ProcessLook(KeptTimer);

impl ProcessLook {
    fn put_off(&mut self) {
        self.0.set(Instant::now() + LOOK_INTERVAL);
    }

    /// Waits for the end of `process`. May be dropped and begun again at any time.
    pub(crate) async fn ended(&mut self, process: &Process) {
        loop {
            self.0.elapsed().await;
            if process.has_ended() {
                return;
            }
            self.put_off();
        }
    }
}
