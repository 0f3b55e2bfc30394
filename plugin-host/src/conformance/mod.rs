//! Tries one plugin outside of any daemon: `koi plugins check` and `koi plugins run` start koid for it.
//!
//! `target` is what is to be tried (`installed`: where a service names it by another word than its path), `scratch` where it leaves its traces, `loaded_handler` the code that was loaded from it.
//! `harness` runs its hooks, one at a time, and keeps what came of each. `check` tries all of them, `run` one. `report` says what
//! came of it to people or programs.

mod args;
mod check;
pub(crate) mod error;
pub(crate) mod exit;
pub(crate) mod harness;
mod installed;
pub(crate) mod interrupt;
pub(crate) mod loaded_handler;
pub(crate) mod report;
mod run;
pub(crate) mod scratch;
pub(crate) mod target;
pub(crate) mod trial_group;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use error::TrialError;
use target::Target;

/// The process that tries all of a handler. `words` is what follows the first word.
pub(crate) fn check_process(words: &[OsString]) -> ExitCode {
    with_target(words, false, check::check)
}

/// The process that runs one hook.
pub(crate) fn run_process(words: &[OsString]) -> ExitCode {
    with_target(words, true, run::run)
}

/// Reads the command line and finds out what is to be tried; the error of what follows is that there was nothing to try.
fn with_target(
    words: &[OsString],
    one_hook: bool,
    work: fn(&Args, &Target) -> Result<u8, TrialError>,
) -> ExitCode {
    crate::backend::wasm::show_lines();
    let worked = args::read(words, one_hook).map_err(TrialError::from).and_then(|args| {
        let target = Target::find(&args.plugin, args.service.as_deref(), &args.config, &args.sources)?;
        work(&args, &target)
    });
    ExitCode::from(worked.unwrap_or_else(|error| {
        let why = koi_text::blanked(&error.to_string());
        if words.iter().any(|word| word == "--json") {
            report::json(&serde_json::json!({ "error": { "code": "failed", "message": why, "hint": "" } }));
        } else {
            crate::stderr::complain(&format!("koi: {why}"));
        }
        exit::USAGE
    }))
}
