//! How a user ends what runs until it is ended.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CommandError;

/// The ways in which a user ends a program.
pub(crate) struct Interrupt([Signal; 3]);

impl Interrupt {
    /// From now on these signals end nothing by themselves.
    pub(crate) fn watch() -> Result<Interrupt, CommandError> {
        let failed = |e| CommandError::local(format!("cannot wait for signals: {e}"), "");
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [int, term, hup] = kinds.map(signal);
        Ok(Interrupt([int.map_err(failed)?, term.map_err(failed)?, hup.map_err(failed)?]))
    }

    /// Returns when one of them has come.
    pub(crate) async fn came(&mut self) {
        let [int, term, hup] = &mut self.0;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
    }
}
