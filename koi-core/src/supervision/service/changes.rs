//! `changed`: a service is told when its group is not as it was told last. No other hook waits for it, and what comes of it moves nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Gates, Service, Step};
use crate::io::HookEnd;
use crate::patience::Patience;
use crate::reason::FailureReason;
use crate::roster::RosterEntry;
use crate::types::{Epoch, Hook, NodeId, NodeState, ServiceState, Time};
use crate::view::Action;

/// Two of them begin so far apart at least: what changes meanwhile is told together.
const TOGETHER: Duration = Duration::from_millis(500);

/// Who is around a service: what differs here is a change. Hooks are told more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// The master that counts, its epoch, and where it is reached.
    master: Option<(NodeId, Epoch, Option<IpAddr>)>,
    others: BTreeMap<NodeId, Neighbour>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Neighbour {
    is_there: bool,
    promotable: bool,
    address: Option<IpAddr>,
}

impl Surroundings {
    /// Of a group with this master, whose other nodes are `others`.
    pub(crate) fn new(
        master: Option<(NodeId, Epoch, Option<IpAddr>)>,
        others: Vec<RosterEntry>,
    ) -> Surroundings {
        let neighbour = |entry: RosterEntry| {
            let is_there = entry.state != NodeState::Disconnected;
            (entry.node, Neighbour { is_there, promotable: entry.promotable, address: entry.address })
        };
        Surroundings { master, others: others.into_iter().map(neighbour).collect() }
    }
}

/// What a service was told by `changed`, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct ChangesTold {
    /// What the last one that ended well was told, since the service was last down.
    told: Option<Surroundings>,
    /// What the one that runs is told.
    telling: Option<Surroundings>,
    /// When the last one began.
    began: Option<Time>,
    /// The one that runs is ended because a status is due.
    ends_for_status: bool,
    /// Those that have failed.
    failures: Patience,
    /// What the last one said, if it failed.
    problem: Option<FailureReason>,
}

impl ChangesTold {
    /// `changed` has ended. One that was ended early is repeated as soon as nothing else is to be done.
    pub(super) fn ended(&mut self, end: HookEnd, status_interval: Duration, now: Time) {
        let telling = self.telling.take();
        let took = now.since(self.began.unwrap_or_default());
        // It had its time: another status would end the next one.
        let too_slow = std::mem::take(&mut self.ends_for_status) && took >= status_interval / 2;
        match end {
            HookEnd::Done | HookEnd::Status(_) => {
                self.told = telling;
                self.failures = Patience::default();
                self.problem = None;
            }
            HookEnd::Aborted if mutant!(EndedEarlyIsTold) => self.told = telling,
            HookEnd::Aborted if too_slow => {
                let message =
                    format!("its status was due, and it was not done after {} s", took.as_secs_f32());
                self.failed(FailureReason::HookFailed { message }, now);
            }
            HookEnd::Aborted => {}
            HookEnd::Failed { message, .. } => self.failed(FailureReason::HookFailed { message }, now),
            HookEnd::NoRoom(why) => self.failed(FailureReason::NoRoom { why }, now),
        }
    }

    fn failed(&mut self, reason: FailureReason, now: Time) {
        self.failures.count(now);
        self.problem = Some(reason);
    }

    /// The service is down: what it was told is worth nothing to its next start.
    pub(super) fn forget(&mut self) {
        *self = ChangesTold { began: self.began, ..ChangesTold::default() };
    }
}

impl Service {
    /// It has the hook.
    pub(crate) fn hears_changes(&self) -> bool {
        self.spec.hooks.has(Hook::Changed)
    }

    /// `changed` runs.
    pub(crate) fn is_hearing(&self) -> bool {
        self.running.is_some_and(|running| running.hook == Hook::Changed)
    }

    /// It stands, nothing is to be done with it towards `action`, and it was not told yet how its group is.
    pub(crate) fn wants_to_hear(&self, around: &Surroundings, action: Action) -> bool {
        let stands = matches!(self.state, ServiceState::Started | ServiceState::Promoted);
        let open = Gates { start: true, promote: true, demote: true, stop: true };
        self.hears_changes()
            && stands
            && self.running.is_none()
            && self.restart.is_none()
            && self.next_step(action, open, false) == Step::Nothing
            && self.changes.told.as_ref() != Some(around)
    }

    /// Until then it is not told again: it has just been, or has failed at that.
    pub(crate) fn hears_again_at(&self) -> Time {
        let together = self.changes.began.map_or(Time(0), |began| began + TOGETHER);
        self.changes.failures.until(0).max(together)
    }

    /// `changed` has begun.
    pub(crate) fn note_telling(&mut self, around: Surroundings, now: Time) {
        (self.changes.telling, self.changes.began) = (Some(around), Some(now));
    }

    /// When its status is due, if `changed` runs and was not asked to end.
    pub(crate) fn hearing_ends(&self) -> Time {
        let untold = self.running.is_some_and(|running| running.aborting.is_none());
        if self.is_hearing() && untold && self.has_status() { self.status_due() } else { Time::NEVER }
    }

    /// How long a hook may take. The next status ends a `changed`: one that would not be over by then has failed, or it would never end.
    pub(crate) fn timeout(&self, hook: Hook) -> Duration {
        let timeout = self.spec.timeouts.of(hook);
        let until_status = hook == Hook::Changed && self.spec.hooks.has(Hook::Status);
        if until_status { timeout.min(self.spec.status_interval) } else { timeout }
    }

    /// Its status is due: the `changed` that runs is to end.
    pub(crate) fn ends_for_status(&mut self) {
        self.changes.ends_for_status = true;
    }

    /// Why it could not be told last.
    pub(crate) fn deafness(&self) -> Option<&FailureReason> {
        self.changes.problem.as_ref()
    }
}
