//! Which handlers there are, and the one for a service.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_plugin_api::Handler;
use koi_plugin_shell::ShellHandler;

use crate::discover::Found;
use crate::plugin::Kind;

/// A handler that services may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerInfo {
    /// The name to write into `service.toml`.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// The file it was loaded from; none: built in.
    pub path: Option<PathBuf>,
}

/// No handler has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("handler `{name}` is not known: this koid has {known}; correct `handler` in service.toml")]
pub struct UnknownHandler {
    /// What was asked for.
    pub name: String,
    /// Those that there are, each in backquotes, with commas between.
    pub known: String,
}

/// Why a service has no handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Nothing has that name.
    #[error(transparent)]
    Unknown(#[from] UnknownHandler),
    /// Something else is wrong with the service: its [`Found::problem`].
    #[error("{0}")]
    Problem(String),
}

/// All handlers.
#[derive(Clone, Debug)]
pub struct Registry {
    dirs: Vec<PathBuf>,
    workingdir: PathBuf,
    handlers: Vec<HandlerInfo>,
}

impl Registry {
    /// Knows what is built in. `dirs` is where plugins lie (`plugins.dirs`), `workingdir` where single-file services run
    /// (`services.workingdir`).
    pub fn new(dirs: Vec<PathBuf>, workingdir: PathBuf) -> Registry {
        let shell = HandlerInfo {
            name: ShellHandler::NAME.into(),
            kind: Kind::Builtin,
            version: ShellHandler::VERSION.into(),
            description: ShellHandler::DESCRIPTION.into(),
            path: None,
        };
        Registry { dirs, workingdir, handlers: vec![shell] }
    }

    /// Where plugins lie.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Where single-file services run.
    pub fn workingdir(&self) -> &Path {
        &self.workingdir
    }

    /// Every handler that a service may name.
    pub fn handlers(&self) -> &[HandlerInfo] {
        &self.handlers
    }

    /// The handler called `name`.
    pub fn find(&self, name: &str) -> Result<&HandlerInfo, UnknownHandler> {
        self.handlers.iter().find(|handler| handler.name == name).ok_or_else(|| {
            let known: Vec<_> = self.handlers.iter().map(|handler| format!("`{}`", handler.name)).collect();
            UnknownHandler { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// A handler for the hooks of `found`.
    pub fn open(&self, found: &Found) -> Result<Arc<dyn Handler>, OpenError> {
        self.find(&found.handler)?;
        if let Some(problem) = &found.problem {
            return Err(OpenError::Problem(problem.clone()));
        }
        // It was found, and the shell is the only one that can be.
        Ok(Arc::new(ShellHandler::open(found.shape.clone(), &self.workingdir)))
    }
}
