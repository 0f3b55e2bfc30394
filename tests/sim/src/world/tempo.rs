//! How long things take, and what is left to chance.

use koi_core::types::Hook;

use super::MS;
use crate::rng::Rng;

/// How much of a world is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tempo {
    /// Some hooks take long, and a few hang.
    Rough,
    /// Every hook is quick.
    Smooth,
    /// Nothing: what daemons ask for is done at once, and what is not is done when a story says so. No fence acts.
    Told,
}

impl Tempo {
    /// How long a hook runs, µs. `services`: how many its machine has.
    pub(super) fn hook(self, rng: &mut Rng, hook: Hook, services: usize) -> u64 {
        match (self, hook) {
            (Tempo::Told, _) => 0,
            (Tempo::Smooth, _) => rng.between(MS, 20 * MS),
            // All demotes in a row are over within the grace, and may need most of it.
            (Tempo::Rough, Hook::Demote) => {
                let rows = services.saturating_sub(1).max(1) as u64;
                rng.between(MS, 850 * MS / rows)
            }
            (Tempo::Rough, Hook::Promote | Hook::Start) if rng.percent(5) => rng.between(MS, 3000 * MS),
            // A script that hangs: a slow disk, a lock.
            (Tempo::Rough, Hook::Status | Hook::Promote | Hook::Start) if rng.percent(1) => 20_000 * MS,
            (Tempo::Rough, Hook::Changed) if rng.percent(10) => rng.between(MS, 20_000 * MS),
            (Tempo::Rough, _) => rng.between(MS, 50 * MS),
        }
    }

    /// How long a hook takes to end once it is told to, µs.
    pub(super) fn abort(self, rng: &mut Rng) -> u64 {
        if self == Tempo::Told { 0 } else { rng.between(0, 20 * MS) }
    }

    /// How long a signal or an operator's word takes, µs.
    pub(super) fn word(self) -> u64 {
        u64::from(self != Tempo::Told)
    }

    /// A fence acts when a daemon wants it to.
    pub(super) fn fences(self) -> bool {
        self != Tempo::Told
    }

    /// After a reboot the machine's own number shows that it is the same one; not every machine has one.
    pub(super) fn knows_its_machine(self, rng: &mut Rng) -> bool {
        self == Tempo::Told || rng.percent(80)
    }
}
