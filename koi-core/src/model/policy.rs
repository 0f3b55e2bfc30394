//! How much a service may do wrong before its node has failed.

use std::time::Duration;

/// `[policy]` of a service. The default is no patience: the first failure is the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicePolicy {
    /// With so many bad statuses in a row it has failed; at least 1.
    pub status_failures: u32,
    /// How soon `status` runs again after a bad one that was not the last.
    pub status_retry: Duration,
    /// How often within `restart_window` it is restarted in place before its failure is the node's.
    pub restarts: u32,
    /// See `restarts`.
    pub restart_window: Duration,
    /// How long a restart may take, with all services above it: from the failure until everything is as it was.
    pub restart_timeout: Duration,
    /// False: its failure is its own affair, and it is tried again by itself.
    pub critical: bool,
}

impl Default for ServicePolicy {
    fn default() -> ServicePolicy {
        ServicePolicy {
            status_failures: 1,
            status_retry: Duration::from_secs(1),
            restarts: 0,
            restart_window: Duration::from_mins(10),
            restart_timeout: Duration::from_secs(30),
            critical: true,
        }
    }
}
