//! The vocabulary: what a node is configured with, what nodes keep and say to one another, and the limits of all that.

pub mod attributes;
pub mod fence;
pub mod group;
pub mod limits;
pub mod message;
pub(crate) mod patience;
pub mod placing;
pub mod policy;
pub mod record;
pub mod roster;
pub mod settings;
pub mod types;
