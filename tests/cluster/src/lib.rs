//! Clusters of real `koid` processes on loopback, for tests that tell stories.
//!
//! ```no_run
//! use koi_cluster_tests::{Cluster, Service};
//!
//! let cluster = Cluster::builder().nodes(3).service("10-db", Service::recorded()).start();
//! let master = cluster.wait_healthy();
//! cluster.node(&master).kill();
//! cluster.wait_other_master(&master);
//! ```
//!
//! What is seen at an instant may be in transition: an election may be under way, a line of a log not written yet. So tests wait
//! for what they expect (`wait_…`), and take from the hook log what must never have happened.
//!
//! Everything lies in one folder in `/tmp`, which goes when the [`Cluster`] is dropped, with every process that it brought
//! about; `KOI_TEST_KEEP=1` keeps the folder. The binaries are built first, by the cargo that built the test;
//! `KOI_TEST_BINARIES=FOLDER` takes them from there instead.

#![forbid(unsafe_code)]

mod binaries;
mod builder;
mod cluster;
mod hooklog;
pub mod native;
mod node;
pub mod process;
mod service;
mod settings;

pub use binaries::folder as programs;
pub use builder::{Builder, Format};
pub use cluster::{Cluster, LAST_LINES};
pub use hooklog::{Entry, HookLog};
pub use koi_testkit::{PATIENCE, free_ports, skip};
pub use node::{Begun, Node, Ran};
pub use service::Service;
pub use settings::Settings;

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
