//! Native plugins: handlers in shared libraries, by the C ABI of `include/koi_plugin.h`.
//!
//! A plugin exports one table, the static `koi_plugin_v1`. koi reads it before it calls any function of the plugin, and refuses
//! the plugin if its ABI is another one. In Rust a plugin implements [`NativeHandler`] and exports itself:
//!
//! ```
//! use koi_plugin_api::native::{Error, Host, NativeHandler, Setup};
//! use koi_plugin_api::{Context, Hook};
//!
//! struct Greeter;
//!
//! impl NativeHandler for Greeter {
//!     const NAME: &'static str = "greeter";
//!     const VERSION: &'static str = "1.0.0";
//!     const DESCRIPTION: &'static str = "Greets the new master";
//!     const HOOKS: &'static [Hook] = &[Hook::Promote];
//!
//!     fn create(_: Setup, _: &Host<'_>) -> Result<Self, Error> {
//!         Ok(Greeter)
//!     }
//!
//!     fn promote(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
//!         host.info(&format!("{} is master now", context.node));
//!         Ok(())
//!     }
//! }
//!
//! koi_plugin_api::export_plugin!(Greeter);
//! ```
//!
//! The crate is a `cdylib`, and takes this one without its default features.

pub mod abi;
mod attributes;
mod export;
mod handler;

pub use export::{config_keys, table};
pub use handler::{Error, Host, Key, NativeHandler, Setup};
