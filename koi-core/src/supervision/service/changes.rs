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
    /// The master is this node.
    is_own: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Neighbour {
    is_there: bool,
    promotable: bool,
    address: Option<IpAddr>,
}

impl Surroundings {
    /// Of a group with this master, whose other nodes than `own` are `others`.
    pub(crate) fn new(
        own: NodeId,
        master: Option<(NodeId, Epoch, Option<IpAddr>)>,
        others: &[RosterEntry],
    ) -> Surroundings {
        let neighbour = |entry: &RosterEntry| {
            let is_there = entry.state != NodeState::Disconnected;
            (entry.node, Neighbour { is_there, promotable: entry.promotable, address: entry.address })
        };
        let is_own = master.is_some_and(|(node, ..)| node == own);
        Surroundings { master, others: others.iter().map(neighbour).collect(), is_own }
    }
}

/// What a service was told by `changed`, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct ChangesTold {
    /// What the last one was told, if it ended well, and the service was not down since.
    told: Option<Surroundings>,
    /// What the last one that failed was told.
    in_vain: Option<Surroundings>,
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
                (self.failures, self.in_vain, self.problem) = (Patience::default(), None, None);
            }
            HookEnd::Aborted if mutant!(EndedEarlyIsTold) => self.told = telling,
            HookEnd::Aborted if too_slow => {
                let message =
                    format!("its status was due, and it was not done after {} s", took.as_secs_f32());
                self.failed(telling, FailureReason::HookFailed { message }, now);
            }
            HookEnd::Aborted => {}
            HookEnd::Failed { message, .. } => {
                self.failed(telling, FailureReason::HookFailed { message }, now);
            }
            HookEnd::NoRoom(why) => self.failed(telling, FailureReason::NoRoom { why }, now),
        }
    }

    fn failed(&mut self, told: Option<Surroundings>, reason: FailureReason, now: Time) {
        self.failures.count(now);
        (self.in_vain, self.problem) = (told, Some(reason));
    }

    /// The service is down: what it was told is worth nothing to its next start.
    pub(crate) fn forget(&mut self) {
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
    pub(crate) fn wants_to_hear(&self, around: &Surroundings, action: Action, now: Time) -> bool {
        let stands = matches!(self.state, ServiceState::Started | ServiceState::Promoted);
        let open = Gates { start: true, promote: true, demote: true, stop: true };
        // Its promote is about to begin: the lease comes with the next answer.
        let rises = around.is_own && self.state == ServiceState::Started && self.promotable;
        let asked = self.has_status() && self.status_due() <= now;
        self.hears_changes()
            && stands
            && !rises
            && !asked
            && self.running.is_none()
            && self.restart.is_none()
            && self.next_step(action, open, false) == Step::Nothing
            && self.changes.told.as_ref() != Some(around)
    }

    /// Until then it is not told of this: it has just been told something, or has failed at this.
    pub(crate) fn hears_again_at(&self, around: &Surroundings) -> Time {
        let together = self.changes.began.map_or(Time(0), |began| began + TOGETHER);
        let in_vain = self.changes.in_vain.as_ref() == Some(around);
        if in_vain { self.changes.failures.until(0).max(together) } else { together }
    }

    /// `changed` has begun. Whatever comes of it, what it was told before holds no more.
    pub(crate) fn note_telling(&mut self, around: Surroundings, now: Time) {
        (self.changes.telling, self.changes.began) = (Some(around), Some(now));
        if !mutant!(CutOffLeavesTold) {
            self.changes.told = None;
        }
    }

    /// How often it was told in vain, and this time.
    pub(crate) fn telling_attempt(&self, now: Time) -> u32 {
        self.changes.failures.lately(now).saturating_add(1)
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
        self.changes.problem.as_ref().filter(|_| self.hears_changes())
    }
}
