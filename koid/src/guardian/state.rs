//! What the guardian knows: what it guards, and until when.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_child::group::NotedGroup;
use koi_config::{Config, Fence};
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
    pub(super) watching: Watching,
    pub(super) services: BTreeMap<String, ServiceLevel>,
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
            GuardianMessage::Watch(watching) => self.watching = watching,
            GuardianMessage::Service(service) => {
                match service.promoted {
                    None => self.services.remove(&service.name),
                    Some(false) => self.services.insert(service.name, ServiceLevel::Started),
                    Some(true) => self.services.insert(service.name, ServiceLevel::Promoted),
                };
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
        let promoted = self.services.values().any(|s| *s == ServiceLevel::Promoted);
        let must_end = match self.watching {
            Watching::Frozen => None,
            _ if !promoted => None,
            // Promoted, and without a lease: it could not be taken down (R7).
            Watching::Nothing => Some(Time(0)),
            Watching::Lease { .. } | Watching::Demoting { .. } => self.grace_ends(),
        };
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.tend(must_end, sys::now());
        }
    }

    /// Disarms the watchdog, if nothing is promoted here or maintenance mode is on; otherwise it goes on counting.
    pub(super) fn release_watchdog(&mut self) {
        let promoted = self.services.values().any(|s| *s == ServiceLevel::Promoted);
        if let Some(mut watchdog) = self.watchdog.take()
            && (!promoted || self.watching == Watching::Frozen)
        {
            watchdog.disarm();
        }
    }

    /// When koid has hung for too long. At the end of a lease koid begins to demote by itself, and says so: it gets a part of
    /// the grace for that.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.watching {
            Watching::Nothing | Watching::Frozen => None,
            Watching::Lease { ends_us, .. } => Some(Time(ends_us) + self.grace / 4),
            Watching::Demoting { by_us, .. } => Some(Time(by_us) + self.grace / 4),
        }
    }

    /// The mastership that koid held, for hooks.
    pub(super) fn epoch(&self) -> Epoch {
        match self.watching {
            Watching::Nothing | Watching::Frozen => Epoch(0),
            Watching::Lease { epoch, .. } | Watching::Demoting { epoch, .. } => Epoch(epoch),
        }
    }

    /// When everything promoted must be down, whoever does the work (R7).
    pub(super) fn grace_ends(&self) -> Option<Time> {
        match self.watching {
            Watching::Nothing | Watching::Frozen => None,
            Watching::Lease { ends_us, .. } => Some(Time(ends_us) + self.grace),
            Watching::Demoting { by_us, .. } => Some(Time(by_us)),
        }
    }
}
