//! What the tests of all crates share.
//!
//! A test that cannot do its work here, because a right or a program is missing, says so with [`skip`] and passes. Where every test must have
//! done its work, `KOI_TESTS_COMPLETE=1` makes it fail instead. What was skipped in a run of `cargo test` is said once more at its end, by a test of
//! `xtask`, which cargo runs last.
//!
//! Tests wait for conditions, never for times: [`wait_for`], [`wait_some`], and [`until`] for those with a runtime.

#![forbid(unsafe_code)]

mod disks;
pub mod docker_registry;
mod files;
mod ports;
mod processes;
mod skipped;
mod terminal;
mod wait;

pub use disks::SmallDisk;
pub use files::{write_executable, write_with_mode};
pub use ports::free_ports;
pub use processes::lives;
pub use skipped::{skip, take_skipped};
pub use terminal::Terminal;
pub use wait::{PATIENCE, met_within, until, wait_for, wait_some};
