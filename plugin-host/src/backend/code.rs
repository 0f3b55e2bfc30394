//! A plugin's code, and the handlers that are made of it.

use std::sync::Arc;

use koi_plugin_api::Handler;

use crate::backend::wasm::grants::error::GrantError;
use crate::backend::wasm::limits::LimitsError;
use crate::config::secret::SecretError;
use crate::granted::Granted;
use crate::plugin::{Facts, Resolved, Setup};
use crate::service::manifest::Manifest;

/// A service's handler.
#[derive(Clone)]
pub struct Opened {
    /// Runs its hooks.
    pub handler: Arc<dyn Handler>,
    /// What is granted to it.
    pub granted: Vec<Granted>,
    /// The limits in force, a line each, for people.
    pub limits: Vec<String>,
    /// What the host names in its grants stand for, from now on.
    pub resolved: Resolved,
}

/// A loaded plugin, of one file, pinned: whatever happens to the file, this stays as it is.
pub(crate) trait Code: Send + Sync {
    /// What is known of it.
    fn facts(&self) -> &Facts;

    /// A handler for one service. Blocks (names are resolved).
    fn open(&self, setup: &Setup<'_>) -> Result<Opened, HandlerError>;
}

impl HandlerError {
    /// The line of `[grants]` in its service.toml that is to be mended, from 1; none: it is about something else, or there is no such
    /// section.
    pub(crate) fn grant_line(&self, manifest: &Manifest) -> Option<usize> {
        match self {
            HandlerError::Grants(error) if error.is_of_section() => manifest.grant_line(error.key()),
            HandlerError::Grants(_)
            | HandlerError::Limits(_)
            | HandlerError::Secret(_)
            | HandlerError::Setup(_)
            | HandlerError::NoSandbox { .. } => None,
        }
    }
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
    /// A file of its secrets cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Its `[config]` or `[grants]` cannot be handed to a process.
    #[error("what the service is granted cannot be handed to its process: {0}")]
    Setup(serde_json::Error),
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
