//! The one configuration of wasmtime: code is compiled by one process and run by another, so both must agree.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, RegallocAlgorithm,
    StackCreator, Strategy, WasmBacktraceDetails,
};

use crate::backend::wasm::limits::{Limits, TABLE_ELEMENTS};

/// Address space for each memory. A guest that may have no more finds its memory where the last call had it.
const RESERVED_BYTES: usize = 64 * 1024 * 1024;

/// Memories and tables that are kept from one call to the next. Components of one language have one memory, and two tables or three.
const KEPT_MEMORIES: u32 = 2;
const KEPT_TABLES: u32 = 4;

/// Core instances of a component, whose tables and memories may be kept.
const KEPT_INSTANCES: u32 = 64;

/// Bytes of a kept memory, and of a kept table, that are set to zero and stay with the process; the kernel gets the others back.
const WARM_MEMORY_BYTES: usize = 128 * 1024;
const WARM_TABLE_BYTES: usize = 16 * 1024;

/// Room that a memory is given beyond what it has, so that growing step by step does not copy it each time.
const GROWTH_BYTES: u64 = 16 * 1024 * 1024;

/// In the environment of the processes that are started for an author: a guest that breaks off says where in its source, if its component
/// has that in it. To read that takes time and memory, which a service's hooks do without.
const LINES: &str = "KOI_WASM_LINES";

/// In the environment of koids that `koi plugins dev` has started, and of what they start: code is wanted soon, and need not be fast.
const QUICK: &str = "KOI_WASM_QUICK";

/// This process works for an author.
static FOR_AUTHOR: AtomicBool = AtomicBool::new(false);

/// From now on the processes that are started for components are an author's.
pub(crate) fn show_lines() {
    FOR_AUTHOR.store(true, Ordering::Relaxed);
}

/// What the processes that are started for components need in their environment. What this process was started with is handed on.
pub(crate) fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = FOR_AUTHOR.load(Ordering::Relaxed) || std::env::var_os(LINES).is_some();
    lines.then_some((LINES, "1")).into_iter().chain(is_quick().then_some((QUICK, "1")))
}

/// Whether code is wanted soon, and need not be fast.
pub(crate) fn is_quick() -> bool {
    std::env::var_os(QUICK).is_some()
}

/// wasmtime does not know this machine.
#[derive(Debug, thiserror::Error)]
#[error("WebAssembly cannot be run on this machine: {0:#}")]
pub(crate) struct EngineError(wasmtime::Error);

/// The engine of the compiler.
pub(crate) fn engine() -> Result<Engine, EngineError> {
    Engine::new(&config()).map_err(EngineError)
}

/// The engine of the runner: guests run on stacks of `stacks`, and each call's memory is mapped for it.
pub(crate) fn engine_with(stacks: Arc<dyn StackCreator>) -> Result<Engine, EngineError> {
    Engine::new(config().with_host_stack(stacks)).map_err(EngineError)
}

/// The engine of the runner that keeps what a call was given, emptied, for the next one: to map it anew takes longer than all else that a
/// small hook does. Components that have more of anything than is kept are not taken by it. None: a guest may have more memory than is
/// kept, or there is no address space for all that.
pub(crate) fn keeping_engine(limits: &Limits) -> Option<Engine> {
    if limits.memory_bytes > RESERVED_BYTES {
        return None;
    }
    let mut kept = PoolingAllocationConfig::new();
    kept.total_component_instances(1)
        .total_core_instances(KEPT_INSTANCES)
        .total_memories(KEPT_MEMORIES)
        .max_memories_per_module(KEPT_MEMORIES)
        .max_memory_size(RESERVED_BYTES)
        .linear_memory_keep_resident(WARM_MEMORY_BYTES)
        .total_tables(KEPT_TABLES)
        .max_tables_per_module(KEPT_TABLES)
        .table_elements(TABLE_ELEMENTS)
        .table_keep_resident(WARM_TABLE_BYTES)
        .total_stacks(1);
    Engine::new(config().allocation_strategy(InstanceAllocationStrategy::Pooling(kept))).ok()
}

fn config() -> Config {
    let details = match std::env::var_os(LINES).is_some() {
        true => WasmBacktraceDetails::Enable,
        false => WasmBacktraceDetails::Disable,
    };
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .wasm_backtrace_details(details)
        // A helper has the limits that koid was started with. Where address space is limited, wasmtime's 4 GiB for each memory would be
        // more than there is.
        .memory_reservation(RESERVED_BYTES as u64)
        .memory_reservation_for_growth(GROWTH_BYTES)
        .memory_guard_size(64 * 1024);
    if is_quick() {
        // Of Cranelift's own only what leads from one part to another, where something else compiles the rest.
        config
            .cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
        if cfg!(target_arch = "x86_64") {
            // Code in one pass, some ten times sooner. It knows what the usual toolchains make, and not every proposal.
            config.strategy(Strategy::Winch);
        }
    }
    config
}

/// Tells apart engines that cannot run each other's code: by configuration, by version of wasmtime, by processor.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}
