//! The API: HTTP/1.1 and JSON, on a Unix socket for this machine and sealed on the node's TCP port for others.

mod body;
mod commands;
mod error;
mod forward;
mod line;
mod listen;
mod places;
pub(crate) mod plugins;
mod reopening;
mod request;
mod routes;
mod serve;
pub(crate) mod states;
mod status;

use std::net::SocketAddr;
use std::time::Duration;

use koi_core::types::NodeId;
use koi_proto::api::Done;
use tokio::sync::{mpsc, oneshot};

use crate::cluster::Cluster;
use crate::current::Shared;
use crate::details::Details;
use crate::events::EventHub;
use crate::giver::Giver;
use crate::plugins::Plugins;
use crate::services::LookNow;

#[cfg(test)]
mod crowd_tests;
#[cfg(test)]
mod tests;

pub(crate) use listen::{ListenError, LocalListener, serve_local, serve_sealed};
pub(crate) use status::sentence;

/// Asks for a reload.
#[derive(Debug)]
pub(crate) struct ReloadRequest {
    /// Is told what came of it. Whoever asked may have gone.
    pub(crate) reply: oneshot::Sender<Result<Done, ReloadError>>,
    /// Who waits for it; if nobody does any more it is not begun.
    pub(crate) giver: Giver,
    /// How long plugins are waited for before it is answered.
    pub(crate) wait: Duration,
}

/// Why no other configuration is in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// A sentence.
    #[error("{0}")]
    NotTaken(String),
    /// Whoever asked did not wait any more when its turn came.
    #[error("the configuration was not read: whoever asked for it has not waited")]
    NotBegun,
}

/// What the API needs of the daemon. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) me: NodeId,
    pub(crate) cluster: Cluster,
    pub(crate) hub: EventHub,
    pub(crate) shared: Shared,
    pub(crate) reload: mpsc::Sender<ReloadRequest>,
    pub(crate) plugins: Plugins,
    /// Looks at the services folder.
    pub(crate) look_now: LookNow,
    /// What this node's services say besides their state.
    pub(crate) details: Details,
    /// The node's UDP and TCP port.
    pub(crate) port: u16,
    /// Seconds since 1970 at which the daemon started.
    pub(crate) started_at: u64,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A process on this machine, of this user.
    Local {
        /// The user's number.
        uid: u32,
    },
    /// Someone with the cluster's key.
    Remote(SocketAddr),
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Caller::Local { uid } => write!(f, "user {uid} on this machine"),
            Caller::Remote(address) => write!(f, "{address}"),
        }
    }
}
