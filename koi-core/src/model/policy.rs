//! How much a service may do wrong before its node has failed.

use std::time::Duration;

/// `[policy]` of a service. The default is no patience: the first failure is the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicePolicy {
    /// With so many bad statuses in a row it has failed; at least 1.
    pub status_failures: u32,
    /// How soon `status` runs again after a bad one that was not the last.
    pub status_retry: Duration,
    /// False: its failure is its own affair, and it is tried again by itself.
    pub critical: bool,
}

impl Default for ServicePolicy {
    fn default() -> ServicePolicy {
        ServicePolicy { status_failures: 1, status_retry: Duration::from_secs(1), critical: true }
    }
}
