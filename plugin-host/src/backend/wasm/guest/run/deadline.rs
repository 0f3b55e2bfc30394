//! When a call is over although the guest does not return.

use std::time::Duration;

use koi_plugin_api::{Abort, AbortSignal};
use tokio::time::{Instant, sleep_until};

/// What a guest has left once it was asked gently to end.
const GRACE: Duration = Duration::from_secs(1);

/// Stands for a deadline that a clock cannot express.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndReason {
    /// Its time is.
    #[error("out of time")]
    Deadline,
    /// koi said so.
    #[error("aborted")]
    Aborted,
}

/// Watches one call. Clones watch the same.
#[derive(Clone, Debug)]
pub(crate) struct CallDeadline {
    deadline: Instant,
    abort: AbortSignal,
    /// It was asked gently; then it is over.
    grace_ends: Option<Instant>,
}

/// `timeout` from now.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout.min(FOR_EVER)).unwrap_or(now)
}

impl CallDeadline {
    /// Of a call that may run until `deadline`.
    pub(crate) fn new(deadline: Instant, abort: AbortSignal) -> CallDeadline {
        CallDeadline { deadline, abort, grace_ends: None }
    }

    /// Whether it is over at this moment. A guest that computes is asked this at every tick: timers may be late when many
    /// of them do.
    pub(crate) fn look(&mut self) -> Option<EndReason> {
        let now = Instant::now();
        let aborted = match self.abort.asked() {
            None => false,
            Some(Abort::Now) => true,
            Some(Abort::Gently) => now >= *self.grace_ends.get_or_insert(now + GRACE),
        };
        match aborted {
            true => Some(EndReason::Aborted),
            false => (now >= self.deadline).then_some(EndReason::Deadline),
        }
    }

    /// Returns when it is over.
    pub(crate) async fn wait(mut self) -> EndReason {
        let (mut gently, mut now) = (self.abort.clone(), self.abort.clone());
        let after_grace = async {
            gently.asked_for(Abort::Gently).await;
            let ends = *self.grace_ends.get_or_insert(Instant::now() + GRACE);
            sleep_until(ends).await;
        };
        tokio::select! {
            biased;
            _ = now.asked_for(Abort::Now) => EndReason::Aborted,
            () = after_grace => EndReason::Aborted,
            () = sleep_until(self.deadline) => EndReason::Deadline,
        }
    }
}
