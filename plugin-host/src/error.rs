//! Why a plugin is not taken, and why a service has no handler.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::ConfigError;
use crate::native::NativeLoadError;
use crate::plugin::FileHash;
use crate::wasm::{ComponentError, GrantError, LimitsError};

/// Digits of a hash that people are shown.
const HASH_SHOWN: usize = 8;

/// No handler has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("handler `{name}` is not known: this koid has {known}; {remedy}")]
pub struct UnknownHandler {
    /// What was asked for.
    pub name: String,
    /// Those that there are, each in backquotes, with commas between.
    pub known: String,
    /// What to do.
    pub remedy: String,
}

/// Why a service has no handler.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing has that name.
    #[error(transparent)]
    Unknown(#[from] UnknownHandler),
    /// The service cannot be run at all: its [`Found::problem`](crate::Found::problem).
    #[error("{0}")]
    Service(String),
    /// The plugin that it names cannot be used.
    #[error("{} cannot be used: {error}", name.as_ref().map_or_else(|| "its handler".to_owned(), |name| format!("the handler {name}")))]
    Plugin {
        /// What the service calls it; none: the service names it by its path.
        name: Option<String>,
        /// What is wrong with the plugin.
        error: Arc<PluginError>,
    },
    /// The service's `[config]` is not what the handler takes.
    #[error("{}: {error}", service.display())]
    Config {
        /// Where the service lies.
        service: PathBuf,
        /// What is wrong with it.
        error: ConfigError,
    },
    /// The handler cannot be made with what the service says.
    #[error(transparent)]
    Handler(Arc<HandlerError>),
}

/// Why a plugin cannot be made the handler of a service. Says what to write.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The service's `[limits]` are wrong.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The service's `[grants]` are wrong, or too few.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// The component needs something that koid gives in another form.
    #[error("the component does not fit what koid offers: {0:#}")]
    Link(wasmtime::Error),
    /// A native plugin, and a section that is for sandboxes.
    #[error(
        "[{section}] means nothing to `{plugin}`: it is a native plugin, and nothing holds it back; remove [{section}] from \
         service.toml, or take a WASM plugin"
    )]
    NoSandbox {
        /// `grants` or `limits`.
        section: &'static str,
        /// What the plugin calls itself.
        plugin: String,
    },
}

/// Why a plugin cannot be used; of one that can, why the file that lies there now was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It has another ending than plugins have.
    #[error("{} is neither a .so nor a .wasm; correct `handler` in service.toml", .0.display())]
    NotAPlugin(PathBuf),
    /// A service names it, and there is no such file.
    #[error("there is no {}; put the handler there, or correct `handler` in service.toml", .0.display())]
    Missing(PathBuf),
    /// Its file is gone, and services use what was loaded of it.
    #[error("its file is gone; the one of SHA-256 {}… stays while services use it", shown(*hash))]
    FileGone {
        /// Of what is in force.
        hash: FileHash,
    },
    /// Its file is another one now, and that one cannot be used.
    #[error("the file there now cannot be used: {error}; the one of SHA-256 {}… stays", shown(*hash))]
    Kept {
        /// Of what is in force.
        hash: FileHash,
        /// What is wrong with the file that lies there now.
        error: Box<PluginError>,
    },
    /// Its file is not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No code can be made of its file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It has the name of the built-in handler.
    #[error("it calls itself `{name}`, and that is the built-in handler; give it another name")]
    ReservedName {
        /// What it calls itself.
        name: String,
    },
    /// Another plugin has its name.
    #[error("{} is called `{name}` too and comes first; remove one, or rename it", other.display())]
    DuplicateName {
        /// What both call themselves.
        name: String,
        /// The file of the other one.
        other: PathBuf,
    },
}

fn shown(hash: FileHash) -> String {
    hash.to_string().chars().take(HASH_SHOWN).collect()
}

impl PluginError {
    /// A sentence to stand behind the plugin's path: the path is not said again.
    pub(crate) fn beside_path(&self) -> String {
        match self {
            PluginError::Load(error) => error.beside_path(),
            other => other.to_string(),
        }
    }
}

/// Why a plugin's file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It isn't there.
    #[error("{} isn't there any more", .0.display())]
    Gone(PathBuf),
    /// The system does not give it to us.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, a socket or the like.
    #[error("{} is not a regular file but {what}; put the plugin itself there", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Everybody may change it.
    #[error("everybody may write to {path}, and koid runs it; chmod o-w {path}", path = .0.display())]
    WorldWritable(PathBuf),
    /// Another user than koid's may change it.
    #[error(
        "{} belongs to user {owner}, and koid runs it as user {own}; chown it to root, or to the user who runs koid",
        path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// As whom koid runs.
        own: u32,
    },
    /// It is longer than plugins may be.
    #[error("{} is larger than {} MiB, the most that a plugin may have", path.display(), most_bytes >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        most_bytes: u64,
    },
}

/// Why no code can be made of a plugin's file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No copy of it can be kept.
    #[error(transparent)]
    Copy(#[from] CopyError),
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
    fn beside_path(&self) -> String {
        match self {
            LoadError::Component { source, .. } => source.to_string(),
            LoadError::Library(error) => error.beside_path(),
            LoadError::Copy(_) | LoadError::Builtin | LoadError::Panicked => self.to_string(),
        }
    }
}

/// Why a copy of a plugin's file cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Their folder cannot be made.
    #[error("the folder {} for plugins that are in use cannot be made: {source}", folder.display())]
    FolderUnmade {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Their folder cannot be looked at.
    #[error("the folder {} cannot be looked at: {source}", folder.display())]
    FolderUnreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can write to their folder.
    #[error(
        "the folder {folder} can be written to by others than the user who runs koid; make it theirs, and chmod 700 {folder}",
        folder = .0.display()
    )]
    FolderShared(PathBuf),
    /// The copy cannot be written.
    #[error("it cannot be copied to {}: {source}", folder.display())]
    Unwritten {
        /// Where it was to lie.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy cannot be read.
    #[error("its copy {} cannot be read: {source}", copy.display())]
    Unreadable {
        /// The copy.
        copy: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy is not what its name says.
    #[error("its copy {} was changed by somebody", .0.display())]
    Changed(PathBuf),
}

impl FileError {
    /// Makes an error of the system one about the file at `path`.
    pub(crate) fn from_io(path: &Path) -> impl Fn(io::Error) -> FileError + '_ {
        |source| match source.kind() {
            io::ErrorKind::NotFound => FileError::Gone(path.to_owned()),
            _ => FileError::Unreadable { path: path.to_owned(), source },
        }
    }
}
