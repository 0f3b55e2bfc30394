//! Services and their handlers: what lies in the services folder, what `service.toml` says of it, and which handler runs
//! it. Nothing in here knows about clusters.

#![deny(unsafe_code)]
// They panic when the reader has gone.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod blobs;
mod check;
mod config;
mod discover;
mod duration;
mod entry;
mod error;
mod files;
mod handler_snapshot;
mod host;
mod in_progress;
mod limited_log;
mod load;
mod loaded_plugin;
mod manifest;
mod native;
mod open;
mod plugin;
mod process;
mod registry;
mod trial;
mod warning;
mod wasm;

pub use check::check_service;
pub use config::ConfigError;
pub use discover::{DiscoverError, Discovery, Found, SERVICES, discover, of_folder, stirring};
pub use error::{CopyError, FileError, HandlerError, LoadError, OpenError, PluginError, UnknownHandler};
pub use handler_snapshot::HandlerSnapshot;
pub use host::Host;
pub use koi_plugin_shell::Shape;
pub use limited_log::{LimitedLog, OutputLimit};
pub use load::Progress;
pub use loaded_plugin::OnDisk;
pub use manifest::{Manifest, ManifestEntryError, ManifestError, Timeouts};
pub use open::Ready;
pub use plugin::{Compiled, Facts, FileHash, Kind, Opened, Resolved, Setup};
pub use process::process;
pub use registry::{PluginInfo, Registry, Use};
pub use warning::{Severity, Warning};

/// A line on standard error; that nobody reads it is no reason to end.
pub(crate) fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
