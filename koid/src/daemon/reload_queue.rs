//! Reloads that are asked for, one after the other.

use tokio::sync::mpsc;

use super::reload::{AppliedConfig, Reloader};
use crate::api::{ReloadError, ReloadRequest};
use crate::os::sys;
use crate::reporting::systemd;

/// Reloads as often as it is asked to, one after the other.
pub(super) async fn answer_reloads(reload: Reloader, mut wanted: mpsc::Receiver<ReloadRequest>) {
    while let Some(asked) = wanted.recv().await {
        if !asked.requester.waits(sys::now()) {
            let _ = asked.reply.send(Err(ReloadError::NotBegun));
            continue;
        }
        systemd::reloading();
        let result = reload.run().await;
        systemd::ready();
        tokio::spawn(answer_reload(result, asked));
    }
}

/// Says what came of a reload. Plugins may take long to be compiled: no other reload waits for that.
async fn answer_reload(result: Result<AppliedConfig, ReloadError>, asked: ReloadRequest) {
    let done = match result {
        Ok(in_force) => Ok(in_force.within(asked.wait).await),
        Err(why) => Err(why),
    };
    match &done {
        Ok(done) => {
            tracing::info!("{}", done.message);
            done.notes.iter().for_each(|note| tracing::warn!("{note}"));
        }
        Err(why) => tracing::error!("{why}"),
    }
    // Whoever asked may have gone.
    let _ = asked.reply.send(done);
}
