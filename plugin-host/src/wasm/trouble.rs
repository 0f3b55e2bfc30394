//! Why a guest did not return, in one line.

use koi_plugin_api::{CallLog, LogLevel, for_people};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::limits::Refused;

/// Functions of a backtrace that are logged.
const FRAMES: usize = 16;

/// Characters of what wasmtime says.
const CHARS: usize = 500;

/// What happened in `place`, as in `trapped in promote: wasm unreachable instruction executed`.
pub(crate) fn text(place: &str, error: &wasmtime::Error) -> String {
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return format!("{refused} (in {place})");
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return format!("called exit({code}) in {place} where it had to return");
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => {
            let trap = trap.to_string().replace('`', "");
            format!("trapped in {place}: {}", trap.trim_start_matches("wasm trap: "))
        }
        None => format!("failed in {place}: {}", for_people(&error.root_cause().to_string(), CHARS)),
    }
}

/// Names the functions that it happened in, innermost first, for the author of the handler.
pub(crate) fn log_backtrace(error: &wasmtime::Error, log: &dyn CallLog) {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return };
    for frame in trace.frames().iter().take(FRAMES) {
        let name = match frame.func_name() {
            Some(name) => for_people(name, CHARS),
            None => format!("function {}", frame.func_index()),
        };
        log.line(LogLevel::Debug, &format!("  in {name}"));
    }
    if trace.frames().len() > FRAMES {
        log.line(LogLevel::Debug, "  in further functions");
    }
}
