//! Why there is nothing to try, or why a trial ends before it begins.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::backend::LoadError;
use crate::backend::code::HandlerError;
use crate::catalog::error::OpenError;
use crate::catalog::storage::blobs::CopyError;
use crate::catalog::storage::files::{FileError, FolderError};
use crate::config::error::ConfigError;
use crate::conformance::trial_group::TrialAttributeError;
use crate::service::definition::{COMPONENT, MANIFEST};
use crate::service::manifest::ManifestError;

/// Why a trial ends before it begins.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// The command line is wrong.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// There is nothing to try.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The trial has no folder.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The handler cannot be loaded or made.
    #[error(transparent)]
    Handler(Box<LoadedHandlerError>),
    /// The system gives no threads.
    #[error("no runtime for the trial: {0}")]
    Runtime(io::Error),
}

impl From<LoadedHandlerError> for TrialError {
    fn from(error: LoadedHandlerError) -> TrialError {
        TrialError::Handler(Box::new(error))
    }
}

/// What is wrong with a command line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("{} needs a value", .0.display())]
    NoValue(OsString),
    #[error("{0} is not known here")]
    UnknownOption(String),
    #[error("name one plugin's file, and for plugin-run a hook")]
    Arguments,
    #[error("which hook?")]
    NoHook,
    #[error("{} is not a number", .0.display())]
    NotANumber(OsString),
    #[error("{}: a setting is written KEY=VALUE", .0.display())]
    NotASetting(OsString),
    #[error("{} is no text in UTF-8", .0.display())]
    NotAText(OsString),
    #[error(transparent)]
    Attribute(#[from] TrialAttributeError),
    #[error(
        "a script asks koid for attributes, and there is none here; --attribute is for components and native libraries"
    )]
    ScriptWithAttributes,
    #[error("{} is not a role: none, standby or promoted", .0.display())]
    NotARole(OsString),
    #[error("{} is not a hook", .0.display())]
    NotAHook(OsString),
}

/// Why a path is nothing that can be tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// A folder is tried as it is.
    #[error("{} is a service itself: leave --service out, or name a plugin's file", .0.display())]
    ServiceTwice(PathBuf),
    /// Scripts are their own service.
    #[error("{}: --service goes with a .wasm or a .so", .0.display())]
    ServiceOfScript(PathBuf),
    /// A plugin that is not built yet.
    #[error(
        "{} is not there; if it is yet to be built: in the folder of a new handler ./build.sh does that",
        .0.display()
    )]
    NotBuilt(PathBuf),
    /// The system does not let us look.
    #[error("{} cannot be looked at: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The service names its handler by a name, and no configuration says where plugins lie.
    #[error(
        "{shown}: its handler `{handler}` is a plugin's name, and no configuration says where plugins lie: name the file, and \
         --service {shown}; or the configuration, with koi -f FILE",
        shown = folder.display()
    )]
    NamedHandler { folder: PathBuf, handler: String },
    /// The handler that the service names is not on this machine, or cannot be used.
    #[error("{}: {source}", folder.display())]
    Installed { folder: PathBuf, source: OpenError },
    /// The handler that the service names cannot be loaded.
    #[error("{}: its handler: {source}", folder.display())]
    BrokenHandler { folder: PathBuf, source: Box<LoadedHandlerError> },
    /// A folder of plugins cannot be read.
    #[error("{}, of plugins.dirs: {source}", path.display())]
    PluginFolder { path: PathBuf, source: FolderError },
    /// There is no place to look into plugins.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A folder without anything that could run.
    #[error(
        "{} is no service: it has no {COMPONENT}, no {MANIFEST} that names a handler, and no script called start, stop, \
         promote, demote, status or failed; is it the source of a handler? Build it, and check the file that comes out",
        .0.display()
    )]
    NoService(PathBuf),
    /// `--service` names a file.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// A script that is not there any more.
    #[error("{}: {source}", path.display())]
    Script { path: PathBuf, source: io::Error },
    /// Some other file.
    #[error(
        "{path} is neither a .wasm nor a .so, and as a script it is not executable; if it is one, chmod +x {path}",
        path = .0.display()
    )]
    NotExecutable(PathBuf),
    /// The service's `service.toml` is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Why a trial has no place for its traces.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScratchError {
    #[error("no folder for the trial can be made: {0}")]
    Folder(io::Error),
    #[error("what the handler has stored cannot be read: {0}")]
    Bring(io::Error),
    #[error("what the handler has stored cannot be kept in {}: {source}", path.display())]
    Keep { path: PathBuf, source: io::Error },
}

/// Why a handler cannot be loaded, or not be made for its service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadedHandlerError {
    /// Its file is not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No code can be made of its file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No copy of it can be kept.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// It does not take this configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The service does not give it what it needs.
    #[error(transparent)]
    Handler(#[from] HandlerError),
}
