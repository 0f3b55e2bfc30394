//! The API: HTTP/1.1 and JSON, on a Unix socket for this machine and sealed on the node's TCP port for others.

mod body;
mod connection;
pub(crate) mod endpoints;
pub(crate) mod error;
pub(crate) mod request;
pub(crate) mod states;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use koi_config::ConfigError;
use koi_core::types::NodeId;
use koi_proto::api::Done;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinError;

use crate::attributes::live_calls::LiveCalls;
use crate::attributes::store::AttributesStore;
use crate::cluster::handle::Cluster;
use crate::cluster::requester::Requester;
use crate::config::current::{SharedConfig, UnusableConfigError};
use crate::hooks::details::Details;
use crate::hooks::drilled::DrilledStatuses;
use crate::hooks::processes::Processes;
use crate::hooks::statistics::Statistics;
use crate::reporting::events::EventHub;
use crate::services::plugins::Plugins;
use crate::services::scan_requests::ScanTrigger;
use crate::services::scan_results::ScanResults;

#[cfg(test)]
mod tests;

pub(crate) use connection::listen::{serve_local, serve_sealed};
pub(crate) use connection::local_listener::{ListenError, LocalListener};

/// Asks for a reload.
#[derive(Debug)]
pub(crate) struct ReloadRequest {
    /// Is told what came of it. Whoever asked may have gone.
    pub(crate) reply: oneshot::Sender<Result<Done, ReloadError>>,
    /// Who waits for it; if nobody does any more it is not begun.
    pub(crate) requester: Requester,
    /// How long plugins are waited for before it is answered.
    pub(crate) wait: Duration,
}

/// Why no other configuration is in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The file is wrong.
    #[error("the configuration was not taken: {0}")]
    Wrong(#[from] ConfigError),
    /// It reads well and cannot be used.
    #[error("the configuration was not taken: {}: {why}", .path.display())]
    Unusable { path: PathBuf, why: UnusableConfigError },
    /// Reading it broke off.
    #[error("reading the configuration failed: {0}")]
    Broken(#[from] JoinError),
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
    pub(crate) shared: SharedConfig,
    pub(crate) reload: mpsc::Sender<ReloadRequest>,
    pub(crate) plugins: Plugins,
    /// Has the services folder scanned.
    pub(crate) scan_trigger: ScanTrigger,
    /// What this node's services say besides their state.
    pub(crate) details: Details,
    /// The processes that they run in.
    pub(crate) processes: Processes,
    /// What their hooks cost.
    pub(crate) statistics: Statistics,
    /// What looks at the services folder have found.
    pub(crate) findings: ScanResults,
    /// Statuses that a drill counts as failed.
    pub(crate) drilled: DrilledStatuses,
    /// The hook calls that run now.
    pub(crate) live_calls: LiveCalls,
    /// The attributes of groups.
    pub(crate) attributes: AttributesStore,
    /// The configuration.
    pub(crate) file: PathBuf,
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
