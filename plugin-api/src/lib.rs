//! The contract between koi and the handlers of services.
//!
//! A service's hooks go to a [`Handler`]: the built-in shell handler, a native library, or a WASM component. The daemon does not
//! know which it has. Nothing in here knows about clusters.
//!
//! The feature `host` (on by default) is koi's own side of it; a native plugin needs only what is left without it.

#![deny(unsafe_code)]

mod access;
mod attributes;
#[cfg(feature = "host")]
mod call;
#[cfg(feature = "host")]
mod handler;
mod hook;
#[cfg(feature = "host")]
mod lines;
mod metadata;
#[allow(unsafe_code)] // The boundary to C.
pub mod native;

pub use access::{CallToken, ScriptAccess};
pub use attributes::{AttributesAsked, AttributesError, AttributesRead, CallAttributes, NoCluster};
#[cfg(feature = "host")]
pub use call::{Abort, AbortSignal, Aborter, Call, CallLog, GroupReport, Incident, NewestEpoch, abort_pair};
#[cfg(feature = "host")]
pub use handler::{Called, Handler};
pub use hook::{Circumstances, Context, Failure, HookError, LogLevel, Outcome, Peer, PeerState};
pub use koi_hook::{ATTRIBUTE_KEY_BYTES, ATTRIBUTE_VALUE_BYTES, ATTRIBUTES, is_attribute_key};
pub use koi_hook::{DownReason, Hook, HookSet, NamedProcess, Observed, StatusReport, TargetRole as Role};
#[cfg(feature = "host")]
pub use lines::{LINE_BYTES, LineCutter, for_people};
pub use metadata::{Capability, ConfigKey, ConfigKind, Metadata, Program, Want};
