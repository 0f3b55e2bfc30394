//! Clusters of real `koid` processes in network namespaces: what `tests/sim` shows of the core, shown of the whole.
//!
//! A [`World`] is a bridge in a namespace of its own and a namespace for each node. Faults of the network are one nftables
//! table on the bridge, so that several cuts begin at the same instant, and nobody is told of a cut by an error. The service
//! holds an address, and its hooks write a log with CLOCK_MONOTONIC, from which [`checker`] computes every instant at which two
//! nodes were promoted, and how long a failover took.
//!
//! Needs root, iproute2 and nftables; [`Builder::start`] says so and gives none where they are missing. Worlds are made one at
//! a time, also by several test processes: a machine that is busy with another world would be taken for a dead one.

#![forbid(unsafe_code)]

pub mod checker;
mod clock;
mod faults;
pub mod nemesis;
mod network;
mod processes;
mod service;
mod world;

pub use clock::now;
pub use faults::Faults;
pub use world::{Builder, WEB, World};
