//! The devices that turn machines off for others (R12): they work, or take long, or fail, or hang, and some act after they were told to end.

use koi_core::fence::{FenceId, FenceOutcome, FenceRun};
use koi_core::io::Input;

use super::queue::Happening;
use super::{MS, World};

/// A device at work for a daemon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    /// Whose.
    by: usize,
    /// In which life of its daemon.
    life: u64,
    /// For which fence.
    id: FenceId,
    /// It has turned the machine off.
    off: bool,
}

impl World {
    /// A daemon has another machine turned off.
    pub(super) fn fence(&mut self, by: usize, run: &FenceRun) {
        self.tell(format!("m{by}: {} is to be turned off, within {} ms", run.name, run.limit.as_millis()));
        let core = self.machines[by].core.as_ref();
        let view = core.map(|core| core.view(self.machines[by].clock.at(self.now)));
        let target = self.machines.iter().position(|m| m.settings.name == run.name);
        let Some((view, target)) = view.zip(target) else { return };
        self.invariants.fence_began(self.now, by, run, &view, target);
        let life = self.machines[by].life;
        self.devices.push(Device { by, life, id: run.id, off: false });
        let limit = u64::try_from(run.limit.as_micros()).unwrap_or(u64::MAX);
        let strikes = self.rng.between(20 * MS, 1500 * MS);
        let strike = Happening::FenceStrikes { by, id: run.id, target };
        let over = |outcome| Happening::FenceOver { by, life, id: run.id, outcome };
        let failed = || FenceOutcome::Failed("the device says so".to_owned());
        match self.rng.between(0, 9) {
            // It works. The machine may be up again before that is said.
            0..=4 => {
                let says = self.rng.between(10 * MS, 300 * MS);
                self.later(strikes, strike);
                self.later(strikes + says, over(FenceOutcome::Off));
            }
            // It says so late: the machine was up again long ago.
            5 | 6 => {
                let says = self.rng.between(1000 * MS, 6000 * MS);
                self.later(strikes, strike);
                self.later((strikes + says).min(limit), over(FenceOutcome::Off));
            }
            // It fails, and has turned the machine off, or has not.
            7 => {
                self.later(strikes, strike);
                self.later(strikes + 100 * MS, over(failed()));
            }
            8 => self.later(strikes, over(failed())),
            // It hangs. What it was told is done in the end, or is not.
            _ => {
                if self.rng.percent(50) {
                    self.later(strikes, strike);
                }
                self.later(limit, over(FenceOutcome::Failed("it hangs".to_owned())));
            }
        }
    }

    /// A machine is turned off. Somebody turns it on again after a while.
    pub(super) fn fence_strikes(&mut self, by: usize, id: FenceId, target: usize) {
        let device = self.devices.iter_mut().find(|d| (d.by, d.id) == (by, id));
        match device {
            Some(device) => device.off = true,
            // It was told to end, and the order may have gone out before.
            None if self.rng.percent(50) => return,
            None => {}
        }
        // A copy of a machine has its name, and hangs on the same plug.
        let name = self.machines[target].settings.name.clone();
        let same: Vec<usize> =
            self.machines.iter().filter(|m| m.settings.name == name).map(|m| m.index).collect();
        for &machine in &same {
            let ran = self.machines[machine].core.is_some();
            self.tell(format!("the fence of m{by} turns m{machine} off"));
            self.lose_power(machine);
            let delay = match self.rng.percent(40) {
                true => self.rng.between(10 * MS, 300 * MS),
                false => self.rng.between(1000 * MS, 8000 * MS),
            };
            // Nobody starts a copy again.
            if machine < self.founders || ran && same.len() == 1 {
                self.boot_later(machine, delay);
            }
        }
    }

    /// A device is done: the daemon that asked for it is told.
    pub(super) fn fence_over(&mut self, by: usize, life: u64, id: FenceId, outcome: FenceOutcome) {
        let Some(at) = self.devices.iter().position(|d| (d.by, d.life, d.id) == (by, life, id)) else {
            return;
        };
        self.devices.swap_remove(at);
        self.invariants.fence_over(id);
        if self.machines[by].life != life {
            return; // it belonged to a daemon that is dead
        }
        self.tell(format!("m{by}: the fence is over: {outcome:?}"));
        self.fence_ended(by, id, outcome);
    }

    /// What a daemon began is to end. What it had to say may be on its way already.
    pub(super) fn end_fence(&mut self, by: usize, id: FenceId) {
        self.invariants.fence_ends(id);
        let life = self.machines[by].life;
        let device = self.devices.iter().find(|d| (d.by, d.life, d.id) == (by, life, id)).copied();
        let Some(device) = device else { return };
        let late = device.off && self.rng.percent(50);
        let outcome = if late { FenceOutcome::Off } else { FenceOutcome::Failed("it was ended".to_owned()) };
        let delay = if late && self.rng.percent(50) { 4000 * MS } else { self.rng.between(1, 20 * MS) };
        self.later(delay, Happening::FenceOver { by, life, id, outcome });
    }

    fn fence_ended(&mut self, by: usize, id: FenceId, outcome: FenceOutcome) {
        if outcome == FenceOutcome::Off {
            self.invariants.fence_says_off(by, id);
        }
        self.say(by, Input::FenceEnded { id, outcome });
    }
}
