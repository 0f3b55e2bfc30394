//! Services and their handlers: what lies in the services folder, what `service.toml` says of it, and which handler runs
//! it. Nothing in here knows about clusters.

#![forbid(unsafe_code)]

mod check;
mod discover;
mod duration;
mod entry;
mod limited_log;
mod manifest;
mod registry;
mod warning;

pub use check::check_service;
pub use discover::{DiscoverError, Discovery, Found, SERVICES, discover};
pub use koi_plugin_shell::Shape;
pub use limited_log::{LimitedLog, OutputLimit};
pub use manifest::{Manifest, ManifestError, Timeouts};
pub use registry::{HandlerInfo, Kind, OpenError, Registry, UnknownHandler};
pub use warning::{Severity, Warning};
