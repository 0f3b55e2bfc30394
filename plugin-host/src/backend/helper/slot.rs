//! The place of a service's helper between its calls.

use std::io;
use std::path::Path;

use koi_plugin_api::{Abort, Hook, HookError};
use nix::errno::Errno;
use tokio::time::{Instant, sleep_until};

use crate::backend::helper::backoff::Backoff;
use crate::backend::helper::talk::CallLimits;

/// An idle helper, and how soon another may be started.
pub(crate) struct Slot<H> {
    /// An idle one.
    pub(crate) helper: Option<H>,
    pub(crate) backoff: Backoff,
}

impl<H> Default for Slot<H> {
    fn default() -> Slot<H> {
        Slot { helper: None, backoff: Backoff::default() }
    }
}

impl<H> Slot<H> {
    /// A helper broke.
    pub(crate) fn broke(&mut self) {
        self.backoff.broke(Instant::now());
    }

    /// Waits until a helper may be started for `hook`.
    pub(crate) async fn may_start(&self, hook: Hook, limits: &mut CallLimits) -> Result<(), HookError> {
        let Some(not_before) = self.backoff.not_before().filter(|_| waits(hook)) else { return Ok(()) };
        tokio::select! {
            biased;
            early = limits.early(Abort::Gently) => {
                let breaks = self.backoff.breaks();
                let why = format!("its process ended badly {breaks} times in a row, and a new one was not due yet");
                Err(early.error(limits.timeout, &why))
            }
            () = sleep_until(not_before) => Ok(()),
        }
    }
}

/// Whether `hook` waits until a helper that broke may be started anew. What takes a service down does not.
fn waits(hook: Hook) -> bool {
    match hook {
        Hook::Demote | Hook::Stop | Hook::Failed => false,
        Hook::Start | Hook::Promote | Hook::Status | Hook::Changed => true,
    }
}

/// Why a helper could not be started, as the result of the call that needed it.
pub(crate) fn not_started(program: &Path, error: &io::Error) -> HookError {
    let why = format!("the plugin's process cannot be started ({}): {error}", program.display());
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) => HookError::NoRoom(why),
        _ => HookError::CannotRun(why),
    }
}
