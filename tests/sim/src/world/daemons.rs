//! What befalls daemons, their guardians, their services and their machines.

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
        let specs = self.machines[machine].folder.clone();
        self.say(machine, Input::Services(specs));
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
        let must_end = match core.watch() {
            Watch::Lease { ends, .. } => m.clock.world(ends + m.settings.demote_grace),
            Watch::Demoting { by, .. } => m.clock.world(by),
            Watch::Nothing | Watch::Frozen => u64::MAX,
        };
        let frozen = core.watch() == Watch::Frozen;
        self.tell(format!("m{machine}: the daemon is killed"));
        self.machines[machine].kill_daemon();
        let obituary = |all_down| Message {
            from,
            session,
            seq: (1 << 63) + u64::from(all_down),
            to: None,
            body: Body::Obituary(Obituary { all_down }),
        };
        self.send(machine, Destination::Everyone, obituary(false));
        let took = self.rng.between(MS, 700 * MS).min(must_end.saturating_sub(self.now));
        if frozen {
            return; // in maintenance it leaves everything as it is
        }
        if std::mem::replace(&mut self.machines[machine].guarded, true) {
            return; // the earlier guardian is still at it
        }
        let power = self.machines[machine].power;
        self.later(took, Happening::GuardianDone { machine, power, last: Box::new(obituary(true)) });
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
        let Some(view) = self.view(machine) else { return };
        let (now, life) = (self.now, self.machines[machine].life);
        self.tell(format!("m{machine}: the daemon hangs for {} ms", span / MS));
        self.machines[machine].paused_until = now + span;
        if let Some(lease) = view.lease {
            let left = u64::try_from(lease.as_micros()).unwrap_or(u64::MAX);
            self.later(left.saturating_add(1), Happening::GuardianChecks { machine, life });
        }
        self.later(span, Happening::Wake { machine, life });
    }

    /// A process of the first service crashes, and the daemon is told. Of some it is told again and again, though nothing ends.
    pub fn crash(&mut self, machine: usize) {
        let Some(name) = self.machines[machine].services.keys().next().cloned() else { return };
        self.tell(format!("m{machine}: a process of {name} ends"));
        if self.rng.percent(50) {
            self.machines[machine].services.values_mut().take(1).for_each(Real::crash);
        }
        let times = if self.rng.percent(30) { self.rng.between(2, 60) } else { 1 };
        for _ in 0..times {
            let delay = self.rng.between(1, times * 40 * MS);
            let input = Box::new(Input::ProcessEnded { service: name.clone() });
            self.later(delay, Happening::Tell { machine, input });
        }
    }

    /// The services of a machine, or their statuses, take to something.
    pub fn whim(&mut self, machine: usize, whim: Whim) {
        self.tell(format!("m{machine}: the first service is {whim:?} from now on"));
        self.machines[machine].services.values_mut().take(1).for_each(|s| s.whim = whim);
    }
}
