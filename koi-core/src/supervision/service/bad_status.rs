//! Statuses that are bad and not yet a failure.

use crate::reason::{FailureReason, ServiceNote};
use crate::supervision::service::Service;
use crate::types::{ServiceState, Time};

impl Service {
    /// Its status may be bad once more before it has failed.
    pub(crate) fn bears_a_bad_status(&self) -> bool {
        let stands = matches!(self.state, ServiceState::Started | ServiceState::Promoted);
        let most = if mutant!(BadStatusesUncounted) { u32::MAX } else { self.spec.policy.status_failures };
        stands && self.bad_statuses.saturating_add(1) < most
    }

    /// Its status was bad, and it has not failed yet. It is asked again soon.
    pub(crate) fn bear(&mut self, reason: FailureReason, now: Time) {
        self.bad_statuses = self.bad_statuses.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        self.confirmations = 0;
        self.next_status = now + self.spec.policy.status_retry;
        if self.state == ServiceState::Started && !self.maybe_promoted {
            // What is promoted stays so. What is not promoted waits until it is known to be well.
            self.promotable = false;
            self.unproven = true;
        }
        let (times, most) = (self.bad_statuses, self.spec.policy.status_failures);
        self.message = Some(ServiceNote::BadStatus { times, most, reason });
    }
}
