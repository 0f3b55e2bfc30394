//! The contract between koi and the handlers of services.
//!
//! A service's hooks go to a [`Handler`]: the built-in shell handler, and later native libraries and WASM components.
//! The daemon does not know which it has. Nothing in here knows about clusters.

#![forbid(unsafe_code)]

mod call;
mod handler;
mod hook;

pub use call::{Abort, AbortSignal, Aborter, Call, CallLog, LogLevel, abort_pair};
pub use handler::{Called, Handler, Metadata};
pub use hook::{Context, Failure, Hook, HookError, HookSet, Observed, Outcome, Role, StatusReport};
