//! Speaks to OCI registries for `koi`; koid never does.
//!
//! Two promises:
//!
//! - **A password goes to the hosts that it was configured for, and to no other.** It is not sent where a registry redirects to, nor to a
//!   token service that nobody has named (`http`, `auth`). This is why the requests are made here: no client that follows a registry's word
//!   can promise it.
//! - **Nothing is believed.** Every part of an artifact is compared with its digest before anybody gets it, everything has a limit, and a
//!   server that is silent is given up.

#![forbid(unsafe_code)]

mod archive;
mod auth;
mod client;
mod error;
mod http;
mod pull;
mod push;
mod settings;
mod wasm_config;

pub use archive::{ArchiveError, load, save};
pub use client::{Progress, RegistryClient};
pub use error::RegistryError;
pub use http::HttpError;
pub use push::Publication;
pub use settings::{Login, Registries, RegistrySettings, SettingsError, read_password};
pub use wasm_config::WasmConfigError;
