//! What befalls daemons, their guardians, their services and their machines.

use std::collections::BTreeSet;

use koi_core::group::GroupName;
use koi_core::guard::Watch;
use koi_core::io::{Destination, Input};
use koi_core::message::{Body, Message, Obituary};

use super::queue::Happening;
use super::{MS, World};
use crate::machine::{Real, Whim};

impl World {
    /// Starts a daemon, if none runs.
    pub fn boot(&mut self, machine: usize) {
        if self.machines[machine].core.is_some() {
            return;
        }
        if self.machines[machine].disk.is_full() {
            // Better no daemon than one that forgets; whoever restarts it tries again.
            return self.boot_later(machine, 1000 * MS);
        }
        self.invariants.booted(machine);
        let random = self.rng.draw();
        let now = self.now;
        let earlier = self.machines[machine].earlier_run();
        let rebooted = self.machines[machine].rebooted;
        let same = !rebooted || self.tempo.knows_its_machine(&mut self.rng);
        self.machines[machine].paused_until = 0;
        if let (Some(lacks), Some(state)) =
            (self.machines[machine].lacks, &mut self.machines[machine].disk.synced)
        {
            lacks.keeps(state);
        }
        self.machines[machine].boot(now, random);
        self.machines[machine].earlier = earlier.filter(|_| same);
        self.tell(format!("m{machine}: the daemon starts"));
        if !self.machines[machine].guarded {
            self.look_at_services(machine);
        }
    }

    /// The guardian of the run before is gone: that run is over, and the services are looked at.
    fn look_at_services(&mut self, machine: usize) {
        if let Some(earlier) = self.machines[machine].earlier.take() {
            self.say(machine, Input::Follows(earlier));
        }
        for (group, specs) in self.machines[machine].folders.clone() {
            self.say(machine, Input::Services { group, specs });
        }
    }

    /// Starts a daemon after a while.
    pub fn boot_later(&mut self, machine: usize, delay: u64) {
        self.later(delay, Happening::Boot { machine });
    }

    /// SIGKILL for the daemon: its guardian says so, takes the services down, and says when that is done.
    pub fn kill_daemon(&mut self, machine: usize) {
        let Some(core) = &self.machines[machine].core else { return };
        let (from, session) = (core.id(), core.session());
        // The grace is one absolute deadline, whoever does the work.
        let m = &self.machines[machine];
        let watches = core.watches();
        let end = |watch: &Watch| match watch {
            Watch::Lease { ends, .. } => m.clock.world(*ends + m.settings.demote_grace),
            Watch::Demoting { by, .. } => m.clock.world(*by),
            Watch::Nothing | Watch::Frozen => u64::MAX,
        };
        let must_end = watches.values().map(end).min().unwrap_or(u64::MAX);
        let frozen = watches.values().all(|watch| *watch == Watch::Frozen);
        self.tell(format!("m{machine}: the daemon is killed"));
        self.machines[machine].kill_daemon();
        let obituary = |seq: u64, all_down, down| Message {
            from,
            session,
            seq: (1 << 63) + seq,
            to: None,
            body: Body::Obituary(Obituary { all_down, down }),
        };
        self.send(machine, Destination::Everyone, obituary(0, false, BTreeSet::new()));
        let took = self.rng.between(MS, 700 * MS).min(must_end.saturating_sub(self.now));
        if frozen {
            return; // in maintenance it leaves everything as it is
        }
        if std::mem::replace(&mut self.machines[machine].guarded, true) {
            return; // the earlier guardian is still at it
        }
        let power = self.machines[machine].power;
        let groups: Vec<GroupName> = self.machines[machine].folders.keys().cloned().collect();
        // One group may be down long before the others are.
        for (n, group) in groups.iter().enumerate().filter(|_| groups.len() > 1) {
            let span = self.rng.between(0, took);
            let word = Box::new(obituary(2 + n as u64, false, [group.clone()].into()));
            let group = group.clone();
            self.later(span, Happening::GuardianPart { machine, power, group, word });
        }
        let last = Box::new(obituary(1, true, BTreeSet::new()));
        self.later(took, Happening::GuardianDone { machine, power, last });
    }

