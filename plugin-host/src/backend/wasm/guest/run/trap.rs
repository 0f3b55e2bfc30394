//! Why a guest did not return, in one line.

use std::fmt;

use koi_plugin_api::{CallLog, LogLevel, for_people};
use wasmtime::{FrameSymbol, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::backend::wasm::limits::LimitExceededError;

/// Functions of a backtrace that are logged.
const FRAMES: usize = 16;

/// Characters of what wasmtime says.
const CHARS: usize = 500;

/// A guest broke off in one of its functions.
#[derive(Debug)]
pub(crate) struct TrapError {
    /// The function, as WIT names it.
    pub function: &'static str,
    /// What wasmtime says.
    pub error: wasmtime::Error,
}

impl std::error::Error for TrapError {}

/// As in `trapped in promote: wasm unreachable instruction executed`.
impl fmt::Display for TrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TrapError { function, error } = self;
        if let Some(exceeded) = error.downcast_ref::<LimitExceededError>() {
            return write!(f, "{exceeded} (in {function})");
        }
        if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
            return write!(f, "called exit({code}) in {function} where it had to return");
        }
        match error.downcast_ref::<Trap>() {
            Some(trap) => {
                let trap = trap.to_string().replace('`', "");
                write!(f, "trapped in {function}: {}", trap.trim_start_matches("wasm trap: "))
            }
            None => write!(f, "failed in {function}: {}", for_people(&error.root_cause().to_string(), CHARS)),
        }
    }
}

/// Names the functions that it happened in, innermost first, for the author of the handler.
pub(crate) fn log_backtrace(error: &wasmtime::Error, log: &dyn CallLog) {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return };
    for frame in trace.frames().iter().take(FRAMES) {
        let name = match frame.func_name() {
            Some(name) => for_people(&plain_name(name), CHARS),
            None => format!("function {}", frame.func_index()),
        };
        log.line(LogLevel::Debug, &format!("  in {name}{}", place(frame.symbols())));
    }
    if trace.frames().len() > FRAMES {
        log.line(LogLevel::Debug, "  in further functions");
    }
}

/// Where in its source, if the component says so. Of functions that were put into one another the innermost comes first.
fn place(symbols: &[FrameSymbol]) -> String {
    let Some((file, line)) = symbols.first().and_then(|symbol| Some((symbol.file()?, symbol.line()?))) else {
        return String::new();
    };
    format!(" at {}:{line}", for_people(file, CHARS))
}

/// The name that a function has in its source: a compiler of Rust adds to it, and writes it in letters and digits alone.
fn plain_name(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_of_their_source() {
        for (mangled, plain) in [
            ("_ZN7handler5start17h0123456789abcdefE", "handler::start"),
            ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
            ("handler_start", "handler_start"),
        ] {
            assert_eq!(plain_name(mangled), plain);
        }
    }
}
