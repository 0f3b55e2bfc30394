//! The command line of this process. `koi` writes it; people write to `koi`.

use std::ffi::OsString;
use std::path::PathBuf;

use koi_artifact::Store;
use koi_plugin_api::Hook;

use crate::catalog::storage::sources::Sources;

/// The option with which hooks are named beside it.
pub(crate) const RECORD: &str = "--record";

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct TestArgs {
    /// The handler to test; none: each file says which, or it lies beside it.
    pub(crate) handler: Option<PathBuf>,
    /// Test files; none: those beside the handler.
    pub(crate) files: Vec<PathBuf>,
    /// Only tests whose name has this in it.
    pub(crate) filter: Option<String>,
    /// Where a report for programs goes.
    pub(crate) junit: Option<PathBuf>,
    /// Where a recording goes; none: tests are run.
    pub(crate) record: Option<PathBuf>,
    /// The service that is recorded.
    pub(crate) service: Option<PathBuf>,
    /// Where its handler may lie; the default: nobody says.
    pub(crate) sources: Sources,
    /// The hooks that are recorded.
    pub(crate) hooks: Vec<Hook>,
    /// A recording has what was sent and received.
    pub(crate) with_bodies: bool,
    /// Only what is not as it should be.
    pub(crate) quiet: bool,
    pub(crate) json: bool,
    pub(crate) color: bool,
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestArgsError {
    #[error("{} needs a value", .0.display())]
    NoValue(OsString),
    #[error("{0} is not known here")]
    UnknownOption(String),
    #[error("name one handler, and test files that end in .toml")]
    TwoHandlers,
}

/// Reads what follows the process's word.
pub(crate) fn read(words: &[OsString]) -> Result<TestArgs, TestArgsError> {
    let mut args = TestArgs::default();
    let records = words.iter().any(|word| word == RECORD);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| TestArgsError::NoValue(word.clone()));
        match word.to_str() {
            Some("--quiet") => args.quiet = true,
            Some("--json") => args.json = true,
            Some("--color") => args.color = true,
            Some("--filter") => args.filter = Some(value()?.to_string_lossy().into_owned()),
            Some("--record") => args.record = Some(value()?.into()),
            Some("--service") => args.service = Some(value()?.into()),
            Some("--with-bodies") => args.with_bodies = true,
            Some("--plugins") => args.sources.dirs.push(value()?.into()),
            Some("--pulled") => args.sources.pulled = Store::new(value()?.into()),
            Some("--junit") => args.junit = Some(value()?.into()),
            Some(other) if other.starts_with("--") => {
                return Err(TestArgsError::UnknownOption(other.to_owned()));
            }
            _ => {
                let hook = Hook::ALL.into_iter().find(|hook| Some(hook.as_str()) == word.to_str());
                if let Some(hook) = hook.filter(|_| records) {
                    args.hooks.push(hook);
                    continue;
                }
                let path = PathBuf::from(word);
                match path.extension().is_some_and(|ending| ending == "toml") {
                    true => args.files.push(path),
                    false if args.handler.is_none() => args.handler = Some(path),
                    false => return Err(TestArgsError::TwoHandlers),
                }
            }
        }
    }
    Ok(args)
}
