//! The words that koi and the handlers of services share: hooks, roles, and what a status sees.
//!
//! The core decides in them, handlers are called with them. Nothing here knows of clusters or of processes.

#![forbid(unsafe_code)]

mod attributes;
mod hook;
mod status;

pub use attributes::{ATTRIBUTE_KEY_BYTES, ATTRIBUTE_VALUE_BYTES, ATTRIBUTES, is_attribute_key};
pub use hook::{DownReason, Hook, HookSet, TargetRole};
pub use status::{NamedProcess, Observed, StatusReport};
