//! The clock of a machine.

use koi_core::types::Time;

/// A clock that started some time before the world did, and runs a little fast or slow.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed when the world began, µs.
    pub offset: u64,
    /// Parts per million that it is fast.
    pub ppm: i64,
}

impl Clock {
    /// What it shows at an instant of the world, µs.
    pub fn at(self, world: u64) -> Time {
        let drift = i128::from(world) * i128::from(self.ppm) / 1_000_000;
        Time(u64::try_from(i128::from(self.offset) + i128::from(world) + drift).unwrap_or(0))
    }

    /// The first instant of the world at which it shows at least `local`.
    pub fn world(self, local: Time) -> u64 {
        if local == Time::NEVER {
            return u64::MAX;
        }
        let ahead = i128::from(local.0) - i128::from(self.offset);
        let mut world =
            u64::try_from((ahead * 1_000_000 / i128::from(1_000_000 + self.ppm)).max(0)).unwrap_or(u64::MAX);
        while self.at(world) < local {
            world += 1;
        }
        world
    }
}
