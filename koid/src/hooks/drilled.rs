//! Statuses that count as failed because of a drill, whatever they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use koi_core::io::HookEnd;
use koi_plugin_api::Hook;

/// How many statuses of which services are yet to be counted as failed. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DrilledStatuses(Arc<Mutex<HashMap<String, u32>>>);

impl DrilledStatuses {
    /// The next so many statuses of `service` count as failed, unless something else is done with it before.
    pub(crate) fn fail(&self, service: &str, times: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), times);
    }

    /// No status counts as failed any more.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether a hook that has ended well counts as failed. Any other hook of the service ends the drill of it: it has failed by then, or is
    /// promoted no more.
    pub(super) fn counts_as_failed(&self, service: &str, hook: Hook, ended: &HookEnd) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = left.get_mut(service) else { return false };
        match (hook, ended) {
            (Hook::Status, HookEnd::Status(_)) => {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    left.remove(service);
                }
                true
            }
            // It has failed by itself, or says nothing.
            (Hook::Status, _) => false,
            // Says nothing of how the service is.
            (Hook::Changed, _) => false,
            (Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Failed, _) => {
                left.remove(service);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use koi_plugin_api::{Observed, StatusReport};

    use super::*;

    #[test]
    fn so_many_good_statuses_in_a_row_count_as_failed() {
        let drilled = DrilledStatuses::default();
        let well = || HookEnd::Status(StatusReport::from(Observed::Healthy));
        let counts = |service: &str, hook, ended| drilled.counts_as_failed(service, hook, &ended);
        assert!(!counts("db", Hook::Status, well()), "nothing is drilled");
        drilled.fail("db", 2);
        assert!(!counts("vip", Hook::Status, well()), "it is another service");
        assert!(!counts("db", Hook::Status, HookEnd::Aborted), "it has said nothing");
        assert!(counts("db", Hook::Status, well()) && counts("db", Hook::Status, well()));
        assert!(!counts("db", Hook::Status, well()), "those were all");

        drilled.fail("db", 2);
        assert!(!counts("db", Hook::Demote, HookEnd::Done));
        assert!(!counts("db", Hook::Status, well()), "it was demoted meanwhile");
        drilled.fail("db", 2);
        drilled.clear();
        assert!(!counts("db", Hook::Status, well()));
    }
}
