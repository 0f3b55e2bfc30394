//! Services whose failure is their own affair: one that is not critical, and one that is new in the folder of a master, which cannot bring
//! down the others before it has run here itself. And hooks that come later than their service.

use std::time::Duration;

use super::{Gates, Service, Step};
use crate::reason::{AsideCause, AsideReason, ServiceFailure};
use crate::types::{Hook, ServiceState, Time};
use crate::view::Action;

/// How long one that has failed is left alone; the pause doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LAST_PAUSE: Duration = Duration::from_secs(300);
/// After so long without a failure the pauses begin anew.
const CALM: Duration = Duration::from_secs(600);

impl Service {
    /// Its hook runs, if it has it.
    pub(crate) fn takes(&mut self, hook: Hook) {
        let has = self.spec.hooks.has(hook);
        match hook {
            Hook::Start => {
                // It counted as promoted, and nothing of it ever ran.
                self.maybe_promoted &= self.taken.promote;
                self.taken.start |= has;
            }
            Hook::Promote => self.taken.promote |= has,
            Hook::Stop | Hook::Demote | Hook::Status | Hook::Failed | Hook::Changed => {}
        }
    }

    /// A hook up that came into its folder after the step was counted as taken.
    pub(crate) fn late_hook(&self) -> Option<Hook> {
        let standing = matches!(self.state, ServiceState::Started | ServiceState::Promoted);
        let late = |hook| self.spec.hooks.has(hook) && !self.taken.promote;
        if !standing {
            None
        } else if late(Hook::Start) && !self.taken.start {
            Some(Hook::Start)
        } else {
            Some(Hook::Promote).filter(|hook| self.state == ServiceState::Promoted && late(*hook))
        }
    }

    /// The late hook, if it is time for it.
    pub(crate) fn late_step(&self, action: Action, gates: Gates) -> Option<Step> {
        let (hook, gate) = match self.late_hook()? {
            Hook::Start => (Hook::Start, action >= Action::Start && gates.start),
            hook => (hook, action == Action::Promote && gates.promote),
        };
        // One that only counts as promoted is demoted first where it is not to be.
        let stays = self.state == ServiceState::Started || action == Action::Promote;
        (gate && stays).then_some(Step::Run(hook))
    }

    /// It is promoted, and its status, if it has one, agrees: from now on it is like any other.
    pub(crate) fn prove(&mut self, hook: Hook, well: bool) {
        let promoted = self.state == ServiceState::Promoted && self.late_hook().is_none();
        let agrees = hook == Hook::Status || !self.spec.hooks.has(Hook::Status);
        self.newcomer &= !(promoted && agrees && well);
        if !self.stands_aside() {
            self.again_at = Time::NEVER;
        }
        let stands = matches!(self.state, ServiceState::Started | ServiceState::Promoted) && self.promotable;
        self.unproven = match hook {
            Hook::Status if well => !stands,
            _ => self.unproven && !(stands && agrees && well),
        };
    }

    /// What a hook of it has brought about is its own affair. What could not be stopped is unclean all the same (R7).
    pub(crate) fn excuse(&mut self, now: Time) {
        if now.since(self.excused_at) >= CALM {
            self.in_vain = 0;
        }
        (self.excused_at, self.unproven) = (now, true);
        let lasting = self.cause.as_ref().is_some_and(|cause| cause.lasting);
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.in_vain.min(8));
        self.in_vain = self.in_vain.saturating_add(1);
        self.again_at = if lasting { Time::NEVER } else { now + doubled.min(LAST_PAUSE) };
    }

    /// It has failed, is down, and may be tried again by itself.
    fn waits_for_another_try(&self) -> bool {
        self.stands_aside() && self.state == ServiceState::Failed && !self.stop_failed
    }

    /// When it is tried again: after a failure of its own when its pause is over, and at once if it was only taken down with others. Never: it does
    /// not wait for that.
    pub(crate) fn tried_again_at(&self) -> Time {
        match self.waits_for_another_try() {
            true if self.failed => self.again_at,
            true => Time(0),
            false => Time::NEVER,
        }
    }

    /// Its node has failed when it has.
    pub(crate) fn is_critical(&self) -> bool {
        self.spec.policy.critical || mutant!(AllCritical)
    }

    /// Its failure is its own affair.
    pub(crate) fn stands_aside(&self) -> bool {
        self.newcomer || !self.is_critical()
    }

    /// Those above it wait for it on the way up.
    pub(crate) fn is_awaited(&self) -> bool {
        let comes_up = || !self.unproven && !self.must_stop && !self.is_ineligible();
        !self.newcomer && (self.is_critical() || comes_up())
    }

    /// It goes down without those above it.
    pub(crate) fn goes_down_alone(&self) -> bool {
        let alone = self.failed || self.must_stop || self.spec.disabled;
        self.newcomer || self.stands_aside() && alone
    }

    /// It goes down, and all others go on.
    pub(crate) fn fails_alone(&self) -> bool {
        self.stands_aside() && self.failed
    }

    /// A newcomer that has not proved itself.
    pub(crate) fn is_newcomer(&self) -> bool {
        self.newcomer
    }

    /// It came while the node was master, or a hook of it did.
    pub(crate) fn begin_as_newcomer(&mut self) {
        self.newcomer = true;
    }

    /// It is like any other from now on.
    pub(crate) fn end_as_newcomer(&mut self) {
        self.newcomer = false;
        if self.is_critical() {
            self.again_at = Time::NEVER;
        }
    }

    /// As if it had just been found.
    pub(crate) fn try_again(&mut self) {
        self.again_at = Time::NEVER;
        self.recover();
    }

    /// Whatever made it fail may have been mended.
    pub(crate) fn forgive(&mut self) {
        if self.fails_alone() {
            self.again_at = Time(0);
        }
    }

    /// Why it does not run, if the others go on without it.
    pub(crate) fn aside_reason(&self) -> Option<AsideReason> {
        if !self.stands_aside() {
            return None;
        }
        let why = match (self.ineligible_reason(), &self.cause) {
            (Some(barred), _) => AsideCause::Barred(barred),
            (None, Some(cause)) if self.failed => AsideCause::Failed(ServiceFailure {
                service: self.spec.name.clone(),
                hook: cause.hook,
                reason: cause.reason.clone(),
            }),
            (None, _) => return None,
        };
        Some(if self.newcomer { AsideReason::Newcomer(why) } else { AsideReason::NotCritical(why) })
    }
}
