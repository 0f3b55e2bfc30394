//! What looks at the services folder have found, for the API.

use std::sync::{Arc, PoisonError, RwLock};

use super::retained::{RetainReason, RetainedServices};

/// Why some services go on as they were, and what others could change of what the node relies on. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScanResults(Arc<RwLock<ScanResultsState>>);

#[derive(Debug, Default)]
struct ScanResultsState {
    retained: RetainedServices,
    exposed: Vec<String>,
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
