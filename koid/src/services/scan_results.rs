//! What looks at the services folder have found, for the API.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use koi_core::io::ServiceSpec;
use koi_core::policy::ServicePolicy;
use koi_core::types::Hook;

use super::retained::{RetainReason, RetainedServices};

/// Why some services go on as they were, and what others could change of what the node relies on. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScanResults(Arc<RwLock<ScanResultsState>>);

#[derive(Debug, Default)]
struct ScanResultsState {
    retained: RetainedServices,
    exposed: Vec<String>,
    patience: HashMap<String, ServicePatience>,
}

/// How soon a service is seen to have failed, and what is borne before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePatience {
    /// How often `status` runs.
    pub(crate) status_interval: Duration,
    pub(crate) policy: ServicePolicy,
}

impl ScanResults {
    /// These services go on as they were, whatever their folders say.
    pub(crate) fn retain(&self, retained: &RetainedServices) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retained.clone_from(retained);
    }

    /// Why `service` goes on as it was; none: it is as its folder says.
    pub(crate) fn retained(&self, service: &str) -> Option<RetainReason> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).retained.get(service).cloned()
    }

    /// These services are there now.
    pub(crate) fn found<'s>(&self, specs: impl Iterator<Item = &'s ServiceSpec>) {
        let watched = specs.filter(|spec| spec.hooks.has(Hook::Status));
        let patience = watched.map(|spec| {
            let known = ServicePatience { status_interval: spec.status_interval, policy: spec.policy };
            (spec.name.clone(), known)
        });
        self.0.write().unwrap_or_else(PoisonError::into_inner).patience = patience.collect();
    }

    /// How soon `service` is seen to have failed; none: it has no `status`.
    pub(crate) fn patience(&self, service: &str) -> Option<ServicePatience> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).patience.get(service).cloned()
    }

    /// This is what others could change, a sentence each. The sentences that are new.
    pub(crate) fn expose(&self, sentences: Vec<String>) -> Vec<String> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = sentences.iter().filter(|sentence| !inner.exposed.contains(sentence)).cloned().collect();
        inner.exposed = sentences;
        new
    }

    /// What others could change, a sentence each.
    pub(crate) fn exposed(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).exposed.clone()
    }
}
