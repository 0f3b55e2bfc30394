//! The clock of the hook log.

use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in seconds. All namespaces of a machine share it.
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}
