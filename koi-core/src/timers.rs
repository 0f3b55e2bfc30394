//! What time alone can cause, by name.
//!
//! Each part of a node sets its own timers, beside the code that acts on them. All of them are set anew after every input, from the
//! state as it is then: a timer whose reason is gone cannot go off.

use std::fmt;

use crate::types::Time;

/// Why a node is to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The run of this node has waited long enough for another run with its id.
    IdentityCall,
    /// No leader was heard for so long that this elector campaigns (R1).
    Campaign,
    /// Electors that have not answered the campaign are asked again.
    CampaignRepeat,
    /// The campaign has failed: a lower rank may win (R2).
    CampaignEnd,
    /// No quorum has acknowledged for so long that the leadership is over (R3).
    LeadershipEnd,
    /// The leader's next heartbeat.
    Heartbeat,
    /// The newest heartbeat is sent again to whoever has not answered it.
    HeartbeatRepeat,
    /// The leader asks again for votes above a term that was spent in vain (R11).
    ReclaimRepeat,
    /// A wait of the leader's decisions is over: a lease and its grace (R6), or the start of the cluster (R9).
    Decision,
    /// The leader has not answered a report of the master: it is sent again.
    ReportRepeat,
    /// The leader is silent for so long that this node counts as disconnected.
    LeaderSilence,
    /// A node that hears no leader says that it is there.
    Hello,
    /// The lease on the mastership runs out (R5).
    LeaseEnd,
    /// Everything must be demoted (R7).
    GraceEnd,
    /// A failed node tries again.
    Recovery,
    /// The status of a service is due.
    ServiceStatus,
    /// A service that changed by itself again and again may be started again.
    ServiceRest,
    /// A service that failed alone, new or not critical, is tried again.
    ServiceRetry,
    /// A restart of a service has had its time.
    RestartEnd,
    /// The disk has not taken a state for so long that it counts as one that hangs.
    DiskHang,
    /// A node that stops waits no longer for the others.
    Departure,
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The timer that goes off next, of all that were set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers(Option<(Time, Timer)>);

impl Timers {
    /// Sets a timer, unless it is set to an earlier instant. [`Time::NEVER`] changes nothing.
    pub(crate) fn set(&mut self, timer: Timer, at: Time) {
        if at != Time::NEVER && self.0.is_none_or(|next| (at, timer) < next) {
            self.0 = Some((at, timer));
        }
    }

    /// Sets a timer for something that only the passing of this instant changes: if it is over, it has had its effect.
    pub(crate) fn set_after(&mut self, timer: Timer, at: Time, now: Time) {
        if at > now {
            self.set(timer, at);
        }
    }

    /// The timer that goes off next. Of several at one instant, the first in the order of [`Timer`].
    pub(crate) fn next(&self) -> Option<(Timer, Time)> {
        self.0.map(|(at, timer)| (timer, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_goes_off_first_and_never_is_not_set() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Hello, Time::NEVER);
        assert_eq!(timers.next(), None);
        timers.set(Timer::Hello, Time(7));
        timers.set(Timer::LeaseEnd, Time(5));
        timers.set(Timer::LeaseEnd, Time(9));
        assert_eq!(timers.next(), Some((Timer::LeaseEnd, Time(5))));
        timers.set(Timer::Heartbeat, Time(5));
        assert_eq!(timers.next(), Some((Timer::Heartbeat, Time(5))), "the first in the order of the table");
    }

    #[test]
    fn what_has_had_its_effect_is_not_set() {
        let mut timers = Timers::default();
        timers.set_after(Timer::DiskHang, Time(5), Time(5));
        assert_eq!(timers.next(), None);
        timers.set_after(Timer::DiskHang, Time(6), Time(5));
        assert_eq!(timers.next(), Some((Timer::DiskHang, Time(6))));
    }
}
