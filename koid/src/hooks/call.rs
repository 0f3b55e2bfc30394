//! One call of a handler: again while there is no room for it, and not for ever; and what the core is told of its end.

use std::sync::Arc;
use std::time::Duration;

use koi_core::io::{HookEnd, StatusReport};
use koi_plugin_api::{
    Abort, AbortSignal, Call, CallLog, Called, Context, Handler, Hook, HookError, NewestEpoch, Outcome,
};

/// How long a handler may overrun its time-out, or an abort, before its call is dropped.
pub(super) const PATIENCE: Patience =
    Patience { late: Duration::from_secs(10), told: Duration::from_secs(1) };

/// The pause before a hook that found no room for its process is tried again.
const ROOM_PAUSE: Duration = Duration::from_millis(250);

/// A call that can be made more than once.
pub(super) struct RetriedCall {
    pub(super) hook: Hook,
    pub(super) context: Context,
    pub(super) log: Arc<dyn CallLog>,
    pub(super) abort: AbortSignal,
    pub(super) newest_epoch: NewestEpoch,
}

impl RetriedCall {
    fn call(&self) -> Call {
        Call {
            hook: self.hook,
            context: self.context.clone(),
            log: self.log.clone(),
            abort: self.abort.clone(),
            newest_epoch: self.newest_epoch.clone(),
            attributes: Arc::new(koi_plugin_api::NoCluster),
        }
    }

    /// Retries `demote`, `stop` and `failed` until their time-out while the machine has no room for another process: a hook that was not
    /// run proves nothing. Of the other hooks the core decides.
    pub(super) async fn until_there_is_room(mut self, handler: &dyn Handler) -> Result<Outcome, HookError> {
        let waits = matches!(self.hook, Hook::Demote | Hook::Stop | Hook::Failed);
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
pub(super) struct Patience {
    /// After its time-out.
    pub(super) late: Duration,
    /// After it was told to end at once.
    pub(super) told: Duration,
}

/// Ends a call whose handler keeps to neither time-out nor abort. Dropping the call ends it.
pub(super) async fn within(
    call: Called,
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
pub(super) fn failed(message: String) -> HookEnd {
    HookEnd::Failed { message, timed_out: false, lasting: false }
}

fn ended_well(outcome: Outcome) -> HookEnd {
    match outcome {
        Outcome::Done | Outcome::Started(_) => HookEnd::Done,
        // The core decides nothing by details and processes: who shows and watches them has them already.
        Outcome::Status(seen) => {
            HookEnd::Status(StatusReport { details: Vec::new(), processes: Vec::new(), ..seen })
        }
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
