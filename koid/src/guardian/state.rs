//! What the guardian knows: what it guards, and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use koi_child::group::NotedGroup;
use koi_config::{Config, Fence};
use koi_core::group::GroupName;
use koi_core::guard::ServiceLevel;
use koi_core::types::{Epoch, Time};

use super::watchdog::Watchdog;
use crate::guardian_client::protocol::{ARMED, GroupBegan, GuardianMessage, Route, Setup, UNARMED, Watching};
use crate::hooks::process_groups::GroupKind;
use crate::os::sys;

/// What the guardian knows.
#[derive(Debug)]
pub(super) struct GuardedState {
    pub(super) setup: Option<Box<Setup>>,
    pub(super) route: Option<Route>,
    /// By group; of a group that is not in it there is nothing to watch.
    pub(super) watching: BTreeMap<GroupName, Watching>,
    /// The services that are up, by name.
    pub(super) services: BTreeMap<String, GuardedService>,
    /// By the hook's number and the group's. Who reaps their leaders when koid is dead says nothing.
    pub(super) groups: BTreeMap<(u64, i32), (NotedGroup, GroupKind)>,
    /// The grace of this node, for deadlines.
    pub(super) grace: Duration,
    /// With `fence = "watchdog"`.
    pub(super) watchdog: Option<Watchdog>,
}

/// The configuration that koid sent.
pub(super) fn config(setup: &Setup) -> Option<Config> {
    koi_config::parse_toml(&setup.config, std::path::Path::new("/")).ok().map(|loaded| loaded.config)
}

impl GuardedState {
    pub(super) fn apply(&mut self, message: GuardianMessage) {
        match message {
            GuardianMessage::Route(route) => self.route = Some(route),
            GuardianMessage::Watch(group, watching) => drop(self.watching.insert(group, watching)),
            GuardianMessage::Service(service) => {
                let level = match service.promoted {
                    None => return drop(self.services.remove(&service.name)),
                    Some(false) => ServiceLevel::Started,
                    Some(true) => ServiceLevel::Promoted,
                };
                self.services.insert(service.name, GuardedService { group: service.group, level });
            }
            GuardianMessage::Group(group) => {
                let named = (group.run, group.group);
                match group.began {
                    None => self.groups.remove(&named),
                    Some(GroupBegan { kind, noted_us }) => {
                        self.groups.insert(named, (NotedGroup::noted_at(group.group, noted_us), kind))
                    }
                };
            }
            // Dealt with before.
            GuardianMessage::Setup(_) | GuardianMessage::Bye | GuardianMessage::Ping => {}
        }
    }

    /// Takes the configuration; what is to be said of the watchdog.
    pub(super) fn set_up(&mut self, setup: Box<Setup>) -> Option<Vec<u8>> {
        let config = config(&setup);
        self.setup = Some(setup);
        let config = config?;
        self.grace = config.timing.demote_grace;
        if config.node.fence != Fence::Watchdog {
            self.release_watchdog();
            return None;
        }
        if self.watchdog.is_some() {
            return Some(ARMED.to_vec());
        }
        match Watchdog::arm(&config.node.watchdog, config.timing.master_lease + self.grace) {
            Ok(watchdog) => {
                self.watchdog = Some(watchdog);
                Some(ARMED.to_vec())
            }
            Err(why) => {
                tracing::error!(
                    "{why}; nothing is promoted here until it is armed: mend it, then say `koi reconfigure`"
                );
                Some([UNARMED, why.to_string().as_bytes()].concat())
            }
        }
    }

    /// Pets the watchdog as far as the lease allows.
    pub(super) fn tend_watchdog(&mut self) {
        let must_end = self.promoted_groups().filter_map(|group| match self.watched(group) {
            Watching::Frozen => None,
            // Promoted, and without a lease: it could not be taken down (R7).
            Watching::Nothing => Some(Time(0)),
            Watching::Lease { .. } | Watching::Demoting { .. } => self.grace_ends(group),
        });
        let must_end = must_end.min();
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.tend(must_end, sys::now());
        }
    }

    /// Disarms the watchdog, if nothing is promoted here but what maintenance mode leaves so; otherwise it goes on counting.
    pub(super) fn release_watchdog(&mut self) {
        let frozen = self.promoted_groups().all(|group| self.watched(group) == Watching::Frozen);
        if let Some(mut watchdog) = self.watchdog.take()
            && frozen
        {
            watchdog.disarm();
        }
    }

    /// When koid has hung for too long, in the group whose time comes first. At the end of a lease koid begins to demote by itself, and says
    /// so: it gets a part of the grace for that.
    pub(super) fn deadline(&self) -> Option<Time> {
        let of_group = |watching: &Watching| match watching {
            Watching::Nothing | Watching::Frozen => None,
            Watching::Lease { ends_us, .. } => Some(Time(*ends_us) + self.grace / 4),
            Watching::Demoting { by_us, .. } => Some(Time(*by_us) + self.grace / 4),
        };
        self.watching.values().filter_map(of_group).min()
    }

    /// What is watched of a group.
    pub(super) fn watched(&self, group: &GroupName) -> Watching {
        self.watching.get(group).copied().unwrap_or(Watching::Nothing)
    }

    /// The groups of which something is up, or was.
    pub(super) fn groups(&self) -> BTreeSet<GroupName> {
        let up = self.services.values().map(|service| &service.group);
        self.watching.keys().chain(up).cloned().collect()
    }

    /// How far up the services of a group are.
    pub(super) fn levels(&self, group: &GroupName) -> BTreeMap<String, ServiceLevel> {
        let of_group = self.services.iter().filter(|(_, service)| service.group == *group);
        of_group.map(|(name, service)| (name.clone(), service.level)).collect()
    }

    /// Nothing of a group is up any more.
    pub(super) fn is_down(&mut self, group: &GroupName) {
        self.services.retain(|_, service| service.group != *group);
    }

    /// The groups of which something is promoted, one of them perhaps several times.
    fn promoted_groups(&self) -> impl Iterator<Item = &GroupName> {
        let promoted = self.services.values().filter(|service| service.level == ServiceLevel::Promoted);
        promoted.map(|service| &service.group)
    }

    /// The mastership of a group that koid held, for hooks.
    pub(super) fn epoch(&self, group: &GroupName) -> Epoch {
        match self.watched(group) {
            Watching::Nothing | Watching::Frozen => Epoch(0),
            Watching::Lease { epoch, .. } | Watching::Demoting { epoch, .. } => Epoch(epoch),
        }
    }

    /// When everything promoted of a group must be down, whoever does the work (R7).
    pub(super) fn grace_ends(&self, group: &GroupName) -> Option<Time> {
        match self.watched(group) {
            Watching::Nothing | Watching::Frozen => None,
            Watching::Lease { ends_us, .. } => Some(Time(ends_us) + self.grace),
            Watching::Demoting { by_us, .. } => Some(Time(by_us)),
        }
    }
}

/// A service that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GuardedService {
    pub(super) group: GroupName,
    pub(super) level: ServiceLevel,
}
