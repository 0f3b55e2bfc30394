//! Where guests run: threads of their own, away from the cluster's, and the clock that interrupts them.

use std::future::Future;
use std::io;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use wasmtime::Engine;

use crate::backend::wasm::engine;
use crate::backend::wasm::engine::EngineError;

/// How often a running guest is interrupted, to let others run and to look at its deadline.
const TICK: Duration = Duration::from_millis(10);

/// Threads that guests run on, at least and at most: as many as the machine has processors.
const THREADS: (usize, usize) = (2, 8);

/// Threads for what blocks on the guests' behalf: files, name look-ups, the store.
const BLOCKING_THREADS: usize = 64;

/// Polls between two looks at timers and sockets. A guest holds its thread for a whole tick, so with many of them running
/// tokio's 61 would make timers late by half a second.
const EVENT_INTERVAL: u32 = 4;

/// Why no guest can be run in this process.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// wasmtime does not know the processor.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The system gives no threads.
    #[error("no threads for WebAssembly: {0}")]
    Threads(io::Error),
}

/// What all guests of this process share. Made on first use, never torn down.
pub(crate) struct WasmRuntime {
    engine: Engine,
    runtime: Runtime,
    clock: Arc<Clock>,
}

impl WasmRuntime {
    /// The one of this process. The first result stands, an error as well.
    pub(crate) fn get() -> Result<&'static WasmRuntime, &'static RuntimeError> {
        static RUNTIME: OnceLock<Result<WasmRuntime, RuntimeError>> = OnceLock::new();
        RUNTIME.get_or_init(WasmRuntime::new).as_ref()
    }

    fn new() -> Result<WasmRuntime, RuntimeError> {
        let engine = engine::engine()?;
        let threads =
            thread::available_parallelism().map_or(THREADS.0, |n| n.get().clamp(THREADS.0, THREADS.1));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(BLOCKING_THREADS)
            .event_interval(EVENT_INTERVAL)
            .thread_name("koi-wasm")
            .enable_all()
            .build()
            .map_err(RuntimeError::Threads)?;
        let clock = Arc::new(Clock::default());
        let (ticked, of_engine) = (clock.clone(), engine.clone());
        let ticker = thread::Builder::new().name("koi-wasm-tick".into());
        ticker.spawn(move || ticked.run(&of_engine)).map_err(RuntimeError::Threads)?;
        Ok(WasmRuntime { engine, runtime, clock })
    }

    /// The engine that all code is loaded into.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The guests' own runtime.
    pub(crate) fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Lets guests be interrupted for as long as the answer lives.
    pub(crate) fn tick(&self) -> Ticking {
        *self.clock.lock() += 1;
        self.clock.wake.notify_one();
        Ticking(self.clock.clone())
    }

    /// Runs `work` on the guests' runtime and waits for it, from a thread of any kind. None: it panicked.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // The receiver waits; it cannot be gone.
            let _ = sender.send(work.await);
        });
        receiver.recv().ok()
    }
}

/// Counts the calls that run. Without one it stands still, so that an idle koid sleeps.
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
