//! Words for what is wrong with a node or a service.

use std::fmt;

use crate::io::{HookEnd, Observed};
use crate::reason::{
    BarReason, GraceOver, NewcomerTrouble, NodeFailure, RunnerTrouble, ServiceFailure, ServiceFault,
    ServiceNote, TakeDownReason, UnfitReason, WarnReason,
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

impl fmt::Display for ServiceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceFault::HookFailed { message } => f.write_str(message),
            ServiceFault::NoRoom { why } => f.write_str(why),
            ServiceFault::Contradicted { seen, hook } => {
                let word = match seen {
                    Observed::Healthy => "healthy (0)",
                    Observed::Promoted => "promoted (90)",
                    Observed::Standby => "standby (91)",
                    Observed::Stopped => "stopped (92)",
                    Observed::Live => "live (93)",
                };
                write!(f, "status says {word} after {}", hook.as_str())
            }
            ServiceFault::StatusSilent => {
                f.write_str("status does not say in time whether it is still promoted")
            }
            ServiceFault::Killed => f.write_str("killed: demote_grace was over"),
            ServiceFault::EndedEarly => f.write_str("ended early"),
            ServiceFault::NotStopped { service } => write!(f, "{service} could not be stopped"),
            ServiceFault::GraceOver(over) => over.fmt(f),
            ServiceFault::TakenDownWith { service, fault } => write!(f, "{service}: {fault}"),
            ServiceFault::Barred(bar) => bar.fmt(f),
            ServiceFault::NodeFailed => f.write_str("the node has failed"),
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
        write!(f, "{}: {}: {}", self.service, self.hook.as_str(), self.fault)
    }
}

impl fmt::Display for BarReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BarReason::Disabled { service } => {
                write!(f, "{service} is disabled: remove the file `disabled` from its folder")
            }
            BarReason::Unusable { service, problem } => write!(f, "{service}: {problem}"),
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

impl fmt::Display for NewcomerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a new service cannot run here, and what runs goes on: ")?;
        match self {
            NewcomerTrouble::Barred(bar) => bar.fmt(f),
            NewcomerTrouble::Failed(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Display for RunnerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunnerTrouble::Failed(failure) => failure.fmt(f),
            RunnerTrouble::Unarmed { why } | RunnerTrouble::Unguarded { why } => f.write_str(why),
            RunnerTrouble::Newcomer(trouble) => trouble.fmt(f),
        }
    }
}

impl fmt::Display for ServiceNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceNote::Status { message } => f.write_str(message),
            ServiceNote::Failed(fault) => fault.fmt(f),
            ServiceNote::NotStopped(fault) => write!(f, "cannot be stopped: {fault}"),
            ServiceNote::Barred(bar) => bar.fmt(f),
            ServiceNote::Rests { times, left } => write!(
                f,
                "it has changed by itself {times} times of late, and rests for {:.0} s",
                left.as_secs_f32().ceil()
            ),
        }
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
            WarnReason::Newcomer(trouble) => trouble.fmt(f),
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
