//! Deterministic simulation: the very core that the daemon runs, in a seeded world of networks, clocks, disks and operators
//! that do their worst.
//!
//! There is one [`World`]. [`scripted`] is the same world with nothing left to chance: the core's own tests tell their stories in it.
//!
//! A run is a [`World`] and a schedule of faults ([`nemesis`]), both made from one seed. Whatever is promoted twice, or under
//! an old epoch, or lost after it was answered "done", is a violation, and the run's story tells how it came to that.

#![forbid(unsafe_code)]

pub mod fences;
pub mod invariants;
pub mod machine;
pub mod members;
pub mod nemesis;
pub mod rng;
pub mod scripted;
pub mod stories;
pub mod survey;
pub mod world;

pub use world::{MS, Shape, World};
