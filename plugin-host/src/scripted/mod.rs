//! Runs an author's test files: `koi plugins test` starts koid for it.
//!
//! A test gives a handler its configuration, grants and store, and a world that is scripted: peers and servers that it may reach, programs that
//! it may run, names and a clock. Then its hooks are called as koid calls them, in helper processes with all their walls, and what came of each
//! is held against the file.
//!
//! `file` reads test files, `places` finds them. `network` keeps this process apart from the machine's network, and in there `peers` listen.
//! `machine` answers what a guest asks of koid's side. `run` does one test; `compare` and `store` look at what came of it, each difference is a
//! `finding`. `report` and `junit` tell it. `record` makes a test file of what a handler does in the world as it is.

mod args;
mod compare;
mod file;
mod finding;
mod junit;
mod machine;
mod network;
mod peers;
mod places;
mod record;
mod report;
mod run;
mod store;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::catalog::storage::sources::Sources;
use crate::conformance::error::{LoadedHandlerError, ScratchError, TargetError, TrialError};
use crate::conformance::exit;
use crate::conformance::harness::Harness;
use crate::conformance::interrupt::Interrupt;
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::report::{json, progress, write};
use crate::conformance::scratch::Scratch;
use crate::conformance::target::Target;
use crate::plugin::Kind;
use crate::scripted::args::{TestArgs, TestArgsError};
use crate::scripted::file::TestFile;
use crate::scripted::file::error::TestFileError;
use crate::scripted::junit::JunitError;
use crate::scripted::network::NetworkError;
use crate::scripted::places::PlaceError;
use crate::scripted::record::RecordError;
use crate::scripted::report::Report;
use crate::scripted::run::Stage;

/// Why tests are not run, or not to their end.
#[derive(Debug, thiserror::Error)]
enum TestRunError {
    #[error(transparent)]
    Args(#[from] TestArgsError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    File(#[from] TestFileError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    #[error(transparent)]
    Handler(#[from] Box<LoadedHandlerError>),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error("no runtime for the tests: {0}")]
    Runtime(io::Error),
    #[error("no test has {0:?} in its name")]
    NothingLeft(String),
    #[error(transparent)]
    Junit(#[from] JunitError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The process that runs tests. `words` is what follows the first word.
pub(crate) fn test_process(words: &[OsString]) -> ExitCode {
    let (interrupt, network, outside) = match words.iter().any(|word| word == args::RECORD) {
        false => {
            // Before there is a second thread.
            let network = network::enter();
            (Interrupt::watch(), network, None)
        }
        true => {
            let interrupt = Interrupt::watch();
            // Its threads stay in the network of the machine.
            let outside = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            (interrupt, network::enter(), outside.ok())
        }
    };
    crate::backend::wasm::show_lines();
    let tested =
        args::read(words).map_err(TestRunError::from).and_then(|args| match (&args.record, &outside) {
            (Some(path), Some(outside)) => {
                recorded(&args, path, (network.as_ref().err(), outside.handle()), interrupt)
            }
            _ => test(&args, network.as_ref().err(), interrupt),
        });
    ExitCode::from(tested.unwrap_or_else(|error| {
        let why = koi_text::blanked(&error.to_string());
        if words.iter().any(|word| word == "--json") {
            json(&serde_json::json!({ "error": { "code": "failed", "message": why, "hint": "" } }));
        } else {
            crate::stderr::complain(&format!("koi: {why}"));
        }
        exit::USAGE
    }))
}

fn test(args: &TestArgs, network: Option<&NetworkError>, interrupt: Interrupt) -> Result<u8, TestRunError> {
    let paths = match args.files.is_empty() {
        true => places::found(args.handler.as_deref())?,
        false => args.files.clone(),
    };
    // A mistake in the last file is not to be heard of after the tests of all others.
    let mut files = paths.iter().map(|path| TestFile::load(path)).collect::<Result<Vec<_>, _>>()?;
    let all: usize = files.iter().map(|file| file.tests.len()).sum();
    if let Some(filter) = &args.filter {
        files.iter_mut().for_each(|file| file.tests.retain(|test| test.name.contains(filter)));
        files.retain(|file| !file.tests.is_empty());
        if files.is_empty() {
            return Err(TestRunError::NothingLeft(filter.clone()));
        }
    }
    let left: usize = files.iter().map(|file| file.tests.len()).sum();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(TestRunError::Runtime)?;
    let mut report = Report::new(args);
    for file in &files {
        let handler = places::handler(args.handler.as_deref(), file)?;
        test_file(file, &handler, (&runtime, network, &interrupt), &mut report)?;
        if interrupt.asked() {
            break;
        }
    }
    report.finish(all - left);
    if let Some(path) = &args.junit {
        junit::write(path, &report.junit)?;
    }
    // What still runs for a test that was cut off runs for nobody.
    runtime.shutdown_background();
    Ok(match (interrupt.asked(), report.failed()) {
        (true, _) => exit::INTERRUPTED,
        (false, true) => exit::FAILED,
        (false, false) => 0,
    })
}

/// Records a test file, and runs it: it must pass, unless something was left out.
fn recorded(
    args: &TestArgs,
    path: &Path,
    (network, outside): (Option<&NetworkError>, &Handle),
    interrupt: Interrupt,
) -> Result<u8, TestRunError> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let inside = runtime.map_err(TestRunError::Runtime)?;
    let recorded = record::record(args, path, (&inside, outside), network, interrupt.clone())?;
    // Nobody stands between the handler and the tests.
    inside.shutdown_background();
    if !recorded.is_whole {
        let left_out = "what was sent and received was left out, so it will not pass as it is; --with-bodies records that as well";
        match args.json {
            true => json(&serde_json::json!({ "recorded": path, "note": left_out })),
            false => write(&format!("recorded into {}: {left_out}\n", path.display())),
        }
        return Ok(0);
    }
    let files = vec![path.to_owned()];
    let handler = Some(recorded.handler);
    let args = TestArgs {
        handler,
        files,
        quiet: args.quiet,
        json: args.json,
        color: args.color,
        ..TestArgs::default()
    };
    test(&args, network, interrupt)
}

fn test_file(
    file: &TestFile,
    handler: &Path,
    (runtime, network, interrupt): (&Runtime, Option<&NetworkError>, &Interrupt),
    report: &mut Report,
) -> Result<(), TestRunError> {
    let target = Target::find(handler, None, &[], &Sources::default())?;
    let scratch = Scratch::new(target.kind(), None, &target.name)?;
    if target.kind() == Kind::Wasm {
        progress("(compiling a component takes a while the first time)");
    }
    let loaded = LoadedHandler::load(&target, &scratch).map_err(Box::new)?;
    let harness = Harness::new(&target, None, interrupt.clone())?;
    let stage = Stage {
        target: &target,
        scratch: &scratch,
        facts: loaded.facts(),
        harness: &harness,
        runtime,
        network,
    };
    report.file(&file.path, handler);
    for test in &file.tests {
        report.add(test, &run::run(&stage, test));
        if interrupt.asked() {
            break;
        }
    }
    Ok(())
}
