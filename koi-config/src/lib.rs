//! koi's configuration: `koi.toml`, the classic `koi.conf`, and the way from one to the other.

#![forbid(unsafe_code)]

mod config;

pub use config::{
    Cluster, Config, Electors, Fence, Key, Node, OnStopFailure, Plugins, Quorum, Services, Timeouts, Timing,
    TransportAddress,
};
