//! A component's helper, from within: the process that runs one service's guests, or asks a component what it is.
//!
//! One thread runs the guests and hears koid; a second one is the clock that interrupts them. Where a guest waits for a file, the
//! process waits: what hangs is killed with it, and costs this service alone. No name is looked up here: that takes files and libraries of
//! the machine, and koid does it.

mod budget;
mod describe;
mod imports;
mod link;
mod run;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::backend::helper;
pub(crate) use crate::backend::wasm::guest::imports::tls::trusted;

/// The process that runs a component. Argument: the service's name, for whoever looks at a list of processes. Standard input is a
/// socket.
pub(crate) fn process(args: &[OsString]) -> ExitCode {
    if args.is_empty() {
        crate::stderr::complain(
            "koid starts this by itself to run a WASM plugin; to look at one use `koi plugins check FILE`",
        );
        return ExitCode::from(2);
    }
    koi_child::close_inherited();
    let socket = match helper::take_socket() {
        Ok(socket) => socket,
        Err(error) => {
            crate::stderr::complain(&format!("no socket to koid on standard input: {error}"));
            return ExitCode::from(2);
        }
    };
    match serve::serve(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::stderr::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
