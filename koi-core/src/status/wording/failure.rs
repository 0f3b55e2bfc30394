//! Words for what is wrong with a node or a service.

use std::fmt;
use std::time::Duration;

use crate::io::{HookEnd, Observed};
use crate::reason::{
    AsideCause, AsideReason, FailureReason, GraceOver, IneligibleReason, NodeFailure, RunnerReason,
    ServiceFailure, ServiceNote, TakeDownReason, UnfitReason, WarnReason,
};

impl fmt::Display for UnfitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnfitReason::StateNotWritten { why } => write!(f, "its state cannot be written: {why}"),
            UnfitReason::HooksNotRun { why } => write!(f, "its hooks cannot be run: {why}"),
            UnfitReason::DiskHangs => f.write_str("its disk hangs: its state is not written in time"),
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureReason::HookFailed { message } => f.write_str(message),
            FailureReason::NoRoom { why } => f.write_str(why),
            FailureReason::Contradicted { seen, hook } => {
                let word = match seen {
                    Observed::Healthy => "healthy (0)",
                    Observed::Promoted => "promoted (90)",
                    Observed::Standby => "standby (91)",
                    Observed::Stopped => "stopped (92)",
                    Observed::Live => "live (93)",
                };
                write!(f, "status says {word} after {}", hook.as_str())
            }
            FailureReason::StatusSilent => {
                f.write_str("status does not say in time whether it is still promoted")
            }
            FailureReason::Killed => f.write_str("killed: demote_grace was over"),
            FailureReason::EndedEarly => f.write_str("ended early"),
            FailureReason::NotStopped { service } => write!(f, "{service} could not be stopped"),
            FailureReason::GraceOver(over) => over.fmt(f),
            FailureReason::TakenDownWith { service, reason } => write!(f, "{service}: {reason}"),
            FailureReason::RestartTooLong { limit, reason } => {
                write!(f, "not back within {} of its restart: {reason}", span(*limit))
            }
            FailureReason::RestartInterrupted { reason } => {
                write!(f, "the lease ran out during its restart: {reason}")
            }
            FailureReason::Barred(bar) => bar.fmt(f),
            FailureReason::NodeFailed => f.write_str("the node has failed"),
        }
    }
}

impl fmt::Display for GraceOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "something was still promoted {:?} after the lease ran out", self.grace)
    }
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.service, self.hook.as_str(), self.reason)
    }
}

impl fmt::Display for IneligibleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IneligibleReason::Disabled { service } => {
                write!(f, "{service} is disabled: remove the file `disabled` from its folder")
            }
            IneligibleReason::Unusable { service, problem } => write!(f, "{service}: {problem}"),
        }
    }
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeFailure::Service(failure) => failure.fmt(f),
            NodeFailure::AwaitsRecover(failure) => write!(f, "{failure}; it waits for `koi recover`"),
            NodeFailure::NotStopped { service } => write!(
                f,
                "{service} could not be stopped: mend it and say `koi recover`, or `koi confirm-down` if it is surely down"
            ),
            NodeFailure::GraceOver(over) => over.fmt(f),
            NodeFailure::Barred(bar) => bar.fmt(f),
            NodeFailure::FolderUnreadable { why } => f.write_str(why),
            NodeFailure::TakesDown { service } => write!(f, "{service} is being taken down"),
        }
    }
}

impl fmt::Display for AsideReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsideReason::Newcomer(why) => {
                write!(f, "a new service cannot run here, and what runs goes on: {why}")
            }
            AsideReason::NotCritical(why) => {
                write!(f, "a service that is not critical does not run, and all others go on: {why}")
            }
        }
    }
}

impl fmt::Display for AsideCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsideCause::Barred(bar) => bar.fmt(f),
            AsideCause::Failed(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Display for RunnerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunnerReason::Failed(failure) => failure.fmt(f),
            RunnerReason::Unarmed { why } | RunnerReason::Unguarded { why } => f.write_str(why),
            RunnerReason::Aside(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for ServiceNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceNote::Status { message } => f.write_str(message),
            ServiceNote::BadStatus { times, most, reason } => {
                write!(f, "{times} of {most} bad statuses: {reason}")
            }
            ServiceNote::Restarts(reason) => write!(f, "is being restarted: {reason}"),
            ServiceNote::Restarted { times, window } => {
                write!(f, "restarted {} in {}", often(*times), span(*window))
            }
            ServiceNote::Failed(reason) => reason.fmt(f),
            ServiceNote::NotStopped(reason) => write!(f, "cannot be stopped: {reason}"),
            ServiceNote::Barred(bar) => bar.fmt(f),
            ServiceNote::Deaf(reason) => write!(f, "`changed` fails: {reason}"),
            ServiceNote::Rests { times, left } => write!(
                f,
                "it has changed by itself {times} times of late, and rests for {:.0} s",
                left.as_secs_f32().ceil()
            ),
        }
    }
}

fn often(times: u32) -> String {
    match times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        times => format!("{times} times"),
    }
}

fn span(time: Duration) -> String {
    match (time.as_secs(), time.subsec_nanos()) {
        (60, 0) => "a minute".to_owned(),
        (seconds, 0) if seconds > 0 && seconds.is_multiple_of(60) => format!("{} minutes", seconds / 60),
        _ => format!("{} s", time.as_secs_f32()),
    }
}

impl fmt::Display for TakeDownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeDownReason::UncleanEnd => f.write_str("the last run of this daemon did not end cleanly"),
        }
    }
}

impl fmt::Display for WarnReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WarnReason::RunnerChanged => f.write_str("node.runner has changed: restart koid for that"),
            WarnReason::Implausible { what } => f.write_str(what),
            WarnReason::Aside(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for HookEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookEnd::Done => f.write_str("done"),
            HookEnd::Status(report) => f.write_str(match report.observed {
                Observed::Healthy => "healthy",
                Observed::Promoted => "healthy, promoted",
                Observed::Standby => "healthy, standby",
                Observed::Stopped => "stopped",
                Observed::Live => "live, not promotable now",
            }),
            HookEnd::Failed { message, .. } => f.write_str(message),
            HookEnd::Aborted => f.write_str("ended early, as asked"),
            HookEnd::NoRoom(why) => write!(f, "was not run: {why}"),
        }
    }
}
