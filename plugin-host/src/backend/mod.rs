//! Makes code of plugin files, whatever their kind.

pub(crate) mod code;
pub(crate) mod helper;
pub(crate) mod native;
pub(crate) mod wasm;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::host::Host;
use crate::plugin::{Facts, FileHash, Kind};
use code::Code;
use native::{NativeCode, NativeLoadError};
use wasm::load::component::{ComponentError, WasmCode};

/// A plugin's file, read, of which code is to be made.
pub(crate) struct PluginFile<'a> {
    pub(crate) host: &'a Host,
    /// Where it was found, for messages.
    pub(crate) path: &'a Path,
    /// A copy that nobody changes. A library is loaded from it; a component is made of `bytes`.
    pub(crate) copy: &'a Path,
    pub(crate) kind: Kind,
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: FileHash,
}

/// Whether a file is loaded for the first time.
pub(crate) enum Start<'a> {
    /// It is asked what it is.
    First,
    /// It was loaded before and said this then. It is not asked again.
    Resumed(&'a Facts),
}

/// Makes code of a file that is loaded for the first time. Blocks.
pub(crate) type Loader = Arc<dyn Fn(&PluginFile<'_>) -> Result<Arc<dyn Code>, LoadError> + Send + Sync>;

/// Makes code of a file. Blocks, for long if a component must be compiled.
pub(crate) fn load(file: &PluginFile<'_>, start: Start<'_>) -> Result<Arc<dyn Code>, LoadError> {
    match file.kind {
        Kind::Native => Ok(Arc::new(match start {
            Start::First => NativeCode::load(file.host, file.path, file.copy)?,
            Start::Resumed(facts) => NativeCode::resume(file.host, file.path, file.copy, facts.clone()),
        })),
        Kind::Wasm => {
            let code = match start {
                Start::First => WasmCode::load(file.host, file.bytes, file.hash),
                Start::Resumed(facts) => WasmCode::resume(file.host, file.bytes, file.hash, facts.clone()),
            };
            match code {
                Ok(code) => Ok(Arc::new(code)),
                Err(source) => Err(LoadError::Component { path: file.path.to_owned(), source }),
            }
        }
        Kind::Builtin => Err(LoadError::Builtin),
    }
}

/// Why no code can be made of a plugin's file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A shared library.
    #[error(transparent)]
    Library(#[from] NativeLoadError),
    /// A component.
    #[error("{}: {source}", path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ComponentError,
    },
    /// It is no file.
    #[error("it is part of koid, and not loaded from a file")]
    Builtin,
    /// koid's own code panicked.
    #[error("loading it broke off; this is a fault of koid, and its log says where")]
    Panicked,
}

impl LoadError {
    /// A sentence to stand behind the plugin's path: the path is not said again.
    pub(crate) fn beside_path(&self) -> String {
        match self {
            LoadError::Component { source, .. } => source.to_string(),
            LoadError::Library(error) => error.beside_path(),
            LoadError::Builtin | LoadError::Panicked => self.to_string(),
        }
    }
}
