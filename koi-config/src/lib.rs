//! koi's configuration: `koi.toml`, the classic `koi.conf`, and the way from one to the other.
//!
//! [`load`] finds and reads a file of either format, and says everything that is wrong with it at once, each problem with
//! its line and what to do. [`to_toml`], [`to_classic`] and [`show`] write a [`Config`]; [`example`] makes a first one.
//!
//! Inside, `keys` is the one table of all keys: both readers, all writers and the documentation go by it.

#![forbid(unsafe_code)]

mod config;
mod diagnostic;
mod fence;
mod files;
mod keys;
mod load;
mod read;
mod source;
mod validate;
mod value;
mod write;

pub use config::{
    Cluster, ClusterKey, Config, ELECTORS, Electors, Failback, Fence, Group, NAME_BYTES, Node, OnStopFailure,
    Plugins, Policy, Quorum, Services, Timeouts, Timing, TransportAddress,
};
pub use diagnostic::{ConfigError, Diagnostic};
pub use fence::{FenceMethod, FenceNode, Fences};
pub use files::{must_be_file, open_file};
pub use load::{Candidates, FILE_BYTES, SEARCHED, candidates, load, load_as, parse_classic, parse_toml};
pub use source::{Format, Identity, Loaded};
pub use validate::{ConfigDiagnostic, Severity};
pub use write::{ExampleSettings, example, show, to_classic, to_toml};
