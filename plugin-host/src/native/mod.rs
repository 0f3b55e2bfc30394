//! Shared libraries as handlers.
//!
//! A library never comes into koid's own process. Each service has a helper, koid's program started again, that loads the library and
//! runs the hooks of that one service: a crash or a hang is a failed hook of that service, and no other service, not even one of the
//! same plugin, takes notice. A helper is started with the first hook and kept from then on.
//!
//! ```text
//!  koid: handler (one per service)              helper: library (one process per service)
//!        call ── orders, a line of JSON each ──►  watcher thread ──► main thread ──► the plugin's functions
//!             ◄── answers, a line of JSON each ──  callbacks ◄───────────────────────┘
//!             ◄── pipes ─────────────────────────  what it writes to standard output and standard error
//! ```

mod backoff;
mod describe;
mod elf;
mod handler;
mod helper;
mod library;
mod lines;
mod output;
mod process;
mod protocol;
mod talk;
mod verdict;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_plugin_api::Metadata;
use koi_plugin_api::native::abi;

use crate::error::{HandlerError, LoadError};
use crate::host::Host;
use crate::plugin::{Code, Facts, FileHash, Opened, Resolved, Setup};

pub(crate) use library::library_process;

/// Why a library cannot be loaded.
#[derive(Debug)]
pub struct NativeLoadError {
    source: LibrarySource,
    error: describe::LibraryError,
}

impl std::error::Error for NativeLoadError {}

impl fmt::Display for NativeLoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source.path.display(), self.beside_path())
    }
}

impl NativeLoadError {
    /// A sentence to stand behind the library's path.
    pub(crate) fn beside_path(&self) -> String {
        self.source.with_own_path(&self.error.to_string())
    }
}

/// A native plugin, pinned.
struct Native {
    facts: Facts,
    source: LibrarySource,
}

/// What it takes to start a helper.
#[derive(Clone, Debug)]
struct LibrarySource {
    /// koid's program.
    program: PathBuf,
    /// The copy that is loaded.
    pinned: PathBuf,
    /// Where it was found, for messages.
    path: PathBuf,
}

impl LibrarySource {
    /// A text of the helper or the dynamic loader, which know the copy only, for people.
    fn explain(&self, text: &str) -> String {
        format!("{}: {}", self.path.display(), self.with_own_path(text))
    }

    /// The same text with the plugin's path in place of its copy's.
    fn with_own_path(&self, text: &str) -> String {
        let (pinned, path) = (self.pinned.display().to_string(), self.path.display().to_string());
        text.replace(&format!("{pinned}: "), "").replace(&pinned, &path)
    }
}

/// Starts a helper that loads the library at `pinned` (a copy that nobody changes) and reads what it says of itself. `path` is where
/// it was found, for messages. Blocks.
pub(crate) fn load(
    host: &Host,
    path: &Path,
    pinned: &Path,
    _hash: FileHash,
) -> Result<Arc<dyn Code>, LoadError> {
    let source =
        LibrarySource { program: host.program.clone(), pinned: pinned.to_owned(), path: path.to_owned() };
    let described = match elf::check(pinned).map_err(Into::into).and_then(|()| describe::describe(&source)) {
        Ok(described) => described,
        Err(error) => return Err(NativeLoadError { source, error }.into()),
    };
    let api = format!("native {}.{}", abi::ABI_MAJOR, described.abi_minor);
    let facts = Facts { metadata: Metadata::from(described), api, ..Facts::default() };
    Ok(Arc::new(Native { facts, source }))
}

/// The plugin whose copy is at `pinned`: it was loaded before, and said `facts` then. Nothing is started for it.
pub(crate) fn resume(host: &Host, path: &Path, pinned: &Path, facts: Facts) -> Arc<dyn Code> {
    let source =
        LibrarySource { program: host.program.clone(), pinned: pinned.to_owned(), path: path.to_owned() };
    Arc::new(Native { facts, source })
}

impl Code for Native {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn open(&self, setup: &Setup<'_>) -> Result<Opened, HandlerError> {
        for (section, table) in [("grants", setup.grants), ("limits", setup.limits)] {
            if !table.is_empty() {
                let plugin = self.facts.metadata.name.clone();
                return Err(HandlerError::NoSandbox { section, plugin });
            }
        }
        Ok(Opened {
            handler: Arc::new(handler::NativeHandler::new(&self.facts.metadata, &self.source, setup)),
            granted: vec!["everything that koid may do: a native plugin is not sandboxed".to_owned()],
            limits: Vec::new(),
            resolved: Resolved::new(),
        })
    }
}
