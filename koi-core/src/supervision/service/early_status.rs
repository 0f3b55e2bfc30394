//! A status that runs at once because a process of the service has ended.

use crate::supervision::service::Service;
use crate::types::{Hook, ServiceState, Time};

/// So many early statuses wait for nothing; each one after them waits longer, until there is a calm.
const FREE: u32 = 2;

impl Service {
    /// A process of it has ended. That is no failure: its status is asked at once, or right after the hook that runs. What goes down, or is
    /// down, is not asked.
    pub(crate) fn process_has_ended(&mut self) {
        let stands = match self.state {
            ServiceState::Starting
            | ServiceState::Started
            | ServiceState::Promoting
            | ServiceState::Promoted
            | ServiceState::Demoting => true,
            ServiceState::Failed | ServiceState::Failing | ServiceState::Stopped | ServiceState::Stopping => {
                false
            }
        };
        self.process_ended |= stands && self.spec.hooks.has(Hook::Status);
    }

    /// A status begins: whether it is to find out what the end of a process means.
    pub(super) fn begin_early_status(&mut self, now: Time) -> bool {
        let ended = std::mem::take(&mut self.process_ended);
        if ended {
            self.early_statuses.count(now);
        }
        ended
    }

    /// When its status is due: by the clock, or sooner because a process has ended. Processes that end again and again do not make it run faster
    /// and faster.
    pub(crate) fn status_due(&self) -> Time {
        if self.process_ended && !mutant!(ProcessEndIgnored) {
            self.next_status.min(self.early_statuses.until(FREE - 1))
        } else {
            self.next_status
        }
    }
}
