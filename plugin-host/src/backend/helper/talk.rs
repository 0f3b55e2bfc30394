//! How long a call in a helper may go on.

use std::time::Duration;

use koi_plugin_api::{Abort, AbortSignal, HookError};
use tokio::time::{Instant, sleep_until};

/// Between the request to end and SIGKILL.
pub(crate) const ABORT_GRACE: Duration = Duration::from_secs(1);
/// As good as never.
pub(crate) const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

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

    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
