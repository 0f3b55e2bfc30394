//! What the hooks of each service cost on this node, in this run of koid: the one place that has these numbers.
//!
//! They are kept by service and by content of its handler: after an upgrade the new version begins at zero, and those of the version before
//! stay beside them to be compared.

pub(crate) mod counters;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use counters::HandlerCounters;

/// The counters of all services, by name. Clones share them. The lock is for who opens handlers and who shows the numbers: a call has its
/// counters with it.
#[derive(Clone, Default)]
pub(crate) struct Statistics(Arc<RwLock<HashMap<String, ServiceStatistics>>>);

/// The counters of one service.
#[derive(Clone)]
pub(crate) struct ServiceStatistics {
    /// Of the handler that it has now.
    pub(crate) current: Arc<HandlerCounters>,
    /// Of the other content that was its handler before, if that was ever called in this run of koid.
    pub(crate) before: Option<Arc<HandlerCounters>>,
}

impl Statistics {
    /// What calls of `service` are counted by from now on: its handler is the plugin of this SHA-256, or scripts. They go on where that was
    /// its handler just now, or before the one that is it now.
    pub(super) fn count(&self, service: &str, hash: Option<&str>, version: &str) -> Arc<HandlerCounters> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = all.remove(service);
        let (same, other): (Vec<_>, Vec<_>) = known
            .into_iter()
            .flat_map(|known| [Some(known.current), known.before])
            .flatten()
            .partition(|counters| counters.hash.as_deref() == hash);
        let fresh = || Arc::new(HandlerCounters::new(hash.map(str::to_owned), version.to_owned()));
        let current = same.into_iter().next().unwrap_or_else(fresh);
        let before = other.into_iter().find(|counters| counters.was_called());
        all.insert(service.to_owned(), ServiceStatistics { current: current.clone(), before });
        current
    }

    /// The service is gone.
    pub(super) fn forget(&self, service: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(service);
    }

    /// What is counted, by the names of services.
    pub(crate) fn all(&self) -> Vec<(String, ServiceStatistics)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut services: Vec<_> = all.iter().map(|(name, of)| (name.clone(), of.clone())).collect();
        services.sort_by(|(one, _), (other, _)| one.cmp(other));
        services
    }

    /// What is counted of `service`; none: it has no handler.
    pub(crate) fn for_service(&self, service: &str) -> Option<ServiceStatistics> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }
}

/// How many services it knows.
impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statistics of {}", self.0.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

#[cfg(test)]
mod tests {
    use koi_core::io::HookEnd;
    use koi_core::types::Hook;

    use super::counters::CallMeter;
    use super::*;

    fn call(counters: &Arc<HandlerCounters>) {
        CallMeter::begin(counters.clone(), Hook::Status).ended(&HookEnd::Done, false);
    }

    /// Calls of `status`, and the hash that they are of.
    fn shown(counters: &HandlerCounters) -> (u64, Option<&str>) {
        (counters.of(Hook::Status).calls, counters.hash.as_deref())
    }

    #[test]
    fn a_new_version_begins_at_zero_and_the_one_before_stays_to_be_compared() {
        let statistics = Statistics::default();
        call(&statistics.count("db", Some("aa"), "1"));
        // Its folder has changed, and its handler is the same.
        call(&statistics.count("db", Some("aa"), "1"));
        let new = statistics.count("db", Some("bb"), "2");
        let known = statistics.for_service("db").unwrap();
        assert_eq!(shown(&known.current), (0, Some("bb")));
        assert_eq!(shown(known.before.as_deref().unwrap()), (2, Some("aa")));

        call(&new);
        // Back to the old one: it goes on, for counters never go back.
        call(&statistics.count("db", Some("aa"), "1"));
        let known = statistics.for_service("db").unwrap();
        assert_eq!(shown(&known.current), (3, Some("aa")));
        assert_eq!(shown(known.before.as_deref().unwrap()), (1, Some("bb")));
    }

    #[test]
    fn what_was_never_called_is_nothing_to_compare_with() {
        let statistics = Statistics::default();
        call(&statistics.count("db", None, "1"));
        statistics.count("db", Some("bb"), "2");
        statistics.count("db", Some("cc"), "3");
        let known = statistics.for_service("db").unwrap();
        assert_eq!(shown(&known.current), (0, Some("cc")));
        assert_eq!(shown(known.before.as_deref().unwrap()), (1, None), "the scripts that it had");
        statistics.forget("db");
        assert!(statistics.for_service("db").is_none());
    }
}