    pub(super) fn guardian_part(&mut self, machine: usize, power: u64, group: &GroupName, word: Message) {
        let m = &mut self.machines[machine];
        if m.power != power || !m.guarded {
            return;
        }
        m.take_down_group(group);
        if !m.promotes(group) {
            self.tell(format!("m{machine}: the guardian has taken group {group} down"));
            self.send(machine, Destination::Everyone, word);
        }
    }

    pub(super) fn guardian_done(&mut self, machine: usize, power: u64, last: Message) {
        if self.machines[machine].power != power {
            return;
        }
        self.machines[machine].guarded = false;
        self.machines[machine].take_down();
        if self.machines[machine].promoted() {
            self.tell(format!("m{machine}: the guardian cannot take everything down: the fence acts"));
            self.lose_power(machine);
            self.boot_later(machine, 300 * MS);
        } else {
            self.tell(format!("m{machine}: the guardian has taken everything down"));
            self.send(machine, Destination::Everyone, last);
        }
        if self.machines[machine].core.is_some() {
            self.look_at_services(machine);
        }
    }

    /// The machine loses its power.
    pub fn lose_power(&mut self, machine: usize) {
        self.tell(format!("m{machine}: power is lost"));
        self.machines[machine].lose_power();
    }

    /// SIGSTOP for `span` µs; the guardian lets that last no longer than the lease.
    pub fn pause(&mut self, machine: usize, span: u64) {
        let m = &self.machines[machine];
        let Some(core) = &m.core else { return };
        // The guardian checks when the first lease of any group is over.
        let end = |watch: Watch| match watch {
            Watch::Lease { ends, .. } => Some(m.clock.world(ends)),
            Watch::Demoting { by, .. } => Some(m.clock.world(by)),
            Watch::Nothing | Watch::Frozen => None,
        };
        let first_end = core.watches().into_values().filter_map(end).min();
        let (now, life) = (self.now, self.machines[machine].life);
        self.tell(format!("m{machine}: the daemon hangs for {} ms", span / MS));
        self.machines[machine].paused_until = now + span;
        if let Some(end) = first_end {
            let left = end.saturating_sub(now);
            self.later(left.saturating_add(1), Happening::GuardianChecks { machine, life });
        }
        self.later(span, Happening::Wake { machine, life });
    }

    /// A process of a service crashes, and the daemon is told. Of some it is told again and again, though nothing ends.
    pub fn crash(&mut self, machine: usize) {
        let Some(name) = self.a_service(machine) else { return };
        self.tell(format!("m{machine}: a process of {name} ends"));
        if self.rng.percent(50) {
            self.machines[machine].services.entry(name.clone()).and_modify(Real::crash);
        }
        let times = if self.rng.percent(30) { self.rng.between(2, 60) } else { 1 };
        let life = self.machines[machine].life;
        for _ in 0..times {
            let delay = self.rng.between(1, times * 40 * MS);
            let input = Box::new(Input::ProcessEnded { service: name.clone() });
            self.later(delay, Happening::Tell { machine, life, input });
        }
    }

    /// A service of a machine, or its status, takes to something.
    pub fn whim(&mut self, machine: usize, whim: Whim) {
        let Some(service) = self.a_service(machine) else { return };
        self.tell(format!("m{machine}: {service} is {whim:?} from now on"));
        self.machines[machine].services.entry(service).and_modify(|s| s.whim = whim);
    }

    /// The first service of a machine, or of one of its groups.
    pub fn a_service(&mut self, machine: usize) -> Option<String> {
        let folders = self.machines[machine].folders.len();
        let group = if folders > 1 { self.rng.between(0, folders as u64 - 1) as usize } else { 0 };
        let specs = self.machines[machine].folders.values().nth(group)?;
        specs.first().map(|spec| spec.name.clone())
    }
}
