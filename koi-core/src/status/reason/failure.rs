//! Reasons of what is wrong with a node or a service.

use std::time::Duration;

use crate::io::Observed;
use crate::types::Hook;

/// Why a node cannot do now what a new master must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitReason {
    /// Its disk refuses its state.
    StateNotWritten {
        /// What the disk says.
        why: String,
    },
    /// The machine has no room for its hooks.
    HooksNotRun {
        /// What the machine says.
        why: String,
    },
    /// Its disk does not answer.
    DiskHangs,
}

/// Why a service is taken down as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// A hook ended badly.
    HookFailed {
        /// What it said.
        message: String,
    },
    /// The machine had no room for a hook that takes down.
    NoRoom {
        /// What the machine says.
        why: String,
    },
    /// A hook said that it was done, and status says otherwise.
    Contradicted {
        /// What status says.
        seen: Observed,
        /// The hook.
        hook: Hook,
    },
    /// Status does not say in time whether the service is still promoted after its stop (R7).
    StatusSilent,
    /// A hook was killed: the grace was over (R7).
    Killed,
    /// A hook ended early, because it was asked to.
    EndedEarly,
    /// A service could not be stopped (R7).
    NotStopped {
        /// The service.
        service: String,
    },
    /// Something was still promoted when the grace was over (R7).
    GraceOver(GraceOver),
    /// Another service has failed, and this one is taken down with it.
    TakenDownWith {
        /// The other.
        service: String,
        /// Why the other has failed.
        reason: Box<FailureReason>,
    },
    /// It was restarted in place, and was not back in time.
    RestartTooLong {
        /// How long the restart was allowed to take.
        limit: Duration,
        /// Why it was restarted.
        reason: Box<FailureReason>,
    },
    /// It was restarted in place when the lease was lost.
    RestartInterrupted {
        /// Why it was restarted.
        reason: Box<FailureReason>,
    },
    /// A service cannot run at all.
    Barred(IneligibleReason),
    /// The node has failed, and nothing better is known.
    NodeFailed,
}

/// Something was still promoted when the lease and its grace were over (R7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraceOver {
    /// The grace.
    pub grace: Duration,
}

/// A service has failed, and by which hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFailure {
    /// The service.
    pub service: String,
    /// The hook.
    pub hook: Hook,
    /// Why.
    pub reason: FailureReason,
}

/// Why a service cannot run at all. The node counts as failed while that is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IneligibleReason {
    /// `disabled` lies in its folder.
    Disabled {
        /// The service.
        service: String,
    },
    /// Its folder or its handler cannot be used.
    Unusable {
        /// The service.
        service: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Why a node counts as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFailure {
    /// A service has failed.
    Service(ServiceFailure),
    /// A service has failed, and only an operator lets the node try again.
    AwaitsRecover(ServiceFailure),
    /// A service could not be stopped (R7).
    NotStopped {
        /// The service.
        service: String,
    },
    /// Something was still promoted when the grace was over (R7).
    GraceOver(GraceOver),
    /// A service cannot run at all.
    Barred(IneligibleReason),
    /// The services folder was never read.
    FolderUnreadable {
        /// What the system says.
        why: String,
    },
    /// An operator said `recover`, and a service that has failed is not down yet.
    TakesDown {
        /// The service.
        service: String,
    },
}

/// A service does not run, and its node goes on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsideReason {
    /// It is new beside a master. What ran before goes on.
    Newcomer(AsideCause),
    /// It is not critical.
    NotCritical(AsideCause),
}

/// Why a service does not run that its node goes on without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsideCause {
    /// It cannot run at all.
    Barred(IneligibleReason),
    /// It has failed.
    Failed(ServiceFailure),
}

/// What is wrong with a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerReason {
    /// It counts as failed.
    Failed(NodeFailure),
    /// Its fence is not armed (R7).
    Unarmed {
        /// What whoever tried says of it.
        why: String,
    },
    /// No guardian stands (R8).
    Unguarded {
        /// What whoever tried says of it.
        why: String,
    },
    /// A service does not run, and all else goes on.
    Aside(AsideReason),
}

/// What is to be known of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceNote {
    /// Its status said this.
    Status {
        /// What it said.
        message: String,
    },
    /// Its status was bad, and it has not failed yet.
    BadStatus {
        /// How often in a row.
        times: u32,
        /// With so many it has failed.
        most: u32,
        /// What the last one said.
        reason: FailureReason,
    },
    /// It is being restarted in place.
    Restarts(FailureReason),
    /// It was restarted in place.
    Restarted {
        /// How often.
        times: u32,
        /// Within so long.
        window: Duration,
    },
    /// It is taken down as failed.
    Failed(FailureReason),
    /// It cannot be stopped (R7).
    NotStopped(FailureReason),
    /// It cannot run at all.
    Barred(IneligibleReason),
    /// Its `changed` has failed, and is tried again.
    Deaf(FailureReason),
    /// It has changed by itself again and again, and waits before it is started.
    Rests {
        /// How often it has changed.
        times: u32,
        /// How long it still waits.
        left: Duration,
    },
}

/// Why services are taken down before a node takes part in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeDownReason {
    /// The last run of the daemon did not end cleanly (R8).
    UncleanEnd,
}

/// What a node warns of in its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarnReason {
    /// `node.runner` was changed, which counts from the next start on.
    RunnerChanged,
    /// Someone says what no node of this cluster can have come to.
    Implausible {
        /// A sentence that names the node and what it says.
        what: String,
    },
    /// A service does not run, and all else goes on.
    Aside(AsideReason),
}
