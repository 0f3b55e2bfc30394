//! What the daemon must have before it starts: its state, its port and its socket. What is lacking is waited for.

use std::path::Path;

use koi_config::Config;
use tokio::runtime::Runtime;

use super::startup_retry::{Signals, StartupError, StartupRetry, Transient};
use crate::api::LocalListener;
use crate::cluster::sockets::{self, Bound};
use crate::storage::store::{OpenedState, Store};

/// Why the daemon cannot start.
pub(super) type Fatal = Box<dyn std::error::Error>;

pub(super) struct Resources {
    pub(super) store: Store,
    pub(super) opened: OpenedState,
    pub(super) bound: Bound,
    pub(super) socket: LocalListener,
}

/// Opens all of them; none: a signal asked for the end meanwhile.
pub(super) fn acquire(
    runtime: &Runtime,
    signals: &mut Signals,
    config: &Config,
) -> Result<Option<Resources>, Fatal> {
    let (node, mut wait) = (&config.node, StartupRetry::new(signals));
    let Some((store, opened)) = patiently(runtime, &mut wait, || Store::open(&node.state_dir))? else {
        return Ok(None);
    };
    warn_of_state(&opened, &node.state_dir);
    let addresses = sockets::addresses(node.bind, &config.cluster.transport);
    let bind = || sockets::bind(&addresses, node.bind_zone, node.port, node.increment_port);
    let Some(bound) = patiently(runtime, &mut wait, bind)? else { return Ok(None) };
    let socket = patiently(runtime, &mut wait, || LocalListener::open(&node.socket))?;
    Ok(socket.map(|socket| Resources { store, opened, bound, socket }))
}

fn warn_of_state(opened: &OpenedState, folder: &Path) {
    if let Some((aside, why)) = &opened.damaged {
        tracing::error!(
            "the state in {} is damaged: {why}. It was moved to {}; this node joins as one without a record",
            folder.display(),
            aside.display()
        );
    }
    if opened.restored {
        tracing::warn!(
            "the state in {} is older than this node's identity: it was restored from a backup. This node joins as one without a record",
            folder.display()
        );
    }
}

/// Does what may have to be waited for; none: a signal asked for the end meanwhile.
fn patiently<T, E: Transient + std::error::Error + 'static>(
    runtime: &Runtime,
    wait: &mut StartupRetry<'_>,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<Option<T>, Fatal> {
    match runtime.block_on(wait.until_done(attempt)) {
        Ok(done) => Ok(Some(done)),
        Err(StartupError::Failed(error)) => Err(error.into()),
        Err(StartupError::Signalled) => {
            tracing::info!("asked to end before anything was started");
            Ok(None)
        }
    }
}
