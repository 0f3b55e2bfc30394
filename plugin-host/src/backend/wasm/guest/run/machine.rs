//! The engine, and the clock that interrupts guests.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use wasmtime::Engine;

/// How often a running guest is interrupted, to hear koid and to look at its deadline.
const TICK: Duration = Duration::from_millis(10);

/// Bytes of the clock's stack.
const CLOCK_STACK_BYTES: usize = 64 * 1024;

/// What all guests of this process share.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    clock: Arc<Clock>,
}

impl Machine {
    /// Starts the clock.
    pub(crate) fn new(engine: Engine) -> io::Result<Machine> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let clock = Arc::new(Clock { timer });
        let (ticked, of_engine) = (clock.clone(), engine.clone());
        let ticker = thread::Builder::new().name("koi-wasm-tick".into()).stack_size(CLOCK_STACK_BYTES);
        ticker.spawn(move || ticked.run(&of_engine))?;
        Ok(Machine { engine, clock })
    }

    /// Lets guests be interrupted for as long as the answer lives. There is one call at a time.
    pub(crate) fn tick(&self) -> io::Result<Ticking> {
        self.clock
            .timer
            .set(Expiration::Interval(TimeSpec::from_duration(TICK)), TimerSetTimeFlags::empty())?;
        Ok(Ticking(self.clock.clone()))
    }
}

/// Runs while a call runs. It is a timer of the kernel: to set it wakes nobody, so a call that is over before the first tick has no
/// other thread run beside it.
struct Clock {
    timer: TimerFd,
}

impl Clock {
    fn run(&self, engine: &Engine) {
        loop {
            match self.timer.wait() {
                Ok(()) | Err(Errno::EINTR) => {}
                // A guest would run on and on: koid ends a process that does not obey.
                Err(_) => return,
            }
            engine.increment_epoch();
        }
    }
}

/// A call runs.
pub(crate) struct Ticking(Arc<Clock>);

impl Drop for Ticking {
    fn drop(&mut self) {
        // One that ticks on costs a little and harms nobody.
        let _ = self.0.timer.unset();
    }
}
