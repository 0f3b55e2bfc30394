//! What a guardian must know (rule R8): what may be promoted or runs here, and until when that is allowed without a word of
//! the daemon; and how it takes services down when the daemon cannot.

use std::collections::BTreeMap;

use crate::group::GroupName;
use crate::io::{DownReason, Effect, Input, ServiceSpec};
use crate::outbox::Effects;
use crate::settings::Settings;
use crate::supervision::services::{Goal, Services};
pub use crate::types::ServiceLevel;
use crate::types::{Epoch, NodeState, Time};
use crate::view::Action;

/// What is to be guarded at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing is or may be promoted: a daemon that hangs harms nobody.
    Nothing,
    /// Maintenance: services stay as they are, whatever becomes of the daemon.
    Frozen,
    /// The lease lasts until then; by then the daemon has renewed it, or has begun to demote.
    Lease {
        /// When it ends.
        ends: Time,
        /// Of which mastership.
        epoch: Epoch,
    },
    /// The daemon is demoting, and must have done so by then: lease end + `g`, whoever does the work.
    Demoting {
        /// The absolute deadline.
        by: Time,
        /// Of which mastership.
        epoch: Epoch,
    },
}

/// What of a group is to be taken down, and by when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeardownOrder {
    /// The group.
    pub group: GroupName,
    /// Another number for each group: each names its hooks otherwise.
    pub ordinal: u64,
    /// When the grace is over; what hangs then is killed. None: nothing limits it.
    pub by: Option<Time>,
    /// The mastership that hooks are told.
    pub epoch: Epoch,
}

/// Takes the services of a group down without a cluster around: demote, then stop, by priority, with what R7 wants when that fails.
#[derive(Clone, Debug)]
pub struct Teardown {
    services: Services,
    effects: Effects,
    settings: Settings,
    overdue: Option<Time>,
    epoch: Epoch,
}

impl Teardown {
    /// Of these services, as far as `levels` has them.
    pub fn new(
        settings: Settings,
        order: TeardownOrder,
        specs: Vec<ServiceSpec>,
        levels: &BTreeMap<String, ServiceLevel>,
        now: Time,
    ) -> Teardown {
        // That they are found is no news.
        let mut unsaid = Effects::default();
        let TeardownOrder { group, ordinal, by, epoch } = order;
        let mut services = Services::new(group, ordinal);
        services.update(
            specs.into_iter().filter(|s| levels.contains_key(&s.name)).collect(),
            false,
            &mut unsaid,
        );
        services.presume_each(|name| levels.get(name) == Some(&ServiceLevel::Promoted));
        let mut down = Teardown { services, effects: Effects::default(), settings, overdue: by, epoch };
        down.advance(now);
        down
    }

    /// A hook has ended, or time has passed.
    pub fn handle(&mut self, now: Time, input: Input) {
        if let Input::HookFinished { run, ended } = input {
            let (block, grace) = (self.settings.block_on_stop_failure, self.settings.demote_grace);
            self.services.finished(run, ended, now, block, grace, &mut self.effects);
        }
        self.advance(now);
    }

    fn advance(&mut self, now: Time) {
        let want = Goal {
            now,
            action: Action::Stop,
            urgent: true,
            overdue: self.overdue.filter(|by| *by <= now),
            deadline: self.overdue,
            reason: Some(DownReason::LeaseLost),
            may_promote: false,
            in_maintenance: false,
            may_ask: false,
            block_on_stop_failure: self.settings.block_on_stop_failure,
            max_parallel: self.settings.max_parallel,
            state: NodeState::Failed,
            epoch: self.epoch,
            cause: None,
        };
        self.services.step(&want, &mut self.effects);
    }

    /// The next thing to do: hooks to run and to abort, and events.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.next()
    }

    /// When to call [`Teardown::handle`] with [`Input::Tick`], unless something happens before.
    pub fn next_deadline(&self, now: Time) -> Time {
        self.overdue.filter(|by| *by > now && self.services.maybe_promoted()).unwrap_or(Time::NEVER)
    }

    /// Something is, or may be, promoted.
    pub fn promoted(&self) -> bool {
        self.services.maybe_promoted()
    }

    /// There is nothing left to do.
    pub fn done(&self) -> bool {
        self.services.all_down()
    }
}
