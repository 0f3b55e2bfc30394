//! The engine, and the clock that interrupts guests.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
        *self.clock.lock() += 1;
        self.clock.wake.notify_one();
        Ticking(self.clock.clone())
    }
}

/// Counts the calls that run. Without one it stands still, so that an idle helper sleeps.
#[derive(Default)]
struct Clock {
    running: Mutex<usize>,
    wake: Condvar,
}

impl Clock {
    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        // A number is whole at any moment.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, engine: &Engine) -> ! {
        loop {
            let idle = |running: &mut usize| *running == 0;
            drop(self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner));
            thread::sleep(TICK);
            engine.increment_epoch();
        }
    }
}

/// A call runs.
pub(crate) struct Ticking(Arc<Clock>);

impl Drop for Ticking {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
    }
}
