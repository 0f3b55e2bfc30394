//! koi's configuration: `koi.toml`, the classic `koi.conf`, and the way from one to the other.
//!
//! [`load`] finds and reads a file of either format, and says everything that is wrong with it at once, each problem with
//! its line and what to do. [`to_toml`], [`to_classic`] and [`show`] write a [`Config`]; [`example`] makes a first one.
//!
//! Inside, `keys` is the one table of all keys: both readers, all writers and the documentation go by it.

#![forbid(unsafe_code)]

mod address;
mod classic;
mod config;
mod draft;
mod duration;
mod files;
mod info;
mod keys;
mod load;
mod problem;
mod quote;
mod reading;
mod secrecy;
mod setting;
mod toml_file;
pub mod trust;
mod validate;
mod write;
mod zone;

pub use config::{
    Cluster, Config, Electors, Fence, Key, Node, OnStopFailure, Plugins, Quorum, Services, Timeouts, Timing,
    TransportAddress,
};
pub use files::{must_be_file, open_file};
pub use load::{
    Candidates, FILE_BYTES, Format, Identity, Loaded, SEARCHED, candidates, load, load_as, parse_classic,
    parse_toml,
};
pub use problem::{ConfigError, Problem};
pub use validate::{ELECTORS, Finding, NAME_BYTES, Severity};
pub use write::{Start, example, show, to_classic, to_toml};
