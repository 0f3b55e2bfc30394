//! A broker, from within: the process that starts the programs of one service's guests, and is the parent of all that they start.
//!
//! What leaves its process group, by setsid or a double fork, is its child in the end (it is a subreaper), so that it can end the whole
//! tree. It does so when koid asks for it, at SIGTERM, and when koid is gone, however that happened. It has koid's rights, for programs
//! need them: so it is small, has one thread, and hears nobody but koid, which has checked what it asks for.

pub(crate) mod protocol;
mod serve;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::backend::helper;

/// The process that runs programs. Argument: the service's name, for whoever looks at a list of processes. Standard input is a socket.
pub(crate) fn process(args: &[OsString]) -> ExitCode {
    if args.is_empty() {
        crate::stderr::complain(
            "koid starts this by itself, to run the programs that a WASM plugin asks for",
        );
        return ExitCode::from(2);
    }
    koi_child::close_inherited();
    let served = helper::take_socket().map_err(serve::BrokerError::from).and_then(serve::serve);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::stderr::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
