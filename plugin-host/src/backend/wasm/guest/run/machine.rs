//! The engine, and the clock that interrupts guests.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

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
        let clock = Arc::new(Clock::default());
        let (ticked, of_engine) = (clock.clone(), engine.clone());
        let ticker = thread::Builder::new().name("koi-wasm-tick".into()).stack_size(CLOCK_STACK_BYTES);
        ticker.spawn(move || ticked.run(&of_engine))?;
        Ok(Machine { engine, clock })
    }

    /// Lets guests be interrupted for as long as the answer lives.
    pub(crate) fn tick(&self) -> Ticking {
        let mut state = self.clock.lock();
        state.calls += 1;
        if state.waits {
            self.clock.wake.notify_one();
        }
        Ticking(self.clock.clone())
    }
}

/// Counts the calls that run. Without one it stands still, so that an idle helper sleeps.
#[derive(Default)]
struct Clock {
    state: Mutex<ClockState>,
    wake: Condvar,
}

#[derive(Default)]
struct ClockState {
    /// Calls that run.
    calls: usize,
    /// The clock stands still. To wake it takes a system call, which most calls can do without.
    waits: bool,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, ClockState> {
        // It is whole at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, engine: &Engine) -> ! {
        loop {
            let is_idle = |state: &mut ClockState| {
                state.waits = state.calls == 0;
                state.waits
            };
            drop(self.wake.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner));
            thread::sleep(TICK);
            engine.increment_epoch();
        }
    }
}

/// A call runs.
pub(crate) struct Ticking(Arc<Clock>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.lock().calls -= 1;
    }
}
