//! The work that is done in processes of its own: koid's program, started again with one of these words first.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::backend::{native, wasm};
use crate::subcommand::{CHECK, COMPILE, EXEC, NATIVE, RUN, TEST, WASM};
use crate::{conformance, scripted};

/// Does what the arguments (without the program's name) ask for, if it is one of ours. A program that is named as
/// [`Host::program`](crate::Host) calls this before anything else.
pub fn process(args: &[OsString]) -> Option<ExitCode> {
    let (word, rest) = args.split_first()?;
    match word.to_str()? {
        COMPILE => Some(wasm::compile_process(rest)),
        WASM => Some(wasm::guest_process(rest)),
        EXEC => Some(wasm::broker_process(rest)),
        NATIVE => Some(native::library_process(rest)),
        CHECK => Some(conformance::check_process(rest)),
        TEST => Some(scripted::test_process(rest)),
        RUN => Some(conformance::run_process(rest)),
        koi_child::KEEP => Some(koi_child::keep()),
        _ => None,
    }
}
