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

mod describe;
mod elf;
mod handler;
mod helper;
mod library;
mod source;
mod verdict;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use koi_plugin_api::Metadata;
use koi_plugin_api::native::abi;

use crate::backend::code::{Code, HandlerError, Opened};
use crate::granted::Granted;
use crate::host::Host;
use crate::plugin::{Facts, Resolved, Setup};
use describe::LibraryError;
use source::LibrarySource;

pub(crate) use library::library_process;

/// Why a library cannot be loaded.
#[derive(Debug)]
pub struct NativeLoadError {
    source: LibrarySource,
    error: LibraryError,
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

/// A native plugin: its copy, which nobody changes, and what it said of itself.
pub(crate) struct NativeCode {
    facts: Facts,
    source: LibrarySource,
}

impl NativeCode {
    /// Starts a helper that loads the library at `copy` and reads what it says of itself. `path` is where it was found, for
    /// messages. Blocks.
    pub(crate) fn load(host: &Host, path: &Path, copy: &Path) -> Result<NativeCode, NativeLoadError> {
        let source = source(host, path, copy);
        match elf::check(copy).map_err(Into::into).and_then(|()| describe::describe(&source)) {
            Ok(described) => {
                let api_version = format!("{}.{}", abi::ABI_MAJOR, described.abi_minor);
                let api = format!("native {api_version}");
                let facts =
                    Facts { metadata: Metadata::from(described), api, api_version, ..Facts::default() };
                Ok(NativeCode { facts, source })
            }
            Err(error) => Err(NativeLoadError { source, error }),
        }
    }

    /// The plugin whose copy is at `copy`: it was loaded before, and said `facts` then. Nothing is started for it.
    pub(crate) fn resume(host: &Host, path: &Path, copy: &Path, facts: Facts) -> NativeCode {
        NativeCode { facts, source: source(host, path, copy) }
    }
}

fn source(host: &Host, path: &Path, copy: &Path) -> LibrarySource {
    LibrarySource { program: host.program.clone(), pinned: copy.to_owned(), path: path.to_owned() }
}

impl Code for NativeCode {
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
            granted: vec![Granted {
                key: String::new(),
                value: String::new(),
                line: "everything that koid may do: a native plugin is not sandboxed".to_owned(),
            }],
            limits: Vec::new(),
            resolved: Resolved::default(),
        })
    }
}
