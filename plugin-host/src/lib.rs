//! Services and their handlers: what lies in the services folder, what `service.toml` says of it, and which handler runs
//! it. Nothing in here knows about clusters.

#![deny(unsafe_code)]
// They panic when the reader has gone.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod backend;
mod catalog;
mod config;
mod conformance;
mod granted;
mod host;
mod limited_log;
mod plugin;
mod process;
mod resolver;
mod rlimit;
mod scripted;
mod service;
mod stand_in;
mod stderr;
mod subcommand;
mod warning;

pub use backend::LoadError;
pub use backend::code::{HandlerError, Opened};
pub use catalog::error::{OpenError, PluginError, UnknownHandlerError};
pub use catalog::grants_section::GrantsSection;
pub use catalog::handler_snapshot::HandlerSnapshot;
pub use catalog::loading::load_pool::Progress;
pub use catalog::loading::loaded_plugin::OnDisk;
pub use catalog::open::{Ready, Use};
pub use catalog::registry::{PluginInfo, Registry};
pub use catalog::storage::blobs::CopyError;
pub use catalog::storage::files::FileError;
pub use catalog::storage::sources::Sources;
pub use config::error::ConfigError;
pub use config::setting::{SecretFile, ServiceConfig, Setting, SettingValue};
pub use granted::Granted;
pub use host::{Extent, Host, Protected};
pub use koi_plugin_shell::Shape;
pub use limited_log::{LimitedLog, OutputLimit};
pub use plugin::{Compiled, Facts, FileHash, Kind, Opening, Resolved, RunAs, Setup};
pub use process::process;
pub use resolver::Resolver;
pub use service::check::check_service;
pub use service::definition::{Found, SERVICES};
pub use service::discover::{DiscoverError, Discovery, discover, discover_one, stirring};
pub use service::manifest::{Manifest, ManifestEntryError, ManifestError, Timeouts};
pub use service::policy::PolicySettings;
pub use stand_in::StandIn;
pub use warning::{Severity, Warning};
