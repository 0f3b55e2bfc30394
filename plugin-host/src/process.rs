//! The work that is done in processes of its own: koid's program, started again with one of these words first.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::{native, trial, wasm};

/// Compiles the component on standard input to standard output.
pub(crate) const COMPILE: &str = "plugin-compile";
/// Loads a native library and runs its hooks.
pub(crate) const NATIVE: &str = "plugin-native";

/// Tries all of a handler, for `koi plugins check`.
pub(crate) const CHECK: &str = "plugin-check";
/// Runs one hook by hand, for `koi plugins run`.
pub(crate) const RUN: &str = "plugin-run";

/// Does what the arguments (without the program's name) ask for, if it is one of ours. A program that is named as
/// [`Host::program`](crate::Host) calls this before anything else.
pub fn process(args: &[OsString]) -> Option<ExitCode> {
    let (word, rest) = args.split_first()?;
    match word.to_str()? {
        COMPILE => Some(wasm::compile_process()),
        NATIVE => Some(native::library_process(rest)),
        CHECK => Some(trial::check_process(rest)),
        RUN => Some(trial::run_process(rest)),
        koi_child::KEEP => Some(koi_child::keep()),
        _ => None,
    }
}
