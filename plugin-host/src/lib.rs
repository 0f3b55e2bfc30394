//! Services and their handlers: what lies in the services folder, what `service.toml` says of it, and which handler runs
//! it. Nothing in here knows about clusters.

#![deny(unsafe_code)]

mod check;
mod discover;
mod duration;
mod entry;
mod host;
mod limited_log;
mod manifest;
mod native;
mod plugin;
mod process;
mod registry;
mod warning;
mod wasm;

pub use check::check_service;
pub use discover::{DiscoverError, Discovery, Found, SERVICES, discover};
pub use host::Host;
pub use koi_plugin_shell::Shape;
pub use limited_log::{LimitedLog, OutputLimit};
pub use manifest::{Manifest, ManifestError, Timeouts};
pub use plugin::{Compiled, Facts, FileHash, Kind, Opened, Setup};
pub use process::process;
pub use registry::{HandlerInfo, OpenError, Registry, UnknownHandler};
pub use warning::{Severity, Warning};
