//! The words that koi and the handlers of services share: hooks, roles, and what a status sees.
//!
//! The core decides in them, handlers are called with them. Nothing here knows of clusters or of processes.

#![forbid(unsafe_code)]

mod hook;
mod status;

pub use hook::{DownReason, Hook, HookSet, TargetRole};
pub use status::{NamedProcess, Observed, StatusReport};
