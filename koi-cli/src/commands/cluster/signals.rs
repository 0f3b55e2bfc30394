//! The end that a user asks for: Ctrl-C, or a polite kill.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{CommandError, exit};

/// Runs `work` until it ends, or until SIGINT or SIGTERM, which is a good end for what would go on for ever.
pub(crate) async fn until_interrupted(
    work: impl Future<Output = Result<u8, CommandError>>,
) -> Result<u8, CommandError> {
    let failed = |e: std::io::Error| CommandError::local(format!("cannot wait for signals: {e}"), "");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Ok(exit::WELL),
        _ = terminate.recv() => Ok(exit::WELL),
    }
}
