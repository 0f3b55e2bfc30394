//! Restarts in place, as they concern all services of a node: those of higher number go down and up with the one that is restarted.

use std::time::Duration;

use crate::event::Event;
use crate::io::Cause;
use crate::outbox::Effects;
use crate::reason::{FailureReason, ServiceFailure};
use crate::supervision::service::Service;
use crate::supervision::service::restart::Restart;
use crate::supervision::services::Services;
use crate::timers::{Timer, Timers};
use crate::types::Time;

impl Services {
    /// Restarts a service that has failed, if it may be. Whether it is.
    pub(crate) fn restart(&mut self, service: &str, cause: &Cause, now: Time, out: &mut Effects) -> bool {
        let Some(service) = self.list.iter_mut().find(|s| s.spec.name == service) else { return false };
        if !service.may_restart(cause, now) {
            return false;
        }
        service.begin_restart(cause.clone(), now);
        let failure = ServiceFailure {
            service: service.spec.name.clone(),
            hook: cause.hook,
            reason: cause.reason.clone(),
        };
        let (times, most) = (service.restarts_lately(now), service.spec.policy.restarts);
        out.event(Event::Restarting { failure, times, most });
        true
    }

    /// What is restarted, and what builds on it.
    pub(crate) fn is_in_restart(&self) -> impl Fn(&Service) -> bool + use<> {
        let restarting = self.list.iter().filter(|s| s.restart.is_some());
        let lowest = restarting.filter_map(|s| s.spec.priority).min();
        move |service| {
            let above = lowest.zip(service.spec.priority).is_some_and(|(lowest, own)| own > lowest);
            service.restart.is_some() || above
        }
    }

    /// Above this number services go down, so that one with it can be stopped.
    pub(crate) fn restart_floor(&self) -> Option<u8> {
        let going_down = self.list.iter().filter(|s| s.goes_down_to_restart());
        going_down.filter_map(|s| s.spec.priority).min()
    }

    /// Ends restarts that have got everything back to where it was. `promoted`: all is to be promoted.
    pub(crate) fn end_restarts(&mut self, promoted: bool, now: Time, out: &mut Effects) {
        let is_up = |s: &&Service| s.stands_aside() || s.is_back(promoted);
        let away: Vec<Option<u8>> = self.list.iter().filter(|s| !is_up(s)).map(|s| s.spec.priority).collect();
        for service in self.list.iter_mut().filter(|s| s.is_back(promoted)) {
            // What builds on it comes back with it.
            let own = service.spec.priority;
            let awaits = |other: &Option<u8>| own.zip(*other).is_some_and(|(own, other)| other > own);
            if away.iter().any(awaits) {
                continue;
            }
            if let Some(restart) = service.restart.take() {
                let took = now.since(restart.since);
                out.event(Event::Restarted { service: service.spec.name.clone(), took });
            }
        }
    }

    /// A restart that has had its time and is not over: the service, and why it has failed now. All others end with it.
    pub(crate) fn overdue_restart(&mut self, now: Time) -> Option<(String, Cause)> {
        let is_overdue = |restart: &Restart| restart.ends <= now && !mutant!(RestartUnbounded);
        let (service, restart, limit) = self.find_restart(is_overdue)?;
        let reason = FailureReason::RestartTooLong { limit, reason: Box::new(restart.cause.reason) };
        self.forget_restarts();
        Some((service, Cause { reason, ..restart.cause }))
    }

    /// The lease was lost: nothing is brought back any more.
    pub(crate) fn interrupted_restart(&mut self) -> Option<(String, Cause)> {
        let (service, restart, _) = self.find_restart(|_| true)?;
        let reason = FailureReason::RestartInterrupted { reason: Box::new(restart.cause.reason) };
        self.forget_restarts();
        Some((service, Cause { reason, ..restart.cause }))
    }

    /// The first restart of which this is true: the service, and how long it may take.
    fn find_restart(&self, is: impl Fn(&Restart) -> bool) -> Option<(String, Restart, Duration)> {
        self.list.iter().find_map(|s| {
            let restart = s.restart.clone().filter(&is)?;
            Some((s.spec.name.clone(), restart, s.spec.policy.restart_timeout))
        })
    }

    /// The node has failed, or its services are to be stopped: whatever is restarted goes down like all others.
    pub(crate) fn forget_restarts(&mut self) {
        self.list.iter_mut().for_each(|service| service.restart = None);
    }

    /// Restarts have their whole time again: no hook could run for a while.
    pub(crate) fn prolong_restarts(&mut self, now: Time) {
        for service in &mut self.list {
            let timeout: Duration = service.spec.policy.restart_timeout;
            if let Some(restart) = &mut service.restart {
                restart.ends = now + timeout;
            }
        }
    }

    pub(crate) fn set_restart_timers(&self, timers: &mut Timers) {
        let restarts = self.list.iter().filter_map(|s| s.restart.as_ref());
        restarts.for_each(|restart| timers.set(Timer::RestartEnd, restart.ends));
    }
}
