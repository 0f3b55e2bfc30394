//! The clocks of a call in a test: the wall clock stands still, and what koi's `sleep` waits for passes at once, on all clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use crate::backend::wasm::protocol::TestClock;

/// The time of one call. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct TestTime {
    /// What the wall clock says at its beginning, since 1970.
    wall: Duration,
    began: Instant,
    /// A sleep takes its time.
    sleeps: bool,
    slept_us: Arc<AtomicU64>,
}

impl TestTime {
    /// Of a call that begins now.
    pub(crate) fn new(clock: TestClock) -> TestTime {
        let wall = Duration::from_micros(clock.wall_us);
        TestTime { wall, began: Instant::now(), sleeps: clock.sleeps, slept_us: Arc::default() }
    }

    /// So much passes: at once, or it is to be waited for. The answer: how long to wait.
    pub(crate) fn sleep(&self, time: Duration) -> Duration {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // It only ever grows, to the end of the call's time at most.
        self.slept_us.fetch_add(us, Ordering::Relaxed);
        if self.sleeps { time } else { Duration::ZERO }
    }

    /// What has passed without having been waited for.
    pub(crate) fn spared(&self) -> Duration {
        if self.sleeps { Duration::ZERO } else { self.slept() }
    }

    /// What has passed so.
    fn slept(&self) -> Duration {
        Duration::from_micros(self.slept_us.load(Ordering::Relaxed))
    }
}

impl HostWallClock for TestTime {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        self.wall + self.slept()
    }
}

impl HostMonotonicClock for TestTime {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from((self.began.elapsed() + self.spared()).as_nanos()).unwrap_or(u64::MAX)
    }
}
