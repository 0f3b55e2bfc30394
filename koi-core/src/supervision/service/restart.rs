//! A service that has failed is stopped and started again in place, and promoted where it was, before its node has failed.

use crate::io::Cause;
use crate::reason::ServiceNote;
use crate::supervision::service::Service;
use crate::types::{Hook, ServiceState, Time};

/// A restart that is not over.
#[derive(Clone, Debug)]
pub(crate) struct Restart {
    /// Why it is restarted.
    pub(crate) cause: Cause,
    /// When it began.
    pub(crate) since: Time,
    /// When it must be over.
    pub(crate) ends: Time,
}

impl Service {
    /// Whether this failure is to be mended by a restart. One that its handler calls lasting is not, and what cannot be demoted or stopped cannot be
    /// restarted.
    pub(crate) fn may_restart(&self, cause: &Cause, now: Time) -> bool {
        let room = self.restarts_lately(now) < self.spec.policy.restarts || mutant!(RestartsUncounted);
        let mendable = matches!(cause.hook, Hook::Start | Hook::Promote | Hook::Status) && !cause.lasting;
        self.spec.policy.restarts > 0 && room && mendable && !self.stands_aside()
    }

    /// It is restarted. A failure during a restart is another one, and does not give it more time.
    pub(crate) fn begin_restart(&mut self, cause: Cause, now: Time) {
        let policy = self.spec.policy;
        self.restarts.retain(|then| now.since(*then) < policy.restart_window);
        self.restarts.push(now);
        let ends = now + policy.restart_timeout;
        self.restart.get_or_insert(Restart { cause, since: now, ends });
    }

    /// How often it was restarted within its window.
    pub(crate) fn restarts_lately(&self, now: Time) -> u32 {
        let window = self.spec.policy.restart_window;
        let lately = self.restarts.iter().filter(|then| now.since(**then) < window).count();
        u32::try_from(lately).unwrap_or(u32::MAX)
    }

    /// Its restart has not got it down yet: what builds on it goes down first.
    pub(crate) fn goes_down_to_restart(&self) -> bool {
        self.restart.is_some() && matches!(self.state, ServiceState::Failing)
    }

    /// It is where it is to be: promoted, or started, and its status has said how it is.
    pub(crate) fn is_back(&self, promoted: bool) -> bool {
        let answered = self.promotable || self.claimed != Some(Hook::Start) && self.bad_statuses == 0;
        match promoted {
            true => self.state == ServiceState::Promoted,
            false => answered && matches!(self.state, ServiceState::Started | ServiceState::Promoted),
        }
    }

    /// What is to be known of its restarts.
    pub(crate) fn restarted_note(&self, now: Time) -> Option<ServiceNote> {
        let (times, window) = (self.restarts_lately(now), self.spec.policy.restart_window);
        (times > 0).then_some(ServiceNote::Restarted { times, window })
    }
}
